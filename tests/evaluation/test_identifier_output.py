"""Scores of identifiers as `biomark evaluate` shows them, and what formats keep of identifiers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from evaluation_cases import document, named

from biomark import formats
from biomark.evaluation import evaluate
from biomark.spans import Infons


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    gold = document(named("Disease", 12, 25, "D001249|D012120"), named("Disease", 50, 56, "D001249"))
    predicted = document(
        named("Disease", 12, 25, "D001249", "D001249 D012120|D001249"), named("Disease", 50, 56, "D001249", "D001249")
    )
    paths = tmp_path / "gold.test.pubtator", tmp_path / "out.jsonl"
    formats.write([gold], paths[0])
    formats.write([predicted], paths[1])
    return paths


def test_evaluate_prints_identifiers_as_json(biomark: Callable, files: tuple[Path, Path]) -> None:
    outcome = biomark("evaluate", *files, "--identifiers", "--json")
    assert outcome.status == 0
    found = json.loads(outcome.out)
    identifiers = found["identifiers"]
    half = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "tp": 1, "fp": 1, "fn": 1}
    assert identifiers["mention"].items() >= half.items()
    assert identifiers["document"].items() >= {"precision": 1.0, "recall": 0.5, "tp": 1, "fp": 0, "fn": 1}.items()
    assert (identifiers["accuracy@1"], identifiers["accuracy@5"], identifiers["mentions"]) == (0.5, 1.0, 2)
    assert (identifiers["gold_mentions"], identifiers["share"]) == (2, 1.0)
    rest = {key: value for key, value in identifiers.items() if key != "types"}
    assert set(identifiers["types"]) == {"disease"}
    assert set(identifiers["types"]["disease"]) == set(rest)
    assert "scheme:strict+partial+identifiers" in found["signature"]
    assert "identifiers" not in json.loads(biomark("evaluate", *files, "--json").out)


def test_evaluate_shows_identifiers(
    biomark: Callable, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    outcome = biomark("evaluate", *files, "--identifiers", "--report", tmp_path / "report")
    assert outcome.status == 0
    rows = [line.split() for line in outcome.out.splitlines()]
    assert ["disease", "ids", "50.00", "50.00", "50.00", "50.00", "–", "50.00", "1", "1", "1"] in rows
    assert ["all", "types", "2", "2", "100.00", "50.00", "100.00"] in rows
    assert "Identifiers F1" in (tmp_path / "report" / "index.html").read_text("utf-8")
    plain = biomark("evaluate", *files, "--report", tmp_path / "report").out
    assert "doc ids" not in plain
    assert "accuracy" not in plain
    assert "Identifiers F1" not in (tmp_path / "report" / "index.html").read_text("utf-8")


def test_types_without_identifiers_have_no_rows(biomark: Callable, tmp_path: Path) -> None:
    path = tmp_path / "gold.jsonl"
    formats.write([document(named("Disease", 12, 25, "D001249"), named("Cell", 0, 7))], path)
    out = biomark("evaluate", path, path, "--identifiers").out
    assert [line.split()[:2] for line in out.splitlines() if line.split()[:1] == ["Cell"]] == [
        ["Cell", "strict"],
        ["Cell", "partial"],
    ]
    assert "no candidates" in out


NORMALISED = document(
    named("disease", 12, 25, "MESH:D001249|MESH:D012120", "MESH:D001249|MESH:D012120 MESH:D001249"),
    named("gene", 35, 40, "NCBIGene:7124", "NCBIGene:7124 NCBIGene:4049"),
    named("disease", 50, 56, "", "MESH:D001249 MESH:D001250"),
    replace(named("chemical", 0, 7, "MESH:D001241+MESH:D008687"), infons=Infons({"identifier": "D000001"})),
)


@pytest.mark.parametrize(
    ("format", "name", "candidates"),
    [
        ("jsonl", "out.jsonl", True),
        ("bioc_xml", "out.xml", True),
        ("bioc_json", "out.json", True),
        ("brat", "out", True),
        ("pubtator", "out.pubtator", False),
    ],
)
def test_what_formats_keep_of_identifiers(tmp_path: Path, format: str, name: str, candidates: bool) -> None:
    """Candidates that a format cannot hold are told, and an identifier in the infons of gold never comes back."""
    lost = formats.write([NORMALISED], tmp_path / name, format)
    (read,) = formats.read(tmp_path / name, format)
    assert {e.spans: e.ids for e in read.entities} == {e.spans: e.ids for e in NORMALISED.entities}
    assert ("mention infons" in lost) is not candidates
    found = evaluate([NORMALISED], [read], identifiers=True).overall.identifiers
    assert found is not None
    assert (found.mention.f1, found.document.f1, found.accuracy.at_1) == (1.0, 1.0, 1.0)
    assert found.accuracy.ranked == (2 if candidates else 0)
