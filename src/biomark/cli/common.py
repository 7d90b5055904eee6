"""What commands share: options, and what is said where."""

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
# What JSON need not escape and a terminal would obey.
_UNSAFE = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


_FIELD = re.compile(r"`(?P<name>[a-z0-9_ ]+)(?:=(?P<value>[^`]+))?`")
_OTHER_NAMES = {"input format": "from", "output format": "to", "source": "from"}
_RUNNING: dict[str, str] = {}


class Rejects:
    """Collects what readers and recognizers could not use: told on standard error as it comes."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, rejected: Rejected) -> None:
        """Tell of one."""
        self.count += 1
        say(f"rejected: {rejected}")

    def exit(self) -> None:
        """End the command with status 1 if anything was rejected."""
        if self.count:
            say(f"{self.count} rejected, all else is done")
            raise typer.Exit(1)


_READ = (
    "pubtator, bioc_xml, bioc_json, brat, i2b2, conll, bc2gm, jsonl, doccano, prodigy, langextract, bern2, "
    "pubannotation, json, parquet, archive, medline_xml, jats_xml, marked, lines, text"
)
_WRITTEN = "pubtator, bioc_xml, bioc_json, brat, i2b2, conll, bc2gm, jsonl, parquet, text, csv, tsv, html, terminal"
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="FORMAT",
        help=f"The input's format, else guessed: {_READ}.",
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
Lines = Annotated[bool, typer.Option("--lines", help="Each line of the input is a document: --from lines.")]
Encoding = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="The input's encoding, such as latin-1; else UTF-8, or as a byte order mark says."
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")]
STORES = "Term stores and identifiers"
Progress = Annotated[bool | None, typer.Option("--progress/--no-progress", help="Default: only in a terminal.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def reading(from_: str | None, encoding: str | None, *, lines: bool) -> tuple[str | None, str | None]:
    """The format and the encoding that options name.

    Raises:
        UsageError: if they contradict each other, or there is no such encoding.
    """
    from biomark.formats.encodings import encoding_named

    if lines and from_ not in (None, "lines"):
        raise UsageError(f"--lines is --from lines; leave out one of --lines and --from {from_}")
    return "lines" if lines else from_, None if encoding is None else encoding_named(encoding)


def tell(notes: Iterable[str]) -> None:
    """What a reader of the results should know."""
    for note in notes:
        say(f"note: {note}")


def tell_lost(lost: Mapping[str, int]) -> None:
    """What could not be written or used, by kind."""
    for what, count in lost.items():
        say(f"left out: {count} {what}")


def check_output(output: Path, inputs: Iterable[str]) -> None:
    """Whether a command would overwrite what it reads."""
    if any(Path(name).exists() and Path(name).resolve() == output.resolve() for name in inputs):
        raise UsageError(f"{output}: is input and output at once; write somewhere else")


def check_record(file: Path | None) -> None:
    """Whether a record can be written there, before anything is paid for."""
    if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
        raise UsageError(f"--record {file}: cannot be written there; name a file in a folder that is there")


def print_json(facts: object, *, indent: int | None = None) -> None:
    """One JSON value on standard output."""
    text = json.dumps(facts, indent=indent, ensure_ascii=False)
    typer.echo(_UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


def write_record(file: Path, facts: object) -> None:
    """How a language model was asked, as JSON."""
    try:
        file.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")
    except OSError as error:
        raise FormatError(f"--record {file}: cannot be written: {error.strerror}") from error


def print_out(shown: RenderableType) -> None:
    """A table or the like, on standard output; wider than the terminal if words would be cut otherwise."""
    from rich.console import Console
    from rich.measure import Measurement
    from rich.segment import Segment, Segments

    console = Console(markup=False)
    least = Measurement.get(console, console.options.update(width=_WIDEST), shown).minimum
    console = Console(width=max(console.width, least), markup=False)
    console.print(Segments(Segment(visible(s.text), s.style) for s in console.render(shown)), end="")


def echo(message: str, *, err: bool = False) -> None:
    """A line on standard output, or on standard error: the one way by which lines reach a terminal.

    Whatever files have put into it, no control character of theirs is in it.
    """
    typer.echo(visible(message), err=err)


def say(message: str) -> None:
    """A line on standard error, so that standard output has results alone; fields become options of the command."""
    echo(with_options(message, _RUNNING), err=True)


def use_options(options: Mapping[str, str]) -> None:
    """Remember the options of the command that runs, for messages.

    Args:
        options: by the name of the field that each one sets.
    """
    _RUNNING.clear()
    _RUNNING.update(options)


def with_options(message: str, options: Mapping[str, str]) -> str:
    """A message of the library in the words of the command line.

    The library names fields, `` `min_score` `` or `` `types=disease` ``; where the command has an option for the field,
    that is put in its place, `--min-score` or `--types disease`. A field without an option of its own stays as it is,
    unless it has a value and the command has `--set`.

    Args:
        message: of the library.
        options: of the command, by the name of the field.
    """

    def option(match: re.Match[str]) -> str:
        name, value = match["name"], match["value"]
        found = options.get(name) or options.get(_OTHER_NAMES.get(name, ""))
        if found is None and value is not None and (change := options.get("set")):
            found, value = change, f"{name}={value}"
        if found is None:
            return match[0]
        return found if value is None else f"{found} {shlex.quote(value)}"

    return _FIELD.sub(option, message)


def needs_extra(module: str, extra: str) -> Any:
    """Import a module that needs an extra; without it, say which."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(error.name or module, extra) from error
