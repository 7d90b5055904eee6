"""Any recognizer's mentions with identifiers from a term store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from biomark.errors import KnowledgeError
from biomark.knowledge.normalization import Normalizer
from biomark.recognizers import Annotated, Recognizer
from biomark.spans import Document, Rejected


class NormalizingRecognizer:
    """Finds what another recognizer finds, and gives it identifiers.

    Args:
        recognizer: finds the mentions.
        normalizer: gives them identifiers.
    """

    def __init__(self, recognizer: Recognizer, normalizer: Normalizer) -> None:
        self._recognizer = recognizer
        self._normalizer = normalizer

    @property
    def types(self) -> tuple[str, ...] | None:
        """The types that the recognizer knows."""
        return self._recognizer.types

    @property
    def left_out(self) -> Counter[str]:
        """What has no identifier because of the namespaces that are wanted; see `Normalizer`."""
        return self._normalizer.left_out

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        """See `biomark.recognizers.Recognizer`; a document that cannot be normalised comes as it was found.

        Raises:
            KnowledgeError: if the store is damaged.
        """
        for found in self._recognizer.annotate(documents, types, min_score=min_score):
            try:
                yield replace(found, document=self._normalizer.normalize(found.document))
            except KnowledgeError:  # no fault of the document: the store is damaged
                raise
            except Exception as error:  # one bad document never stops the rest
                reason = f"its mentions have no identifiers ({type(error).__name__}: {error})"
                yield replace(found, rejected=(*found.rejected, Rejected(reason, document_id=found.document.id)))
