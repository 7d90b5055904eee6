"""Tables with a row for each mention, for spreadsheets and data frames: CSV and TSV; output only.

A spreadsheet evaluates a cell that begins with a character such as `=` as a formula, whoever wrote the text. CSV and
TSV therefore write an apostrophe before such a cell, and before one that begins with an apostrophe; `without_guard`
removes it.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import partial

from biomark.formats.base import Format, Sink
from biomark.formats.losses import GAPS, add, count_losses
from biomark.spans import Document

GUARD = "'"
SEPARATOR = "|"
_FORMULAS = tuple("=+-@\t\r\n＝＋－＠" + GUARD)
_HOLDS = ("passages", "mentions", "identifiers", "scores", GAPS)


@dataclass(frozen=True, slots=True)
class MentionRow:
    """The row of a mention; the fields are the columns.

    Attributes:
        document: the document's id.
        passage: the kind of the passage in which the mention begins; empty if there is none.
        start, end: half-open code points in the document, from the first part to the last one.
        text: the mention's words, the parts of a discontinuous mention joined by blanks.
        type: the mention's type.
        score: the mention's score in [0, 1], or None.
        identifiers: the mention's identifiers.
    """

    document: str
    passage: str
    start: int
    end: int
    text: str
    type: str
    score: float | None
    identifiers: tuple[str, ...]


COLUMNS = tuple(field.name for field in fields(MentionRow))


def rows(document: Document) -> Iterator[MentionRow]:
    """Yield a row for each mention of a document, in the document's order."""
    starts = [passage.span.start for passage in document.passages]
    for entity in document.entities:
        place = bisect_right(starts, entity.start) - 1
        inside = place >= 0 and entity.start < document.passages[place].span.end
        yield MentionRow(
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
    """Return a cell that no spreadsheet evaluates: a possible formula gets an apostrophe before it."""
    return GUARD + cell if cell.startswith(_FORMULAS) else cell


def without_guard(cell: str) -> str:
    """Return the original value of a cell, the inverse of `guarded`."""
    return cell.removeprefix(GUARD)


def _counted(documents: Iterable[Document], lost: Counter[str]) -> Iterator[MentionRow]:
    """Yield the rows of documents, and count in `lost` the information that a table cannot hold."""
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
