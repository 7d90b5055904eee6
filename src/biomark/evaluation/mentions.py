"""Mentions as they are compared: spans and type alone, each once, in text order."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from biomark.spans import Entity, Span


class Mentions:
    """Distinct mentions in text order that know which of them overlap another one.

    Identifiers, scores and infons are left out: two mentions with the same spans and type are one.

    Attributes:
        all: the mentions, ordered by spans and then type.
    """

    __slots__ = ("_longest", "_starts", "all")

    def __init__(self, entities: Iterable[Entity] = ()) -> None:
        self.all = tuple(
            Entity(spans, type) for spans, type in sorted({(entity.spans, entity.type) for entity in entities})
        )
        self._starts = [mention.start for mention in self.all]
        self._longest = max((len(mention.extent) for mention in self.all), default=0)

    def __iter__(self) -> Iterator[Entity]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    def of_type(self, type: str) -> Mentions:
        """Those of one type."""
        return Mentions(mention for mention in self.all if mention.type == type)

    def without(self, others: Iterable[Entity]) -> Mentions:
        """Those that are not among `others`."""
        left_out = set(others)
        return Mentions(mention for mention in self.all if mention not in left_out)

    def overlapping(self, other: Entity) -> Iterator[Entity]:
        """Those that share a code point with `other`, in text order, whatever their type."""
        first = bisect_left(self._starts, other.start - self._longest)
        last = bisect_left(self._starts, other.end)
        return (mention for mention in self.all[first:last] if mention.overlaps(other))


@dataclass(frozen=True, slots=True)
class Alignment:
    """Gold and predicted mentions, one to one.

    Attributes:
        pairs: (gold, predicted) mentions that overlap.
        missing: gold mentions without a partner.
        spurious: predicted mentions without a partner.
    """

    pairs: tuple[tuple[Entity, Entity], ...]
    missing: tuple[Entity, ...]
    spurious: tuple[Entity, ...]


def align(gold: Mentions, predicted: Mentions, *, prefer_type: bool) -> Alignment:
    """Pair each predicted mention with at most one gold mention that it overlaps.

    Mentions with the same spans and type are paired first, then those with the same spans alone.
    Each predicted mention left then takes, in text order, a free gold mention: the first one that
    it overlaps, or with `prefer_type` the one of its type whose boundaries are nearest. The result
    does not depend on the order in which the mentions were given.
    """
    equal = set(gold).intersection(predicted)
    partner = {mention: mention for mention in equal}
    taken = equal
    for same_spans in (True, False):
        for mention in predicted:
            if mention in partner:
                continue
            free = [
                other
                for other in gold.overlapping(mention)
                if other not in taken and (not same_spans or other.spans == mention.spans)
            ]
            if free:
                partner[mention] = min(free, key=lambda other: _distance(mention, other)) if prefer_type else free[0]
                taken.add(partner[mention])
    return Alignment(
        tuple(sorted(((g, p) for p, g in partner.items()), key=lambda pair: _place(pair[1]))),
        tuple(mention for mention in gold if mention not in taken),
        tuple(mention for mention in predicted if mention not in partner),
    )


def _distance(mention: Entity, other: Entity) -> tuple[bool, int]:
    """How far two mentions are apart: type first, then boundaries; no difference among other types."""
    if mention.type != other.type:
        return True, 0
    return False, abs(mention.start - other.start) + abs(mention.end - other.end)


def _place(mention: Entity) -> tuple[tuple[Span, ...], str]:
    return mention.spans, mention.type
