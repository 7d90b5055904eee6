"""Grid search: a training run for each setting, of which the one with the lowest loss on the development splits wins.

Keloth et al. 2024 tuned their encoders in this way, over learning rate, maximum length and batch size.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from rich.table import Table

from biomark.errors import UsageError
from biomark.formats import Reject
from biomark.tagging.recognizer import TOKENIZER
from biomark.tagging.training.checks import check
from biomark.tagging.training.network import ADAPTER, CONFIG
from biomark.tagging.training.start import BEST, GUIDELINES
from biomark.tagging.training.trainer import CHECKPOINT, SplitScores, best_epoch, mean_loss, train
from biomark.training.recipe import RECIPE, SCORES, Recipe, TaggingRecipe, saved_recipe
from biomark.training.runs import write
from biomark.training.scoring import mean_f1

log = logging.getLogger(__name__)

PREFIX, RESULT = "GRID-", "grid.json"


@dataclass(frozen=True, slots=True)
class GridRow:
    """A setting of the grid and the result of its run.

    Attributes:
        setting: the values of the settings that vary.
        folder: the name of the run's folder inside the grid's folder.
        epoch: the epoch whose weights were kept, counted from 1.
        scores: the scores of that epoch.
    """

    setting: Mapping[str, object]
    folder: str
    epoch: int
    scores: SplitScores


@dataclass(frozen=True, slots=True)
class Grid:
    """The result of a grid search.

    Attributes:
        rows: one for each setting, in the order of the recipe.
    """

    rows: tuple[GridRow, ...]

    @property
    def chosen(self) -> GridRow:
        """The row with the lowest mean loss over the development splits; of equal rows the first."""
        return min(self.rows, key=lambda row: mean_loss(row.scores))

    def spread(self) -> dict[str, float]:
        """Return the minimum, median and maximum over the rows of the mean strict F1 on the development splits."""
        values = [mean_f1(row.scores) for row in self.rows]
        return {"minimum": min(values), "median": median(values), "maximum": max(values)}


def train_grid(
    settings: Sequence[tuple[Mapping[str, object], Recipe]],
    folder: Path,
    *,
    reject: Reject,
    resume: bool = False,
    progress: Callable[[str], None] = log.info,
) -> Grid:
    """Train a recipe with each setting of its grid, and copy the best model into the grid's folder.

    The runs are subfolders of the grid's folder. The checkpoint of a finished run is deleted.

    Args:
        settings: see `biomark.training.recipe.load_grid`.
        folder: the folder of the grid; it becomes the folder of the chosen model.
        reject: is called with each part of the corpora that cannot be read, once for each run.
        resume: continue an interrupted grid: finished runs stay, and a stopped one continues from its checkpoint.
        progress: is called with a line of text every few steps.

    Raises:
        UsageError: if a setting is invalid, if the folder holds runs and `resume` is false, or if they are runs of
            another recipe.
    """
    plans = [_plan(setting, recipe) for setting, recipe in settings]
    if not resume and (runs := sorted(folder.glob(f"{PREFIX}*"))):
        raise UsageError(f"{runs[0]}: already contains a run; resume it (`resume`), or choose another name or folder")
    if (folder / SCORES).exists() and not (folder / RESULT).exists():
        raise UsageError(f"{folder}: holds a run that does not belong to a grid; choose another name or folder")
    rows = []
    for number, (setting, recipe) in enumerate(plans, 1):
        run = folder / recipe.name
        progress(f"{number}/{len(plans)}: {', '.join(f'{key} = {value}' for key, value in setting.items())}")
        if not _finished(run, recipe):
            checkpoint = (run / CHECKPOINT).exists()
            train(recipe, run, reject=reject, resume=resume and checkpoint, progress=progress)
        (run / CHECKPOINT).unlink(missing_ok=True)
        scores = json.loads((run / SCORES).read_text("utf-8"))
        best = best_epoch(scores, recipe)
        rows.append(GridRow(setting, run.name, best + 1, scores[best]))
        write(folder / RESULT, _as_json(Grid(tuple(rows)), len(plans)))
    grid = Grid(tuple(rows))
    for name in (BEST, TOKENIZER, CONFIG, RECIPE, SCORES, ADAPTER, GUIDELINES):
        if (folder / grid.chosen.folder / name).is_file():
            shutil.copyfile(folder / grid.chosen.folder / name, folder / name)
    progress(f"the model of {grid.chosen.folder} is in {folder}")
    return grid


def _plan(setting: Mapping[str, object], recipe: Recipe) -> tuple[Mapping[str, object], TaggingRecipe]:
    if not isinstance(recipe, TaggingRecipe):
        raise UsageError(f"recipe {recipe.name}: only recipes of tagging models can have a grid; remove [grid]")
    check(recipe)
    return setting, replace(recipe, name=PREFIX + "-".join(str(value).replace("/", "_") for value in setting.values()))


def _finished(run: Path, recipe: TaggingRecipe) -> bool:
    """Return whether a run has finished all its epochs.

    Raises:
        UsageError: if the folder holds a run of another recipe.
    """
    if not (run / RECIPE).is_file() or not (run / SCORES).is_file():
        return False
    if saved_recipe(run) != recipe:
        raise UsageError(f"{run / RECIPE}: differs from the recipe; change the recipe back, or start a new grid")
    return len(json.loads((run / SCORES).read_text("utf-8"))) == recipe.epochs


def _as_json(grid: Grid, settings: int) -> dict[str, object]:
    """Return the content of the grid's result file, for the runs that are finished."""
    rows = [
        {
            "setting": row.setting,
            "folder": row.folder,
            "epoch": row.epoch,
            "loss": mean_loss(row.scores),
            "f1": mean_f1(row.scores),
            "scores": row.scores,
        }
        for row in grid.rows
    ]
    return {"settings": settings, "runs": rows, "f1": grid.spread(), "chosen": grid.chosen.folder}


def grid_table(grid: Grid) -> Table:
    """Return a table for the terminal: a row for each setting, with the chosen one marked, and the spread of F1."""
    keys = list(grid.chosen.setting)
    table = Table(*keys, "epoch", "loss", "strict F1", "")
    for row in grid.rows:
        values = [str(row.setting[key]) for key in keys]
        figures = (str(row.epoch), f"{mean_loss(row.scores):.4f}", f"{mean_f1(row.scores):.4f}")
        table.add_row(*values, *figures, "chosen" if row is grid.chosen else "")
    table.add_section()
    for name, value in grid.spread().items():
        table.add_row(name, *[""] * (len(keys) + 1), f"{value:.4f}", "")
    return table
