"""Two recognizers together: the mentions of both, the longer where they overlap."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, tee

from biomark.entity_types import types_wanted
from biomark.recognizers import Annotated, Recognizer, types_known
from biomark.spans import Document, Entity


class CombinedRecognizer:
    """Both recognizers' mentions; where those of one type overlap, the longer, and of equally long ones the first's.

    A mention of the first that both find alike gets the second's identifiers, if it has none.

    Args:
        first: is asked for the types that it knows.
        second: is asked for those that it knows.

    Attributes:
        both: the two.
    """

    def __init__(self, first: Recognizer, second: Recognizer) -> None:
        self.both = (first, second)

    @property
    def types(self) -> tuple[str, ...] | None:
        """The types that one or the other knows."""
        known = [recognizer.types for recognizer in self.both]
        if any(types is None for types in known):
            return None
        return tuple(dict.fromkeys(type for types in known for type in types or ()))

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        """See `biomark.recognizers.Recognizer`; documents wait in memory until both have read them."""
        if self.types is not None and types is not None:
            types_wanted(types, self.types)
        streams = [
            _asked(recognizer, copies, types, min_score)
            for recognizer, copies in zip(self.both, tee(documents), strict=True)
        ]
        return (_joined(one, other) for one, other in zip(*streams, strict=True))


def _asked(
    recognizer: Recognizer, documents: Iterable[Document], types: Sequence[str] | None, min_score: float | None
) -> Iterator[Annotated]:
    """What a recognizer finds of the types that it knows."""
    if types is not None and recognizer.types is not None:
        types = types_known(recognizer, types)
        if not types:
            return (Annotated(document.bare()) for document in documents)
    return recognizer.annotate(documents, types, min_score=min_score)


def _joined(one: Annotated, other: Annotated) -> Annotated:
    both = one.document.entities, other.document.entities
    places = [_Places(entities) for entities in both]
    same = {(entity.spans, entity.type): entity for entity in both[1]}
    ranked = sorted(((-len(e.extent), n, e) for n, some in enumerate(both) for e in some), key=lambda row: row[:2])
    kept: dict[int, Entity] = {}  # by identity, since both may have found the same
    for _, n, entity in ranked:
        # A longer one stands in the way only if none still longer has taken its place.
        if not any(id(rival) in kept for rival in places[1 - n].overlapping(entity)):
            kept[id(entity)] = entity if n else _with_ids(entity, same.get((entity.spans, entity.type)))
    entities = sorted(kept.values(), key=lambda e: (e.start, e.end, e.type))
    return Annotated(replace(one.document, entities=tuple(entities)), (*one.rejected, *other.rejected))


def _with_ids(entity: Entity, other: Entity | None) -> Entity:
    if other is None or entity.ids:
        return entity
    return replace(entity, ids=other.ids, infons=entity.infons.with_(**other.infons))


class _Places:
    """Which places the mentions of each type take."""

    def __init__(self, entities: Iterable[Entity]) -> None:
        self._rows: dict[str, list[Entity]] = {}
        for entity in sorted(entities, key=lambda e: e.start):
            self._rows.setdefault(entity.type, []).append(entity)
        # The furthest that any of the mentions up to each one reaches.
        self._reach = {type: list(accumulate((e.end for e in row), max)) for type, row in self._rows.items()}

    def overlapping(self, entity: Entity) -> Iterator[Entity]:
        """The mentions of the same type that overlap this one."""
        row, reach = self._rows.get(entity.type, []), self._reach.get(entity.type, [])
        place = bisect_left(row, entity.end, key=lambda e: e.start)
        while place and reach[place - 1] > entity.start:
            place -= 1
            if row[place].overlaps(entity):
                yield row[place]
