"""Read predictions to evaluate or compare: a file, a split of the catalogue, or a BC2GM file of mentions alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from biomark.corpora import read_corpus
from biomark.formats import Reject, bc2gm
from biomark.spans import Document

_EVAL_NAME = re.compile(r"\.eval(\.gz)?$")


def read_predicted(
    name: str, gold: Iterable[Document], format_name: str | None = None, *, reject: Reject
) -> Iterator[Document]:
    """Read predicted documents.

    Args:
        name: a file or folder, or a split of the catalogue; see `biomark.corpora.read_corpus`.
        gold: the gold documents; a BC2GM `.eval` file without a file of sentences beside it gets their texts.
        format_name: the name of the format; None: inferred from the file.
        reject: as for `biomark.formats.read`.
    """
    path = Path(name)
    if (
        format_name in (None, "bc2gm")
        and _EVAL_NAME.search(name)
        and path.exists()
        and not bc2gm.sentences_beside(path)
    ):
        return bc2gm.read_mentions(path, gold, reject)
    return read_corpus(name, format_name, reject=reject)
