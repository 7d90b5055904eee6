"""Writers: every document has an id of its own, and one that a format cannot write costs no other."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from biomark import formats
from biomark.errors import FormatError
from biomark.spans import Document, Entity, Infons, Rejected, Span


@pytest.mark.parametrize("format", ["pubtator", "bioc_xml", "bioc_json", "conll", "bc2gm", "jsonl", "brat", "text"])
def test_ids_are_unique_in_what_is_written(format: str, tmp_path: Path) -> None:
    texts = {"1": "Croup.", "1-2": "Flu."}
    documents = [Document("1", "Croup."), Document("1", "Flu."), Document("2", "Fever."), Document("1", "Gout.")]
    target = tmp_path / ("out" if format in ("brat", "text") else "out.x")
    target.mkdir() if format in ("brat", "text") else None
    lost = formats.write(documents, target, format)
    found = {document.id: document.text for document in formats.read(target, format)}
    assert found == {**texts, "2": "Fever.", "1-3": "Gout."}
    assert lost["ids that another document has (written as ID-2, ID-3 \u2026)"] == 2


@pytest.mark.parametrize(
    ("format", "id"), [("pubtator", "a|b"), ("pubtator", "a\tb"), ("bc2gm", "a b"), ("brat", "x" * 300)]
)
def test_a_document_that_a_format_cannot_write_costs_no_other(format: str, id: str, tmp_path: Path) -> None:
    documents = [Document("1", "Croup."), Document(id, "Flu."), Document("2", "Fever.")]
    rejects: list[Rejected] = []
    formats.write(documents, tmp_path / "out", format, reject=rejects.append)
    assert sorted(document.id for document in formats.read(tmp_path / "out", format)) == ["1", "2"]
    assert [reject.document_id for reject in rejects] == [id]
    with pytest.raises(FormatError):
        formats.write(documents, tmp_path / "again", format)


@pytest.mark.parametrize("format", ["pubtator", "bioc_xml", "bioc_json", "conll", "jsonl", "html"])
@pytest.mark.parametrize(
    "odd",
    [
        Document("x", "Flu\ud800"),
        Document("\udfff", "Flu"),
        Document("x", "Flu", entities=(Entity((Span(0, 3),), "D\ud800"),)),
        Document("x", "Flu", infons=Infons({"a": "\ud800"})),
    ],
)
def test_halves_of_characters_cost_no_other_document(format: str, odd: Document) -> None:
    rejects: list[Rejected] = []
    stream = io.BytesIO()
    formats.write([Document("1", "Croup."), odd, replace(odd, id="2", text="Fever", entities=(), infons=Infons())],
                  stream, format, reject=rejects.append)  # fmt: skip
    assert len(rejects) == 1
    assert b"Croup" in stream.getvalue()
    assert b"Fever" in stream.getvalue()
    str(rejects[0]).encode()
