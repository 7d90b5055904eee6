"""Plain text with one document on each line: the format `lines`.

A document's id is the number of its line, from 1; for a file, the file's name without suffix and a colon precede it.
Blank lines are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator

from biomark.formats.base import Format, Reject, Source
from biomark.formats.identifiers import decoded
from biomark.spans import Document


def read(source: Source, reject: Reject) -> Iterator[Document]:
    """Yield one document for each line; see the module."""
    prefix = "" if source.path is None else decoded(source.place.name.partition(".")[0]) + ":"
    for line in source.lines(reject):
        problem = line.problem or ("contains NUL bytes, so it is not text" if "\0" in line.text else None)
        if problem:
            source.reject(reject, problem, raw=line.text, document_id=f"{prefix}{line.number}", line=line.number)
        elif line.text.strip():
            yield Document(f"{prefix}{line.number}", line.text)


FORMAT = Format("lines", (), read)
