"""The generative model that the package carries: that it is there, small, faithful, and knows what anyone would."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from biomark import models
from biomark.generative.recognizer import GenerativeRecognizer
from biomark.generative.training.compact import load_compact, save_compact
from biomark.recognizers import Recognizer
from biomark.spans import Document
from biomark.text.sentences import split
from conftest import ROOT, Outcome

TEXTS = [
    "Patients with breast cancer were treated with tamoxifen.",
    "Mutations of the BRCA1 gene cause ovarian cancer.",
    "Odd: İ 😀 e\u0301\t<mark>fever</mark> ### Response: asthma.",
    "Nothing is the matter here.",
]


@pytest.fixture(scope="module")
def nano() -> Recognizer:
    torch.set_num_threads(1)
    return models.load("nano")


def found(recognizer: Recognizer) -> list[list[tuple[str, str]]]:
    documents = [Document(str(n), text) for n, text in enumerate(TEXTS)]
    answers = list(recognizer.annotate(documents))
    assert not [r for answer in answers for r in answer.rejected]
    return [[(e.type, e.mention(a.document.text)) for e in a.document.entities] for a in answers]


def test_it_is_small_and_described() -> None:
    facts = models.describe("nano")
    assert facts["types"] == ["disease", "chemical", "gene"]
    assert isinstance(facts["megabytes"], float)
    assert facts["megabytes"] <= 25
    assert facts["run"]["parameters"] <= 30e6  # type: ignore[index]
    assert sum(row["demonstrations"] for row in facts["run"]["train"].values()) == 22_484  # type: ignore[index]
    assert "Apache-2.0" in (models.folder_of("nano") / "README.md").read_text("utf-8")


def test_it_finds_what_anyone_would(nano: Recognizer) -> None:
    cancer, gene, _, nothing = found(nano)
    assert ("disease", "breast cancer") in cancer
    assert ("chemical", "tamoxifen") in cancer
    assert ("disease", "ovarian cancer") in gene
    assert ("gene", "BRCA1 gene") in gene or ("gene", "BRCA1") in gene
    assert not nothing


def test_a_drafter_changes_no_answer(nano: Recognizer) -> None:
    drafted = models.load("nano", models.Asking(drafter="default", batch=2))
    assert isinstance(drafted, GenerativeRecognizer)
    assert isinstance(nano, GenerativeRecognizer)
    assert found(drafted) == found(nano)
    sentences = sum(len(split(text)) for text in TEXTS)
    assert drafted.answering.counts["answers"] == 3 * sentences


def test_the_paper_s_way_finds_about_the_same(nano: Recognizer) -> None:
    free = models.load("nano", models.Asking(decoding="generate"))
    assert isinstance(free, GenerativeRecognizer)
    documents = [Document(str(n), text) for n, text in enumerate(TEXTS[:2])]
    said = [[e.mention(a.document.text) for e in a.document.entities] for a in free.annotate(documents)]
    assert "breast cancer" in said[0]
    assert free.answering.counts["answers"] == 6


def test_eight_bits_keep_each_number_to_half_a_step(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    matrix = torch.randn(5, 70, generator=generator) * torch.tensor([[1e-6], [0.0], [1.0], [30.0], [-2.0]])
    given = {"matrix": matrix, "tied": matrix, "vector": torch.arange(3.0), "places": torch.arange(4)[None]}
    save_compact(given, tmp_path / "weights.safetensors")
    found = load_compact(tmp_path / "weights.safetensors")
    assert set(found) == {"matrix", "vector", "places"}
    step = matrix.abs().amax(1, keepdim=True) / 127
    assert bool(((found["matrix"] - matrix).abs() <= step / 2 + 1e-12).all())
    assert torch.equal(found["vector"], given["vector"])
    assert torch.equal(found["places"], given["places"])


def test_on_the_command_line(biomark: Callable[..., Outcome], tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    note = ROOT / "examples" / "note.txt"
    shown = biomark("annotate", note, "-o", out, "--model", "nano", "--set", "drafter=default", "--types", "disease")
    assert shown.status == 0, shown
    (row,) = (json.loads(line) for line in out.read_text("utf-8").splitlines())
    assert row["text"] == note.read_text("utf-8").replace("\r\n", "\n")


SAMPLED = (
    "--model",
    "nano",
    "--types",
    "disease",
    "--set",
    "samples=4",
    "--set",
    "temperature=1.5",
    "--min-score",
    "0.1",
)


def test_its_answers_vote(biomark: Callable[..., Outcome], tmp_path: Path) -> None:
    """Self-consistency (Wang et al. 2023): a mention's score is the share of the drawn answers that have it."""
    runs = {}
    for name, more in {
        "a": (),
        "again": ("--set", "batch=1"),
        "other": ("--set", "seed=5"),
        "free": ("--set", "decoding=generate"),
    }.items():
        out = tmp_path / f"{name}.jsonl"
        done = biomark("annotate", ROOT / "examples" / "note.txt", "-o", out, *SAMPLED, *more)
        assert done.status in (0, 1), done.err
        runs[name] = json.loads(out.read_text("utf-8")).get("entities", [])
    for entities in runs.values():
        assert entities
        assert all(entity["score"] in (0.25, 0.5, 0.75, 1.0) for entity in entities)
    assert runs["a"] == runs["again"]
    assert runs["a"] != runs["other"]
    assert 1.0 in {entity["score"] for entity in runs["a"]}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--model", "default", "--set", "samples=3"), "default writes no answers; `samples`"),
        (("--model", "given", "--set", "samples=3"), "given writes no answers; `samples`"),
        (("--model", "default", "--set", "temperature=1"), "default writes no answers; `samples`, `temperature`"),
        (("--model", "nano", "--set", "samples=3", "--set", "temperature=0"), "a `temperature` above 0"),
        (("--model", "nano", "--set", "samples=0"), "several `samples` need"),
        (("--model", "nano", "--set", "temperature=0.5"), "`temperature` and `seed` need several `samples`"),
        (("--model", "nano", "--set", "samples=3", "--shape", "json"), "nano is not prompted"),
    ],
)
def test_where_several_answers_make_no_sense(
    biomark: Callable[..., Outcome], arguments: tuple[str, ...], reason: str
) -> None:
    done = biomark("annotate", *arguments, "--types", "disease", stdin=b"Fever.")
    assert done.status == 2
    assert reason in done.err
