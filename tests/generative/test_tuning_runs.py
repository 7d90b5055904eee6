"""Runs of tuning: their checkpoints and scores, resumption, several processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tuning_cases import torchrun, train, write_toml

from biomark.errors import UsageError
from biomark.training.recipe import GenerativeRecipe, load_recipe
from conftest import HANG
from toy_recipe import fail

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

from biomark.generative.training import model as causal  # noqa: E402
from biomark.generative.training import trainer as generative  # noqa: E402
from biomark.generative.training.loss import AnswerTrainer  # noqa: E402
from biomark.training import runs, scoring  # noqa: E402

torch.set_num_threads(1)  # networks this small only wait for each other's threads

pytest_plugins = ("tuning_fixtures",)

pytestmark = pytest.mark.usefixtures("tuning_corpora")


class Killed(Exception):
    pass


def same(a: Path, b: Path) -> bool:
    names = {path.name for path in a.iterdir() if path.suffix == ".safetensors"} | {"scores.json"}
    return len(names) == 2 and all((a / name).read_bytes() == (b / name).read_bytes() for name in names)


def test_the_best_checkpoint_is_kept_and_old_ones_are_dropped(tuned_run: Path) -> None:
    rows = json.loads((tuned_run / "scores.json").read_text())
    assert [row["step"] for row in rows] == [3, 6, 9, 12, 14][: len(rows)]
    assert [path.name for path in (tuned_run / runs.CHECKPOINTS).iterdir()] == [f"checkpoint-{rows[-1]['step']}"]
    means = [scoring.mean_f1(row["scores"]) for row in rows]
    assert means[-1] > 0


def test_a_better_score_decides_and_the_later_of_equal_ones(tmp_path: Path) -> None:
    run = runs.TrainingFolder(tmp_path)
    for step, f1 in ((1, 0.2), (2, 0.5), (3, 0.4), (4, 0.5)):
        folder = tmp_path / runs.CHECKPOINTS / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        state = {"global_step": step, "epoch": step / 2, "max_steps": 4}
        (folder / "trainer_state.json").write_text(json.dumps(state))
        (folder / "model.safetensors").write_text(f"weights {step}")
        (checkpoint,) = run.unscored()
        assert checkpoint.last == (step == 4)
        best = run.add(checkpoint, {"devel": {"precision": f1, "recall": f1, "f1": f1}}, "base")
        assert best == (step != 3)
        assert (tmp_path / "model.safetensors").read_text() == f"weights {2 if step == 3 else step}"
    assert [c.step for c in run.checkpoints()] == [4]


@pytest.mark.parametrize(("method", "point"), [("full", "training"), ("full", "scoring"), ("lora", "training")])
def test_a_stopped_run_goes_on_to_the_same_weights_and_scores(
    tuning_recipe: GenerativeRecipe, tuned_run: Path, tmp_path: Path, method: str, point: str
) -> None:
    tuning_recipe = replace(tuning_recipe, save_steps=3, method=method)
    if method != "full":  # with dropout, so that random numbers matter
        tuned_run = train(tuning_recipe, tmp_path / "whole")
    calls = 0

    def counted(original: Callable[..., object], stop: int) -> Callable[..., object]:
        def call(*args: object, **settings: object) -> object:
            nonlocal calls
            calls += 1
            if calls == stop:
                raise Killed
            return original(*args, **settings)

        return call

    with pytest.MonkeyPatch.context() as patch:
        if point == "training":  # in the second epoch, after a checkpoint inside it
            patch.setattr(AnswerTrainer, "compute_loss", counted(AnswerTrainer.compute_loss, 11))
        else:  # after the second checkpoint was written
            patch.setattr(generative, "strict_scores", counted(scoring.strict_scores, 2))
        with pytest.raises(Killed):
            train(tuning_recipe, tmp_path / "run")
    with pytest.raises(UsageError, match=r"resume it \(`resume`\)"):
        train(tuning_recipe, tmp_path / "run")
    train(tuning_recipe, tmp_path / "run", resume=True)
    assert same(tmp_path / "run", tuned_run)


def test_checkpoints_without_scores_are_scored(
    tuning_recipe: GenerativeRecipe, tuned_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of a run that could not score: all of them, in order, and without training again."""
    tuning_recipe = replace(tuning_recipe, save_steps=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generative.Scoring, "on_save", lambda *_, **__: None)
        train(tuning_recipe, tmp_path / "run")
    assert len(list((tmp_path / "run" / runs.CHECKPOINTS).iterdir())) > 3
    assert not (tmp_path / "run" / "model.safetensors").exists()
    monkeypatch.setattr(AnswerTrainer, "train", fail)
    train(tuning_recipe, tmp_path / "run", resume=True)
    assert same(tmp_path / "run", tuned_run)


