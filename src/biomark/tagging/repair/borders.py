"""Repair of borders: balanced brackets, no dangling signs at the ends, no mention across lines of a list or a table.

The signs that may begin or end a mention are those that begin or end mentions often enough in the training splits of
BC5CDR, NCBI-disease, BC2GM, NLM-Gene, S800 and tmVar: `Ca2+`, `O2-`, `5'`, `sp. nov.`, `-308G>A`.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from biomark.spans import Apart, Document, Entity, Span, whole_text
from biomark.text.sentences import with_sentences
from biomark.text.typography import HYPHENS

_PAIRS = {"(": ")", "[": "]", "{": "}"}
_DASHES = f"-{HYPHENS}"
_QUOTES = "'\"‘’‚‛“”„‟«»‹›′″`´"
_PRIMES = "'’′"
_SIGNS = frozenset(f"{_DASHES}{_QUOTES},;:.!?/\\|=<>&~_•·*…\ufe0f")
_SYMBOLS = ("So", "Sk", "Cf", "Cc", "Cs", "Co", "Zs")

# The gap between two sentences of which the first ends without a full stop.
_BREAK = re.compile(r"[\n\r\t\f|]|\s\s")
_TAXON = re.compile(r"(?:\b(?:spp?|nov|gen|comb|subsp|ssp|var|cv)|\b[A-Z])\.$")
_ION = re.compile(rf"[A-Z][A-Za-z0-9]{{0,5}}[{_DASHES}]")
_ROUNDS = 8


def with_borders(document: Document, entities: Iterable[Entity]) -> list[Entity]:
    """Correct the borders of mentions; mentions without a letter or digit left are dropped.

    A mention across the end of a line or across cells of a table becomes one mention for each sentence (lines of lists
    and cells are sentences, see `biomark.text.sentences`); the halves of a word that an empty line divides are dropped.
    No mention reaches beyond its passage.
    """
    text = document.text
    edges = {edge for passage in whole_text(document) for edge in (passage.start, passage.end)}
    parts = _SentenceDivider(document)
    corrected = []
    for entity in entities:
        if len(entity.spans) > 1:
            corrected.append(entity)
            continue
        for part in parts.of(entity.extent):
            span = _accepted(text, part, entity.type, edges)
            if span is not None:
                corrected.append(replace(entity, spans=(span,)))
    taken: dict[str, Apart] = {entity.type: Apart() for entity in corrected}
    ranked = sorted(corrected, key=lambda e: (-(e.score or 0.0), e.start))
    return sorted((e for e in ranked if taken[e.type].take(e)), key=lambda e: (e.start, e.end))


class _SentenceDivider:
    """Divides spans at the ends of sentences; the document is split into sentences when that is first needed."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._ends: list[int] | None = None

    def of(self, span: Span) -> list[Span]:
        """Return the parts of a span, without the halves of a divided word."""
        text = self._document.text
        if not _BREAK.search(text, span.start, span.end):
            return [span]
        parts = list(self._cut(span))
        halves = {
            n
            for n, (one, other) in enumerate(pairwise(parts))
            if text[one.end - 1] in _DASHES and text[other.start].islower()
        }
        return [part for n, part in enumerate(parts) if n not in halves and n - 1 not in halves]

    def _cut(self, span: Span) -> Iterator[Span]:
        if self._ends is None:
            self._ends = [sentence.end for sentence in with_sentences(self._document).sentences]
        start = span.start
        for end in self._ends[bisect_right(self._ends, start) :]:
            if end >= span.end:
                break
            yield Span(start, end)
            start = end
            while start < span.end and self._document.text[start].isspace():
                start += 1
        if start < span.end:
            yield Span(start, span.end)


