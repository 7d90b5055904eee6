"""Combine two recognizers: the mentions of both, and the longer one where they overlap."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, tee

from biomark.entity_types import types_wanted
from biomark.recognizers import Annotated, Recognizer, types_by_default, types_known
from biomark.spans import Document, Entity


class CombinedRecognizer:
    """The mentions of two recognizers; of overlapping ones of one type the longer, at equal length the first's.

    If both have a mention with the same spans and type, the first's mention gets the second's identifiers unless it
    has its own.

    Args:
        first: a recognizer, which annotates the types that it knows.
        second: another recognizer, which annotates the types that it knows.

    Attributes:
        both: the two recognizers.
    """

    def __init__(self, first: Recognizer, second: Recognizer) -> None:
        self.both = (first, second)

    @property
    def types(self) -> tuple[str, ...] | None:
        """The types that at least one of the recognizers knows; None if one accepts any type."""
        known = [recognizer.types for recognizer in self.both]
        if any(types is None for types in known):
            return None
        return tuple(dict.fromkeys(entity_type for types in known for entity_type in types or ()))

    @property
    def default_types(self) -> tuple[str, ...]:
        """The types that the recognizers look for if the caller names none."""
        known = [types_by_default(recognizer) for recognizer in self.both]
        return tuple(dict.fromkeys(entity_type for types in known for entity_type in types or ()))

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        """See `biomark.recognizers.Recognizer`; documents stay in memory until both recognizers have read them."""
        if self.types is not None and types is not None:
            types_wanted(types, self.types)
        streams = [
            _asked(recognizer, copies, types, min_score)
            for recognizer, copies in zip(self.both, tee(documents), strict=True)
        ]
        return (_joined(first, second) for first, second in zip(*streams, strict=True))


def _asked(
    recognizer: Recognizer, documents: Iterable[Document], types: Sequence[str] | None, min_score: float | None
) -> Iterator[Annotated]:
    """Annotate documents with the requested types that a recognizer knows."""
    if types is not None and recognizer.types is not None:
        types = types_known(recognizer, types)
        if not types:
            return (Annotated(document.bare()) for document in documents)
    return recognizer.annotate(documents, types, min_score=min_score)


def _joined(first: Annotated, second: Annotated) -> Annotated:
    both = first.document.entities, second.document.entities
    places = [_Places(entities) for entities in both]
    same = {(entity.spans, entity.type): entity for entity in both[1]}
    rows = ((-len(e.extent), n, e) for n, entities in enumerate(both) for e in entities)
    ranked = sorted(rows, key=lambda row: row[:2])
    kept: dict[int, Entity] = {}  # by identity, because both recognizers may have equal mentions
    for _, n, entity in ranked:
        # A longer mention excludes this one only if it was itself kept.
        if not any(id(rival) in kept for rival in places[1 - n].overlapping(entity)):
            kept[id(entity)] = entity if n else _with_ids(entity, same.get((entity.spans, entity.type)))
    entities = sorted(kept.values(), key=lambda e: (e.start, e.end, e.type))
    return Annotated(replace(first.document, entities=tuple(entities)), (*first.rejected, *second.rejected))


def _with_ids(entity: Entity, other: Entity | None) -> Entity:
    if other is None or entity.ids:
        return entity
    return replace(entity, ids=other.ids, infons=entity.infons.with_(**other.infons))


class _Places:
    """The mentions of each type by place, to find those that overlap a mention."""

    def __init__(self, entities: Iterable[Entity]) -> None:
        self._rows: dict[str, list[Entity]] = {}
        for entity in sorted(entities, key=lambda e: e.start):
            self._rows.setdefault(entity.type, []).append(entity)
        # The largest end of all mentions up to each one.
        self._reach = {
            entity_type: list(accumulate((e.end for e in row), max)) for entity_type, row in self._rows.items()
        }

    def overlapping(self, entity: Entity) -> Iterator[Entity]:
        """Yield the mentions of the same type that overlap a mention."""
        row, reach = self._rows.get(entity.type, []), self._reach.get(entity.type, [])
        place = bisect_left(row, entity.end, key=lambda e: e.start)
        while place and reach[place - 1] > entity.start:
            place -= 1
            if row[place].overlaps(entity):
                yield row[place]
