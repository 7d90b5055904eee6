"""The command line: reads options, calls the library, reports results.

Results go to standard output or to files, progress and messages to standard error. Exit status:
0 success, 1 success with rejected documents (they are listed), 2 wrong usage or unreadable input, 130 or 143
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
    """Return the options of a command in their long spelling, by the name of the field that each one sets."""
    options = (parameter for parameter in command.params if parameter.param_type_name == "option")
    return {str(option.name).strip("_"): max(option.opts, key=len) for option in options}


class _Command(TyperCommand):
    """A command whose help lists switches without a type, and whose messages name options instead of fields."""

    def invoke(self, ctx: Any) -> Any:
        use_options(options_of(self))
        return super().invoke(ctx)

    def get_params(self, ctx: typer.Context) -> list[object]:  # type: ignore[override]
        parameters = super().get_params(ctx)
        for parameter in parameters:
            if getattr(parameter, "is_flag", False):
                parameter.metavar = ""
        return parameters  # type: ignore[return-value]


def _run(command: object, **options: object) -> None:
    """Run a command that is a dataclass of its options; typer has already run commands that are functions.

    Args:
        command: the dataclass; None if the command was a function.
        options: the options of `biomark` itself, which typer passes as well; ignored.
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


def _version(show: bool) -> None:
    if show:
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
    """Run the command line; report biomark's own errors and those of the system in one message, with exit status 2."""
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
    # All files are closed here: the exception and the frames that it referred to no longer exist.
    if status > 2 and any(not thread.daemon for thread in set(threading.enumerate()) - before):
        os._exit(status)  # a model that runs in a thread receives no interrupts
    sys.exit(status)
