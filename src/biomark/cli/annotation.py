"""`biomark annotate` finds mentions in texts; `biomark convert` changes the format of annotated texts."""

from __future__ import annotations

import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from biomark.annotation.settings import LOCAL, RAY
from biomark.cli import completion
from biomark.cli.common import (
    STORES,
    Encoding,
    From,
    Lines,
    Overwrite,
    ProgressOption,
    Rejects,
    To,
    check_record,
    echo,
    reading,
    report_losses,
    say,
    write_record,
)
from biomark.cli.runs import (
    Address,
    EngineOption,
    RunFolder,
    Workers,
    check_engine,
    check_run,
    in_processes,
    on_ray,
    run_job,
)
from biomark.cli.settings import (
    LLM,
    BaseUrl,
    Changes,
    Demonstrations,
    Settings,
    SettingsFile,
    ShapeOption,
    load_settings,
)
from biomark.errors import UsageError
from biomark.runtime.interrupts import check, keeping
from biomark.spans import Document, Rejected

if TYPE_CHECKING:
    from biomark.annotation import Resuming
    from biomark.annotation.jobs import Job
    from biomark.annotation.settings import RunOptions
    from biomark.formats import Reject
    from biomark.prompted.recognizer import PromptedRecognizer
    from biomark.recognizers import Recognizer

