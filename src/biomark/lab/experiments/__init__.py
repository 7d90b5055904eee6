"""Experiments: tables and figures of papers, each made again by one command (`biomark reproduce NAME`).

`experiments.toml` says what each is, `published.toml` what the papers report; `runner` does the cells, `facts` gathers
their figures, `verdicts` compares them with the papers', `pages` makes pages of that. `hu2024` is of another
kind: recorded answers are scored, and nothing is run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biomark.errors import UsageError
from biomark.lab.experiments import hu2024
from biomark.lab.experiments.outcome import Outcome, Table
from biomark.lab.experiments.specs import SCALES, Book, book

if TYPE_CHECKING:
    from biomark.lab.experiments.runner import Job

WORK = Path("runs/reproduce")


@dataclass(frozen=True, slots=True)
class Options:
    """How an experiment is run.

    Attributes:
        work: the folder of its cells; what is there is not done again.
        model: a model of the user's own, beside the experiment's or, where models are prompted, in their place.
        base_url: the server of a model `openai:NAME`.
        anyway: run the paper's scale without a GPU.
        only: rows of the experiment whose cells are done; empty: all.
        text: a folder for errors with their sentences, where errors are sampled.
        recipes: the folder with recipes; None: that of the checkout.
        say: is called with lines of progress.
    """

    work: Path = WORK
    model: str = ""
    base_url: str = ""
    anyway: bool = False
    only: tuple[str, ...] = ()
    text: Path | None = None
    recipes: Path | None = None
    say: Callable[[str], None] = lambda message: None


def names(rows: Book | None = None) -> tuple[str, ...]:
    """All experiments."""
    return (*(rows or book()).experiments, "hu2024")


def reproduce(name: str, scale: str = "small", options: Options | None = None, *, rows: Book | None = None) -> Outcome:
    """Run an experiment, or what is left of it.

    Args:
        name: one of `names`.
        scale: `paper` for what the paper did; `medium` for a small language model in its place, on the same data;
            `small` for what two CPU cores do within an hour or a few.
        options: see `Options`.
        rows: other experiments than those of `experiments.toml`.

    Raises:
        UsageError: if there is no such experiment or scale, or the paper's scale is asked for without a GPU.
        CorpusError: if its data are not there.
    """
    options = options or Options()
    if _recorded(name, scale, rows):
        return hu2024.run(scale)
    job = _job(name, scale, options, rows)
    for line in job.plan():
        options.say(line)
    if scale == "paper" and not options.anyway and not _gpus():
        raise UsageError(
            f"{name} --scale paper needs GPUs (see above), and this machine has none that torch can use; "
            "say --scale small or medium, or --anyway"
        )
    begin = time.perf_counter()
    results = job.run()
    from biomark.lab.experiments.facts import gather, sampled_errors
    from biomark.lab.experiments.pages import page

    if options.text is not None:
        options.text.mkdir(parents=True, exist_ok=True)
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in sampled_errors(results))
        (options.text / f"{name}-errors.jsonl").write_text("".join(lines), "utf-8")
    return page(job.experiment, gather(job, results, time.perf_counter() - begin))


def plan(name: str, scale: str = "small", options: Options | None = None, *, rows: Book | None = None) -> list[str]:
    """The cells of an experiment, which are done, and what the others cost; a line each."""
    options = options or Options()
    if _recorded(name, scale, rows):
        return [f"{name}: recorded answers are scored, which takes seconds"]
    return _job(name, scale, options, rows).plan()


def file_name(name: str, scale: str) -> str:
    """What the files of a page are called, without their ending."""
    return name if scale == "small" or name == "hu2024" else f"{name}-{scale}"


def redraw(folder: Path, rows: Book | None = None) -> list[Path]:
    """Draw the pages of a folder again from their JSON files, and the page that sums them up; nothing is run.

    Args:
        folder: with pages that `reproduce` made.
        rows: other experiments than those of `experiments.toml`.

    Returns:
        The pages.

    Raises:
        UsageError: if there are none, or a file is something else.
    """
    from biomark.lab.experiments.overview import overview
    from biomark.lab.experiments.pages import page

    rows = rows or book()
    written = []
    for name, experiment in rows.experiments.items():
        for scale in experiment.scales:
            path = folder / f"{file_name(name, scale)}.json"
            if path.is_file():
                written.append(page(experiment, _facts(path)).write(folder, path.stem))
    if not written:
        raise UsageError(f"{folder}: has no {', '.join(f'{name}.json' for name in rows.experiments)}")
    return [*written, overview(folder, rows)]


def _facts(path: Path) -> Mapping[str, Any]:
    try:
        facts = json.loads(path.read_text("utf-8"))
        if isinstance(facts, dict) and {"scale", "models", "cells"} <= facts.keys():
            return facts
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    raise UsageError(f"{path}: is not what biomark reproduce writes beside a page")


def _recorded(name: str, scale: str, rows: Book | None) -> bool:
    if name not in names(rows):
        raise UsageError(f"no experiment {name!r}; there are {', '.join(names(rows))}")
    if scale not in SCALES:
        raise UsageError(f"--scale is {', '.join(SCALES[:-1])} or {SCALES[-1]}, not {scale!r}")
    return name == "hu2024"


def _job(name: str, scale: str, options: Options, rows: Book | None) -> Job:
    from biomark import models
    from biomark.lab.experiments.runner import Job
    from biomark.lab.experiments.workspace import Place
    from biomark.prompted.settings import ServerOptions

    rows = rows or book()
    if options.base_url and not models.asks_server(options.model):
        raise UsageError("--base-url is the server of a model of yours: say --model openai:NAME as well")
    server = ServerOptions(base_url=options.base_url)
    place = Place(options.work, say=options.say, server=server, recipes=options.recipes)
    return Job(rows, rows.experiment(name), scale, place, options.model, options.only)


def _gpus() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


__all__ = ["SCALES", "WORK", "Options", "Outcome", "Table", "file_name", "names", "plan", "redraw", "reproduce"]
