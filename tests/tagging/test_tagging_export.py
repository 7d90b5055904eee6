"""Models as ONNX: the same answers without torch, calibrated scores, broken folders, the commands."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from biomark import models
from biomark.errors import ModelError, UsageError
from biomark.spans import Document, Span
from biomark.tagging.recognizer import CARD, WEIGHTS, TaggingRecognizer, load_onnx
from conftest import Outcome
from toy_recipe import fail

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from biomark.tagging.training import trainer  # noqa: E402
from biomark.tagging.training.export import export  # noqa: E402
from biomark.tagging.training.trainer import load_trained  # noqa: E402
from biomark.training.scoring import read_devel, strict_scores  # noqa: E402

torch.set_num_threads(1)  # networks this small only wait for each other's threads

pytest_plugins = ("training_fixtures",)

pytestmark = pytest.mark.usefixtures("training_corpora")


def test_the_exported_model_says_the_same_without_torch(
    training_home: Path, trained_run: Path, int8_export: Path
) -> None:
    network, reader, recipe = trainer.load_trained(trained_run)
    text = "Aspirin may cause fever in mice. Patients with Marfan syndrome were given 5-HT. " * 3
    documents = [Document(str(n), text[: 40 * n]) for n in range(1, 6)]

    def mentions(recognizer: TaggingRecognizer) -> list[list[tuple[Span, str, float]]]:
        return [
            [(e.extent, e.type, round(e.score or 0, 3)) for e in found.document.entities]
            for found in recognizer.annotate(documents)
        ]

    expected = mentions(trainer.recognizer_of(network, reader, recipe))
    assert sum(len(row) for row in expected) >= 15
    fp32 = load_onnx(export(trained_run, training_home / "fp32", int8=False))
    assert mentions(fp32) == expected
    assert [[m[:2] for m in row] for row in mentions(load_onnx(int8_export, threads=2))] == [
        [m[:2] for m in row] for row in expected
    ]
    assert (int8_export / WEIGHTS).stat().st_size < (training_home / "fp32" / WEIGHTS).stat().st_size


def test_models_are_listed_and_described(
    training_home: Path, trained_run: Path, monkeypatch: pytest.MonkeyPatch, biomark: Callable[..., Outcome]
) -> None:
    monkeypatch.chdir(training_home)
    (training_home / "runs").mkdir(exist_ok=True)
    (training_home / "runs" / "mine").symlink_to(trained_run)
    assert "mine" in models.names()
    facts = models.describe("mine")
    assert facts["types"] == ["disease", "chemical"]
    assert len(facts["scores"]) == 3  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"nothing.*mine"):
        models.load("nothing")
    (training_home / "empty").mkdir()
    with pytest.raises(ModelError, match="is missing"):
        models.load("empty")


def test_a_broken_export_is_told(int8_export: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(int8_export, tmp_path / "broken")
    (folder / WEIGHTS).write_bytes(b"no model")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_onnx(folder)
    (folder / CARD).unlink()
    with pytest.raises(ModelError, match=f"{CARD} is missing"):
        load_onnx(folder)


def test_the_benchmark_times_both_sides(trained_run: Path, int8_export: Path, biomark: Callable[..., Outcome]) -> None:
    shown = biomark(
        "bench", "annotate", "ncbi_disease:devel", "--model", int8_export, "--rounds", "1", "--weights", trained_run
    )
    assert shown.status == 0, shown
    found = json.loads(shown.out.splitlines()[-1])
    assert found["documents"] == 15
    assert found["sentences"] > 30
    rates = found["sentences_per_second"]
    assert len(rates) == 5
    assert min(rates.values()) > 0
    fastest = max(rate for name, rate in rates.items() if name.startswith("transformers"))
    assert found["ratio"] == pytest.approx(rates["biomark, documents"] / fastest, abs=0.01)


def test_the_command_line_trains_and_exports(
    training_home: Path, tmp_path: Path, biomark: Callable[..., Outcome]
) -> None:
    trained = biomark("train", training_home / "recipe.toml", "--set", "epochs=1", "-o", tmp_path / "run")
    assert trained.status == 0, trained
    exported = biomark("export", tmp_path / "run", "-o", tmp_path / "small")
    assert exported.status == 0, exported
    shown = json.loads(biomark("models", "show", tmp_path / "small").out)
    assert shown["precision"] == "int8"
    assert set(shown["calibration"]) <= {"disease", "chemical"}  # of enough mentions
    assert len(shown["curve"]) == 10
    assert set(shown["devel"]) == set(shown["devel_fp32"])
    raw = biomark("export", tmp_path / "run", "-o", tmp_path / "raw", "--no-calibrate")
    assert raw.status == 0, raw
    assert "calibration" not in json.loads((tmp_path / "raw" / CARD).read_text("utf-8"))


def test_calibrated_scores_and_the_least_one_are_those_of_the_card(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("biomark.tagging.training.calibrate._FEWEST", 20)
    folder = export(trained_run, tmp_path / "small", calibrated=fail)
    card = json.loads((folder / CARD).read_text("utf-8"))
    assert set(card["calibration"]) == {"disease", "chemical"}
    devel = read_devel(load_trained(trained_run)[2].devel, card["types"], reject=fail)
    found = strict_scores(load_onnx(folder), devel)
    for name, facts in card["devel"].items():
        assert facts["f1"] == pytest.approx(found[name]["f1"], abs=1e-4)
    # Without what was learnt, scores are those of the tags.
    (folder / CARD).write_text(json.dumps({**card, "calibration": {}, "min_score": 0.0}), "utf-8")
    plain = load_onnx(folder)
    considered = dict((a.document.id, found) for a, found in plain.considered(devel[0].documents))
    for annotated in plain.annotate(devel[0].documents):
        tagged = {(c.entity.spans, c.entity.type, c.score) for c in considered[annotated.document.id] if c.tagged}
        assert {(e.spans, e.type, e.score) for e in annotated.document.entities} == tagged
