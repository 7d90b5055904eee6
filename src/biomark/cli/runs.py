"""`biomark annotate --run FOLDER`: its options, its progress, and its final report."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from biomark.annotation.settings import LOCAL, RAY, RayOptions, RunOptions
from biomark.cli.common import Rejects, print_json, say
from biomark.errors import UsageError
from biomark.runtime.progress import Pace, pace_bar

if TYPE_CHECKING:
    from biomark.annotation import Resuming
    from biomark.annotation.actors import Actor
    from biomark.annotation.processes import Process
    from biomark.annotation.runs import Plan
    from biomark.annotation.workers import ParallelRecognizer
    from biomark.cli.settings import Settings
    from biomark.formats import Reject
    from biomark.generative.settings import Asking
    from biomark.prompted.settings import PromptOptions, ServerOptions
    from biomark.recognizers import Recognizer

_LONGEST = 4_096  # characters of a path
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
        help="The number of processes that find mentions; each of a model that needs torch or a server loads its own.",
        min=1,
        rich_help_panel=_PANEL,
    ),
]
EngineOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Where mentions are found: local, in processes of this machine; ray, in actors of Ray.",
        rich_help_panel=_PANEL,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="The address of the Ray cluster for --engine ray; auto: the cluster on this machine. Default: the "
        "variable RAY_ADDRESS, or a temporary Ray started for this command.",
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
    if run is None and replace(options, progress=None) != RunOptions():
        raise UsageError("`shard` and `json_progress` are settings of a run into a folder; add --run FOLDER")
    if run is not None and (output is not None or dry_run):
        raise UsageError("--run FOLDER is the output; leave out -o and --dry-run")


def check_engine(
    engine: str, workers: int, address: str | None, settings: Settings, *, once: Mapping[str, bool]
) -> None:
    """Check the options of `--engine` and `--workers`.

    Args:
        engine: the name of the engine.
        workers: the number of workers.
        address: the value of `--address`.
        settings: the settings of the command.
        once: whether each option is set that needs a single process, by its name.

    Raises:
        UsageError: if they do not agree.
    """
    if engine not in (LOCAL, RAY):
        raise UsageError(f"unknown `engine` {engine!r}; choose from {LOCAL}, {RAY}")
    if engine == LOCAL and (address is not None or settings.ray != RayOptions()):
        raise UsageError("`address`, `actor_cpus` and `actor_gpus` apply to Ray; add --engine ray")
    alone = [name for name, is_set in {**once, "`budget`": bool(settings.server.budget)}.items() if is_set]
    if (engine == RAY or workers > 1) and alone:
        several = "--engine ray" if engine == RAY else "--workers"
        raise UsageError(
            f"leave out {' and '.join(alone)}: with {several}, prompts are written and counted in several processes"
        )


def in_processes(
    model: str, settings: Settings, store: Path | None, workers: int, reject: Reject
) -> ParallelRecognizer[Process]:
    """Return a recognizer that runs a model in several processes of this machine.

    Args:
        model: the model's name.
        settings: of the model.
        store: the term store of the model.
        workers: the number of processes.
        reject: is called with each part of the demonstrations that cannot be read.

    Raises:
        BiomarkError: if the model cannot be loaded.
    """
    from biomark.annotation.processes import Processes, SeparateProcesses
    from biomark.annotation.workers import ParallelRecognizer

    load = partial(_load, model, settings.generative, store, settings.prompt, settings.server)
    if not _is_light(model):
        return ParallelRecognizer(SeparateProcesses(load, workers, reject=reject))
    return ParallelRecognizer(Processes(partial(load, reject), workers, shared=store is None))


def on_ray(
    model: str, settings: Settings, store: Path | None, cluster: tuple[int, str | None], reject: Reject
) -> ParallelRecognizer[Actor]:
    """Return a recognizer that runs a model in actors of Ray.

    Args:
        model: the model's name.
        settings: the settings of the model and of the actors.
        store: the term store of the model.
        cluster: the number of actors, and the address; see `biomark.annotation.actors.Actors`.
        reject: is called with each part of the demonstrations that cannot be read.

    Raises:
        MissingExtraError: if Ray is not installed.
        BiomarkError: if the cluster does not answer, or a worker cannot load the model.
    """
    from biomark import models
    from biomark.annotation.actors import Actors, Setup
    from biomark.annotation.workers import ParallelRecognizer

    load = partial(_load, model, settings.generative, store, settings.prompt, settings.server)
    setup = Setup(load, model, models.checksum(model), _files(model, store, settings))
    heavy = not _is_light(model) and not models.asks_server(model)
    workers, address = cluster
    actors = Actors(setup, workers, address=address, options=settings.ray, heavy=heavy, reject=reject, report=say)
    return ParallelRecognizer(actors)


def _load(
    model: str, asking: Asking, store: Path | None, prompts: PromptOptions, server: ServerOptions, reject: Reject
) -> Recognizer:
    """Load a model, and the demonstrations of a prompted one, in a worker."""
    from biomark import models

    recognizer = models.load(model, asking, store, models.Prompting(prompts, server, reject=reject))
    for part in models.prompted(recognizer):
        part.read_examples()  # now, so that what they reject is reported once
    return recognizer


def _files(model: str, store: Path | None, settings: Settings) -> tuple[str, ...]:
    """Return the files and folders outside of biomark that a model and its settings name."""
    from biomark import models

    tables = (settings.prompt, settings.server, settings.generative)
    values = [str(getattr(table, f.name)) for table in tables for f in fields(table) if f.name != "cache"]
    names = [model, *models.TOGETHER.split(model), str(store or ""), *values]
    parts = [part.strip() for name in names for part in (name, *name.split(","))]
    paths = {Path(part) for part in parts if part and len(part) < _LONGEST and "\n" not in part}
    runs = {models.RUNS / part for part in models.TOGETHER.split(model)}
    return tuple(sorted(str(path) for path in paths | runs if path.exists()))


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
