"""The folder of a training run: its recipe, checkpoints, scores and best model."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from biomark.errors import UsageError
from biomark.training.recipe import RECIPE, RUN, SCORES, Recipe, saved_recipe
from biomark.training.scoring import mean_f1

CHECKPOINTS = "checkpoints"
_STATE = "trainer_state.json"  # the file that transformers writes last into a checkpoint
_MODEL = ("config.json", "generation_config.json", "model*.safetensors", "model.safetensors.index.json", "adapter_*")
LIBRARIES = ("torch", "transformers", "peft", "accelerate", "bitsandbytes", "tokenizers")
"""The libraries on which a model's scores depend, beside biomark and Python."""


def check_run(folder: Path, recipe: Recipe, *, resume: bool, checkpoint: str, started: bool) -> None:
    """Check that a training run may start, or be resumed, in a folder.

    Args:
        folder: the folder of the run.
        recipe: the recipe of the run.
        resume: whether the run is to be resumed.
        checkpoint: the word for a checkpoint in messages.
        started: whether the folder holds a run that can be resumed or would be overwritten.

    Raises:
        UsageError: if a run would be overwritten, there is nothing to resume, or the folder holds a run of another
            recipe.
    """
    if not resume:
        if started:
            raise UsageError(
                f"{folder}: already contains a run; resume it (`resume`), or choose another name or folder"
            )
        return
    if not started or not (folder / RECIPE).is_file():
        raise UsageError(f"{folder}: there is no {checkpoint} to resume from")
    if saved_recipe(folder) != recipe:
        raise UsageError(f"{folder / RECIPE}: differs from the recipe; change the recipe back, or start a new run")


def save_recipe(folder: Path, recipe: Recipe) -> None:
    """Write the recipe into the folder of a run."""
    write(folder / RECIPE, asdict(recipe))


def write(path: Path, value: object) -> None:
    """Write a value to a JSON file, atomically: the file is never incomplete."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", "utf-8")
    part.replace(path)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that transformers wrote: weights or adapter, optimiser, random state.

    Attributes:
        folder: the folder of the checkpoint.
        step: the step after which it was written.
        epoch: the number of passes over the data until then.
        last: whether the run ends with it.
    """

    folder: Path
    step: int
    epoch: float
    last: bool


@dataclass(frozen=True, slots=True)
class Scored:
    """The scores of a checkpoint.

    Attributes:
        step: the step after which it was written.
        epoch: the number of passes over the data until then.
        scores: precision, recall and F1, in [0, 1], on each development split, by the split's name.
    """

    step: int
    epoch: float
    scores: Mapping[str, Mapping[str, float]]


class TrainingFolder:
    """The folder of a generative training run.

    Args:
        folder: the path, which need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def checkpoints(self) -> list[Checkpoint]:
        """Return the complete checkpoints, in the order of their steps."""
        complete = []
        for path in (self.folder / CHECKPOINTS).glob("checkpoint-*"):
            if re.fullmatch(r"checkpoint-\d+", path.name) and (path / _STATE).is_file():
                state = json.loads((path / _STATE).read_text("utf-8"))
                step = int(state["global_step"])
                complete.append(Checkpoint(path, step, float(state["epoch"]), step >= int(state["max_steps"])))
        return sorted(complete, key=lambda checkpoint: checkpoint.step)

    def scores(self) -> list[Scored]:
        """Return the scores of the checkpoints so far, in order."""
        path = self.folder / SCORES
        return [Scored(**row) for row in json.loads(path.read_text("utf-8"))] if path.is_file() else []

    def unscored(self) -> list[Checkpoint]:
        """Return the checkpoints that have no scores yet, in order."""
        scored = {row.step for row in self.scores()}
        return [checkpoint for checkpoint in self.checkpoints() if checkpoint.step not in scored]

    def add(self, checkpoint: Checkpoint, scores: Mapping[str, Mapping[str, float]], base: str) -> bool:
        """Save a checkpoint's scores; keep its model if it is the best so far, and delete older checkpoints.

        The scores are written last, so that an interrupted call is repeated when the run is resumed.

        Args:
            checkpoint: the checkpoint that was scored.
            scores: its scores by split.
            base: the name of the base model of an adapter.

        Returns:
            Whether the checkpoint is the best so far.
        """
        before = [row for row in self.scores() if row.step < checkpoint.step]
        best = all(mean_f1(scores) >= mean_f1(row.scores) for row in before)
        if best:
            self._keep(checkpoint.folder, base)
        rows = [*before, Scored(checkpoint.step, checkpoint.epoch, scores)]
        write(self.folder / SCORES, [asdict(row) for row in rows])
        for other in self.checkpoints():
            if any(other.step == row.step for row in before):
                shutil.rmtree(other.folder)
        return best

    def _keep(self, checkpoint: Path, base: str) -> None:
        for path in sorted(path for pattern in _MODEL for path in checkpoint.glob(pattern)):
            part = self.folder / (path.name + ".part")
            part.unlink(missing_ok=True)
            if path.name == "adapter_config.json":
                settings = json.loads(path.read_text("utf-8"))
                part.write_text(json.dumps({**settings, "base_model_name_or_path": base}, indent=1), "utf-8")
            else:
                _link(path, part)
            part.replace(self.folder / path.name)

    def note(self, facts: Mapping[str, object], *, same: Sequence[str]) -> None:
        """Save the facts of the run, such as its data and the versions of libraries.

        Args:
            facts: the facts by name, as values that JSON can represent.
            same: the names of facts that must not have changed since the run started.

        Raises:
            UsageError: if one of these has changed.
        """
        path = self.folder / RUN
        if path.is_file():
            old = json.loads(path.read_text("utf-8"))
            for name in same:
                if old.get(name) != json.loads(json.dumps(facts[name])):
                    raise UsageError(
                        f"{path}: {name} was {old.get(name)} when the run started, and is now {facts[name]}; "
                        "change it back, or start a new run"
                    )
        write(path, facts)


def _link(source: Path, target: Path) -> None:
    """Link a file to a second name, or copy it where links are not supported."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
