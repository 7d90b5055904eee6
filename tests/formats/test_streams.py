"""Reading is lazy and needs the same memory for long files; golden files are written to the byte."""

from __future__ import annotations

import io
import tracemalloc
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from biomark import formats
from biomark.spans import Document, Entity, Infons, Passage, Relation, Span
from format_cases import written

GOLDEN = Path(__file__).parent.parent / "golden"
TEXT = "Zileuton for gout: a pilot study.\nZileuton eased acute or chronic gout in two men (p < 0.05)."
DOCUMENT = Document(
    "90001",
    TEXT,
    (Passage(Span(0, 33), "title"), Passage(Span(34, 93), "abstract")),
    entities=(
        Entity((Span(0, 8),), "Chemical", ("C063449",)),
        Entity((Span(13, 17),), "Disease", ("D006073",)),
        Entity((Span(34, 42),), "Chemical", ("C063449",)),
        Entity((Span(49, 54), Span(66, 70)), "Disease", ("D006073", "OMIM:138900"), 0.75, Infons({"note": "acute"})),
        Entity((Span(58, 70),), "Disease", ("D006073",)),
    ),
    relations=(Relation("CID", (("", "C063449"), ("", "D006073"))),),
)


@pytest.mark.parametrize("name", ["gout.pubtator", "gout.bioc.xml", "gout.bioc.json", "gout.conll", "gout.jsonl"])
def test_golden_file(name: str, tmp_path: Path) -> None:
    formats.write([DOCUMENT], tmp_path / name)
    assert (tmp_path / name).read_text("utf-8") == (GOLDEN / name).read_text("utf-8")
    (document,) = formats.read(GOLDEN / name)
    assert (document.id, document.text) == (DOCUMENT.id, TEXT)
    if "bioc" in name or "jsonl" in name:
        assert document == DOCUMENT


def test_golden_brat(tmp_path: Path) -> None:
    formats.write([replace(DOCUMENT, passages=(), relations=())], tmp_path / "brat", "brat")
    for path in (GOLDEN / "brat").iterdir():
        assert (tmp_path / "brat" / path.name).read_text("utf-8") == path.read_text("utf-8")
    assert list(formats.read(GOLDEN / "brat")) == [replace(DOCUMENT, passages=(), relations=())]


@pytest.mark.long
@pytest.mark.parametrize("format", ["pubtator", "bioc_xml", "bioc_json", "conll", "jsonl"])
def test_long_file_is_read_as_it_is_needed(format: str) -> None:
    data, _ = written([replace(DOCUMENT, id=f"d{number}") for number in range(2500)], format)
    stream = io.BytesIO(data)
    documents = formats.read(stream, format)
    list(islice(documents, 10))
    assert stream.tell() < len(data) / 10
    tracemalloc.start()
    try:
        assert sum(1 for _ in documents) == 2490
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000  # all documents as objects would be ten times as much
