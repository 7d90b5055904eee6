"""Add identifiers from a term store to the mentions of any recognizer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from biomark.errors import KnowledgeError
from biomark.knowledge.normalization import Normalizer
from biomark.recognizers import Annotated, Recognizer
from biomark.spans import Document, Rejected


class NormalizingRecognizer:
    """A recognizer whose mentions get identifiers from a normalizer.

    Args:
        recognizer: the recognizer of the mentions.
        normalizer: the normalizer, which assigns the identifiers.
    """

    def __init__(self, recognizer: Recognizer, normalizer: Normalizer) -> None:
        self._recognizer = recognizer
        self._normalizer = normalizer

    @property
    def types(self) -> tuple[str, ...] | None:
        """The types of the recognizer."""
        return self._recognizer.types

    @property
    def left_out(self) -> Counter[str]:
        """Counts of mentions without an identifier in the wanted namespaces; see `Normalizer`."""
        return self._normalizer.left_out

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        """See `biomark.recognizers.Recognizer`; a document that cannot be normalised is returned without changes.

        Raises:
            KnowledgeError: if the store is damaged.
        """
        for annotated in self._recognizer.annotate(documents, types, min_score=min_score):
            try:
                yield replace(annotated, document=self._normalizer.normalize(annotated.document))
            except KnowledgeError:  # the store is damaged, which affects all documents
                raise
            except Exception as error:  # one bad document never stops the rest
                reason = f"the mentions could not be normalised ({type(error).__name__}: {error})"
                yield replace(
                    annotated, rejected=(*annotated.rejected, Rejected(reason, document_id=annotated.document.id))
                )
