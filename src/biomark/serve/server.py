"""The server: it loads the models, listens on a socket, and runs the service until a signal ends it."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from biomark import models
from biomark.errors import UsageError
from biomark.serve.app import ServedModel, Service
from biomark.serve.settings import ServeOptions

_BACKLOG = 2048  # the most connections that wait to be accepted
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def load(
    names: Sequence[str], *, store: Path | None = None, normalize: Path | None = None, identifiers: Sequence[str] = ()
) -> dict[str, ServedModel]:
    """Load the models of a service.

    Args:
        names: the models' names; see `biomark.models.load`.
        store: the term store of `dictionary`.
        normalize: the term store from which mentions get identifiers.
        identifiers: the namespaces of identifiers; see `biomark.models.normalizing`.

    Returns:
        The models by name.

    Raises:
        UsageError, ModelError, KnowledgeError, MissingExtraError: see `biomark.models.load`.
    """
    takes_store = {name: models.DICTIONARY in models.TOGETHER.split(name) for name in names}
    if store is not None and not any(takes_store.values()):
        raise UsageError(f"`store` applies to the models dictionary and default+dictionary; not to {', '.join(names)}")
    loaded: dict[str, ServedModel] = {}
    for name in names:
        recognizer = models.load(name, store=store if takes_store[name] else None)
        normalizes = normalize is not None or bool(identifiers)
        loaded[name] = ServedModel(
            recognizer, models.normalizing(recognizer, normalize, identifiers) if normalizes else None
        )
    return loaded


def serve(service: Service, options: ServeOptions, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C, and answer the requests accepted by then. A second Ctrl-C ends the server at once.

    Args:
        service: the service to run.
        options: the host and the port.
        say: is called with the address once requests are accepted, and with the numbers of requests at the end.

    Raises:
        UsageError: if the server cannot listen at the address.
    """
    opened = listening(options.host, options.port)
    host, port = opened.getsockname()[:2]
    server = _SignalServer(
        uvicorn.Config(
            service.asgi,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,  # it would contain paths, and a client may put anything into a path
            server_header=False,
            backlog=_BACKLOG,
        )
    )
    say(f"biomark is served at http://{f'[{host}]' if ':' in host else host}:{port}/ (Ctrl-C or SIGTERM ends it)")
    try:
        server.run(sockets=[opened])
    finally:
        opened.close()
        service.worker.close()
    say(f"ended; {service.asgi.answered:,} of {service.asgi.accepted:,} accepted requests were answered")


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address.

    Args:
        host: a host name or an IP address.
        port: the port; 0: any free port.

    Raises:
        UsageError: if the address is unknown or in use.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((str(address[0]), int(address[1])), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"cannot listen at {host}, port {port}: {reason}; change `host` or `port`") from error


class _SignalServer(uvicorn.Server):
    """A server of uvicorn that returns after a signal instead of ending the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals as uvicorn does, but do not raise them again at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
