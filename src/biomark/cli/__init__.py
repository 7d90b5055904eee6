"""The command line: reads options, calls the library, says what happened.

Results go to standard output or to files; progress and messages to standard error. Exit status:
0 done, 1 done with rejected documents (they are listed), 2 wrong usage or unreadable input, 130 or 143
interrupted (Ctrl-C, SIGTERM).
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from biomark import __version__
from biomark.cli import bench, data, knowledge, models
from biomark.cli.annotation import Annotate, convert
from biomark.cli.common import echo, say, use_options
from biomark.cli.data import Invent, demonstrations
from biomark.cli.mcp import mcp
from biomark.cli.models import export, train
from biomark.cli.scoring import Evaluate, Reproduce, compare
from biomark.cli.serve import Serve
from biomark.cli.settings import settings
from biomark.errors import BiomarkError
from biomark.runtime.interrupts import Interrupted, handled


def options_of(command: TyperCommand) -> dict[str, str]:
    """The options of a command in their long spelling, by the name of the field that each sets."""
    options = (parameter for parameter in command.params if parameter.param_type_name == "option")
    return {str(option.name).strip("_"): max(option.opts, key=len) for option in options}


class _Command(TyperCommand):
    """A command whose help shows switches without the type that they do not take, and whose messages name options."""

    def invoke(self, ctx: Any) -> Any:
        use_options(options_of(self))
        return super().invoke(ctx)

    def get_params(self, ctx: typer.Context) -> list[object]:  # type: ignore[override]
        found = super().get_params(ctx)
        for parameter in found:
            if getattr(parameter, "is_flag", False):
                parameter.metavar = ""
        return found  # type: ignore[return-value]


def _run(command: object, **options: object) -> None:
    """Run a command of many options, which is a dataclass of them; other commands are functions and have run.

    Args:
        command: the dataclass; None: a function has run.
        options: of `biomark` itself, which typer hands over as well.
    """
    if callable(command):
        command()


app = typer.Typer(
    name="biomark",
    result_callback=_run,
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


_COMMANDS: dict[str, Callable[..., object]] = {
    "annotate": Annotate,
    "convert": convert,
    "serve": Serve,
    "demonstrations": demonstrations,
    "invent": Invent,
    "settings": settings,
    "evaluate": Evaluate,
    "compare": compare,
    "train": train,
    "export": export,
    "reproduce": Reproduce,
    "mcp": mcp,
}
for command_name, command in _COMMANDS.items():
    app.command(command_name, cls=_Command)(command)
for name, group in (("corpora", data.app), ("models", models.app), ("knowledge", knowledge.app), ("bench", bench.app)):
    for registered in group.registered_commands:
        registered.cls = _Command
    app.add_typer(group, name=name)


def main() -> None:
    """Run the command line; an error of biomark's own, or such as a full disk, is one message and exit status 2."""
    before = set(threading.enumerate())
    status = 0
    try:
        with handled():
            app(prog_name="biomark")
    except (BiomarkError, OSError) as error:
        say(f"biomark: {error}")
        status = 2
    except Interrupted as interrupted:
        status = interrupted.status
    # Here what was open is closed, since the error and all that it held are gone.
    if status > 2 and any(not thread.daemon for thread in set(threading.enumerate()) - before):
        os._exit(status)  # a model that runs in a thread does not hear of interrupts
    sys.exit(status)
