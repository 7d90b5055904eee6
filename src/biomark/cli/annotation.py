"""Mentions in texts, and annotated texts from one format to another."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from biomark import completion
from biomark.cli.common import (
    LLM,
    SERVERS,
    From,
    Progress,
    Rejects,
    To,
    check_record,
    echo,
    say,
    tell_lost,
    write_record,
)
from biomark.options import from_options, typer_options
from biomark.settings import PromptOptions, ServerOptions
from biomark.spans import Document, Rejected

if TYPE_CHECKING:
    from biomark.recognizers.prompted import PromptedRecognizer


@typer_options(PromptOptions, panel=LLM)
@typer_options(ServerOptions, panel=SERVERS)
def annotate(
    context: typer.Context,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUT", help="Files, folders, splits such as bc5cdr:test; - or none: standard input."),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="OUT", help="A file; FOLDER/ for a file per input.")
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="A model's name or folder, dictionary, given, or A+B for both.", autocompletion=completion.models
        ),
    ] = "default",
    store: Annotated[Path | None, typer.Option(help="The term store of --model dictionary, or of --ontology.")] = None,
    normalize: Annotated[
        Path | None, typer.Option(metavar="STORE", help="Give mentions identifiers from a term store.")
    ] = None,
    identifiers: Annotated[
        list[str] | None,
        typer.Option(metavar="[TYPE=]A,B", help="Namespaces of --normalize, best first; else as corpora have them."),
    ] = None,
    min_identifier_score: Annotated[
        float | None, typer.Option(help="Of --normalize: give no identifier that is less likely.", min=0, max=1)
    ] = None,
    types: Annotated[
        str | None, typer.Option(help="Such as disease,chemical; all by default.", autocompletion=completion.types)
    ] = None,
    from_: From = None,
    to: To = None,
    min_score: Annotated[
        float | None, typer.Option(help="Leave out mentions with a lower score; else as the model says.", min=0, max=1)
    ] = None,
    skip: Annotated[
        str,
        typer.Option(metavar="PARTS", help="Parts that get no mentions, such as references,table (kinds of passages)."),
    ] = "",
    decoding: Annotated[
        str, typer.Option(help="Of a generative model: marks (faithful) or generate (as in the paper).")
    ] = "marks",
    drafter: Annotated[
        str | None, typer.Option(help="A model, such as default, whose mentions make a generative model faster.")
    ] = None,
    batch: Annotated[int, typer.Option(help="Sentences that a generative model is asked about at once.")] = 16,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show the prompts and count their tokens; ask nothing.", rich_help_panel=LLM),
    ] = False,
    record: Annotated[
        Path | None, typer.Option(help="Write how the model was asked, and what it cost.", rich_help_panel=LLM)
    ] = None,
    progress: Progress = None,
    **settings: Any,
) -> None:
    """Find mentions in texts and write them down, or show them.

    Standard input is plain text unless --from says otherwise.

    Without -o, mentions are shown in the terminal; a pipe gets the input's format (jsonl for plain text).
    """
    if not inputs and sys.stdin.isatty():
        echo(context.get_help())
        raise typer.Exit(2)
    from biomark import models
    from biomark.annotate import input_named, plan, run, size
    from biomark.progress import progress_bar

    given = [input_named(name) for name in inputs or ["-"]]
    output = None if output == "-" else output
    screen = output is None and sys.stdout.isatty()
    jobs = plan(given, output, from_=from_, to=to, screen=screen)
    rejects, lost = Rejects(), Counter[str]()
    check_record(record)
    prompts, server = from_options(PromptOptions, settings), from_options(ServerOptions, settings)
    prompting = models.Prompting(prompts, server, echo if dry_run else None, rejects)
    recognizer = models.load(model, models.Asking(decoding, drafter, batch), store, prompting)
    prompted = models.prompted(recognizer)
    if normalize is not None or identifiers or min_identifier_score is not None:
        recognizer = models.normalizing(recognizer, normalize, identifiers or [], min_identifier_score)
        lost = recognizer.left_out
    shown = sys.stderr.isatty() and not screen if progress is None else progress
    if dry_run:
        jobs = tuple(replace(job, output=Path(os.devnull), format="jsonl") for job in jobs)
    try:
        for job in jobs:
            total = sum(map(size, job.inputs))
            with progress_bar(str(job.output or "annotating"), total, shown=shown and not dry_run) as step:
                lost += run(
                    job,
                    recognizer,
                    from_=from_,
                    types=types,
                    min_score=min_score,
                    skip=skip,
                    reject=_nothing if dry_run else rejects,
                    progress=step,
                )
    finally:
        _tell_cost(prompted, record, dry_run=dry_run)
    tell_lost(lost)
    rejects.exit()


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
    progress: Progress = None,
) -> None:
    """Convert a corpus from one format to another."""
    from biomark import formats
    from biomark.annotate import input_named, read_input, size
    from biomark.progress import progress_bar

    rejects = Rejects()
    given = input_named(input)
    source, read = read_input(given, from_, rejects)
    shown = sys.stderr.isatty() and output != "-" if progress is None else progress
    with progress_bar(output, size(given), shown=shown) as step:

        def documents() -> Iterator[Document]:
            for document in read:
                yield document
                step(source.position())

        lost = formats.write(documents(), sys.stdout.buffer if output == "-" else output, to, reject=rejects)
    tell_lost(lost)
    rejects.exit()
