"""Mentions in texts, and annotated texts from one format to another."""

from __future__ import annotations

import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from biomark.cli import completion
from biomark.cli.common import (
    GENERATIVE,
    LLM,
    SERVERS,
    STORES,
    Encoding,
    From,
    Lines,
    Overwrite,
    Progress,
    Rejects,
    To,
    check_record,
    echo,
    reading,
    say,
    tell_lost,
    write_record,
)
from biomark.cli.runs import SHARD, JsonProgress, RunFolder, ShardSize, Workers, check_run, in_processes, run_job
from biomark.errors import UsageError
from biomark.prompted.settings import PromptOptions, ServerOptions
from biomark.runtime.interrupts import check, keeping
from biomark.runtime.options import from_options, typer_options
from biomark.runtime.progress import progress_bar
from biomark.spans import Document, Rejected

if TYPE_CHECKING:
    from biomark.annotation import Resuming
    from biomark.annotation.jobs import Job
    from biomark.formats import Reject
    from biomark.models import Prompting
    from biomark.prompted.recognizer import PromptedRecognizer

# Options on which what is found does not depend.
_HOW = frozenset(
    "inputs output run_folder workers json_progress shard progress overwrite record dry_run batch drafter lines "
    "concurrency timeout retries price_in price_out budget cache stream".split()
)


@typer_options(PromptOptions, panel=LLM)
@typer_options(ServerOptions, panel=SERVERS)
def annotate(
    context: typer.Context,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUT", help="Files, folders, splits such as bc5cdr:test; - or none: standard input."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="OUT", help="A file, whose name speaks for the format; FOLDER/: a file per input."
        ),
    ] = None,
    run_folder: RunFolder = None,
    to: To = None,
    types: Annotated[
        str | None,
        typer.Option(
            help="Some of disease, chemical, gene, species, cell_line, variant, problem, treatment, test (of the "
            "default model), with commas between them; by default all but the last three.",
            metavar="A,B",
            autocompletion=completion.types,
        ),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(help="Leave out mentions with a lower score; else as the model was made to do.", min=0, max=1),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="A model's name or folder, dictionary, given, or A+B for both.", autocompletion=completion.models
        ),
    ] = "default",
    overwrite: Overwrite = False,
    from_: From = None,
    lines: Lines = False,
    encoding: Encoding = None,
    progress: Progress = None,
    store: Annotated[
        Path | None,
        typer.Option(help="The term store of --model dictionary, or of --ontology.", rich_help_panel=STORES),
    ] = None,
    normalize: Annotated[
        Path | None,
        typer.Option(metavar="STORE", help="Give mentions identifiers from a term store.", rich_help_panel=STORES),
    ] = None,
    identifiers: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[TYPE=]A,B",
            help="Namespaces of --normalize, best first; else as corpora have them.",
            rich_help_panel=STORES,
        ),
    ] = None,
    min_identifier_score: Annotated[
        float | None,
        typer.Option(
            help="Of --normalize: give no identifier that is less likely.", min=0, max=1, rich_help_panel=STORES
        ),
    ] = None,
    skip: Annotated[
        str,
        typer.Option(metavar="PARTS", help="Parts that get no mentions, such as references,table (kinds of passages)."),
    ] = "",
    decoding: Annotated[
        str, typer.Option(help="marks (faithful) or generate (as in the paper).", rich_help_panel=GENERATIVE)
    ] = "marks",
    drafter: Annotated[
        str | None,
        typer.Option(
            help="A model, such as default, whose mentions make a generative model faster.", rich_help_panel=GENERATIVE
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option(help="Sentences that are asked about at once.", rich_help_panel=GENERATIVE)
    ] = 16,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show the prompts and count their tokens; ask nothing.", rich_help_panel=LLM),
    ] = False,
    record: Annotated[
        Path | None, typer.Option(help="Write how the model was asked, and what it cost.", rich_help_panel=LLM)
    ] = None,
    shard: ShardSize = SHARD,
    workers: Workers = 1,
    json_progress: JsonProgress = False,
    **settings: Any,
) -> None:
    """Find mentions in texts and write them down, or show them.

    Standard input is recognised as a file is; in no known format it is one text.

    Without -o, mentions are shown in the terminal; a pipe gets the input's format (jsonl for plain text).

    A run that is interrupted keeps what is finished in OUT.part; the same command goes on from there.

    For millions of documents, --run FOLDER writes shards and a manifest into a folder instead of one file.
    """
    _help_without(inputs, context)
    from biomark import models
    from biomark.annotation import Resuming, inputs_named, plan, run, size
    from biomark.annotation.runs import Plan

    from_, encoding = reading(from_, encoding, lines=lines)
    output = None if output == "-" else output
    check_run(run_folder, output, dry_run=dry_run, shard=shard, json_progress=json_progress)
    screen = output is None and sys.stdout.isatty()
    rejects, lost = Rejects(), Counter[str]()
    check_record(record)
    unread: list[Rejected] = []
    jobs = planned = plan(
        inputs_named(inputs or ["-"]),
        output,
        from_=from_,
        to=to or (None if run_folder is None else "jsonl"),
        screen=screen,
        encoding=encoding,
        reject=rejects if run_folder is None else unread.append,
    )
    resuming = Resuming(several=len(jobs) > 1, anew=overwrite, report=say)
    if dry_run:
        jobs = tuple(replace(job, output=Path(os.devnull), format="jsonl") for job in jobs)
    elif run_folder is not None or output is not None:
        resuming = replace(resuming, options=_options(context.params, model))
        jobs = jobs if run_folder is not None else _to_do(jobs, resuming)
    prompting = _prompting(settings, rejects, dry_run=dry_run)
    load = partial(models.load, model, models.Asking(decoding, drafter, batch), store, prompting)
    recognizer = load() if workers == 1 else in_processes(load, model, workers, shared=store is None)
    prompted = models.prompted(recognizer)
    if normalize is not None or identifiers or min_identifier_score is not None:
        recognizer = models.normalizing(recognizer, normalize, identifiers or [], min_identifier_score)
        lost = recognizer.left_out

    def work(job: Job) -> Counter[str]:
        if run_folder is not None:
            its = Plan(run_folder, job, types, min_score, skip, shard, tuple(unread))
            return run_job(its, recognizer, resuming, rejects, progress=progress, json_progress=json_progress)
        shown = (sys.stderr.isatty() and not screen if progress is None else progress) and not dry_run
        with progress_bar(str(job.output or "annotating"), sum(map(size, job.inputs)), shown=shown) as step:
            return run(
                job,
                recognizer,
                types=types,
                min_score=min_score,
                skip=skip,
                reject=_nothing if dry_run else rejects,
                progress=step,
                resuming=resuming,
            )

    try:
        lost.update(sum(map(work, jobs), Counter[str]()))
    finally:
        _tell_cost(prompted, record, dry_run=dry_run)
    _forget(planned)
    tell_lost(lost)
    rejects.exit()


