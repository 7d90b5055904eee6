"""Conversion of documents into a data frame of pandas or Polars with a row for each mention."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from biomark.errors import MissingExtraError, UsageError
from biomark.formats.tables import COLUMNS, rows
from biomark.spans import Document

if TYPE_CHECKING:
    import pandas
    import polars

LIBRARIES = ("pandas", "polars")


def to_table(
    documents: Document | Iterable[Document], library: str | None = None
) -> pandas.DataFrame | polars.DataFrame:
    """Return a data frame with a row for each mention, in the order of documents and mentions.

    The columns are those of `biomark.formats.tables.MentionRow`: document, passage, start, end (half-open code points),
    text, type, score (missing if a mention has none) and identifiers (a list in each row).

    Args:
        documents: one document or an iterable, such as the result of `biomark.annotate` or `biomark.read`.
        library: `pandas` or `polars`; None: pandas if it is installed, else Polars.

    Raises:
        UsageError: if `library` is unknown, or an element of `documents` is no document.
        MissingExtraError: if the library is not installed.
    """
    if library is not None and library not in LIBRARIES:
        raise UsageError(f"unknown library {library!r:.80}; choose from {', '.join(LIBRARIES)}")
    name = library or next((name for name in LIBRARIES if find_spec(name)), LIBRARIES[0])
    try:
        frames: Any = importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(name, "tables") from error
    mentions = [row for document in _checked(documents) for row in rows(document)]
    columns: dict[str, list[Any]] = {column: [getattr(row, column) for row in mentions] for column in COLUMNS}
    columns["identifiers"] = [list(ids) for ids in columns["identifiers"]]
    if name == "polars":
        kinds = {"start": frames.Int64, "end": frames.Int64, "score": frames.Float64}
        kinds["identifiers"] = frames.List(frames.String)
        return frames.DataFrame(columns, schema={column: kinds.get(column, frames.String) for column in COLUMNS})
    kinds = {"start": "int64", "end": "int64", "score": "float64", "identifiers": "object"}
    return frames.DataFrame({c: frames.Series(v, dtype=kinds.get(c, "str")) for c, v in columns.items()})


def _checked(documents: Document | Iterable[Document]) -> Iterable[Document]:
    """Yield the documents.

    Raises:
        UsageError: if an element is no document.
    """
    for document in [documents] if isinstance(documents, Document) else documents:
        if not isinstance(document, Document):
            raise UsageError(f"{document!r:.80} ({type(document).__name__}) is not a biomark.Document")
        yield document
