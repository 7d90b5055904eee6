"""The service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from biomark.cli import completion
from biomark.cli.common import STORES, needs_extra, say
from biomark.runtime.options import from_options, typer_options
from biomark.serve.settings import ServeOptions, token_of

_PANEL = "Address and limits"


@typer_options(ServeOptions, panel=_PANEL)
def serve(
    *,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A model, as biomark annotate takes it; repeatable, the first one is the default.",
            autocompletion=completion.models,
        ),
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="The term store of --model dictionary.", rich_help_panel=STORES)
    ] = None,
    normalize: Annotated[
        Path | None,
        typer.Option(
            metavar="STORE", help="Give mentions identifiers where requests ask for them.", rich_help_panel=STORES
        ),
    ] = None,
    identifiers: Annotated[
        list[str] | None,
        typer.Option(metavar="[TYPE=]A,B", help="Namespaces of --normalize, best first.", rich_help_panel=STORES),
    ] = None,
    **settings: Any,
) -> None:
    """Annotate and evaluate over HTTP, and show the page, until Ctrl-C or SIGTERM.

    The service listens on this machine alone unless --host says otherwise, and then needs a token.
    """
    options = from_options(ServeOptions, settings)
    token = token_of(options)
    server, app = needs_extra("biomark.serve.server", "serve"), needs_extra("biomark.serve.app", "serve")
    loaded = server.load(model or ["default"], store=store, normalize=normalize, identifiers=identifiers or ())
    server.serve(app.Service(loaded, options, token), options, say)
