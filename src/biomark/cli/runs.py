"""`biomark annotate --run FOLDER`: its options, its progress, and its final report."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from biomark.annotation.settings import RunOptions
from biomark.cli.common import Rejects, print_json, say
from biomark.errors import UsageError
from biomark.runtime.progress import Pace, pace_bar

if TYPE_CHECKING:
    from biomark.annotation import Resuming
    from biomark.annotation.runs import Plan
    from biomark.annotation.workers import ParallelRecognizer
    from biomark.recognizers import Recognizer

_EVERY = 10.0  # seconds between two lines of JSON
_PANEL = "Millions of documents"

RunFolder = Annotated[
    Path | None,
    typer.Option(
        "--run",
        metavar="FOLDER",
        help="Write shards, a manifest and rejects.jsonl into a folder; the same command continues a run.",
        rich_help_panel=_PANEL,
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        help="The number of processes that find mentions, for models that need no torch.",
        min=1,
        rich_help_panel=_PANEL,
    ),
]


def check_run(run: Path | None, output: str | None, options: RunOptions, *, dry_run: bool) -> None:
    """Check that the options of a run into a folder agree.

    Raises:
        UsageError: if they do not.
    """
    if options.shard < 1:
        raise UsageError(f"`shard` must be at least 1 document, got {options.shard}")
    if run is None and options != RunOptions():
        raise UsageError("`shard` and `json_progress` are settings of a run into a folder; add --run FOLDER")
    if run is not None and (output is not None or dry_run):
        raise UsageError("--run FOLDER is the output; leave out -o and --dry-run")


def in_processes(load: Callable[[], Recognizer], model: str, workers: int, *, shared: bool) -> ParallelRecognizer:
    """Return a recognizer that runs a model in several processes.

    Args:
        load: loads the model's recognizer.
        model: the model's name.
        workers: the number of processes.
        shared: see `biomark.annotation.workers.ParallelRecognizer`.

    Raises:
        UsageError: if the model uses all cores, a GPU or a server by itself.
    """
    from biomark.annotation.workers import ParallelRecognizer

    if not _is_light(model):
        raise UsageError(f"one process of {model} uses all cores, the GPU or the server; leave out --workers")
    return ParallelRecognizer(load, workers, shared=shared)


def _is_light(name: str) -> bool:
    """Return whether all parts of a model need one core and little memory each: no torch, no server."""
    from biomark import models
    from biomark.tagging.recognizer import WEIGHTS

    parts = [name] if Path(name).is_dir() else models.TOGETHER.split(name)
    if any(part.startswith(models.PROMPTED) for part in parts):
        return False
    loaded = [part for part in parts if part not in (models.DICTIONARY, models.GIVEN)]
    folders = [models.folder_of(part if Path(part).is_dir() else part.partition("@")[0]) for part in loaded]
    return all((folder / WEIGHTS).is_file() for folder in folders)


def run_job(
    plan: Plan,
    recognizer: Recognizer,
    resuming: Resuming,
    rejects: Rejects,
    *,
    progress: bool | None,
    json_progress: bool,
) -> Counter[str]:
    """Annotate inputs into a folder, and report the result.

    Returns:
        What the shards' format could not hold, as counts by kind.
    """
    from biomark.annotation.runs import REJECTS, run_into_folder

    shown = not json_progress and (sys.stderr.isatty() if progress is None else progress)
    with pace_bar(str(plan.folder), shown=shown) as bar:
        watch = _json_lines() if json_progress else bar
        manifest = run_into_folder(plan, recognizer, resuming=resuming, watch=watch)
    shards = f"{len(manifest.shards):,} {'shard' if len(manifest.shards) == 1 else 'shards'}"
    say(f"{plan.folder}: {manifest.documents:,} documents in {shards}")
    if manifest.superseded or manifest.deleted:
        say(f"skipped: {manifest.superseded:,} superseded and {manifest.deleted:,} deleted articles of PubMed")
    if json_progress:
        print_json({**asdict(Pace("done", manifest.documents, manifest.documents, manifest.rejected, 0.0, 0.0))})
    if manifest.rejected:
        rejects.count += manifest.rejected
        say(f"{plan.folder / REJECTS}: all rejects and their reasons")
    return manifest.lost


def _json_lines() -> Callable[[Pace], None]:
    last = float("-inf")

    def write(pace: Pace) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _EVERY:
            last = now
            print_json(asdict(pace))
            sys.stdout.flush()

    return write
