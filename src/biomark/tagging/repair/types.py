"""One name, one type in a text; and of mentions that overlap, which stay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from biomark.spans import Entity

_CLEAR = 0.9  # a score that holds against the other places of the same name
_SHORT = 6  # characters of a name of capitals whose case matters
_BESIDE = 0.4  # how much less likely a mention inside another one may be


def with_one_type(text: str, entities: Iterable[Entity]) -> list[Entity]:
    """The mentions, each name with the type that has the highest sum of scores in the text.

    A place where another type alone is very likely keeps it: the text has both. Where mentions of different types
    cross, the likelier one stays; one inside of another stays beside it, unless it is far less likely, or a chemical
    in a variant (`arginine to tryptophan at codon 198`).

    Args:
        text: of the document.
        entities: with scores; those of one type do not overlap.
    """
    by_name: dict[str, list[Entity]] = {}
    for entity in entities:
        by_name.setdefault(_name(entity.mention(text)), []).append(entity)
    made = [entity for same in by_name.values() for entity in _agreed(same)]
    return _nested(sorted(made, key=lambda e: (e.start, -e.end)))


def _name(mention: str) -> str:
    """What two mentions share if they are the same: capitals matter where there is nothing else in a short one."""
    return mention if len(mention) <= _SHORT and mention == mention.upper() else mention.casefold()


def _agreed(same: Sequence[Entity]) -> Iterator[Entity]:
    """Mentions of one name, one at each place."""
    variants = {entity.spans for entity in same if entity.type == "variant"}
    same = [entity for entity in same if entity.type != "chemical" or entity.spans not in variants]
    sums: dict[str, float] = {}
    for entity in same:
        sums[entity.type] = sums.get(entity.type, 0.0) + (entity.score or 0.0)
    if len(sums) == 1:
        yield from same
        return
    chosen = max(sums, key=lambda type: (sums[type], type))
    places: dict[int, list[Entity]] = {}
    for entity in same:
        places.setdefault(entity.start, []).append(entity)
    for there in places.values():
        likeliest = max(there, key=lambda e: (e.type == chosen, e.score or 0.0))
        clear = (likeliest.score or 0.0) >= _CLEAR
        yield likeliest if clear or likeliest.type == chosen else replace(likeliest, type=chosen)


def _nested(entities: Sequence[Entity]) -> list[Entity]:
    """The mentions without those that cross likelier ones, or are unlikely inside others; in text order."""
    dropped: set[int] = set()
    around: list[int] = []  # those before that may reach beyond the present one's start
    for n, entity in enumerate(entities):
        around = [m for m in around if entities[m].end > entity.start and m not in dropped]
        for m in around:
            loser = _loser(entities[m], entity)
            if loser is not None:
                dropped.add(m if loser is entities[m] else n)
        around.append(n)
    return sorted((e for n, e in enumerate(entities) if n not in dropped), key=lambda e: (e.start, e.end))


def _loser(first: Entity, second: Entity) -> Entity | None:
    """Which of two mentions gives way, of which the first begins first or is the longer one."""
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
