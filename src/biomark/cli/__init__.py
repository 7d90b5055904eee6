"""The command line: reads options, calls the library, says what happened.

Results go to standard output or to files; progress and messages to standard error. Exit status:
0 done, 1 done with rejected documents (they are listed), 2 wrong usage or unreadable input.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from biomark import __version__
from biomark.cli import bench, data, knowledge, models
from biomark.cli.annotation import annotate, convert
from biomark.cli.common import echo, say
from biomark.cli.data import demonstrations, invent
from biomark.cli.models import export, train
from biomark.cli.scoring import compare, evaluate, reproduce
from biomark.errors import BiomarkError

app = typer.Typer(
    name="biomark",
    help="Find mentions of diseases, chemicals, genes and other types in biomedical text.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(wanted: bool) -> None:
    if wanted:
        echo(f"biomark {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


for command in (annotate, convert, demonstrations, invent, evaluate, compare, train, export, reproduce):
    app.command()(command)
for name, group in (("corpora", data.app), ("models", models.app), ("knowledge", knowledge.app), ("bench", bench.app)):
    app.add_typer(group, name=name)


def main() -> None:
    """Run the command line; an error of biomark's own, or such as a full disk, is one message and exit status 2."""
    try:
        app(prog_name="biomark")
    except (BiomarkError, OSError) as error:
        say(f"biomark: {error}")
        sys.exit(2)
