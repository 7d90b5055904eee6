"""A grid of settings: a run for each, and the one with the lowest loss on the development splits is chosen.

So Keloth et al. 2024 tuned their encoders, over learning rate, maximum length and batch size.
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
from biomark.tagging.training.trainer import BEST, CHECKPOINT, GUIDELINES, Scores, best_epoch, mean_loss, train
from biomark.training.recipe import RECIPE, SCORES, Recipe, TaggingRecipe, saved_recipe
from biomark.training.runs import write
from biomark.training.scoring import mean_f1

log = logging.getLogger(__name__)

PREFIX, RESULT = "GRID-", "grid.json"


@dataclass(frozen=True, slots=True)
class Row:
    """A setting and how its run went.

    Attributes:
        setting: the values of what varies.
        folder: of the run, inside the grid's.
        epoch: whose weights were kept, counted from 1.
        scores: of that epoch.
    """

    setting: Mapping[str, object]
    folder: str
    epoch: int
    scores: Scores


@dataclass(frozen=True, slots=True)
class Grid:
    """What came of a grid.

    Attributes:
        rows: a setting each, in the order of the recipe.
    """

    rows: tuple[Row, ...]

    @property
    def chosen(self) -> Row:
        """The row with the lowest mean loss over the development splits; of equal ones the first."""
        return min(self.rows, key=lambda row: mean_loss(row.scores))

    def spread(self) -> dict[str, float]:
        """Minimum, median and maximum of the mean strict F1 over the development splits."""
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
    """Train a recipe by each setting of its grid.

    The folder becomes that of the chosen model; the runs are inside it. A finished run leaves its checkpoint out.

    Args:
        settings: see `biomark.training.recipe.load_grid`.
        folder: of the grid.
        reject: is called with what cannot be read in the corpora; once for each run.
        resume: go on: runs that are finished stay, one that was stopped goes on from its checkpoint.
        progress: is called with a line about every so many steps.

    Raises:
        UsageError: if a setting cannot work, there are runs already and `resume` is not said, or they are of
            another recipe.
    """
    plans = [_plan(setting, recipe) for setting, recipe in settings]
    if not resume and (there := sorted(folder.glob(f"{PREFIX}*"))):
        raise UsageError(f"{there[0]}: holds a run already; resume it (`resume`), or take another name or folder")
    if (folder / SCORES).exists() and not (folder / RESULT).exists():
        raise UsageError(f"{folder}: holds a run that is no grid's; take another name or folder")
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
        rows.append(Row(setting, run.name, best + 1, scores[best]))
        write(folder / RESULT, _as_json(Grid(tuple(rows)), len(plans)))
    found = Grid(tuple(rows))
    for name in (BEST, TOKENIZER, CONFIG, RECIPE, SCORES, ADAPTER, GUIDELINES):
        if (folder / found.chosen.folder / name).is_file():
            shutil.copyfile(folder / found.chosen.folder / name, folder / name)
    progress(f"the model of {found.chosen.folder} is in {folder}")
    return found


def _plan(setting: Mapping[str, object], recipe: Recipe) -> tuple[Mapping[str, object], TaggingRecipe]:
    if not isinstance(recipe, TaggingRecipe):
        raise UsageError(f"recipe {recipe.name}: a grid is for tagging models, which are chosen by their loss")
    check(recipe)
    return setting, replace(recipe, name=PREFIX + "-".join(str(value).replace("/", "_") for value in setting.values()))


def _finished(run: Path, recipe: TaggingRecipe) -> bool:
    """Whether a run has had all its epochs.

    Raises:
        UsageError: if it is of another recipe.
    """
    if not (run / RECIPE).is_file() or not (run / SCORES).is_file():
        return False
    if saved_recipe(run) != recipe:
        raise UsageError(f"{run / RECIPE}: is another recipe; change the recipe back, or begin a new grid")
    return len(json.loads((run / SCORES).read_text("utf-8"))) == recipe.epochs


def _as_json(grid: Grid, settings: int) -> dict[str, object]:
    """What is written; while runs are missing, of those that there are."""
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
    """For people: a row a setting, the chosen one marked, and the spread of F1."""
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
