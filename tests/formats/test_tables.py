"""Tables: a row for each mention, in CSV, TSV and Parquet."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given

from biomark import formats
from biomark.formats.tables import COLUMNS, guarded, rows, without_guard
from biomark.spans import Document, Entity, Passage, Span
from conftest import Outcome
from format_cases import ANY_TEXT, documents

NOTE = Document(
    "note-1",
    "Gout, αβ\nNo =1+1 here",
    passages=(Passage(Span(0, 5), "title"), Passage(Span(9, 21), "abstract")),
    entities=(
        Entity((Span(0, 4),), "disease", ("MESH:D006073", "OMIM:1"), 0.5),
        Entity((Span(6, 8),), "gene"),
        Entity((Span(12, 16), Span(17, 21)), "problem", ("a|b",), 1),
    ),
)
READ = {"csv": "excel", "tsv": "excel-tab"}


def written(document: Document, format: str) -> tuple[str, Counter[str]]:
    out = io.BytesIO()
    lost = formats.write(document, out, format)
    return out.getvalue().decode(), lost


def cells(text: str, format: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), READ[format]))


@pytest.mark.parametrize("format", READ)
def test_a_table_has_a_row_for_each_mention(format: str) -> None:
    text, lost = written(NOTE, format)
    assert cells(text, format) == [
        ["document", "passage", "start", "end", "text", "type", "score", "identifiers"],
        ["note-1", "title", "0", "4", "Gout", "disease", "0.5", "MESH:D006073|OMIM:1"],
        ["note-1", "", "6", "8", "αβ", "gene", "", ""],
        ["note-1", "abstract", "12", "21", "'=1+1 here", "problem", "1", "a|b"],
    ]
    assert lost == {
        "gaps of discontinuous mentions (start and end are those of the whole)": 1,
        "borders of identifiers that hold a |": 1,
    }


@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "'s", "''=1"])
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(value: str) -> None:
    assert guarded(value) == "'" + value
    assert without_guard(guarded(value)) == value


@given(ANY_TEXT)
def test_the_apostrophe_can_be_taken_off_again(value: str) -> None:
    assert without_guard(guarded(value)) == value
    assert not guarded(value).startswith(tuple("=+-@\t\r\n"))


@pytest.mark.parametrize("format", READ)
@given(document=documents())
def test_all_rows_can_be_read_back(format: str, document: Document) -> None:
    text, lost = written(document, format)
    header, *found = cells(text, format)
    assert tuple(header) == COLUMNS
    wanted = list(rows(document))
    for row, cell in zip(wanted, found, strict=True):
        texts = [without_guard(cell[n]) for n in (0, 1, 4, 5, 7)]
        assert texts == [row.document, row.passage, row.text, row.type, "|".join(row.identifiers)]
        assert (int(cell[2]), int(cell[3])) == (row.start, row.end)
        assert (float(cell[6]) if cell[6] else None) == row.score
    assert bool(document.entities) != ("documents without mentions (they have no row)" in lost)


def test_the_command_line_writes_tables(biomark: Callable[..., Outcome], tmp_path: Path) -> None:
    text = b"Aspirin helps in gout."
    table = biomark("annotate", "-", "--to", "csv", stdin=text)
    assert table.out.splitlines()[1].startswith("standard input,,0,7,Aspirin,chemical,0.")
    assert biomark("annotate", "-", "-o", tmp_path / "out.csv", stdin=text).status == 0
    assert (tmp_path / "out.csv").read_bytes() == table.out.encode().replace(b"\n", b"\r\n").replace(b"\r\r", b"\r")
    assert biomark("convert", tmp_path / "out.csv", tmp_path / "out.jsonl").status == 2  # for output alone
    assert biomark("annotate", "-", "-o", tmp_path / "out.tsv", stdin=text).status == 0  # as before, CoNLL's name
    assert (tmp_path / "out.tsv").read_text("utf-8").startswith("-DOCSTART-")
