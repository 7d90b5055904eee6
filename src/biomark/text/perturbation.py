"""Perturbations of texts: capitals, typographic signs, Greek letters, the noise of PDFs, emoji.

Each function takes a document and a random generator, and returns a document with the same mentions, in the same order
and with offsets in the new text. Equal arguments give equal results.
"""

from __future__ import annotations

import random
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Protocol

from biomark.spans import Document, Span
from biomark.text.edits import Edit, edited
from biomark.text.greek import NAMES, spelled_out

COLUMNS = 70
"""The largest number of code points of a line of a PDF's text, unless a word is longer."""
_LINES = (8, 40)  # the smallest and the largest number of lines of a page
_CUT_WORDS = 0.5  # the share of words that are hyphenated if they do not fit in their line
_CHANGED_BLANKS = _WIDE_WORDS = 1 / 3
_HYPHENS = "\u2010\u2011\u2013"
_BLANKS = "\u2009\u00a0\u202f"
_PRINTED = {
    "prime": "\u2032",
    "apostrophe": "\u2019",
    "opening": "\u2018",
    "first": "\u201c",
    "last": "\u201d",
    "range": "\u2013",
    "plus": "\u00b1",
    "more": "\u2265",
    "less": "\u2264",
}
_SIGNS = re.compile(
    r"""
    (?P<prime>(?<=[35])'(?!\w))           # 5' end
    | (?P<opening>(?<![^\s(\[])'(?=\w)) | (?P<apostrophe>')
    | (?P<first>(?<![^\s(\[])"(?=\S)) | (?P<last>")
    | (?P<plus>\+/-) | (?P<more>>=) | (?P<less><=)
    | (?P<range>(?<=\d)-(?=\d))
    | (?P<hyphen>(?<=[\w)\]])-(?=[\w(\[]) | (?<=[^\W\d_])-(?=[\s,]))  # pre- and postnatal
    | (?P<blank>(?<=\S)[ ](?=\S))
    """,
    re.VERBOSE,
)
_LIGATURES = {"ff": "\ufb00", "fi": "\ufb01", "fl": "\ufb02", "ffi": "\ufb03", "ffl": "\ufb04"}
_LIGATURE = re.compile("ff[il]|f[fil]")
_BRACKETS = "()[]"
_WIDE = 0xFEE0  # from ASCII to its wide forms
_WORD_OR_BRACKET = re.compile(r"[A-Za-z0-9]+|[()\[\]]")
_HEADLINE = re.compile(r"(?<![^\W_])[a-z](?=[a-z]{3})|(?m:^)[a-z]")
# Names that are also words or abbreviations are not replaced.
_SPELLED = [name for name in NAMES if name not in ("mu", "nu", "xi", "omicron", "pi")]
_NAME = re.compile(
    rf"(?<![a-z])(?:{'|'.join(_SPELLED)})(?![a-z])|(?<![A-Za-z])(?:{'|'.join(map(str.title, _SPELLED))})(?![a-z])"
)
_LETTER = re.compile("[αβγδεζηθικλνξοπρστυφχψωςΓΔΘΛΞΠΣΦΨΩ]|μ(?![^\\W\\d_])")  # μm is a unit
_WORD = re.compile(r"\S+")
_LEAST = 3  # the smallest number of letters of a part of a hyphenated word
_HEADERS = (
    "J Clin Exp Res 20{:02};{}:{}-{}",
    "Author manuscript; available in PMC 20{:02} July {}. Page {} of {}",
    "A. Miller et al. / Journal of Case Studies {} ({}) {}-{}",
    "RESEARCH ARTICLE {:02} {} {} {}",
)
_EMOJI = "😀🤒💊🧬🙏❤🦠✅"


class Perturbation(Protocol):
    """A function that perturbs a document; see the module's docstring."""

    def __call__(self, document: Document, chance: random.Random) -> Document: ...  # noqa: D102


def upper_case(document: Document, chance: random.Random) -> Document:
    """Change all letters to upper case."""
    return _mapped(document, str.upper)


def lower_case(document: Document, chance: random.Random) -> Document:
    """Change all letters to lower case."""
    return _mapped(document, str.lower)


def title_case(document: Document, chance: random.Random) -> Document:
    """Capitalise words as in headlines, except short words inside a line."""
    return _edited(
        document, (Edit(Span(m.start(), m.start() + 1), m[0][0].upper()) for m in _HEADLINE.finditer(document.text))
    )


def typographic(document: Document, chance: random.Random) -> Document:
    """Replace apostrophes, quotes, primes, hyphens and dashes by typographic signs, and some blanks by special ones.

    All hyphens of a document get the same sign; a third of its blanks is changed.
    """
    text = document.text
    signs = {**_PRINTED, "hyphen": chance.choice(_HYPHENS), "blank": chance.choice(_BLANKS)}

    def edits() -> Iterator[Edit]:
        for match in _SIGNS.finditer(text):
            kind = match.lastgroup
            if kind == "blank" and chance.random() >= _CHANGED_BLANKS:
                continue
            yield Edit(Span(*match.span()), signs[str(kind)])

    return _edited(document, edits())


def ligatures(document: Document, chance: random.Random) -> Document:
    """Replace `fi`, `fl`, `ff`, `ffi` and `ffl` by ligatures, as in texts from PDFs."""
    return _edited(document, (Edit(Span(*m.span()), _LIGATURES[m[0]]) for m in _LIGATURE.finditer(document.text)))