def _help_without(inputs: list[str] | None, context: typer.Context) -> None:
    """Show the help where there is nothing to read."""
    if not inputs and sys.stdin.isatty():
        echo(context.get_help())
        raise typer.Exit(2)


def _prompting(settings: Mapping[str, Any], reject: Reject, *, dry_run: bool) -> Prompting:
    """How prompted models are asked."""
    from biomark import models

    prompts, server = from_options(PromptOptions, settings), from_options(ServerOptions, settings)
    return models.Prompting(prompts, server, echo if dry_run else None, reject)


def _options(parameters: Mapping[str, Any], model: str) -> dict[str, str]:
    """The options on which what is found depends, and what is in the files that they name, by name."""
    from biomark import models

    found = {
        "--" + name.strip("_").replace("_", "-"): str(value)
        for name, value in parameters.items()
        if name not in _HOW and value not in (None, [], ())
    }
    for name, value in parameters.items():
        if isinstance(value, Path) and value.is_file() and name not in _HOW:
            facts = value.stat()
            found["--" + name] += f" of {facts.st_size:,} bytes, changed at {facts.st_mtime_ns} ns"
    if "--extra" in found:  # may hold a key
        found["--extra"] = "checksum " + hashlib.sha256(found["--extra"].encode()).hexdigest()[:16]
    found["--model"] += f", checksum {models.checksum(model)}"
    return found


