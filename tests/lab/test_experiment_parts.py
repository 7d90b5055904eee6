"""What experiments are made of: sentences alone, pages, published figures, samples, pictures."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from experiment_cases import annotated
from hypothesis import given
from hypothesis import strategies as st

from biomark import evaluation
from biomark.cli.common import print_out
from biomark.cli.scoring import _terminal_table
from biomark.errors import UsageError
from biomark.lab.experiments import file_name, outcome, published, redraw
from biomark.lab.experiments.data import BySentence, sentence_documents
from biomark.lab.experiments.facts import holm, sample_of
from biomark.lab.experiments.pages import page
from biomark.lab.experiments.scoring import grid_runs, spread
from biomark.lab.experiments.specs import book
from biomark.lab.experiments.svg import Point, intervals, lines, stacks
from biomark.spans import Document, Entity, Passage, Span
from biomark.text.sentences import with_sentences
from conftest import ROOT, TERMS, TermRecognizer


@given(st.lists(st.sampled_from([*TERMS, "ALOX5 fell. Asthma too.", "BROKEN", "", "no mention"]), max_size=6))
def test_sentences_alone_give_what_the_document_gives(parts: list[str]) -> None:
    recognizer = TermRecognizer()
    texts = [". ".join(part.capitalize() for part in parts[n:]) for n in range(len(parts) + 1)]
    documents = [Document(str(number), text) for number, text in enumerate(texts)]
    apart = list(BySentence(recognizer).annotate(iter(documents), ["disease", "gene"]))
    assert [a.document.id for a in apart] == [d.id for d in documents]
    for document, one in zip(documents, apart, strict=True):
        if "BROKEN" in document.text.upper():
            continue
        whole = next(iter(recognizer.annotate([document], ["disease", "gene"])))
        assert set(one.document.entities) == set(whole.document.entities)
        assert one.document.text == document.text


def test_rejects_of_sentences_name_their_place() -> None:
    text = "Asthma is rare. It is BROKEN here."
    (found,) = BySentence(TermRecognizer()).annotate([Document("7", text)], ["disease"])
    assert [(r.document_id, r.window) for r in found.rejected] == [("7", Span(16, 34))]
    assert [e.mention(text) for e in found.document.entities] == ["Asthma"]


def test_sentences_become_documents_with_their_mentions() -> None:
    text = "Asthma\nis rare. Zinc helps."
    passages = (Passage(Span(0, 15), "title"), Passage(Span(16, len(text)), "abstract"))
    crossing = Entity((Span(10, 20),), "disease")
    document = Document("7", text, passages, entities=(*annotated(text, "7").entities, crossing))
    parts = list(sentence_documents([with_sentences(document)]))
    assert [(p.id, p.text) for p in parts] == [("7:0", "Asthma\nis rare."), ("7:1", "Zinc helps.")]
    assert [[e.mention(p.text) for e in p.entities] for p in parts] == [[], ["Zinc"]]


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "results").glob("*.json")), ids=lambda path: path.stem)
def test_the_committed_pages_follow_from_their_figures(path: Path, tmp_path: Path) -> None:
    name, _, scale = path.stem.partition("-")
    if name == "hu2024":
        return
    drawn = page(book().experiments[name], json.loads(path.read_text("utf-8")))
    assert file_name(name, scale or "small") == path.stem
    for file in drawn.write(tmp_path, path.stem).parent.iterdir():
        assert file.read_text("utf-8") == (path.parent / file.name).read_text("utf-8"), f"{file.name}: redraw it"


def test_one_page_sums_up_all_findings(tmp_path: Path) -> None:
    folder = ROOT / "docs" / "results"
    for path in folder.glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    *_, summary = redraw(tmp_path)
    text = summary.read_text("utf-8")
    assert text == (folder / "overview.md").read_text("utf-8")
    for experiment in book().experiments.values():
        assert f"| `{experiment.name}` |" in (folder / "README.md").read_text("utf-8")
        for claim in experiment.claims:
            assert f"| {claim.text} |" in text
    with pytest.raises(UsageError, match=r"has no models\.json, table1\.json"):
        redraw(tmp_path / "none")


def test_files_that_are_no_page_s_are_refused(tmp_path: Path) -> None:
    for text, message in (("[1]", "is not a file that biomark reproduce wrote"), ("{", "cannot be read")):
        (tmp_path / "table1.json").write_text(text)
        with pytest.raises(UsageError, match=message):
            redraw(tmp_path)


@pytest.mark.parametrize("name", ["table1", "table2", "table3", "table4"])
def test_published_figures_stand_beside_ours_at_every_scale(name: str) -> None:
    experiment = book().experiments[name]
    assert experiment.published is published.reports()[name]
    data = json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text("utf-8"))
    for scale, setting in experiment.scales.items():
        models = {model: {**next(iter(data["models"].values())), "title": model} for model in setting.models}
        empty = {"scale": scale, "models": models, "tests": list(setting.tests), "cells": [], "contrasts": []}
        text = page(experiment, {**data, **empty}).markdown(name)
        for row in experiment.published.figures:
            f1 = " | ".join(f"{f:.3f}" for test in setting.tests for f in row.figures("strict", test) or ())
            assert f"| *{row.model}, published* | {f1} |" in text
            assert f"| *{row.model}* | " in text
        assert "not run" in text
        assert "Not run yet. Run it with `biomark reproduce" in text
        assert "verified" not in text


def test_published_figures_are_those_of_the_paper() -> None:
    table = {row.model: row for row in published.reports()["table1"].figures}
    assert table["PubMedBERT"].figures("strict", "bc2gm_iob:test") == (0.845, 0.816, 0.830)
    assert table["GPT-4, five examples"].figures("partial", "ncbi_disease:test") == (0.589, 0.789, 0.675)
    assert table["PMC-LLaMA"].figures("strict", "nlm_gene:test") is None
    assert {name: len(report.figures) for name, report in published.reports().items()} == {
        "table1": 8, "table2": 4, "table3": 2, "table4": 2, "figure3": 0, "figure4": 0,
    }  # fmt: skip
    (counts,) = published.reports()["figure3"].counts
    assert sum(counts.errors.values()) == 100


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[t]\nsource = "P"\n[[t.figures]]\nmodel = "M"\nstrict = { a = [0.5, 0.5, 0.6] }', "F1 does not follow"),
        ('[t]\nsource = "P"\n[[t.figures]]\nmodel = "M"\nstrict = { a = [0.5, 0.5] }', r"strict\..* must be a list"),
        ('[t]\nsource = "P"\n[[t.counts]]\nname = "M"', "unknown setting .name."),
        ("[t]\n", r"in \[t\]: lacks source"),
    ],
)
def test_published_figures_that_make_no_sense_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        published.read_reports(text)


def test_a_grid_s_spread_is_over_its_settings_on_the_test_set(tmp_path: Path) -> None:
    text = "Fever, fever, fever and fever."
    gold = annotated(text)
    runs = {f"GRID-{n}": replace(gold, entities=gold.entities[:n]) for n in (4, 1, 2)}
    rows = [{"folder": folder} for folder in runs]
    (tmp_path / "grid.json").write_text(json.dumps({"runs": rows}))
    found = spread(grid_runs(tmp_path), lambda run: evaluation.evaluate([gold], [runs[run.name]], types=("disease",)))
    figures = {"minimum": 0.4, "median": 0.666667, "maximum": 1.0}  # 1, 2 and 4 of 4 mentions
    assert found == {"settings": 3, "strict": figures, "partial": figures}


def test_holms_adjustment() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_samples_are_drawn_alike_each_time() -> None:
    numbers: list = list(range(1000))
    assert sample_of(numbers) == sample_of(numbers)
    assert len(sample_of(numbers)) == 100
    assert sample_of(numbers) == sorted(sample_of(numbers))
    assert sample_of(numbers[:5]) == numbers[:5]


def test_pictures_are_svg_and_the_same_each_time() -> None:
    points = [Point(x, 0.3 + x / 2, 0.28 + x / 2, 0.33 + x / 2) for x in (0.1, 0.5, 1.0)]
    made = [
        lambda: lines({"A & B": {"<one>": points, "two": points}}, x_label="x", y_label="y"),
        lambda: intervals({"A": {"one": points[0], "two": points[1]}, "B": {"one": points[2]}}, label="F1"),
        lambda: intervals({}, label="nothing"),
        lambda: stacks({"one": {"missing": 40, "wrong": 60}, "none": {}}, label="errors"),
    ]
    for make in made:
        text = make()
        assert text == make()
        assert ET.fromstring(text).tag.endswith("svg")
    picture = ET.fromstring(made[0]())
    width, height = (float(picture.get(name, "0")) for name in ("width", "height"))
    for mark in picture.iter("{http://www.w3.org/2000/svg}circle"):
        assert 0 < float(mark.get("cx", "0")) < width
        assert 0 < float(mark.get("cy", "0")) < height
    assert "A &amp; B" in made[0]()


def test_no_table_in_the_terminal_is_cut(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    rows = (("*a model that is called by many words, and has one figure*", "**0.857** (0.830–0.886)"),)
    print_out(_terminal_table(outcome.Table("Strict match", ("model", "NCBI-disease F1"), rows)))
    said = capsys.readouterr().out
    assert "0.857 (0.830–0.886)" in said
    assert "figure" in said
    assert "NCBI-disease" in said
    assert not {"*", "…"} & set(said)