# The command line, killed when it is about to score for the second time.
KILLED = """
import os, signal
from biomark.cli import main
from biomark.generative.training import trainer as generative  # noqa: E402

score, calls = generative.strict_scores, []

def killed(*arguments, **settings):
    calls.append(arguments)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return score(*arguments, **settings)

generative.strict_scores = killed
main()
"""


def test_a_killed_process_goes_on_to_the_same_weights_and_scores(
    tuning_home: Path, tuning_recipe: GenerativeRecipe, tmp_path: Path, tuned_run: Path
) -> None:
    tuning_recipe = replace(tuning_recipe, save_steps=3)
    path = tmp_path / "recipe.toml"
    write_toml(tuning_recipe, path)
    command = [sys.executable, "-c", KILLED, "train", str(path), "-o", str(tmp_path / "run")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANG, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(runs.TrainingFolder(tmp_path / "run").scores()) == 1
    assert load_recipe(path) == tuning_recipe
    train(tuning_recipe, tmp_path / "run", resume=True)
    assert same(tmp_path / "run", tuned_run)


def test_a_run_is_not_overwritten_and_resumed_as_it_began_only(
    tuning_home: Path, tuning_recipe: GenerativeRecipe, tuned_run: Path, tmp_path: Path
) -> None:
    tuning_recipe = replace(tuning_recipe, save_steps=3)
    with pytest.raises(UsageError, match=r"already contains a run; resume it \(`resume`\)"):
        train(tuning_recipe, tuned_run)
    with pytest.raises(UsageError, match="differs from the recipe"):
        train(replace(tuning_recipe, seed=2), tuned_run, resume=True)
    with pytest.raises(UsageError, match="no checkpoint to resume from"):
        train(tuning_recipe, tmp_path / "nothing", resume=True)
    path = tuning_home / "corpora" / "ncbi_disease" / "train.pubtator"
    before = path.read_bytes()
    path.write_bytes(before.replace(b"fever", b"hives"))
    try:
        with pytest.raises(UsageError, match=r"train was .* when the run started"):
            train(tuning_recipe, tuned_run, resume=True)
    finally:
        path.write_bytes(before)
    kept = tuned_run / "model.safetensors"
    stamp = kept.stat().st_mtime_ns
    train(tuning_recipe, tuned_run, resume=True)  # there is nothing left to do
    assert kept.stat().st_mtime_ns == stamp


def test_two_processes_train_as_one_that_accumulates_twice(tuning_recipe: GenerativeRecipe, tmp_path: Path) -> None:
    tuning_recipe = replace(tuning_recipe, packing=False, examples=32, epochs=1)  # 8 batches of 4
    write_toml(tuning_recipe, tmp_path / "recipe.toml")
    done = torchrun("-m", "biomark", "train", str(tmp_path / "recipe.toml"), "-o", str(tmp_path / "two"))
    assert done.returncode == 0, done.stderr
    ours = [line for line in done.stderr.splitlines() if "demonstrations," in line or "the model is in" in line]
    assert len(ours) == 2, done.stderr  # the first process alone speaks
    train(replace(tuning_recipe, accumulate=2), tmp_path / "one")
    two, _, _ = causal.load_trained(tmp_path / "two")
    one, _, _ = causal.load_trained(tmp_path / "one")
    start, _ = causal.prepare_model(tuning_recipe)
    for name, weight in one.state_dict().items():
        moved = (weight - start.state_dict()[name]).norm()
        assert (weight - two.state_dict()[name]).norm() < 0.02 * moved, name
    run = json.loads((tmp_path / "two" / "run.json").read_text())
    assert run["processes"] == 2
    with pytest.raises(UsageError, match="processes was 2 when the run started"):
        train(tuning_recipe, tmp_path / "two", resume=True)
