"""`biomark reproduce --only ROW`: the rows that are left out keep the figures that the pages of the folder have."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from biomark.errors import UsageError
from biomark.lab import experiments
from biomark.lab.experiments import ExperimentOptions
from biomark.lab.experiments.kept import independent_difference
from biomark.lab.experiments.specs import Book

pytest.importorskip("torch")
pytest.importorskip("pycrfsuite")

pytest_plugins = ("reproduce_fixtures",)

pytestmark = pytest.mark.usefixtures("lab_corpora")


def run(home: Path, book: Book, work: Path, pages: Path, *only: str, name: str = "first") -> tuple[Any, str]:
    """Run rows of an experiment, write its page, and return what its JSON file and its text contain."""
    options = ExperimentOptions(work, only=only, pages=pages, recipes=home / "recipes")
    page = experiments.reproduce(name, "small", options, rows=book).write(pages, name)
    return json.loads(page.with_suffix(".json").read_text()), page.read_text()


def cells(data: Any) -> dict[tuple[str, str], Any]:
    return {(cell["model"], cell["test"]): cell for cell in data["cells"]}


def test_rows_that_are_left_out_keep_their_figures(lab_home: Path, lab_book: Book, tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    before, text = run(lab_home, lab_book, tmp_path / "here", pages, "crf", "encoder")
    assert before["kept"] == []
    assert "| encoder, all corpora | not run |" in text
    after, text = run(
        lab_home, lab_book, tmp_path / "elsewhere", pages, "encoder-all"
    )  # nothing of the first run is there
    assert "not run" not in text.partition("## Notes")[0].partition("## Partial match")[0]
    assert list(cells(after)) == [
        (model, f"{test}:test")
        for model in ("crf", "encoder", "encoder-all")
        for test in ("ncbi_disease", "bc5cdr_chemical")
    ]
    assert {place: cells(after)[place] for place in cells(before)} == cells(before)
    (origin,) = after["kept"]
    assert (origin["file"], origin["models"]) == ("first.json", ["crf", "encoder"])
    assert "The scores of *CRF*, *encoder, one corpus* are from an earlier run (first.json) on" in text
    assert after["models"]["encoder"]["minutes"] == before["models"]["encoder"]["minutes"]
    contrasts = {(row["a"], row["b"], row["test"]): row for row in after["contrasts"]}
    assert [row for row in after["contrasts"] if (row["a"], row["b"]) == ("crf", "encoder")] == before["contrasts"]
    for test in before["tests"]:
        row = contrasts["encoder", "encoder-all", test]
        gain = cells(after)["encoder-all", test]["strict"]["f1"] - cells(after)["encoder", test]["strict"]["f1"]
        assert row["strict"]["value"] == pytest.approx(gain, abs=1e-5)
        assert "p" not in row["strict"]
    assert "differences between *encoder, one corpus* and *encoder, all corpora*" in text
    assert text.count("| not tested |") == 4
    # The third run keeps the figures of the second one, and those of the first one, which it names as such.
    (origin,) = after["kept"]
    origin["hardware"]["processor"] = "the first machine"
    (pages / "first.json").write_text(json.dumps(after))
    again, _ = run(lab_home, lab_book, tmp_path / "nowhere", pages, "crf")
    assert {place: cells(again)[place] for place in cells(after) if place[0] != "crf"} == {
        place: cell for place, cell in cells(after).items() if place[0] != "crf"
    }
    assert [one["models"] for one in again["kept"]] == [["encoder"], ["encoder-all"]]
    assert [one["hardware"]["processor"] == "the first machine" for one in again["kept"]] == [True, False]


def test_cells_of_other_pages_are_kept_and_those_of_another_recipe_are_not(
    lab_home: Path, lab_book: Book, tmp_path: Path
) -> None:
    pages = tmp_path / "pages"
    before, _ = run(lab_home, lab_book, tmp_path / "here", pages, "crf")
    after, _ = run(lab_home, lab_book, tmp_path / "there", pages, "encoder", name="again")
    assert cells(after)["crf", "ncbi_disease:test"] == cells(before)["crf", "ncbi_disease:test"]
    models = {**lab_book.models, "crf": replace(lab_book.models["crf"], sentences=30)}
    changed, text = run(lab_home, replace(lab_book, models=models), tmp_path / "there", pages, "encoder", name="again")
    assert list(cells(changed)) == [("encoder", "ncbi_disease:test")]
    assert "| CRF | not run |" in text


def test_a_curve_and_errors_are_kept(lab_home: Path, lab_book: Book, tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    before, _ = run(lab_home, lab_book, tmp_path / "here", pages, "crf", name="curve")
    after, text = run(lab_home, lab_book, tmp_path / "elsewhere", pages, "generative", name="curve")
    assert [row for row in after["curve"] if row["model"] == "crf"] == before["curve"]
    assert [row for row in after["contrasts"] if row["a"] == "crf"] == before["contrasts"]
    assert "| CRF | NCBI-disease | **" in text
    before, _ = run(lab_home, lab_book, tmp_path / "here", pages, "crf", name="errors")
    after, _ = run(lab_home, lab_book, tmp_path / "elsewhere", pages, "encoder", name="errors")
    assert [row for row in after["sample"] if row["model"] == "crf"] == before["sample"] != []


def test_pairs_of_rows_that_are_left_out_stay_on_the_page(lab_home: Path, lab_book: Book, tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    before, _ = run(lab_home, lab_book, tmp_path / "here", pages, "crf", "encoder", name="pairs")
    after, text = run(lab_home, lab_book, tmp_path / "elsewhere", pages, "encoder-all", name="pairs")
    assert [(row["a"], row["b"]) for row in after["pairs"]] == [("crf", "encoder")]
    assert after["pairs"] == before["pairs"]
    assert "| CRF | encoder, one corpus |" in text


def test_a_page_that_cannot_be_read_is_not_overwritten(lab_home: Path, lab_book: Book, tmp_path: Path) -> None:
    (tmp_path / "first.json").write_text('{"scale": "small", "mod')
    (tmp_path / "other.json").write_text("[1, 2]")
    with pytest.raises(UsageError, match=r"first\.json: cannot be read: "):
        run(lab_home, lab_book, tmp_path / "work", tmp_path, "crf")
    assert (tmp_path / "first.json").read_text() == '{"scale": "small", "mod'


def test_the_interval_of_a_difference_of_independent_scores() -> None:
    estimate = independent_difference({"f1": 0.5, "low": 0.4, "high": 0.55}, {"f1": 0.8, "low": 0.68, "high": 0.84})
    assert estimate.value == pytest.approx(0.3)
    assert estimate.low == pytest.approx(0.3 - 0.13)  # the hypotenuse of 0.12 and 0.05
    assert estimate.high == pytest.approx(0.3 + (0.04**2 + 0.1**2) ** 0.5)
