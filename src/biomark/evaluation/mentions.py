"""Mentions as they are compared: spans and type alone, each once, in text order."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from biomark.spans import Entity, Span


class Mentions:
    """Distinct mentions in text order that know which of them overlap another one.

    Identifiers, scores and infons are left out: two mentions with the same spans and type are one.

    Attributes:
        all: the mentions, ordered by spans and then type.
    """

    __slots__ = ("_by_type", "_layers", "_parts", "all")

    def __init__(self, entities: Iterable[Entity] = ()) -> None:
        self.all = tuple(
            Entity(spans, type) for spans, type in sorted({(entity.spans, entity.type) for entity in entities})
        )
        # Each of these is made when it is first asked for.
        self._by_type: dict[str, Mentions] | None = None
        self._layers: tuple[_Layer, ...] | None = None
        self._parts: tuple[list[int], list[int]] | None = None

    def __iter__(self) -> Iterator[Entity]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    def types(self) -> frozenset[str]:
        """The types that occur."""
        return frozenset(self._of_types())

    def of_type(self, type: str) -> Mentions:
        """Those of one type."""
        return self._of_types().get(type) or Mentions()

    def without(self, others: Iterable[Entity]) -> Mentions:
        """Those that are not among `others`."""
        left_out = set(others)
        return Mentions(mention for mention in self.all if mention not in left_out)

    def overlapping(self, other: Entity) -> Iterator[Entity]:
        """Those that share a code point with `other`, in text order, whatever their type."""
        if self._layers is None:
            self._layers = tuple(_layers(self.all))
        places = [place for layer in self._layers for place in layer.between(other.start, other.end)]
        found = (self.all[place] for place in sorted(places))
        return (mention for mention in found if mention.overlaps(other))

    def touched_by(self, other: Entity) -> bool:
        """Whether any of them shares a code point with `other`."""
        if self._parts is None:
            parts = [span for mention in self.all for span in mention.spans]
            self._parts = sorted(span.start for span in parts), sorted(span.end for span in parts)
        starts, ends = self._parts
        # Of the parts that begin before a span's end, those that do not end before its start overlap it.
        return any(bisect_left(starts, span.end) > bisect_right(ends, span.start) for span in other.spans)

    def depth(self) -> tuple[int, int]:
        """The most mentions that lie over one place of the text, gaps included, and that place."""
        ends = sorted(mention.end for mention in self.all)
        depths = ((n + 1 - bisect_right(ends, mention.start), mention.start) for n, mention in enumerate(self.all))
        return max(depths, key=lambda depth: depth[0], default=(0, 0))

    def _of_types(self) -> dict[str, Mentions]:
        if self._by_type is None:
            groups: dict[str, list[Entity]] = {}
            for mention in self.all:
                groups.setdefault(mention.type, []).append(mention)
            self._by_type = {type: self if len(groups) == 1 else Mentions(group) for type, group in groups.items()}
        return self._by_type


@dataclass(slots=True)
class _Layer:
    """Mentions none of which lies inside another one, so that starts and ends rise together.

    Attributes:
        places: in `Mentions.all`.
        starts: of the mentions.
        ends: of the mentions.
    """

    places: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def between(self, start: int, end: int) -> list[int]:
        """The places of those that reach into a stretch of text."""
        return self.places[bisect_right(self.ends, start) : bisect_left(self.starts, end)]


def _layers(mentions: Iterable[Entity]) -> list[_Layer]:
    """Mentions in text order, each in the first layer that it does not lie inside; as many layers as mentions nest."""
    layers: list[_Layer] = []
    reach: list[int] = []  # the last end of each layer, negative, so that it rises from layer to layer
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
    by_spans: dict[tuple[Span, ...], deque[Entity]] = {}
    for mention in gold:
        if mention not in equal:
            by_spans.setdefault(mention.spans, deque()).append(mention)
    for mention in predicted:
        if mention not in equal and (same := by_spans.get(mention.spans)):
            partner[mention] = same.popleft()
    free = gold.without(partner.values())
    taken: set[int] = set()  # of mentions in `free`, by id(): to hash a mention takes long
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
    """How far two mentions are apart: type first, then boundaries; no difference among other types."""
    if mention.type != other.type:
        return True, 0
    return False, abs(mention.start - other.start) + abs(mention.end - other.end)


def _place(mention: Entity) -> tuple[tuple[Span, ...], str]:
    return mention.spans, mention.type
