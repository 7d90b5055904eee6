"""What users have at hand → documents: texts, files, documents, and what is none of these.

Nothing is guessed: a `str` is a text, a `Path` a file. What cannot be a document is rejected by its place, and the
rest of a batch goes on.
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
_LONGEST_NAME = 1_000  # characters: what is longer is no file's name


def documents(items: Item | Iterable[Item], reject: Reject) -> Iterator[Document]:
    """The documents of one item or many, in their order.

    Args:
        items: see `biomark.annotate.annotate`.
        reject: is called with what is no text, file or document, and with what cannot be read of a file; the id of
            such an item is its place, from 1.
    """
    one = isinstance(items, (str, os.PathLike, Document, bytes, bytearray, Mapping)) or not isinstance(items, Iterable)
    for place, item in enumerate([items] if one else items, 1):  # type: ignore[arg-type]
        if isinstance(item, os.PathLike):
            yield from _read(Path(item), reject)
        elif reason := _unfit(item):
            reject(Rejected(reason, document_id=item.id if isinstance(item, Document) else str(place)))
        else:
            yield item if isinstance(item, Document) else Document(str(place), str(item))


def _read(path: Path, reject: Reject) -> Iterator[Document]:
    """The documents of a file; one that cannot be read at all is rejected like all else."""
    try:
        yield from formats.read(path, reject=reject)
    except FormatError as error:
        reject(Rejected(str(error)))


def half_character(text: str, document_id: str | None = None) -> Rejected | None:
    """The reject of a text that has a lone half of a UTF-16 pair, which no file can hold; None if it has none."""
    if text.isascii() or not (half := _SURROGATE.search(text)):
        return None
    reason = f"the text has half a character (U+{ord(half[0]):04X}) at offset {half.start()}; decode its bytes anew"
    return Rejected(reason, document_id=document_id, window=Span(*half.span()))


def _unfit(item: object) -> str | None:
    """Why an item is no document, if it is none."""
    if isinstance(item, (bytes, bytearray)):
        return "these are bytes, not a text; decode them, for instance with .decode('utf-8')"
    if not isinstance(item, (str, Document)):
        what = "None" if item is None else f"{item!r:.80} ({type(item).__name__})"
        return f"{what} is no text; a text is a str, a file a pathlib.Path, and all else a biomark.Document"
    if half := half_character(item if isinstance(item, str) else item.text):
        return f"{half.reason}, or replace it: text.encode('utf-8', 'replace').decode()"
    if isinstance(item, str) and _is_file(item):
        return (
            f"{item!r:.200} is the path of a file, which a str is not read as; give Path({item!r:.200}) for the file, "
            f"or Document('1', {item!r:.200}) for these words"
        )
    return None


def _is_file(text: str) -> bool:
    """Whether a text is the path of a file that is there; or of a folder, if it has a separator as no word has."""
    if len(text) > _LONGEST_NAME or "\n" in text or not any(map(str.isalnum, text)):
        return False
    try:
        return os.path.exists(text) and (not os.path.isdir(text) or "/" in text or os.sep in text)
    except ValueError:  # a text that no name can be
        return False
