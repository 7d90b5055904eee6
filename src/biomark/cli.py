"""The command line: reads options, calls the library, says what happened.

Results go to standard output or to files; progress and messages to standard error. Exit status:
0 done, 1 done with rejected documents (they are listed), 2 wrong usage or unreadable input.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from biomark import __version__
from biomark.errors import BiomarkError
from biomark.spans import Rejected

app = typer.Typer(
    name="biomark",
    help="Find mentions of diseases, chemicals, genes and other types in biomedical text.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


class Rejects:
    """Collects what readers and recognizers could not use: told on standard error as it comes."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, rejected: Rejected) -> None:
        self.count += 1
        typer.echo(f"rejected: {rejected}", err=True)

    def exit(self) -> None:
        """End the command with status 1 if anything was rejected."""
        if self.count:
            typer.echo(f"{self.count} rejected, all else is done", err=True)
            raise typer.Exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"biomark {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    pass


@app.command()
def convert(
    input: Annotated[Path, typer.Argument(help="A file or folder in any format that biomark reads.")],
    output: Annotated[Path, typer.Argument(help="Where to write; its name speaks for the format.")],
    from_: Annotated[str | None, typer.Option("--from", help="The input's format.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="The output's format.")] = None,
) -> None:
    """Convert a corpus from one format to another."""
    from biomark import formats

    rejects = Rejects()
    lost = formats.write(formats.read(input, from_, reject=rejects), output, to)
    for what, count in lost.items():
        typer.echo(f"left out: {count} {what}", err=True)
    rejects.exit()


def main() -> None:
    """Run the command line; an error of biomark's own is one message and exit status 2."""
    try:
        app()
    except BiomarkError as error:
        typer.echo(f"biomark: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
