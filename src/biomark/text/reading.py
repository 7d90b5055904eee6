"""Normalise a text to the view that a tagging network reads, with offsets back to the original.

Corpora are plain text: `Crohn's`, `beta-blocker`, `NF-kappaB`. Users' texts have typographic apostrophes and hyphens,
Greek letters, ligatures, hyphenated words at line ends, HTML, or whole notes in capitals. `view` rewrites a text in
the style of corpora and keeps the origin of each character, so that every mention has exact offsets in the original
text. A text that is already plain is its own view.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from biomark.text.greek import spelled_out
from biomark.text.typography import APOSTROPHES, HYPHENS, QUOTES

Offsets = npt.NDArray[np.int64]
Known = Callable[[str], bool]
"""A function that returns whether a word in lower case is common."""

_INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u202a\u202b\u202c\u202d\u202e\ufe0e\ufe0f"
_MICRO = "\u00b5\u03bc"
_SHARP_S = "\u00df"

_HEADINGS = {
    "PMH": "Past medical history",
    "PMHX": "Past medical history",
    "PSH": "Past surgical history",
    "PSHX": "Past surgical history",
    "FHX": "Family history",
    "SHX": "Social history",
    "HX": "History",
    "DX": "Diagnosis",
}
"""Abbreviated headings of clinical notes, before a colon: spelled out, they show what the list behind them is."""

_SPECIAL = re.compile(
    rf"""
    (?P<heading>(?<![\w-])(?i:{"|".join(_HEADINGS)})(?=[ \t]?:))
    | (?P<cut>(?<=[^\W\d_])[-\u2010\u2011\u00ad][^\S\n]*\n[^\S\n]*(?=[a-z]))    # a word cut at the end of a line
    | (?P<entity>&(?:[A-Za-z]{{2,12}}|\#\d{{2,6}}|\#[xX][0-9A-Fa-f]{{2,5}});)
    | (?P<tag></?(?:i|b|u|em|strong|sub|sup|small|italic|bold|br|p|span)(?:\s[^<>\n]{{0,80}})?/?>)
    | (?P<other>[^\x00-\x7f])
    """,
    re.VERBOSE,
)
_PLAIN = re.compile(r"[^\x00-\x7f]|-[^\S\n]*\n|&[A-Za-z#]|</?[a-z]|[HhDd][Xx][ \t]?:|(?i:P[MS]H[ \t]?:)")
_CAPITALS = re.compile(r"[A-Z]{3}")
_LINE = re.compile(r"[^\n]+")
_SOLID = re.compile(r"[^\s\x00-\x1f]+")
_WORD = re.compile(r"[^\W\d_]{2,}")
_BEFORE_CUT = re.compile(r"[^\W\d_]+$")
_AFTER_CUT = re.compile(r"[^\W\d_]+")
_SHARE_OF_CAPITALS = 0.85
_SHARE_OF_KNOWN = 0.5
_LONG_WORD = 8


@dataclass(frozen=True, slots=True)
class View:
    """A text as a network reads it.

    Attributes:
        text: the text of the view.
        starts: int64 (characters of `text`); character i stands for `original[starts[i]:ends[i]]`. None: every
            character stands for itself.
        ends: int64 (characters of `text`), or None, as for `starts`.
    """

    text: str
    starts: Offsets | None = None
    ends: Offsets | None = None

    def original(self, offsets: Offsets) -> Offsets:
        """Convert spans of the view, int64 (N, 2), none of them empty, to spans of the original text, int64 (N, 2)."""
        if self.starts is None or self.ends is None or not len(offsets):
            return offsets
        return np.stack((self.starts[offsets[:, 0]], self.ends[offsets[:, 1] - 1]), axis=-1)


def view(text: str, known: Known) -> View:
    """Return the view of a text.

    The view has ASCII signs, Greek letters spelled out, no accents and ligatures, and blanks in place of emoji and
    other symbols. HTML entities and inline HTML tags are resolved, hyphenated words at line ends are joined,
    abbreviated headings of notes (`PMH:`) are spelled out, and lines in capitals are in lower case.

    Args:
        text: any text.
        known: decides whether a word that is hyphenated at a line end keeps its hyphen, and whether capitals are
            words or abbreviations.
    """
    plain = View(text) if not _PLAIN.search(text) else _folded(text, known)
    return _without_capitals(plain, known)


def spaced(seen: View) -> View:
    """Return the view with one blank for each run of white space, and a blank before its first word."""
    parts = list(_SOLID.finditer(seen.text))
    text = "".join(f" {part[0]}" for part in parts)
    places = [np.arange(part.start() - 1, part.end(), dtype=np.int64) for part in parts]
    at = np.concatenate(places or [np.zeros(0, dtype=np.int64)]).clip(0)
    if seen.starts is None or seen.ends is None:
        return View(text, at, at + 1)
    return View(text, seen.starts[at], seen.ends[at])


def _folded(text: str, known: Known) -> View:
    pieces: list[str] = []
    starts: list[Offsets] = []
    ends: list[Offsets] = []
    at = 0

    def copy(end: int) -> None:
        if end > at:
            pieces.append(text[at:end])
            places = np.arange(at, end, dtype=np.int64)
            starts.append(places)
            ends.append(places + 1)

    for match in _SPECIAL.finditer(text):
        start, end = match.span()
        if start < at:
            continue
        copy(start)
        new = _replacement(text, match, known)
        if new:
            pieces.append(new)
            starts.append(np.full(len(new), start, dtype=np.int64))
            ends.append(np.full(len(new), end, dtype=np.int64))
        elif ends and _extends_previous(match):
            ends[-1][-1] = end
        at = end
    copy(len(text))
    if not starts:
        return View("", np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    return View("".join(pieces), np.concatenate(starts), np.concatenate(ends))


def _extends_previous(match: re.Match[str]) -> bool:
    """Return whether a match is an accent on the letter before it, or closes superscript or subscript text."""
    if match["tag"]:
        return match["tag"] in ("</sub>", "</sup>")
    return bool(match["other"]) and unicodedata.combining(match["other"]) > 0


def _replacement(text: str, match: re.Match[str], known: Known) -> str:
    """Return the replacement for a match of `_SPECIAL`."""
    if match["heading"]:
        return _HEADINGS[match["heading"].upper()]
    if match["cut"]:
        return "-" if _keeps_hyphen(text, match, known) else ""
    if match["tag"]:
        return " " if match["tag"].strip("</>").split()[0] in ("br", "p") else ""
    if match["entity"]:
        unescaped = html.unescape(match["entity"])
        if unescaped == match["entity"]:
            return unescaped
        return "".join(c if c.isascii() else _in_place(c, text, match.span()) for c in unescaped)
    return _in_place(match["other"], text, match.span())


def _in_place(character: str, text: str, place: tuple[int, int]) -> str:
    """Return the replacement for a character, which may depend on its neighbours."""
    following = text[place[1] : place[1] + 1]
    if character in _MICRO:  # the unit of µg, or the letter of µ-opioid
        return "u" if following.isascii() and following.isalpha() else "mu"
    if character == _SHARP_S:  # an old substitute for β, unless it stands in a German word
        return "ss" if text[max(place[0] - 1, 0) : place[0]].islower() else "beta"
    return _sign(character)


def _keeps_hyphen(text: str, match: re.Match[str], known: Known) -> bool:
    """Return whether the hyphen at a line end belongs to the word, rather than to the line break."""
    if "\u00ad" in match["cut"]:
        return False
    before, after = (
        _BEFORE_CUT.search(text[max(0, match.start() - 40) : match.start()]),
        _AFTER_CUT.match(text, match.end()),
    )
    if before is None or after is None:  # pragma: no cover - the pattern has letters on both sides
        return True
    first, second = before[0], after[0]
    whole = (first + second).lower()
    if known(whole):
        return False
    if re.search(rf"(?<!\w){re.escape(first)}-{re.escape(second)}(?!\w)", text):
        return True
    if first.isupper() and len(first) > 1:  # IL-\ninduced
        return True
    # A known word after the hyphen is a word of its own (aspirin-induced); a short one may be an ending (asth-ma).
    least = 3 if known(first.lower()) and len(first) > 2 else 6
    return len(second) >= least and known(second.lower())


@cache
def _sign(character: str) -> str:
    """Return the replacement for a character outside ASCII: a blank for emoji, nothing for invisible characters."""
    if character in APOSTROPHES:
        return "'"
    if character in QUOTES:
        return '"'
    if character in HYPHENS:
        return "-"
    if character in _INVISIBLE:
        return ""
    if character.isspace() or unicodedata.category(character) in ("So", "Sk", "Cc", "Cf", "Co"):
        return " " if character != "\u0085" else "\n"
    letters = [c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c)]
    return "".join(_letter(c) for c in letters)


def _letter(character: str) -> str:
    if name := spelled_out(character):
        return name.capitalize() if character.isupper() else name
    if character in HYPHENS:
        return "-"
    if character == "\u2044":  # of ½, which is 1⁄2
        return "/"
    if not character.isascii() and unicodedata.category(character) == "Sm":
        return f" {character} "  # signs such as ↑ and ≥ do not belong to the word beside them
    return character


def _without_capitals(seen: View, known: Known) -> View:
    """Return the view with its lines in capitals in lower case; lines of abbreviations alone keep their capitals."""
    if not _CAPITALS.search(seen.text):
        return seen
    text = list(seen.text)
    changed = False
    for lines in _blocks(seen.text):
        if _are_words(" ".join(line[0] for line in lines), known):
            for line in lines:
                # Letter by letter, because the lower case of a string may be longer than the string (İ).
                text[line.start() : line.end()] = [c.lower() if len(c.lower()) == 1 else c for c in line[0]]
            changed = True
    return View("".join(text), seen.starts, seen.ends) if changed else seen


def _blocks(text: str) -> Iterator[list[re.Match[str]]]:
    """Yield groups of consecutive lines in capitals."""
    block: list[re.Match[str]] = []
    for line in _LINE.finditer(text):
        if _in_capitals(line[0]) and (not block or line.start() == block[-1].end() + 1):
            block.append(line)
            continue
        if block:
            yield block
        block = [line] if _in_capitals(line[0]) else []
    if block:
        yield block


def _in_capitals(line: str) -> bool:
    upper = sum(map(str.isupper, line))
    return upper > 1 and upper >= _SHARE_OF_CAPITALS * (upper + sum(map(str.islower, line)))


def _are_words(text: str, known: Known) -> bool:
    """Return whether a text in capitals consists of several words rather than abbreviations or symbols."""
    words = [word.lower() for word in _WORD.findall(text)]
    common = sum(len(word) >= _LONG_WORD or (len(word) > 2 and known(word)) for word in words)
    longer = sum(len(word) > 2 for word in words)
    return common >= 2 and common >= _SHARE_OF_KNOWN * longer
