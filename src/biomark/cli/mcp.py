"""`biomark mcp`: biomark as a tool of assistants."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from biomark.cli import completion
from biomark.cli.common import STORES, needs_extra


def mcp(
    model: Annotated[str, typer.Option(help="A model's name or folder.", autocompletion=completion.models)] = "default",
    store: Annotated[
        Path | None,
        typer.Option(help="A term store to search, which also assigns identifiers.", rich_help_panel=STORES),
    ] = None,
) -> None:
    """Serve assistants with the Model Context Protocol over standard input and output."""
    bridge = needs_extra("biomark.bridges.mcp", "mcp")
    bridge.make_server(bridge.Tools(model, store)).run("stdio")
