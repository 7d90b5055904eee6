"""Short forms that a text defines, at all of their places: `moss fever (MF) … MF`."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from biomark.spans import Entity, Span
from biomark.text.abbreviations import Abbreviation, abbreviations

# The least score of a definition's mention from which its short form is marked elsewhere: of the long form and the
# short one with one type, of the long form alone, of the short form alone; and of either, that other types give way.
_BOTH, _LONG, _SHORT, _OVERRULES = 0.6, 0.8, 0.95, 0.75
# Of 124 places that got their mention from such a definition on development splits, 119 were right.
_MOST = 0.95

_FIRST_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a short form stands for: the type of its definition, and how sure that is."""

    type: str
    score: float


def with_short_forms(text: str, entities: Iterable[Entity]) -> list[Entity]:
    """The mentions, with those of short forms whose definition is a mention, at all their places as whole words.

    Where a place is a mention already, it stays, and what another type says of the very same place gives way to a
    definition that is likely enough.

    Args:
        text: of the document.
        entities: with scores, in text order.
    """
    known = list(entities)
    meanings = _meanings(text, known)
    if not meanings:
        return known
    there = _Overlaps(known)
    dropped: set[int] = set()
    added = []
    for span, meaning in _places(text, meanings):
        others = there.of(span)
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
    """The short forms whose definition is a mention; of several definitions the surest."""
    ends: dict[int, list[Entity]] = {}
    for entity in entities:
        ends.setdefault(entity.end, []).append(entity)
    made: dict[str, _Meaning] = {}
    for found in abbreviations(text):
        name = found.short.of(text)
        # (COX)-2 is a part of a longer name, and (cardiac) a word.
        if name.islower() or re.match(r"[)\]][-‐‑]", text[found.short.end : found.short.end + 2]):
            continue
        meaning = _meaning(found, ends)
        if meaning is not None and (name not in made or meaning.score > made[name].score):
            made[name] = meaning
    return made


def _meaning(found: Abbreviation, ends: Mapping[int, Sequence[Entity]]) -> _Meaning | None:
    """The surest type among the mentions of a definition, if it is sure enough."""
    # A mention may begin before the long form, which is the shortest that holds the letters.
    long = [e for e in ends.get(found.long.end, ()) if e.start <= found.long.start]
    short = [e for e in ends.get(found.short.end, ()) if e.start == found.short.start]
    if not long and not short:
        return None
    surest = max([*long, *short], key=lambda e: e.score or 0.0)
    # The noun of the long form alone says its type as well: aspirin-exacerbated `respiratory disease` (AERD).
    heads = ends.get(found.long.end, ()) if short else long
    by_long, by_short = (any(e.type == surest.type for e in some) for some in (heads, short))
    least = _BOTH if by_long and by_short else _LONG if by_long else _SHORT
    score = surest.score or 0.0
    return _Meaning(surest.type, score) if score >= least else None


def _places(text: str, meanings: Mapping[str, _Meaning]) -> Iterator[tuple[Span, _Meaning]]:
    """Where short forms stand as whole words, a plural's `s` with them; in text order."""
    lengths: dict[str, set[int]] = {}  # of the names, by their first word
    for name in meanings:
        first = _FIRST_WORD.match(name)
        if first is not None:
            lengths.setdefault(first[0], set()).add(len(name))
    for word in _FIRST_WORD.finditer(text):
        for begun in (word[0], word[0].removesuffix("s")):
            for length in sorted(lengths.get(begun, ()), reverse=True):
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
    """Whether a place is no part of a longer word or of a name with numbers (PC in PC-3, Val in 2 Val-9)."""
    if text[end : end + 1].isalnum() or text[end : end + 1] == "_":
        return False
    behind, before = text[end : end + 2], text[max(0, start - 2) : start]
    return not (re.match(r"[-‐‑]\d", behind) or re.fullmatch(r"\d[-‐‑]", before))


class _Overlaps:
    """Which of the mentions, in text order, overlap a span."""

    def __init__(self, entities: Sequence[Entity]) -> None:
        self._starts = [entity.start for entity in entities]
        self._ends: list[int] = []  # the furthest end of all up to this one
        for entity in entities:
            self._ends.append(max(entity.end, self._ends[-1] if self._ends else 0))
        self._entities = entities

    def of(self, span: Span) -> list[int]:
        """Their places among the mentions."""
        found = []
        place = bisect_left(self._starts, span.end) - 1
        while place >= 0 and self._ends[place] > span.start:
            if self._entities[place].overlaps(Entity((span,), "")):
                found.append(place)
            place -= 1
        return found
