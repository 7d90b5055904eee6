"""Repair of types: one type for each name in a text, and no crossing mentions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from biomark.spans import Entity

_CLEAR = 0.9  # the lowest score with which a mention keeps its type against the other places of the same name
_SHORT = 6  # the greatest length of a name in capitals whose case matters
_BESIDE = 0.4  # how much lower the score of a mention inside another one may be


def with_one_type(text: str, entities: Iterable[Entity]) -> list[Entity]:
    """Give each name the type with the highest sum of scores in the text; return the mentions in text order.

    A mention with a very high score keeps its type, for a name may have several meanings in a text. Of mentions of
    different types that cross, the likelier one is kept. A mention inside another one is kept as well, unless it is far
    less likely, or a chemical in a variant (`arginine to tryptophan at codon 198`).

    Args:
        text: the text of the document.
        entities: mentions with scores; those of one type do not overlap.
    """
    by_name: dict[str, list[Entity]] = {}
    for entity in entities:
        by_name.setdefault(_name(entity.mention(text)), []).append(entity)
    typed = [entity for same in by_name.values() for entity in _agreed(same)]
    return _nested(sorted(typed, key=lambda e: (e.start, -e.end)))


def _name(mention: str) -> str:
    """Return the key under which mentions count as one name: case-folded, unless they are short and all capitals."""
    return mention if len(mention) <= _SHORT and mention == mention.upper() else mention.casefold()


def _agreed(same: Sequence[Entity]) -> Iterator[Entity]:
    """Yield the mentions of one name, one for each place, with the type that they agree on."""
    variants = {entity.spans for entity in same if entity.type == "variant"}
    same = [entity for entity in same if entity.type != "chemical" or entity.spans not in variants]
    sums: dict[str, float] = {}
    for entity in same:
        sums[entity.type] = sums.get(entity.type, 0.0) + (entity.score or 0.0)
    if len(sums) == 1:
        yield from same
        return
    chosen = max(sums, key=lambda entity_type: (sums[entity_type], entity_type))
    places: dict[int, list[Entity]] = {}
    for entity in same:
        places.setdefault(entity.start, []).append(entity)
    for rivals in places.values():
        likeliest = max(rivals, key=lambda e: (e.type == chosen, e.score or 0.0))
        clear = (likeliest.score or 0.0) >= _CLEAR
        yield likeliest if clear or likeliest.type == chosen else replace(likeliest, type=chosen)


def _nested(entities: Sequence[Entity]) -> list[Entity]:
    """Drop mentions that cross likelier ones or are unlikely inside others; return the rest in text order."""
    dropped: set[int] = set()
    around: list[int] = []  # the indexes of earlier mentions that may reach beyond the start of the present one
    for n, entity in enumerate(entities):
        around = [m for m in around if entities[m].end > entity.start and m not in dropped]
        for m in around:
            loser = _loser(entities[m], entity)
            if loser is not None:
                dropped.add(m if loser is entities[m] else n)
        around.append(n)
    return sorted((e for n, e in enumerate(entities) if n not in dropped), key=lambda e: (e.start, e.end))


def _loser(first: Entity, second: Entity) -> Entity | None:
    """Return which of two mentions is dropped, if any; the first one begins earlier or is the longer one."""
    if not first.overlaps(second):
        return None
    one, other = first.score or 0.0, second.score or 0.0
    if not first.extent.contains(second.extent):
        return second if other <= one else first
    if first.spans == second.spans:
        return second if other <= one else first
    if (first.type, second.type) == ("variant", "chemical") or other < one - _BESIDE:
        return second
    return None
