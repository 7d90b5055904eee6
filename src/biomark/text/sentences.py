"""Split texts into sentences by rules, with exact offsets.

Sentences cover all text except the white space between them: nothing is dropped or truncated. A
boundary is the white space after a full stop, question or exclamation mark (and closing quotes or
brackets) if the following text can begin a sentence, unless the stop belongs to an abbreviation or an
initial, or is inside brackets. An empty line or the edge of a passage is always a boundary; items of
lists, cells of tables and headings are sentences of their own (`biomark.text.lines`).

spaCy's rule-based sentencizer is an alternative, for comparison with work that used it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from biomark.errors import MissingExtraError, UsageError
from biomark.spans import Document, Span, whole_text
from biomark.text.lines import units

if TYPE_CHECKING:
    from spacy.language import Language

OWN, SPACY = "biomark", "spacy"

# Runs of stops match from their beginnings alone; otherwise long runs would take quadratic time.
_STOP = re.compile(r"""(?<![.!?…])(?P<stop>[.!?…]++)(?P<close>["'”’)\]}»]*+)(?P<gap>\s+)""")
_NUMBER = re.compile(r"\(?\d{1,3}[.)]")  # the number of an item
_LAST_WORD = re.compile(r"[^\s(\[{\"'“‘]*$")
_BEGIN = re.compile(r"""["'“‘«(\[{¿¡+<>~±=]*[^\W_a-z]|[-–—•*]\s|["'“‘«(\[{][^\W_]|\S*[A-Z0-9]""")

# Abbreviations in lower case, without their stop. Those that can also end a sentence ("etc", "al", "no")
# count only if the following word does not begin with a capital.
_NEVER_LAST = frozenset(
    "approx ca cf dr e.g eg fig figs i.e ie mr mrs ms prof ref refs st vs viz resp eq eqs ex vol pp ser ver "
    "jan feb mar apr jun jul aug sep sept oct nov dec".split()
)
_RARELY_LAST = frozenset("al etc no nos inc ltd co corp sp spp subsp var ssp cv jr sr dept univ a.m p.m".split())
_OPENER = re.compile(
    r"(?:The|This|These|That|Those|There|In|On|At|By|For|From|To|With|We|It|Its|A|An|As|All|Our|Both|Each|One|Two|"
    r"No|Although|After|Before|During|However|Here|Thus|Therefore|When|While|Since|Using|Results?|Methods?|Conclusions?)\b"
)
_LOOK_BACK = 400


def split(text: str) -> tuple[Span, ...]:
    """Return the spans of a text's sentences in order, without surrounding white space."""
    return tuple(sentence for unit in units(text) for sentence in _sentences(text, unit))


def split_by_spacy(text: str) -> tuple[Span, ...]:
    """Return the spans of the sentences of spaCy's `sentencizer` on a blank English pipeline, as for `split`.

    Raises:
        MissingExtraError: if spaCy is not installed.
    """
    spans = (Span(sentence.start_char, sentence.end_char) for sentence in _sentencizer()(text).sents)
    return tuple(sentence for span in spans if (sentence := _stripped(text, span)) is not None)


SPLITTERS: Mapping[str, Callable[[str], tuple[Span, ...]]] = {OWN: split, SPACY: split_by_spacy}
"""The functions that split a text into sentences, by their names in options and recipes."""


def splitter_named(name: str) -> Callable[[str], tuple[Span, ...]]:
    """Return the function that splits a text into sentences, by its name in `SPLITTERS`.

    Raises:
        UsageError: if the name is unknown.
        MissingExtraError: if it needs a library that is not installed.
    """
    if name not in SPLITTERS:
        raise UsageError(f"sentences must be one of {', '.join(SPLITTERS)}, got {name!r}")
    if name == SPACY:
        _sentencizer()
    return SPLITTERS[name]


def with_sentences(document: Document, by: str = OWN) -> Document:
    """Return the document with its sentences; a document that already has sentences is returned unchanged.

    Args:
        document: a document, whose passages are split one by one.
        by: the name of one of `SPLITTERS`.
    """
    if document.sentences:
        return document
    text = document.text
    divide = SPLITTERS[by]
    sentences = tuple(s.shift(part.start) for part in whole_text(document) for s in divide(part.of(text)))
    return replace(document, sentences=sentences)


@cache
def _sentencizer() -> Language:
    try:
        import spacy
    except ImportError as error:
        raise MissingExtraError("spacy", "spacy") from error
    pipeline = spacy.blank("en")
    pipeline.add_pipe("sentencizer")
    pipeline.max_length = 1 << 62  # the default limit protects models whose memory grows with the text
    return pipeline


def _stripped(text: str, span: Span) -> Span | None:
    """Return the span without white space at its ends; None if nothing remains."""
    inside = span.of(text)
    start, end = span.end - len(inside.lstrip()), span.start + len(inside.rstrip())
    return Span(start, end) if start < end else None


def _sentences(text: str, unit: Span) -> Iterator[Span]:
    """Yield the sentences of a unit of text, which has no white space at its ends."""
    start = unit.start
    number = _NUMBER.match(text, unit.start, unit.end) if len(unit) < len(text) else None
    for match in _STOP.finditer(text, number.end() if number else unit.start, unit.end):
        if _ends(text, start, match):
            yield Span(start, match.end("close"))
            start = match.end()
    yield Span(start, unit.end)


def _ends(text: str, start: int, match: re.Match[str]) -> bool:
    """Return whether the stop of `match` ends the sentence that begins at `start`."""
    following = text[match.end() : match.end() + 40]
    if not _BEGIN.match(following):
        return False
    before = text[max(start, match.start() - _LOOK_BACK) : match.start()]
    if match["stop"] == "." and not match["close"]:
        word = _LAST_WORD.search(before)
        last = word[0] if word else ""
        if _is_abbreviation(last, following, begins=len(last) == len(before)):
            return False
    return not _is_open(before + match["stop"] + match["close"])


def _is_abbreviation(word: str, following: str, *, begins: bool) -> bool:
    lower = word.lower()
    if lower in _NEVER_LAST:
        return True
    if lower in _RARELY_LAST:
        return not following[0].isupper() or lower in ("no", "nos", "sp", "spp")  # "no. 5"; "sp. nov."
    # An initial or a genus: "J. Smith", "E. coli". A capital alone also ends sentences: "vitamin K. The …"
    if len(word) == 1 and word.isalpha() and word.isupper():
        return begins or not _OPENER.match(following)
    return re.fullmatch(r"(?:[A-Za-z]\.)+[A-Za-z]", word) is not None and not following[0].isupper()


def _is_open(before: str) -> bool:
    """Return whether the beginning of a sentence has an open bracket."""
    return any(before.count(a) > before.count(b) for a, b in (("(", ")"), ("[", "]")))