# Options and settings that do not affect the mentions.
_WITHOUT_EFFECT = frozenset(
    "context inputs output run_folder workers engine address overwrite record dry_run "
    "lines settings set_ batch drafter concurrency timeout retries price_in price_out budget cache stream".split()
)
_TABLES = ("prompt", "server", "generative", "normalization", "run", "ray")


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotate:
    """Find mentions in texts and write or show them.

    The format of standard input is guessed as that of a file; input in no known format is one text.

    Without -o, mentions are shown in the terminal; a pipe gets the input's format (jsonl for plain text).

    An interrupted run keeps the finished documents in OUT.part; the same command continues from there.

    For millions of documents, --run FOLDER writes shards and a manifest into a folder instead of one file.
    """

    context: typer.Context
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT", help="Files, folders, splits such as bc5cdr:test; - or nothing for standard input."
        ),
    ] = None
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="A file, whose name determines the format, or FOLDER/ for a file per input.",
        ),
    ] = None
    run_folder: RunFolder = None
    to: To = None
    types: Annotated[
        str | None,
        typer.Option(
            help="Entity types, separated by commas. The default model knows disease, chemical, gene, species, "
            "cell_line, variant, problem, treatment, test; it finds all but the last three unless you list them.",
            metavar="A,B",
            autocompletion=completion.types,
        ),
    ] = None
    min_score: Annotated[
        float | None,
        typer.Option(help="Leave out mentions with a lower score. Default: the model's own threshold.", min=0, max=1),
    ] = None
    model: Annotated[
        str,
        typer.Option(
            help="A model's name or folder; dictionary (names of --store); given (the input's mentions); A+B for both.",
            autocompletion=completion.models,
        ),
    ] = "default"
    overwrite: Overwrite = False
    from_: From = None
    lines: Lines = False
    encoding: Encoding = None
    skip: Annotated[
        str,
        typer.Option(metavar="PARTS", help="Kinds of passages to leave without mentions, such as references,table."),
    ] = ""
    store: Annotated[
        Path | None,
        typer.Option(help="The term store of --model dictionary, or of the setting ontology.", rich_help_panel=STORES),
    ] = None
    normalize: Annotated[
        Path | None,
        typer.Option(
            metavar="STORE",
            help="Assign identifiers from a term store; see also the setting min_identifier_score.",
            rich_help_panel=STORES,
        ),
    ] = None
    identifiers: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[TYPE=]A,B",
            help="Namespaces of --normalize, the preferred one first. Default: those of the corpora.",
            rich_help_panel=STORES,
        ),
    ] = None
    base_url: BaseUrl = None
    shape: ShapeOption = None
    demonstrations: Demonstrations = None
    settings: SettingsFile = None
    set_: Changes = None
    workers: Workers = 1
    engine: EngineOption = LOCAL
    address: Address = None
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show the prompts and count their tokens; send nothing.", rich_help_panel=LLM),
    ] = False
    record: Annotated[
        Path | None, typer.Option(help="Write the settings of the model and its costs as JSON.", rich_help_panel=LLM)
    ] = None

    def __call__(self) -> None:
        """Run the command."""
        if not self.inputs and sys.stdin.isatty():
            echo(self.context.get_help())
            raise typer.Exit(2)
        from biomark import models

        rejects, lost = Rejects(), Counter[str]()
        check_record(self.record)
        settings = self._settings()
        check_run(self.run_folder, self.output, settings.run, dry_run=self.dry_run)
        once = {"--dry-run": self.dry_run, "--record": self.record is not None}
        check_engine(self.engine, self.workers, self.address, settings, once=once)
        unread: list[Rejected] = []
        planned = self._planned(rejects if self.run_folder is None else unread.append)
        jobs, resuming = self._unfinished(planned, settings)
        with ExitStack() as stack:
            recognizer = self._recognizer(settings, rejects, stack)
            prompted = models.prompted(recognizer)
            threshold = settings.normalization.min_identifier_score
            if self.normalize is not None or self.identifiers or threshold is not None:
                recognizer = models.normalizing(recognizer, self.normalize, self.identifiers or [], threshold)
                lost = recognizer.left_out
            stack.callback(_report_costs, prompted, self.record, dry_run=self.dry_run)
            shown = settings.run.progress
            work = partial(self._annotate, recognizer=recognizer, resuming=resuming, rejects=rejects, progress=shown)
            if self.run_folder is not None:
                run = settings.run, tuple(unread)
                work = partial(self._annotate_into_folder, self.run_folder, run, recognizer, resuming, rejects)
            lost.update(sum(map(work, jobs), Counter[str]()))
        _forget(planned)
        report_losses(lost)
        rejects.exit()

    def _recognizer(self, settings: Settings, rejects: Rejects, stack: ExitStack) -> Recognizer:
        """Return the model's recognizer; what has to be closed is put on the stack."""
        from biomark import models

        if self.engine == RAY:
            actors = on_ray(self.model, settings, self.store, (self.workers, self.address), rejects)
            return stack.enter_context(actors)
        if self.workers > 1:
            return stack.enter_context(in_processes(self.model, settings, self.store, self.workers, rejects))
        prompting = models.Prompting(settings.prompt, settings.server, echo if self.dry_run else None, rejects)
        return models.load(self.model, settings.generative, self.store, prompting)

    def _annotate_into_folder(
        self,
        folder: Path,
        run: tuple[RunOptions, tuple[Rejected, ...]],
        recognizer: Recognizer,
        resuming: Resuming,
        rejects: Rejects,
        job: Job,
    ) -> Counter[str]:
        """Annotate a job's inputs into a folder; return what could not be written, as counts by kind."""
        from biomark.annotation.runs import Plan

        options, unread = run
        plan = Plan(folder, job, self.types, self.min_score, self.skip, options.shard, unread)
        progress, json_progress = options.progress, options.json_progress
        return run_job(plan, recognizer, resuming, rejects, progress=progress, json_progress=json_progress)

    def _settings(self) -> Settings:
        options = {
            "base_url": self.base_url,
            "shape": self.shape,
            "demonstrations": self.demonstrations,
        }
        return load_settings(self.settings, self.set_ or [], _TABLES, options)

    @property
    def _screen(self) -> bool:
        return self.output in (None, "-") and self.run_folder is None and sys.stdout.isatty()

    def _planned(self, reject: Reject) -> tuple[Job, ...]:
        from biomark.annotation import inputs_named, plan

        from_, encoding = reading(self.from_, self.encoding, lines=self.lines)
        return plan(
            inputs_named(self.inputs or ["-"]),
            None if self.output == "-" else self.output,
            from_=from_,
            to=self.to or (None if self.run_folder is None else "jsonl"),
            screen=self._screen,
            encoding=encoding,
            reject=reject,
        )

    def _unfinished(self, jobs: tuple[Job, ...], settings: Settings) -> tuple[tuple[Job, ...], Resuming]:
        """Return the jobs that no earlier run has finished, and how they continue such a run."""
        from biomark.annotation import Resuming

        resuming = Resuming(several=len(jobs) > 1, anew=self.overwrite, report=say)
        if self.dry_run:
            return tuple(replace(job, output=Path(os.devnull), format="jsonl") for job in jobs), resuming
        if self.output in (None, "-") and self.run_folder is None:
            return jobs, resuming
        resuming = replace(resuming, options=_options(self, settings))
        return (jobs if self.run_folder is not None else _to_do(jobs, resuming)), resuming

    def _annotate(
        self, job: Job, recognizer: Recognizer, resuming: Resuming, rejects: Rejects, *, progress: bool | None
    ) -> Counter[str]:
        """Annotate a job's inputs; return what could not be written, as counts by kind."""
        from biomark.annotation import run, size
        from biomark.runtime.progress import progress_bar

        shown = sys.stderr.isatty() and not self._screen if progress is None else progress
        total = sum(map(size, job.inputs))
        with progress_bar(str(job.output or "annotating"), total, shown=shown and not self.dry_run) as step:
            return run(
                job,
                recognizer,
                types=self.types,
                min_score=self.min_score,
                skip=self.skip,
                reject=_ignore if self.dry_run else rejects,
                progress=step,
                resuming=resuming,
            )


