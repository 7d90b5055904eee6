"""A recognizer that returns the existing mentions of documents, to normalise or to score them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from biomark.entity_types import with_canonical_types
from biomark.recognizers import Annotated
from biomark.spans import Document


class ExistingRecognizer:
    """A recognizer that keeps the entities of documents, under biomark's names of their types."""

    types: tuple[str, ...] | None = None

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        """See `biomark.recognizers.Recognizer`; an entity without a score is kept whatever `min_score` is."""
        for document in documents:
            kept = tuple(
                entity
                for entity in with_canonical_types(document, names=types or ()).entities
                if (types is None or entity.type in types)
                and (entity.score is None or entity.score >= (min_score or 0))
            )
            yield Annotated(replace(document, entities=kept))
