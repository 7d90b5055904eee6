"""The whole path on a real server of llama.cpp with a small real model: chat, completions, schema, probabilities."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oracle import Biomark, away, write_texts
from serving import llama, smollm2

__all__ = ["away"]

pytestmark = pytest.mark.slow

TEXTS = ["Aspirin helps against asthma.", "The patient has fever and was given zileuton."]
SHOWN = {
    "Ibuprofen eased her headache.": {"chemical": "Ibuprofen", "disease": "headache"},
    "He takes metformin for diabetes.": {"chemical": "metformin", "disease": "diabetes"},
    "Nothing else was noted.": {},
}
SHORT = ("--set", "max_tokens=90", "--set", "timeout=1800", "--set", "concurrency=1")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with llama(smollm2()) as address:
        yield address


def shown(folder: Path) -> Path:
    """Annotated sentences to show examples from."""
    rows = []
    for number, (text, mentions) in enumerate(SHOWN.items()):
        found = [
            {"type": type, "spans": [[text.index(words), text.index(words) + len(words)]]}
            for type, words in mentions.items()
        ]
        rows.append({"id": f"shown {number}", "text": text, "entities": found})
    path = folder / "shown.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return path


def annotated(biomark: Biomark, folder: Path, url: str, *options: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What is found in `TEXTS`, as JSON objects, and the record of how the model was asked."""
    source = write_texts(folder / "in.jsonl", TEXTS)
    done = biomark(
        "annotate", source, "-o", "out.jsonl", "--overwrite", "--model", "openai:smollm2", "--base-url", url,
        "--types", "disease,chemical", "--record", "record.json", "--demonstrations", shown(folder), "--set", "shots=3",
        "--set", "choose=first", *SHORT, *options,
    )  # fmt: skip
    assert done.status in (0, 1), done.err  # a model this small may write what has no place
    rows = [json.loads(line) for line in (folder / "out.jsonl").read_text("utf-8").splitlines()]
    assert [row["text"] for row in rows] == TEXTS
    (record,) = json.loads((folder / "record.json").read_text())
    assert record["counts"]["answers"] == len(TEXTS), done.err
    assert record["refused"] == []
    return [entity for row in rows for entity in row.get("entities", [])], record


@pytest.mark.parametrize(
    "options",
    [
        ("--shape", "json"),
        ("--shape", "json", "--set", "stream=true"),
        ("--shape", "dictionary"),
        ("--shape", "tanl"),
        ("--shape", "dice", "--set", "completions=true"),
        ("--shape", "dice", "--set", "completions=true", "--set", "stream=true"),
        ("--shape", "tanl", "--set", "completions=true"),
    ],
    ids=" ".join,
)
def test_mentions_have_scores_of_the_tokens(biomark: Biomark, away: Path, url: str, options: tuple[str, ...]) -> None:
    found, record = annotated(biomark, away, url, *options)
    assert found or "tanl" in options  # which this model cannot write
    assert all(0 < entity["score"] <= 1 for entity in found)
    assert record["abilities"] == ({"schema": True} if {"json", "dictionary"} & set(options) else {})


def test_answers_obey_the_schema_where_the_server_obeys_one(biomark: Biomark, away: Path, url: str) -> None:
    """Without any example, so that nothing but the schema makes a model this small write JSON."""
    source = write_texts(away / "in.jsonl", TEXTS[:1])
    done = biomark(
        "annotate", source, "-o", "out.jsonl", "--model", "openai:smollm2", "--base-url", url, "--shape", "json",
        "--types", "disease,chemical", "--set", "parts=", "--record", "record.json", *SHORT,
    )  # fmt: skip
    assert done.status in (0, 1)
    assert "contains no complete JSON value" not in done.err or "cut off" in done.err
    (record,) = json.loads((away / "record.json").read_text())
    assert record["abilities"] == {"schema": True}


def test_several_answers_are_asked_for_one_by_one(biomark: Biomark, away: Path, url: str) -> None:
    """This server gives one answer to a request, and says so."""
    source = write_texts(away / "in.jsonl", TEXTS[:1])
    done = biomark(
        "annotate", source, "-o", "out.jsonl", "--model", "openai:smollm2", "--base-url", url, "--shape", "tanl",
        "--types", "disease,chemical", "--set", "samples=2", "--min-score", "0.1", "--record", "record.json",
        "--demonstrations", shown(away), "--set", "shots=3", *SHORT,
    )  # fmt: skip
    assert done.status in (0, 1), done.err
    (record,) = json.loads((away / "record.json").read_text())
    assert record["abilities"] == {"answers": False}
    assert record["counts"]["answers"] == 2
    (row,) = [json.loads(line) for line in (away / "out.jsonl").read_text("utf-8").splitlines()]
    assert {entity["score"] for entity in row.get("entities", [])} <= {0.5, 1.0}


def test_an_ontology_is_asked_in_two_steps(biomark: Biomark, away: Path, url: str) -> None:
    (away / "terms.tsv").write_text("name\ttype\tsemantic_type\nasthma\tdisease\tDisease or Syndrome\n")
    assert biomark("knowledge", "build", "terms.tsv", "-o", "terms.store").status == 0
    found, record = annotated(
        biomark, away, url, "--shape", "tanl", "--set", "ontology=two-step", "--store", str(away / "terms.store")
    )
    assert all(0 < entity["score"] <= 1 for entity in found)
    assert record["usage"]["requests"] == 2 * len(TEXTS)