@dataclass(frozen=True, slots=True)
class _Brackets:
    """The brackets inside a span.

    Attributes:
        partners: the offset of the closing bracket of each opening one that has a partner.
        alone: the offsets of brackets without a partner, in order.
    """

    partners: Mapping[int, int]
    alone: tuple[int, ...]

    @classmethod
    def of(cls, text: str, span: Span) -> _Brackets:
        opened: list[int] = []
        partners: dict[int, int] = {}
        alone: list[int] = []
        for place in range(span.start, span.end):
            if text[place] in _PAIRS:
                opened.append(place)
            elif text[place] in _PAIRS.values():
                if opened and _PAIRS[text[opened[-1]]] == text[place]:
                    partners[opened.pop()] = place
                else:
                    alone.append(place)
        return cls(partners, tuple(sorted([*alone, *opened])))


def _accepted(text: str, span: Span, entity_type: str, edges: Collection[int]) -> Span | None:
    """Return the span with corrected borders, or None if no letter or digit is left."""
    for _ in range(_ROUNDS):
        before = span
        brackets = _Brackets.of(text, span)
        trimmed = _trimmed(text, span, entity_type, brackets)
        if trimmed is None:
            return None
        span = trimmed if trimmed != before else _balanced(text, trimmed, brackets, edges)
        if span == before:
            break
    return span


def _trimmed(text: str, span: Span, entity_type: str, brackets: _Brackets) -> Span | None:
    """Return the span without dangling signs and without brackets around all of it, or None if nothing is left."""
    alone = set(brackets.alone)
    start, end = span.start, span.end
    while start < end and (start in alone or _dangles_before(text, start, end, entity_type)):
        start += 1
    while start < end and (end - 1 in alone or _dangles_behind(text, start, end, entity_type)):
        end -= 1
    while start < end and brackets.partners.get(start) == end - 1:
        start, end = start + 1, end - 1
    return Span(start, end) if any(character.isalnum() for character in text[start:end]) else None


def _balanced(text: str, span: Span, brackets: _Brackets, edges: Collection[int]) -> Span:
    """Return the span extended by adjacent partners of its brackets, or else its longest part without such brackets."""
    alone = list(brackets.alone)
    start, end = span.start, span.end
    while alone and end not in edges and end < len(text) and _PAIRS.get(text[alone[-1]]) == text[end]:
        alone.pop()
        end += 1
    while alone and start not in edges and start > 0 and _PAIRS.get(text[start - 1]) == text[alone[0]]:
        alone.pop(0)
        start -= 1
    cuts = [start - 1, *alone, end]
    parts = [(one + 1, other) for one, other in pairwise(cuts) if one + 1 < other]
    return Span(*max(parts, key=lambda part: part[1] - part[0]))


def _is_sign(character: str) -> bool:
    return character in _SIGNS or character.isspace() or unicodedata.category(character) in _SYMBOLS


def _dangles_before(text: str, start: int, end: int, entity_type: str) -> bool:
    """Return whether the first character of a span is a sign that no name begins with."""
    sign = text[start]
    if entity_type == "variant" and sign in f"{_DASHES}*+" and text[start + 1 : start + 2].isdigit():  # -308G>A, *2
        return False
    if sign in _QUOTES:  # 'BH3-only' protein
        return sign not in text[start + 2 : end - 1]
    return _is_sign(sign) or sign == "+"


def _dangles_behind(text: str, start: int, end: int, entity_type: str) -> bool:
    """Return whether the last character of a span is a sign that no name ends in."""
    sign, following = text[end - 1], text[end : end + 1]
    if sign == "." and entity_type == "species":
        return _TAXON.search(text, max(start, end - 10), end) is None
    if sign in _PRIMES and entity_type in ("gene", "chemical", "variant"):
        return not text[end - 2].isalnum() or following.isalnum() or text[max(0, start - 1)] in _QUOTES
    if sign in _DASHES and entity_type == "chemical":
        return _ION.fullmatch(text, start, end) is None or following.isalnum() or following in ("\n", "\r")
    return _is_sign(sign) and not (sign == "*" and entity_type == "gene")
