"""Repair of abbreviations: a short form that the text defines becomes a mention everywhere: `moss fever (MF) … MF`."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from biomark.spans import Entity, Span
from biomark.text.abbreviations import Abbreviation, abbreviations

# The lowest score of a definition's mention from which its short form is marked elsewhere: where the long and the short
# form are mentions of one type, where only the long form is, where only the short form is; and the lowest score from
# which other types at the short form's places are removed.
_BOTH, _LONG, _SHORT, _OVERRULES = 0.6, 0.8, 0.95, 0.75
# The highest score of a mention that comes from a definition: 119 of 124 such mentions in development splits were true.
_MOST = 0.95

_FIRST_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class _Meaning:
    """The type of a short form's definition, with the score in [0, 1] of the mention that it comes from."""

    type: str
    score: float


def with_short_forms(text: str, entities: Iterable[Entity]) -> list[Entity]:
    """Add the mentions of short forms whose definition is a mention, at all places where they are whole words.

    Mentions that a place has already stay, except that a definition with a sufficient score replaces mentions of other
    types with exactly the same span.

    Args:
        text: the text of the document.
        entities: mentions with scores, in text order.
    """
    known = list(entities)
    meanings = _meanings(text, known)
    if not meanings:
        return known
    overlaps = _Overlaps(known)
    dropped: set[int] = set()
    added = []
    for span, meaning in _places(text, meanings):
        others = overlaps.of(span)
        own = [n for n in others if known[n].type == meaning.type]
        rivals = [n for n in others if known[n].type != meaning.type and known[n].spans == (span,)]
        if rivals and meaning.score >= _OVERRULES and all(known[n].spans == (span,) for n in others):
            dropped.update(rivals)
            others = own
        if not others:
            added.append(Entity((span,), meaning.type, score=min(meaning.score, _MOST)))
    kept = [entity for n, entity in enumerate(known) if n not in dropped]
    return sorted([*kept, *added], key=lambda e: (e.start, e.end))


def _meanings(text: str, entities: Sequence[Entity]) -> Mapping[str, _Meaning]:
    """Return the meaning of each short form whose definition is a mention; of several, the one with the top score."""
    ends: dict[int, list[Entity]] = {}
    for entity in entities:
        ends.setdefault(entity.end, []).append(entity)
    meanings: dict[str, _Meaning] = {}
    for definition in abbreviations(text):
        name = definition.short.of(text)
        # (COX)-2 is a part of a longer name, and (cardiac) a word.
        if name.islower() or re.match(r"[)\]][-‐‑]", text[definition.short.end : definition.short.end + 2]):
            continue
        meaning = _meaning(definition, ends)
        if meaning is not None and (name not in meanings or meaning.score > meanings[name].score):
            meanings[name] = meaning
    return meanings


def _meaning(definition: Abbreviation, ends: Mapping[int, Sequence[Entity]]) -> _Meaning | None:
    """Return the type with the highest score among the mentions of a definition, if that score suffices."""
    # A mention may begin before the long form, which is the shortest one with the letters of the short form.
    long = [e for e in ends.get(definition.long.end, ()) if e.start <= definition.long.start]
    short = [e for e in ends.get(definition.short.end, ()) if e.start == definition.short.start]
    if not long and not short:
        return None
    surest = max([*long, *short], key=lambda e: e.score or 0.0)
    # The head noun of the long form is evidence of the type, too: aspirin-exacerbated `respiratory disease` (AERD).
    heads = ends.get(definition.long.end, ()) if short else long
    by_long, by_short = (any(e.type == surest.type for e in mentions) for mentions in (heads, short))
    least = _BOTH if by_long and by_short else _LONG if by_long else _SHORT
    score = surest.score or 0.0
    return _Meaning(surest.type, score) if score >= least else None


def _places(text: str, meanings: Mapping[str, _Meaning]) -> Iterator[tuple[Span, _Meaning]]:
    """Yield the places of short forms that are whole words, including a plural `s`, in text order."""
    lengths: dict[str, set[int]] = {}  # the lengths of the names, by their first word
    for name in meanings:
        first = _FIRST_WORD.match(name)
        if first is not None:
            lengths.setdefault(first[0], set()).add(len(name))
    for word in _FIRST_WORD.finditer(text):
        for beginning in (word[0], word[0].removesuffix("s")):
            for length in sorted(lengths.get(beginning, ()), reverse=True):
                name = text[word.start() : word.start() + length]
                end = word.start() + length
                end += text[end : end + 1] == "s"
                if name in meanings and _is_whole(text, word.start(), end):
                    yield Span(word.start(), end), meanings[name]
                    break
            else:
                continue
            break


def _is_whole(text: str, start: int, end: int) -> bool:
    """Return whether a place is not part of a longer word or of a name with numbers (PC in PC-3, Val in 2 Val-9)."""
    if text[end : end + 1].isalnum() or text[end : end + 1] == "_":
        return False
    behind, before = text[end : end + 2], text[max(0, start - 2) : start]
    return not (re.match(r"[-‐‑]\d", behind) or re.fullmatch(r"\d[-‐‑]", before))


class _Overlaps:
    """An index of mentions, in text order, for finding those that overlap a span."""

    def __init__(self, entities: Sequence[Entity]) -> None:
        self._starts = [entity.start for entity in entities]
        self._ends: list[int] = []  # the greatest end of all mentions up to this one
        for entity in entities:
            self._ends.append(max(entity.end, self._ends[-1] if self._ends else 0))
        self._entities = entities

    def of(self, span: Span) -> list[int]:
        """Return the indexes of the mentions that overlap a span."""
        indexes = []
        place = bisect_left(self._starts, span.end) - 1
        while place >= 0 and self._ends[place] > span.start:
            if self._entities[place].overlaps(Entity((span,), "")):
                indexes.append(place)
            place -= 1
        return indexes
