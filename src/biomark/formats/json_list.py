"""JSON other than BioC and JSON Lines: documents in a list, or a document over several lines.

Input only; see `jsonl` for the fields of a document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from biomark.formats.base import Format, Reject, Source
from biomark.formats.json_stream import documents
from biomark.formats.jsonl import EXPORTS, document_of
from biomark.spans import Document


def read(source: Source, reject: Reject) -> Iterator[Document]:
    """Yield the documents of a list, or of one or more objects; see the module."""
    reported: set[str] = set()
    for place, values in enumerate(documents(source, reject), 1):
        document = document_of(values, place, source, reject, reported)
        if document is not None:
            yield document


def _looks_like(head: bytes) -> bool:
    match = re.match(rb'\s*[\[{].*?(?<!\\)"(text|tokens)"\s*:', head, re.DOTALL)
    return match is not None and not any(export.sniff(head) for export in EXPORTS)


FORMAT = Format("json", (".json",), read, sniff=_looks_like, ambiguous=True)