def _to_do(jobs: Sequence[Job], resuming: Resuming) -> tuple[Job, ...]:
    """The jobs that an earlier run of the same command has not done; none of them overwrites what it may not."""
    from biomark.annotation import facts_of, journal
    from biomark.annotation.jobs import check_outputs

    facts = {job.output: facts_of(job, resuming.options) for job in jobs if job.output is not None}
    check_outputs(jobs, facts, overwrite=resuming.anew)
    done = [output for output, some in facts.items() if output.exists() and journal.is_whole(output, some)]
    if done:
        say(f"{len(done)} of {len(jobs)} outputs were finished by the run before; this one goes on")
    return tuple(job for job in jobs if job.output not in done)


def _forget(jobs: Sequence[Job]) -> None:
    """Remove what says which outputs of a batch are whole, now that all are."""
    from biomark.annotation import journal

    for job in jobs:
        if job.batch and job.output is not None:
            journal.forget(job.output)


def _nothing(rejected: Rejected) -> None:
    """For a dry run, which has no answers and so nothing to reject."""


def _tell_cost(prompted: Sequence[PromptedRecognizer], record: Path | None, *, dry_run: bool) -> None:
    """What prompted models were asked, and what it cost."""
    for recognizer in prompted:
        tell_lost(recognizer.lost)
        counts = recognizer.counts
        if counts["unfaithful"] and not dry_run:
            say(f"{counts['unfaithful']:,} of {counts['answers']:,} answers changed the text or have another form")
        if recognizer.chat.account.counts:
            say(f"{'up to ' if dry_run else ''}{recognizer.chat.account}")
    if record is not None:
        write_record(record, [recognizer.facts() for recognizer in prompted])


def convert(
    input: Annotated[
        str, typer.Argument(help="A file or folder in any format that biomark reads, or a split; - for standard input.")
    ],
    output: Annotated[
        str, typer.Argument(help="Where to write; its name speaks for the format; - for standard output.")
    ],
    from_: From = None,
    to: To = None,
    lines: Lines = False,
    encoding: Encoding = None,
    overwrite: Overwrite = False,
    progress: Progress = None,
) -> None:
    """Convert a corpus from one format to another; into FOLDER/ with --to, each file of a folder by itself."""
    from biomark import formats
    from biomark.annotation.jobs import check_outputs, input_named, plan

    rejects = Rejects()
    from_, encoding = reading(from_, encoding, lines=lines)
    file = None if output == "-" else output
    if file is not None and to is None:
        to = formats.guess_format(Path(file), writing=True).name
    jobs = plan(
        [input_named(input)], file, from_=from_, to=to, screen=False, encoding=encoding, mentions=False, reject=rejects
    )
    if to is None:
        raise UsageError("say the format of standard output: --to pubtator, for instance")
    check_outputs(jobs, {}, overwrite=overwrite)
    shown = sys.stderr.isatty() and file is not None if progress is None else progress
    lost = sum((_converted(job, rejects, shown=shown) for job in jobs), Counter[str]())
    tell_lost(lost)
    rejects.exit()


def _converted(job: Job, rejects: Rejects, *, shown: bool) -> Counter[str]:
    """Convert a job's inputs; gives what could not be written."""
    from biomark import formats
    from biomark.annotation.jobs import Reader, size

    reader = Reader(job, rejects)
    documents = iter(reader)
    several = formats.FORMATS[job.format].in_pairs or (job.output is not None and job.output.is_dir())
    what = f"the documents written so far stay in {job.output}" if several else "nothing is kept"
    kept = nullcontext() if job.output is None else keeping(lambda: what)
    with kept, progress_bar(str(job.output or "converting"), sum(map(size, job.inputs)), shown=shown) as step:

        def counted() -> Iterator[Document]:
            for document in documents:
                check()
                yield document
                step(reader.position())

        if job.batch:  # a file that cannot be read makes no output
            first = next(documents, None)
            if first is None and reader.failed:
                return Counter()
            documents = chain([] if first is None else [first], documents)
        output = sys.stdout.buffer if job.output is None else job.output
        return formats.write(counted(), output, job.format, reject=rejects)