def _options(command: Annotate, settings: Settings) -> dict[str, str]:
    """Return the options and settings that affect the mentions, with size and time of the files that they name."""
    from biomark import models

    values = {f.name: getattr(command, f.name) for f in fields(command)}
    tables = (settings.prompt, settings.server, settings.generative, settings.normalization)
    keys = {f.name: getattr(table, f.name) for table in tables for f in fields(table)}
    used = {
        f"--{name.strip('_').replace('_', '-')}": value
        for name, value in values.items()
        if name not in {*_WITHOUT_EFFECT, *keys}
    }
    used |= {name: value for name, value in keys.items() if name not in _WITHOUT_EFFECT}
    options = {name: str(value) for name, value in used.items() if value not in (None, [], (), "")}
    for name, value in used.items():
        if isinstance(value, Path) and value.is_file():
            facts = value.stat()
            options[name] += f" of {facts.st_size:,} bytes, changed at {facts.st_mtime_ns} ns"
    if "extra" in options:  # may contain an API key
        options["extra"] = "checksum " + hashlib.sha256(options["extra"].encode()).hexdigest()[:16]
    options["--model"] += f", checksum {models.checksum(command.model)}"
    return options


def _to_do(jobs: Sequence[Job], resuming: Resuming) -> tuple[Job, ...]:
    """Return the jobs that no earlier run of the same command has finished.

    Raises:
        UsageError: if a job would overwrite a file without --overwrite.
    """
    from biomark.annotation import facts_of, journal
    from biomark.annotation.jobs import check_outputs

    facts = {job.output: facts_of(job, resuming.options) for job in jobs if job.output is not None}
    check_outputs(jobs, facts, overwrite=resuming.anew)
    done = [output for output, its_facts in facts.items() if output.exists() and journal.is_whole(output, its_facts)]
    if done:
        say(f"an earlier run finished {len(done)} of {len(jobs)} outputs; this run continues it")
    return tuple(job for job in jobs if job.output not in done)


def _forget(jobs: Sequence[Job]) -> None:
    """Remove the records of which outputs are complete, now that all are."""
    from biomark.annotation import journal

    for job in jobs:
        if job.output is not None:
            journal.forget(job.output)


def _ignore(rejected: Rejected) -> None:
    """Ignore a reject: a dry run has no answers, so its rejects mean nothing."""


def _report_costs(prompted: Sequence[PromptedRecognizer], record: Path | None, *, dry_run: bool) -> None:
    """Report the answers and costs of prompted models, and write them to the record."""
    for recognizer in prompted:
        report_losses(recognizer.lost)
        counts = recognizer.counts
        if counts["unfaithful"] and not dry_run:
            say(
                f"{counts['unfaithful']:,} of {counts['answers']:,} answers changed the text "
                "or do not have the requested form"
            )
        if recognizer.chat.account.counts:
            say(f"{'up to ' if dry_run else ''}{recognizer.chat.account}")
    if record is not None:
        write_record(record, [recognizer.facts() for recognizer in prompted])


def convert(
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT", help="A file or folder in any readable format, or a split; - for standard input."
        ),
    ],
    output: Annotated[
        str,
        typer.Argument(
            metavar="OUTPUT", help="The file to write, whose name determines the format; - for standard output."
        ),
    ],
    from_: From = None,
    to: To = None,
    lines: Lines = False,
    encoding: Encoding = None,
    overwrite: Overwrite = False,
    progress: ProgressOption = None,
) -> None:
    """Convert a corpus from one format to another; with FOLDER/ and --to, each file of a folder separately."""
    from biomark import formats
    from biomark.annotation.jobs import check_outputs, input_named, plan

    rejects = Rejects()
    from_, encoding = reading(from_, encoding, lines=lines)
    file = None if output == "-" else output
    if file is not None and to is None:
        to = formats.guess_format(Path(file), writing=True).name
    jobs = plan(
        [input_named(source)], file, from_=from_, to=to, screen=False, encoding=encoding, mentions=False, reject=rejects
    )
    if to is None:
        raise UsageError("name the format of standard output, for instance --to pubtator")
    check_outputs(jobs, {}, overwrite=overwrite)
    shown = sys.stderr.isatty() and file is not None if progress is None else progress
    lost = sum((_convert(job, rejects, shown=shown) for job in jobs), Counter[str]())
    report_losses(lost)
    rejects.exit()


def _convert(job: Job, rejects: Rejects, *, shown: bool) -> Counter[str]:
    """Convert a job's inputs; return what could not be written, as counts by kind."""
    from biomark import formats
    from biomark.annotation.jobs import Reader, size
    from biomark.runtime.progress import progress_bar

    reader = Reader(job, rejects)
    documents = iter(reader)
    several = formats.FORMATS[job.format].in_pairs or (job.output is not None and job.output.is_dir())
    notice = f"the documents written so far stay in {job.output}" if several else "nothing is kept"
    kept = nullcontext() if job.output is None else keeping(lambda: notice)
    with kept, progress_bar(str(job.output or "converting"), sum(map(size, job.inputs)), shown=shown) as step:

        def counted() -> Iterator[Document]:
            for document in documents:
                check()
                yield document
                step(reader.position())

        if job.batch:  # an unreadable file gets no output
            first = next(documents, None)
            if first is None and reader.failed:
                return Counter()
            documents = chain([] if first is None else [first], documents)
        output = sys.stdout.buffer if job.output is None else job.output
        return formats.write(counted(), output, job.format, reject=rejects)
