"""Experiments: tables and figures of papers, each reproduced by one command (`biomark reproduce NAME`).

`experiments.toml` defines the experiments and `published.toml` has the papers' figures. `runner` runs the cells,
`facts` gathers their figures, `verdicts` compares them with the papers', and `pages` writes pages about them. `hu2024`
differs: it scores recorded answers and runs no model.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from biomark.errors import UsageError
from biomark.lab.experiments import hu2024
from biomark.lab.experiments.outcome import Outcome, Table
from biomark.lab.experiments.specs import SCALES, Book, book

if TYPE_CHECKING:
    from biomark.lab.experiments.runner import ExperimentRun

WORK = Path("runs/reproduce")


@dataclass(frozen=True, slots=True)
class ExperimentOptions:
    """The options of running an experiment.

    Attributes:
        work: the folder of its cells; existing cells are not run again.
        model: the user's own model, in addition to the experiment's or, for prompted models, in their place.
        base_url: the server of a model `openai:NAME`.
        anyway: whether to run the paper's scale even without a GPU.
        only: the rows of the experiment to run; empty: all.
        pages: a folder of pages whose figures of the other rows are kept, if `only` names rows; None: there is none.
        text: a folder for sampled errors with their sentences, for experiments that sample errors; None: they are not
            written.
        recipes: the folder with recipes; None: that of the checkout.
        say: is called with lines of text about the progress.
    """

    work: Path = WORK
    model: str = ""
    base_url: str = ""
    anyway: bool = False
    only: tuple[str, ...] = ()
    pages: Path | None = None
    text: Path | None = None
    recipes: Path | None = None
    say: Callable[[str], None] = lambda message: None


def names(rows: Book | None = None) -> tuple[str, ...]:
    """Return the names of all experiments."""
    return (*(rows or book()).experiments, "hu2024")


def reproduce(
    name: str, scale: str = "small", options: ExperimentOptions | None = None, *, rows: Book | None = None
) -> Outcome:
    """Run an experiment, except for the cells that are done already.

    Args:
        name: one of `names`.
        scale: `paper` for the paper's models and data; `medium` for a small language model on the same data; `small`
            for a size that two CPU cores complete within a few hours.
        options: see `ExperimentOptions`.
        rows: other experiments than those of `experiments.toml`.

    Raises:
        UsageError: if there is no such experiment or scale, or for the paper's scale without a GPU.
        CorpusError: if its data are missing.
    """
    options = options or ExperimentOptions()
    if _recorded(name, scale, rows):
        return hu2024.run(scale)
    job = _job(name, scale, options, rows)
    for line in job.plan():
        options.say(line)
    if scale == "paper" and not options.anyway and not _gpus():
        raise UsageError(
            f"{name} --scale paper needs GPUs (see above), and this machine has none that torch can use; "
            "use --scale small or medium, or add --anyway"
        )
    begin = time.perf_counter()
    results = job.run()
    from biomark.lab.experiments.facts import gather, sampled_errors
    from biomark.lab.experiments.kept import with_kept
    from biomark.lab.experiments.pages import page

    if options.text is not None:
        options.text.mkdir(parents=True, exist_ok=True)
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in sampled_errors(results))
        (options.text / f"{name}-errors.jsonl").write_text("".join(lines), "utf-8")
    data = gather(job, results, time.perf_counter() - begin)
    if options.only and options.pages is not None:
        data = with_kept(data, job, options.pages / f"{file_name(name, scale)}.json")
    return page(job.experiment, data)


def plan(
    name: str, scale: str = "small", options: ExperimentOptions | None = None, *, rows: Book | None = None
) -> list[str]:
    """Return a line of text for each cell of an experiment: whether it is done, or its estimated cost."""
    options = options or ExperimentOptions()
    if _recorded(name, scale, rows):
        return [f"{name}: recorded answers are scored, which takes seconds"]
    return _job(name, scale, options, rows).plan()


def file_name(name: str, scale: str) -> str:
    """Return the name of the files of a page, without their extension."""
    return name if scale == "small" or name == "hu2024" else f"{name}-{scale}"


def redraw(folder: Path, rows: Book | None = None) -> list[Path]:
    """Write the pages of a folder, and their overview, again from their JSON files, without running anything.

    Args:
        folder: the folder of pages that `reproduce` wrote.
        rows: other experiments than those of `experiments.toml`.

    Returns:
        The paths of the pages.

    Raises:
        UsageError: if there are no such files, or a file has another content.
    """
    from biomark.lab.experiments.overview import overview
    from biomark.lab.experiments.pages import page
    from biomark.lab.experiments.sheet import page_facts

    rows = rows or book()
    written = []
    for name, experiment in rows.experiments.items():
        for scale in experiment.scales:
            path = folder / f"{file_name(name, scale)}.json"
            if not path.is_file():
                continue
            facts = page_facts(path)
            if facts is None:
                raise UsageError(f"{path}: is not a file that biomark reproduce wrote beside a page")
            written.append(page(experiment, facts).write(folder, path.stem))
    if not written:
        raise UsageError(f"{folder}: has no {', '.join(f'{name}.json' for name in rows.experiments)}")
    return [*written, overview(folder, rows)]


def _recorded(name: str, scale: str, rows: Book | None) -> bool:
    if name not in names(rows):
        raise UsageError(f"unknown experiment {name!r}; choose from {', '.join(names(rows))}")
    if scale not in SCALES:
        raise UsageError(f"unknown scale {scale!r}; choose from {', '.join(SCALES)}")
    return name == "hu2024"


def _job(name: str, scale: str, options: ExperimentOptions, rows: Book | None) -> ExperimentRun:
    from biomark import models
    from biomark.lab.experiments.runner import ExperimentRun
    from biomark.lab.experiments.workspace import Workspace
    from biomark.prompted.settings import ServerOptions

    rows = rows or book()
    if options.base_url and not models.asks_server(options.model):
        raise UsageError("--base-url is the address of a model server; add --model openai:NAME")
    server = ServerOptions(base_url=options.base_url)
    workspace = Workspace(options.work, say=options.say, server=server, recipes=options.recipes)
    return ExperimentRun(rows, rows.experiment(name), scale, workspace, options.model, options.only)


def _gpus() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


__all__ = [
    "SCALES",
    "WORK",
    "ExperimentOptions",
    "Outcome",
    "Table",
    "file_name",
    "names",
    "plan",
    "redraw",
    "reproduce",
]
