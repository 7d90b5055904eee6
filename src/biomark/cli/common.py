"""The parts that commands share: options, checks, and the functions that write to the terminal."""

from __future__ import annotations

import importlib
import json
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from biomark.cli import completion
from biomark.errors import FormatError, MissingExtraError, UsageError
from biomark.screen import visible
from biomark.spans import Rejected

if TYPE_CHECKING:
    from rich.console import RenderableType


_WIDEST = 10_000  # characters
# Characters that JSON need not escape, but that a terminal would obey.
_UNSAFE = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


_FIELD = re.compile(r"`(?P<name>[a-z0-9_ ]+)(?:=(?P<value>[^`]+))?`")
_OTHER_NAMES = {"input format": "from", "output format": "to", "source": "from"}
_RUNNING: dict[str, str] = {}


class Rejects:
    """Count what readers and recognizers reject, and report each reject on standard error."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, rejected: Rejected) -> None:
        """Report a reject."""
        self.count += 1
        say(f"rejected: {rejected}")

    def exit(self) -> None:
        """End the command with status 1 if anything was rejected."""
        if self.count:
            say(f"{self.count} rejected, everything else is done")
            raise typer.Exit(1)


_READ = (
    "pubtator, bioc_xml, bioc_json, brat, i2b2, conll, bc2gm, chemdner, jsonl, doccano, prodigy, langextract, bern2, "
    "pubannotation, json, parquet, archive, medline_xml, jats_xml, marked, lines, text"
)
_WRITTEN = "pubtator, bioc_xml, bioc_json, brat, i2b2, conll, bc2gm, jsonl, parquet, text, csv, tsv, html, terminal"
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="FORMAT",
        help=f"The input's format: {_READ}. Default: guessed.",
        autocompletion=completion.read_formats,
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="FORMAT",
        help=f"The output's format: {_WRITTEN}.",
        autocompletion=completion.write_formats,
    ),
]
Lines = Annotated[bool, typer.Option("--lines", help="Read each line of the input as a document, like --from lines.")]
Encoding = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The input's encoding, such as latin-1. Default: UTF-8, or that of the byte order mark.",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")]
STORES = "Term stores and identifiers"
ProgressOption = Annotated[bool | None, typer.Option("--progress/--no-progress", help="Default: only in a terminal.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def reading(from_: str | None, encoding: str | None, *, lines: bool) -> tuple[str | None, str | None]:
    """Return the input's format and encoding as the options name them; None where they name none.

    Raises:
        UsageError: if the options contradict each other, or the encoding is unknown.
    """
    from biomark.formats.encodings import encoding_named

    if lines and from_ not in (None, "lines"):
        raise UsageError(f"--lines means --from lines; leave out --lines or --from {from_}")
    return "lines" if lines else from_, None if encoding is None else encoding_named(encoding)


def report_notes(notes: Iterable[str]) -> None:
    """Report notes on the results on standard error."""
    for note in notes:
        say(f"note: {note}")


def report_losses(lost: Mapping[str, int]) -> None:
    """Report on standard error how much could not be written or used, by kind."""
    for kind, count in lost.items():
        say(f"left out: {count} {kind}")


def check_output(output: Path, inputs: Iterable[str]) -> None:
    """Check that a command does not overwrite a file that it reads.

    Raises:
        UsageError: if it would.
    """
    if any(Path(name).exists() and Path(name).resolve() == output.resolve() for name in inputs):
        raise UsageError(f"{output}: is both input and output; choose another output")


def check_record(file: Path | None) -> None:
    """Check that a record can be written, before a run costs anything.

    Raises:
        UsageError: if it cannot.
    """
    if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
        raise UsageError(f"--record {file}: cannot be written; name a file in an existing folder")


def print_json(facts: object, *, indent: int | None = None) -> None:
    """Print one JSON value on standard output."""
    text = json.dumps(facts, indent=indent, ensure_ascii=False)
    typer.echo(_UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


def write_record(file: Path, facts: object) -> None:
    """Write the settings, counts and costs of a language model as JSON.

    Raises:
        FormatError: if the file cannot be written.
    """
    try:
        file.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")
    except OSError as error:
        raise FormatError(f"--record {file}: cannot be written: {error.strerror}") from error


def print_out(content: RenderableType) -> None:
    """Print a table or another object of Rich on standard output, wider than the terminal where words would be cut."""
    from rich.console import Console
    from rich.measure import Measurement
    from rich.segment import Segment, Segments

    console = Console(markup=False)
    least = Measurement.get(console, console.options.update(width=_WIDEST), content).minimum
    console = Console(width=max(console.width, least), markup=False)
    console.print(Segments(Segment(visible(s.text), s.style) for s in console.render(content)), end="")


def echo(message: str, *, err: bool = False) -> None:
    """Print a line on standard output or standard error, with control characters made visible.

    All lines reach the terminal through this function, so that no text of a file can control it.
    """
    typer.echo(visible(message), err=err)


def say(message: str) -> None:
    """Print a message on standard error, with options of the command in the place of fields."""
    echo(with_options(message, _RUNNING), err=True)


def use_options(options: Mapping[str, str]) -> None:
    """Remember the options of the running command, for messages.

    Args:
        options: the spelling of each option, by the name of the field that it sets.
    """
    _RUNNING.clear()
    _RUNNING.update(options)


def with_options(message: str, options: Mapping[str, str]) -> str:
    """Return a message of the library with options of the command line in the place of fields.

    The library names fields, `` `min_score` `` or `` `types=disease` ``. A field for which the command has an option is
    replaced by it: `--min-score` or `--types disease`. A field without an option of its own stays as it is,
    unless it has a value and the command has `--set`.

    Args:
        message: the message of the library.
        options: the spelling of each option of the command, by the name of the field that it sets.
    """

    def option(match: re.Match[str]) -> str:
        name, value = match["name"], match["value"]
        spelling = options.get(name) or options.get(_OTHER_NAMES.get(name, ""))
        if spelling is None and value is not None and (change := options.get("set")):
            spelling, value = change, f"{name}={value}"
        if spelling is None:
            return match[0]
        return spelling if value is None else f"{spelling} {shlex.quote(value)}"

    return _FIELD.sub(option, message)


def needs_extra(module: str, extra: str) -> Any:
    """Import a module that needs an extra.

    Raises:
        MissingExtraError: if the extra is not installed; the message names it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(error.name or module, extra) from error
