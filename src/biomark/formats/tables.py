"""Tables with a row for each mention, for spreadsheets and data frames: CSV, TSV and Parquet. Output only.

A spreadsheet runs a cell that begins with a sign such as `=` as a formula, whoever wrote the text. CSV and TSV
therefore write an apostrophe before such a cell, and before one that begins with an apostrophe; `without_guard` takes
it off again. Parquet has typed columns and holds every value as it is.
"""

from __future__ import annotations

import csv
import io
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from biomark.errors import MissingExtraError, UsageError
from biomark.formats.base import Format, Sink
from biomark.formats.losses import GAPS, add, count_losses
from biomark.spans import Document

if TYPE_CHECKING:
    import pyarrow

GUARD = "'"
SEPARATOR = "|"
_FORMULAS = tuple("=+-@\t\r\n＝＋－＠" + GUARD)
_HOLDS = ("passages", "mentions", "identifiers", "scores", GAPS)
_ROWS_AT_ONCE = 10_000  # rows of Parquet that are in memory


@dataclass(frozen=True, slots=True)
class Row:
    """A mention as a row; the names of the columns are those of the fields.

    Attributes:
        document: the document's id.
        passage: the kind of the passage in which the mention begins; empty where there is none.
        start, end: half-open code points in the document, from the first part to the last one.
        text: the mention's words, the parts of a discontinuous mention joined by blanks.
        type: of the mention.
        score: in [0, 1], or None.
        identifiers: of the mention.
    """

    document: str
    passage: str
    start: int
    end: int
    text: str
    type: str
    score: float | None
    identifiers: tuple[str, ...]


COLUMNS = tuple(field.name for field in fields(Row))


def rows(document: Document) -> Iterator[Row]:
    """A row for each mention of a document, in the document's order."""
    starts = [passage.span.start for passage in document.passages]
    for entity in document.entities:
        place = bisect_right(starts, entity.start) - 1
        inside = place >= 0 and entity.start < document.passages[place].span.end
        yield Row(
            document.id,
            document.passages[place].kind if inside else "",
            entity.start,
            entity.end,
            entity.mention(document.text),
            entity.type,
            entity.score,
            entity.ids,
        )


def guarded(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: one that might be one gets an apostrophe before it."""
    return GUARD + cell if cell.startswith(_FORMULAS) else cell


def without_guard(cell: str) -> str:
    """The value of which `guarded` made a cell."""
    return cell.removeprefix(GUARD)


def _counted(documents: Iterable[Document], lost: Counter[str]) -> Iterator[Row]:
    """The rows of documents; what a table cannot hold is counted."""
    for document in documents:
        count_losses(document, lost, holds=_HOLDS)
        add(lost, "gaps of discontinuous mentions (start and end are those of the whole)", _gaps(document))
        add(lost, "documents without mentions (they have no row)", not document.entities)
        yield from rows(document)


def _gaps(document: Document) -> int:
    return sum(len(entity.spans) > 1 for entity in document.entities)


def _write_text(documents: Iterable[Document], sink: Sink, lost: Counter[str], *, dialect: str) -> None:
    with sink.open() as out:
        writer = csv.writer(out, dialect)
        writer.writerow(COLUMNS)
        for row in _counted(documents, lost):
            add(lost, f"borders of identifiers that hold a {SEPARATOR}", any(SEPARATOR in id for id in row.identifiers))
            texts = (row.document, row.passage, row.text, row.type, SEPARATOR.join(row.identifiers))
            document, passage, text, type, identifiers = map(guarded, texts)
            writer.writerow((document, passage, row.start, row.end, text, type, row.score, identifiers))


def _write_parquet(documents: Iterable[Document], sink: Sink, lost: Counter[str]) -> None:
    with sink.open() as out:
        from pyarrow.parquet import ParquetWriter

        found = _counted(documents, lost)
        with ParquetWriter(cast(io.TextIOWrapper, out).buffer, arrow_table(()).schema) as writer:
            while some := list(islice(found, _ROWS_AT_ONCE)):
                writer.write_table(arrow_table(some))


def arrow_table(found: Iterable[Row]) -> pyarrow.Table:
    """Rows as a table of Arrow, in which identifiers are lists.

    Raises:
        MissingExtraError: if pyarrow is not installed.
    """
    arrow = _arrow()
    kinds = {"start": arrow.int64(), "end": arrow.int64(), "score": arrow.float64()}
    kinds["identifiers"] = arrow.list_(arrow.string())
    schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in COLUMNS])
    table: pyarrow.Table = arrow.Table.from_pylist([asdict(row) for row in found], schema=schema)
    return table


def _arrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtraError("pyarrow", "tables") from error
    return pyarrow


def _refuses(document: Document, sink: Sink) -> str | None:
    """Nothing; but without pyarrow, and on a terminal, no document is annotated in vain."""
    _arrow()
    if sink.is_terminal:
        raise UsageError("Parquet is for programs, not for a terminal; name a file with -o, or use --to csv")
    return None


CSV = Format("csv", (".csv",), write=partial(_write_text, dialect="excel"))
TSV = Format("tsv", (".tsv",), write=partial(_write_text, dialect="excel-tab"))
PARQUET = Format("parquet", (".parquet",), write=_write_parquet, refuses=_refuses)
