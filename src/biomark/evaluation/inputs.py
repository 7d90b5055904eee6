"""What `evaluate` and `compare` read: a file, a split of the catalogue, or mentions without their text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from biomark import corpora, formats
from biomark.formats import Reject, bc2gm
from biomark.spans import Document

_SPLIT_NAME = re.compile(r"\w+:[\w+]+")
_EVAL_NAME = re.compile(r"\.eval(\.gz)?$")


def read_gold(name: str, format: str | None = None, *, reject: Reject) -> Iterator[Document]:
    """The documents of a file or folder, or of a split such as `ncbi_disease:test`.

    Raises:
        FormatError: if the file cannot be read.
        UsageError: if the catalogue has no such split.
        CorpusError: if the files of the split are not there.
    """
    if _SPLIT_NAME.fullmatch(name) and not Path(name).exists():
        return corpora.read_split(name, reject=reject)
    return formats.read(name, format, reject=reject)


def read_predicted(
    name: str, gold: Iterable[Document], format: str | None = None, *, reject: Reject
) -> Iterator[Document]:
    """As `read_gold`; a BC2GM `.eval` file without sentences beside it takes the text of `gold`."""
    path = Path(name)
    if format in (None, "bc2gm") and _EVAL_NAME.search(name) and path.exists() and not bc2gm.sentences_beside(path):
        return bc2gm.read_mentions(path, gold, reject)
    return read_gold(name, format, reject=reject)
