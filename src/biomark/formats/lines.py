"""Plain text, a document a line: the format `lines`.

A document is called by the number of its line, counted from 1; in a file, after the file's name without suffix.
Lines without text are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from biomark.formats.base import Format, Reject, Source
from biomark.formats.identifiers import decoded
from biomark.spans import Document


def read(source: Source, reject: Reject) -> Iterator[Document]:
    """A document a line; see the module."""
    before = "" if source.path is None else decoded(source.place.name.partition(".")[0]) + ":"
    for line in source.lines(reject):
        problem = line.problem or ("holds NUL bytes, so that it is no text" if "\0" in line.text else None)
        if problem:
            source.reject(reject, problem, raw=line.text, document_id=f"{before}{line.number}", line=line.number)
        elif line.text.strip():
            yield Document(f"{before}{line.number}", line.text)


FORMAT = Format("lines", (), read)
