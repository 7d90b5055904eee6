"""Distinct mentions for comparison, reduced to spans and type, and their one-to-one alignment."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from biomark.spans import Entity, Span


class Mentions:
    """Distinct mentions in text order, with fast queries for overlaps.

    Identifiers, scores and infons are ignored: two mentions with the same spans and type are one.

    Attributes:
        all: the mentions, ordered by spans and then type.
    """

    __slots__ = ("_by_type", "_layers", "_parts", "all")

    def __init__(self, entities: Iterable[Entity] = ()) -> None:
        self.all = tuple(
            Entity(spans, entity_type)
            for spans, entity_type in sorted({(entity.spans, entity.type) for entity in entities})
        )
        # Each index below is built on its first use.
        self._by_type: dict[str, Mentions] | None = None
        self._layers: tuple[_Layer, ...] | None = None
        self._parts: tuple[list[int], list[int]] | None = None

    def __iter__(self) -> Iterator[Entity]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    def types(self) -> frozenset[str]:
        """Return the entity types that occur."""
        return frozenset(self._of_types())

    def of_type(self, entity_type: str) -> Mentions:
        """Return the mentions of one type."""
        return self._of_types().get(entity_type) or Mentions()

    def without(self, others: Iterable[Entity]) -> Mentions:
        """Return the mentions that are not among `others`."""
        left_out = set(others)
        return Mentions(mention for mention in self.all if mention not in left_out)

    def overlapping(self, other: Entity) -> Iterator[Entity]:
        """Yield the mentions of any type that share a code point with `other`, in text order."""
        if self._layers is None:
            self._layers = tuple(_layers(self.all))
        places = [place for layer in self._layers for place in layer.between(other.start, other.end)]
        candidates = (self.all[place] for place in sorted(places))
        return (mention for mention in candidates if mention.overlaps(other))

    def touched_by(self, other: Entity) -> bool:
        """Return whether any mention shares a code point with `other`."""
        if self._parts is None:
            parts = [span for mention in self.all for span in mention.spans]
            self._parts = sorted(span.start for span in parts), sorted(span.end for span in parts)
        starts, ends = self._parts
        # A part overlaps a span if it begins before the span's end and does not end before the span's start.
        return any(bisect_left(starts, span.end) > bisect_right(ends, span.start) for span in other.spans)

    def depth(self) -> tuple[int, int]:
        """Return the largest number of mentions over one offset, gaps included, and that offset; (0, 0) if empty."""
        ends = sorted(mention.end for mention in self.all)
        depths = ((n + 1 - bisect_right(ends, mention.start), mention.start) for n, mention in enumerate(self.all))
        return max(depths, key=lambda depth: depth[0], default=(0, 0))

    def _of_types(self) -> dict[str, Mentions]:
        if self._by_type is None:
            groups: dict[str, list[Entity]] = {}
            for mention in self.all:
                groups.setdefault(mention.type, []).append(mention)
            self._by_type = {
                entity_type: self if len(groups) == 1 else Mentions(group) for entity_type, group in groups.items()
            }
        return self._by_type


@dataclass(slots=True)
class _Layer:
    """Mentions none of which lies inside another one, so that both their starts and their ends increase.

    Attributes:
        places: the indices of the mentions in `Mentions.all`.
        starts: the first code point of each mention.
        ends: one past the last code point of each mention.
    """

    places: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def between(self, start: int, end: int) -> list[int]:
        """Return the indices of the mentions that overlap the code points from `start` to `end`."""
        return self.places[bisect_right(self.ends, start) : bisect_left(self.starts, end)]


def _layers(mentions: Iterable[Entity]) -> list[_Layer]:
    """Put each mention into the first layer in which no mention contains it.

    Args:
        mentions: mentions in text order.

    Returns:
        As many layers as mentions nest.
    """
    layers: list[_Layer] = []
    reach: list[int] = []  # the negated last end of each layer, which increases from layer to layer
    for place, mention in enumerate(mentions):
        row = bisect_left(reach, -mention.end)
        if row == len(layers):
            layers.append(_Layer())
            reach.append(0)
        layer = layers[row]
        layer.places.append(place)
        layer.starts.append(mention.start)
        layer.ends.append(mention.end)
        reach[row] = -mention.end
    return layers


@dataclass(frozen=True, slots=True)
class Alignment:
    """A one-to-one alignment of gold and predicted mentions.

    Attributes:
        pairs: overlapping mentions as (gold, predicted).
        missing: gold mentions without a partner.
        spurious: predicted mentions without a partner.
    """

    pairs: tuple[tuple[Entity, Entity], ...]
    missing: tuple[Entity, ...]
    spurious: tuple[Entity, ...]


def align(gold: Mentions, predicted: Mentions, *, prefer_type: bool) -> Alignment:
    """Pair each predicted mention with at most one gold mention that it overlaps.

    Mentions with the same spans and type are paired first, then those with the same spans alone.
    Each remaining predicted mention, in text order, is paired with an unpaired gold mention: the first
    one that it overlaps, or with `prefer_type` the one of its type whose boundaries are nearest. The
    result does not depend on the order of the mentions in their files.
    """
    equal = set(gold).intersection(predicted)
    partner = {mention: mention for mention in equal}
    by_spans: dict[tuple[Span, ...], deque[Entity]] = {}
    for mention in gold:
        if mention not in equal:
            by_spans.setdefault(mention.spans, deque()).append(mention)
    for mention in predicted:
        if mention not in equal and (same := by_spans.get(mention.spans)):
            partner[mention] = same.popleft()
    free = gold.without(partner.values())
    taken: set[int] = set()  # the id() of each paired mention of `free`, because hashing mentions is slow
    for mention in predicted:
        if mention in partner:
            continue
        others = (other for other in free.overlapping(mention) if id(other) not in taken)
        nearest = min(others, key=lambda o: _distance(mention, o), default=None) if prefer_type else next(others, None)
        if nearest is not None:
            partner[mention] = nearest
            taken.add(id(nearest))
    return Alignment(
        tuple(sorted(((g, p) for p, g in partner.items()), key=lambda pair: _place(pair[1]))),
        tuple(mention for mention in free if id(mention) not in taken),
        tuple(mention for mention in predicted if mention not in partner),
    )


def _distance(mention: Entity, other: Entity) -> tuple[bool, int]:
    """Return a sort key: whether the types differ, then the distance of the boundaries (0 if the types differ)."""
    if mention.type != other.type:
        return True, 0
    return False, abs(mention.start - other.start) + abs(mention.end - other.end)


def _place(mention: Entity) -> tuple[tuple[Span, ...], str]:
    return mention.spans, mention.type
