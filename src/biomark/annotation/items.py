"""Conversion of items (texts, files, documents) into documents.

Nothing is guessed: a `str` is a text, a `Path` is a file. An item that cannot become a document is rejected with its
position, and the others are converted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from biomark import formats
from biomark.errors import FormatError
from biomark.formats import Reject
from biomark.spans import Document, Rejected, Span

Item = str | Path | Document

_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST_NAME = 1_000  # characters; a longer text is not taken for the path of a file


def documents(items: Item | Iterable[Item], reject: Reject) -> Iterator[Document]:
    """Yield the documents of one item or several, in their order.

    Args:
        items: see `biomark.annotation.annotate`.
        reject: is called with each item that is not a text, a file or a document, and with each part of a file that
            cannot be read; the document id of such an item is its position, from 1.
    """
    single = isinstance(items, (str, os.PathLike, Document, bytes, bytearray, Mapping))
    single = single or not isinstance(items, Iterable)
    for position, item in enumerate([items] if single else items, 1):  # type: ignore[arg-type]
        if isinstance(item, os.PathLike):
            yield from _read(Path(item), reject)
        elif reason := _unfit(item):
            reject(Rejected(reason, document_id=item.id if isinstance(item, Document) else str(position)))
        else:
            yield item if isinstance(item, Document) else Document(str(position), str(item))


def _read(path: Path, reject: Reject) -> Iterator[Document]:
    """Yield the documents of a file; reject a file that cannot be read."""
    try:
        yield from formats.read(path, reject=reject)
    except FormatError as error:
        reject(Rejected(str(error)))


def half_character(text: str, document_id: str | None = None) -> Rejected | None:
    """Return the reject of a text with a lone surrogate (half a UTF-16 pair), which no file can hold; else None."""
    if text.isascii() or not (half := _SURROGATE.search(text)):
        return None
    reason = f"the text has half a character (U+{ord(half[0]):04X}) at offset {half.start()}; decode its bytes again"
    return Rejected(reason, document_id=document_id, window=Span(*half.span()))


def _unfit(item: object) -> str | None:
    """Return why an item cannot become a document; None if it can."""
    if isinstance(item, (bytes, bytearray)):
        return "these are bytes, not a text; decode them, for instance with .decode('utf-8')"
    if not isinstance(item, (str, Document)):
        value = "None" if item is None else f"{item!r:.80} ({type(item).__name__})"
        return f"{value} is not a text; pass a str for a text, a pathlib.Path for a file, or a biomark.Document"
    if half := half_character(item if isinstance(item, str) else item.text):
        return f"{half.reason}, or replace it: text.encode('utf-8', 'replace').decode()"
    if isinstance(item, str) and _is_file(item):
        return (
            f"{item!r:.200} is the path of a file, but a str is always a text; pass Path({item!r:.200}) for the file, "
            f"or Document('1', {item!r:.200}) for these words"
        )
    return None


def _is_file(text: str) -> bool:
    """Return whether a text is the path of an existing file, or of an existing folder if it contains a separator."""
    if len(text) > _LONGEST_NAME or "\n" in text or not any(map(str.isalnum, text)):
        return False
    try:
        return os.path.exists(text) and (not os.path.isdir(text) or "/" in text or os.sep in text)
    except ValueError:  # the text cannot be a path, for instance since it has a null character
        return False
