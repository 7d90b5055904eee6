"""Data frames with a row for each mention."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from pages import code

import biomark
from biomark.errors import MissingExtraError, UsageError
from biomark.spans import Document, Entity, Passage, Span

NOTE = Document(
    "1",
    "=gout 😀 pain",
    passages=(Passage(Span(0, 5), "title"),),
    entities=(Entity((Span(0, 5),), "disease", ("MESH:D006073",), 0.25), Entity((Span(8, 12),), "problem")),
)
COLUMNS = ["document", "passage", "start", "end", "text", "type", "score", "identifiers"]
FIRST = ("1", "title", 0, 5, "=gout", "disease", 0.25, ["MESH:D006073"])
SECOND = ("1", "", 8, 12, "pain", "problem")


def test_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    table: Any = biomark.to_table(NOTE, "pandas")
    assert list(table.columns) == COLUMNS
    assert tuple(table.iloc[0]) == FIRST
    assert tuple(table.iloc[1])[:6] == SECOND
    assert pandas.isna(table.score[1])
    assert table.identifiers[1] == []
    assert (table.start.dtype, table.score.dtype) == ("int64", "float64")


def test_polars() -> None:
    pytest.importorskip("polars")
    table: Any = biomark.to_table([NOTE, Document("2", "Nothing.")], "polars")
    assert table.rows() == [FIRST, (*SECOND, None, [])]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_no_mentions_make_an_empty_table_of_the_same_types(library: str) -> None:
    pytest.importorskip(library)
    empty: Any = biomark.to_table([], library)
    full: Any = biomark.to_table(NOTE, library)
    assert len(empty) == 0
    assert list(empty.dtypes) == list(full.dtypes)


def test_the_library_that_is_there_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    polars = pytest.importorskip("polars")
    pandas = pytest.importorskip("pandas")
    assert isinstance(biomark.to_table(NOTE), pandas.DataFrame)
    monkeypatch.setattr("biomark.bridges.tables.find_spec", lambda name: name == "polars")
    assert isinstance(biomark.to_table(NOTE), polars.DataFrame)


def test_wrong_arguments_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="unknown library 'excel'; choose from pandas, polars"):
        biomark.to_table(NOTE, "excel")
    pytest.importorskip("pandas")
    with pytest.raises(UsageError, match=r"'Gout' \(str\) is not a biomark.Document"):
        biomark.to_table(["Gout"])  # type: ignore[list-item]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"pandas is not installed.*\[tables\]"):
        biomark.to_table(NOTE, "pandas")


def test_the_five_lines_of_the_page_run() -> None:
    pytest.importorskip("pandas")
    found: dict[str, Any] = {}
    exec(code("tables.md"), found)
    assert list(found["table"].columns) == COLUMNS
    assert {"Aspirin", "asthma"} <= set(found["table"].text)
