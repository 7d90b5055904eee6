"""`biomark serve`: the HTTP service."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from biomark.cli import completion
from biomark.cli.common import STORES, needs_extra, say
from biomark.cli.settings import option_of
from biomark.serve.settings import ServeOptions, token_of

_PANEL = "Address and limits"
_DEFAULT = ServeOptions()


def _limit(key: str) -> Any:
    return option_of(ServeOptions, key, panel=_PANEL, show_default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serve:
    """Serve annotation, evaluation and the web page over HTTP until Ctrl-C or SIGTERM.

    Only this machine can reach the service unless --host names another address; then the service needs a token.
    """

    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A model, as for biomark annotate; repeatable. The first one is the default.",
            autocompletion=completion.models,
        ),
    ] = None
    store: Annotated[
        Path | None, typer.Option(help="The term store of --model dictionary.", rich_help_panel=STORES)
    ] = None
    normalize: Annotated[
        Path | None,
        typer.Option(metavar="STORE", help="Assign identifiers where requests ask for them.", rich_help_panel=STORES),
    ] = None
    identifiers: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[TYPE=]A,B", help="Namespaces of --normalize, the preferred one first.", rich_help_panel=STORES
        ),
    ] = None
    host: Annotated[str, _limit("host")] = _DEFAULT.host
    port: Annotated[int, _limit("port")] = _DEFAULT.port
    token_file: Annotated[Path | None, _limit("token_file")] = _DEFAULT.token_file
    max_body: Annotated[int, _limit("max_body")] = _DEFAULT.max_body
    max_documents: Annotated[int, _limit("max_documents")] = _DEFAULT.max_documents
    max_characters: Annotated[int, _limit("max_characters")] = _DEFAULT.max_characters
    time_limit: Annotated[float, _limit("time_limit")] = _DEFAULT.time_limit
    queue: Annotated[int, _limit("queue")] = _DEFAULT.queue

    def __call__(self) -> None:
        """Run the service."""
        options = ServeOptions(**{f.name: getattr(self, f.name) for f in fields(ServeOptions)})
        token = token_of(options)
        server, app = needs_extra("biomark.serve.server", "serve"), needs_extra("biomark.serve.app", "serve")
        models = self.model or ["default"]
        loaded = server.load(models, store=self.store, normalize=self.normalize, identifiers=self.identifiers or ())
        server.serve(app.Service(loaded, options, token), options, say)
