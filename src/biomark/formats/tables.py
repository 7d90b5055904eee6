"""Tables with a row for each mention, for spreadsheets and data frames: CSV and TSV. Output only.

A spreadsheet runs a cell that begins with a sign such as `=` as a formula, whoever wrote the text. CSV and TSV
therefore write an apostrophe before such a cell, and before one that begins with an apostrophe; `without_guard` takes
it off again.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING

from biomark.formats.base import Format, Sink
from biomark.formats.losses import GAPS, add, count_losses
from biomark.spans import Document

if TYPE_CHECKING:
    pass

GUARD = "'"
SEPARATOR = "|"
_FORMULAS = tuple("=+-@\t\r\n＝＋－＠" + GUARD)
_HOLDS = ("passages", "mentions", "identifiers", "scores", GAPS)


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
            add(
                lost,
                f"borders of identifiers that hold a {SEPARATOR}",
                any(SEPARATOR in identifier for identifier in row.identifiers),
            )
            texts = (row.document, row.passage, row.text, row.type, SEPARATOR.join(row.identifiers))
            document, passage, text, entity_type, identifiers = map(guarded, texts)
            writer.writerow((document, passage, row.start, row.end, text, entity_type, row.score, identifiers))


CSV = Format("csv", (".csv",), write=partial(_write_text, dialect="excel"))
TSV = Format("tsv", (".tsv",), write=partial(_write_text, dialect="excel-tab"))