def full_width(document: Document, chance: random.Random) -> Document:
    """Replace all brackets and the letters of a third of the words by full-width forms of East Asian typography."""
    edits: list[Edit] = []
    for match in _WORD_OR_BRACKET.finditer(document.text):
        if match[0] in _BRACKETS or chance.random() < _WIDE_WORDS:
            edits += (Edit(Span(n, n + 1), chr(ord(document.text[n]) + _WIDE)) for n in range(*match.span()))
    return _edited(document, edits)


def greek_letters(document: Document, chance: random.Random) -> Document:
    """Replace names of Greek letters by the letters: `TNF-alpha` becomes `TNF-α`, `Delta9` becomes `Δ9`."""
    return _edited(document, (Edit(Span(*m.span()), _as_letter(m[0])) for m in _NAME.finditer(document.text)))


def greek_names(document: Document, chance: random.Random) -> Document:
    """Replace Greek letters by their names: `TNF-α` becomes `TNF-alpha`; units such as `μm` do not change."""
    return _edited(document, (Edit(Span(*m.span()), _as_name(m[0])) for m in _LETTER.finditer(document.text)))


def pdf_noise(document: Document, chance: random.Random) -> Document:
    """Wrap lines at 70 characters, hyphenate words at line ends, and insert page numbers and headers."""
    text, borders = document.text, _borders(document)
    paragraphs = {passage.span.start for passage in document.passages}
    edits: list[Edit] = []
    words = list(_WORD.finditer(text))
    line, left = words[0].start() if words else 0, chance.randint(*_LINES)  # lines until the page ends
    for before, word in pairwise(words):
        gap = Span(before.end(), word.start())
        begins = "\n" in gap.of(text) or word.start() in paragraphs
        if not begins and word.end() - line <= COLUMNS:
            continue
        left -= 1
        cut = None if begins else _cut(word, line + COLUMNS - 1, borders, chance)
        if cut is not None:
            edits.append(Edit(Span(cut, cut + 1), ("\n" if text[cut - 1] == "-" else "-\n") + text[cut]))
        elif left <= 0 and not any(gap.overlaps(entity.extent) for entity in document.entities):
            edits.append(Edit(gap, _page_break(chance)))
            left = chance.randint(*_LINES)
        elif not begins:
            edits.append(Edit(gap, "\n"))
        line = word.start() if cut is None else cut
    return _edited(document, edits)


def emoji(document: Document, chance: random.Random) -> Document:
    """Insert an emoji before each mention that follows a blank, with or without a blank after the emoji."""
    starts = {passage.span.start for passage in document.passages}
    inside = [entity.extent for entity in document.entities]
    places = sorted({entity.start for entity in document.entities if entity.start and entity.start not in starts})
    edits = []
    for place in places:
        before = Span(place - 1, place)
        if before.of(document.text).isspace() and not any(before.overlaps(extent) for extent in inside):
            sign = chance.choice(_EMOJI) + " " * (chance.random() < 0.5)
            edits.append(Edit(before, before.of(document.text) + sign))
    return _edited(document, edits)


PERTURBATIONS: Mapping[str, Perturbation] = {
    "upper case": upper_case,
    "lower case": lower_case,
    "title case": title_case,
    "typographic signs": typographic,
    "ligatures": ligatures,
    "full-width letters": full_width,
    "Greek letters": greek_letters,
    "Greek names": greek_names,
    "PDF noise": pdf_noise,
    "emoji": emoji,
}
"""All perturbations, by their names in tables."""


def _mapped(document: Document, change: Callable[[str], str]) -> Document:
    """Return the document with a function applied to each code point."""
    new = [change(character) for character in document.text]
    if all(len(character) == 1 for character in new):
        return replace(document, text="".join(new))
    pairs = enumerate(zip(document.text, new, strict=True))
    return edited(document, [Edit(Span(n, n + 1), character) for n, (old, character) in pairs if old != character])


def _edited(document: Document, edits: Iterable[Edit]) -> Document:
    """Return the document with the edits inside which no mention begins or ends."""
    borders = _borders(document)
    kept = [e for e in edits if bisect_right(borders, e.span.start) == bisect_left(borders, e.span.end)]
    return edited(document, kept)


def _borders(document: Document) -> list[int]:
    spans = [span for entity in (*document.entities, *document.alternatives) for span in entity.spans]
    return sorted({border for span in spans for border in (span.start, span.end)})


def _as_letter(name: str) -> str:
    letter = NAMES[name.lower()]
    return (
        letter.upper() if name == "Delta" else letter
    )  # other capitalised names stand for the lower-case letter, as in Beta-blockers


def _as_name(letter: str) -> str:
    name = spelled_out(letter)
    return name.capitalize() if letter.isupper() else name


def _cut(word: re.Match[str], last: int, borders: Sequence[int], chance: random.Random) -> int | None:
    """Return the offset at which to hyphenate a word, or None.

    The offset is before a letter, at most `last`, and not at a border of a mention.
    """
    if chance.random() >= _CUT_WORDS:
        return None
    text, taken = word.string, set(borders)
    places = [
        place
        for place in range(word.start() + _LEAST, min(word.end() - _LEAST, last) + 1)
        if text[place].isalpha() and (text[place - 1].isalpha() or text[place - 1] == "-") and place not in taken
    ]
    return chance.choice(places[-_LEAST:]) if places else None


def _page_break(chance: random.Random) -> str:
    numbers = [chance.randint(1, 30) for _ in range(4)]
    return f"\n\n{chance.randint(1, 900)}\n\n{chance.choice(_HEADERS).format(*numbers)}\n\n"
