"""One name for a type everywhere, and a user's own without regard to case."""

from __future__ import annotations

from pathlib import Path

import pytest

import biomark
from biomark import corpora, formats
from biomark.entity_types import (
    canonical,
    distinct,
    one_of,
    parse_type_map,
    parse_types,
    types_wanted,
    with_canonical_types,
)
from biomark.errors import UsageError
from biomark.evaluation import evaluate
from biomark.spans import Document, Entity, Span
from conftest import TermRecognizer

TEXT = "Frailty with falls."


def typed(*types: str, id: str = "1") -> Document:
    spans = (Span(0, 7), Span(13, 18))
    return Document(id, TEXT, entities=tuple(Entity((s,), type) for s, type in zip(spans, types, strict=False)))


def types_of(document: Document) -> list[str]:
    return [entity.type for entity in document.entities]


def test_names() -> None:
    assert [canonical(name) for name in ("Disease", "cell line", "GeneOrGeneProduct", "Frailty")] == [
        "disease",
        "cell_line",
        "gene",
        "Frailty",
    ]
    assert [one_of(name, ["FRAILTY", "gene"]) for name in ("frailty", "Gene", "Fall")] == ["FRAILTY", "gene", "Fall"]
    assert parse_types("Frailty, Disease,frailty,disease") == ("Frailty", "disease")
    assert distinct(["b", "A", "B", "a"]) == ("b", "A")


def test_types_of_documents() -> None:
    assert types_of(with_canonical_types(typed("Frailty", "FRAILTY"))) == ["Frailty", "Frailty"]
    assert types_of(with_canonical_types(typed("Frailty", "Disease"), names=("FRAILTY",))) == ["FRAILTY", "disease"]
    assert types_of(with_canonical_types(typed("frailty", "Modifier"), {"FRAILTY": "Disease"})) == [
        "disease",
        "disease",
    ]
    assert types_of(with_canonical_types(typed("Modifier", "Disease"), {"Modifier": "Modifier"})) == [
        "Modifier",
        "disease",
    ]


@pytest.mark.parametrize("format", ["jsonl", "pubtator", "bioc_json", "bioc_xml", "brat", "conll"])
def test_files_hold_what_annotate_yields(format: str, tmp_path: Path, recognizer: TermRecognizer) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"id": "1", "text": "Asthma and aspirin."}\n')
    out = tmp_path / "out"
    (yielded,) = biomark.annotate(source, "Disease,CHEMICAL", model=recognizer)
    formats.write([yielded], out, format)
    (read,) = formats.read(out, format)
    assert types_of(read) == types_of(yielded) == ["disease", "chemical"]


@pytest.mark.parametrize("asked", ["", "FALL", "fall,frailty"])
def test_evaluation_compares_own_types_without_case(asked: str) -> None:
    gold = [typed("Frailty", "fall"), typed("FRAILTY", id="2")]
    predicted = [typed("frailty", "Fall"), typed("frailty", id="2")]
    found = evaluate(gold, predicted, types=parse_types(asked) if asked else ())
    assert found.overall.strict.f1 == 1.0


def test_a_corpus_of_ones_own_types(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    formats.write([typed("Frailty", "fall"), typed("FRAILTY", id="2")], path)
    assert corpora.corpus_types(str(path)) == ("Frailty", "fall")
    assert corpora.corpus_types(str(path), ("frailty",)) == ("frailty", "fall")
    assert corpora.wanted_types([str(path)], ["FALL"]) == {str(path): ("FALL",)}


def test_unknown_types_name_the_choice() -> None:
    assert types_wanted(None, ("gene", "disease")) == ("gene", "disease")
    assert types_wanted(iter(["disease"]), ("gene", "disease")) == ("disease",)
    assert types_wanted([], ("gene",)) == ()
    with pytest.raises(UsageError, match=r"^unknown type 'Gèn'; choose from gene, disease$"):
        types_wanted(["Gèn", "gene"], ("gene", "disease"))
    with pytest.raises(UsageError, match=r"^unknown types 'a', 'b'; choose from gene$"):
        types_wanted(["a", "b"], ("gene",))
    with pytest.raises(UsageError, match=r"^unknown type 'a'; there is none to choose from$"):
        types_wanted(["a"], ())


def test_a_type_map_is_read_from_its_pairs() -> None:
    assert parse_type_map(["Drug=chemical", "Symptom=disease"]) == {"Drug": "chemical", "Symptom": "disease"}


@pytest.mark.parametrize("pair", ["Drug", "=chemical", "Drug=", "="])
def test_a_faulty_pair_of_a_type_map_is_named(pair: str) -> None:
    with pytest.raises(UsageError, match="`type_map` must have the form A=B, got") as error:
        parse_type_map([pair])
    assert repr(pair) in str(error.value)


@pytest.mark.parametrize("names", ["", " ", ",", " , ,"])
def test_a_list_without_types_is_an_error(names: str) -> None:
    with pytest.raises(UsageError, match="`types` names no type"):
        parse_types(names)
