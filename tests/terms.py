"""A recognizer without a model; it imports little, so that a test's own processes start quickly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from biomark.recognizers import Annotated
from biomark.spans import Document, Entity, Rejected, Span

TERMS = {
    "aspirin-exacerbated respiratory disease": "disease",
    "asthma": "disease",
    "aspirin": "chemical",
    "zileuton": "chemical",
    "ALOX5": "gene",
    "TNF-α": "gene",
}


class TermRecognizer:
    """Marks each whole-word occurrence of `TERMS`; a document whose text holds "BROKEN" is rejected.

    Scores fall with the length of the mention: 1 / (its code points).
    """

    types: tuple[str, ...] | None = ("disease", "chemical", "gene")

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        for document in documents:
            if "BROKEN" in document.text:
                reason = Rejected("the text is broken", document_id=document.id)
                yield Annotated(replace(document, entities=()), (reason,))
                continue
            entities = [
                Entity((Span(*match.span()),), type, score=1 / len(term))
                for term, type in TERMS.items()
                if (types is None or type in types) and 1 / len(term) >= (min_score or 0)
                for match in re.finditer(rf"(?<!\w){re.escape(term)}(?!\w)", document.text, re.IGNORECASE)
            ]
            yield Annotated(replace(document, entities=tuple(sorted(entities, key=lambda e: e.start))))
