"""What `evaluate` and `compare` read: a file, a split of the catalogue, or mentions without their text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from biomark.corpora import read_corpus
from biomark.formats import Reject, bc2gm
from biomark.spans import Document

_EVAL_NAME = re.compile(r"\.eval(\.gz)?$")


def read_predicted(
    name: str, gold: Iterable[Document], format: str | None = None, *, reject: Reject
) -> Iterator[Document]:
    """As `biomark.corpora.read_corpus`; a BC2GM `.eval` file without sentences beside it takes the text of `gold`."""
    path = Path(name)
    if format in (None, "bc2gm") and _EVAL_NAME.search(name) and path.exists() and not bc2gm.sentences_beside(path):
        return bc2gm.read_mentions(path, gold, reject)
    return read_corpus(name, format, reject=reject)
