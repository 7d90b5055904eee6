"""Marked sentences: one on each line, with `<mark>`…`</mark>` around each mention.

BioNER-LLaMA's authors released their corpora in this form (Keloth et al. 2024). Each line is a document of one
sentence, whose id is the line number, from 1. Marks have no type, so mentions are of the type `entity`.
"""

from __future__ import annotations

from collections.abc import Iterator

from biomark.formats.base import Format, Reject, Source
from biomark.spans import Document, Rejected, Span


def read(source: Source, reject: Reject) -> Iterator[Document]:
    """Yield a document for each line that is not blank; a line with unbalanced or empty marks is rejected."""
    from biomark.marks import mark, unmarked  # imported here because numpy takes longer to load than most files

    signs = mark("entity")
    for line in source.lines(reject):
        if not line.text.strip():
            continue
        sentence = unmarked(line.text, signs)
        if line.problem or isinstance(sentence, Rejected):
            reason = line.problem or sentence.reason  # type: ignore[union-attr]
            source.reject(reject, reason, raw=line.text, document_id=str(line.number), line=line.number)
            continue
        text, entities = sentence
        yield Document(str(line.number), text, sentences=(Span(0, len(text)),), entities=entities)


FORMAT = Format("marked", (), read, sniff=lambda head: b"<mark>" in head and b"</mark>" in head)
