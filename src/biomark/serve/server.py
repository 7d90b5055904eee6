"""The service on a socket, until it is told to end."""

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
from biomark.serve.app import Model, Service
from biomark.serve.settings import ServeOptions

_BACKLOG = 2048  # connections that wait to be accepted
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def load(
    names: Sequence[str], *, store: Path | None = None, normalize: Path | None = None, identifiers: Sequence[str] = ()
) -> dict[str, Model]:
    """The models to serve, by name.

    Args:
        names: as `biomark.models.load` takes them.
        store: the term store of `dictionary`.
        normalize: the term store that gives identifiers.
        identifiers: see `biomark.models.normalizing`.

    Raises:
        UsageError, ModelError, KnowledgeError, MissingExtraError: as `biomark.models.load`.
    """
    takes_store = {name: models.DICTIONARY in models.TOGETHER.split(name) for name in names}
    if store is not None and not any(takes_store.values()):
        raise UsageError(f"`store` is for the models dictionary and default+dictionary, not for {', '.join(names)}")
    found: dict[str, Model] = {}
    for name in names:
        recognizer = models.load(name, store=store if takes_store[name] else None)
        wanted = normalize is not None or bool(identifiers)
        found[name] = Model(recognizer, models.normalizing(recognizer, normalize, identifiers) if wanted else None)
    return found


def serve(service: Service, options: ServeOptions, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; what was accepted by then is answered. A second Ctrl-C ends it at once.

    Args:
        say: is called with the address once requests are accepted, and with what was done at the end.

    Raises:
        UsageError: if the address cannot be listened at.
    """
    opened = listening(options.host, options.port)
    host, port = opened.getsockname()[:2]
    server = _Server(
        uvicorn.Config(
            service.asgi,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,  # it would hold paths, and with them whatever a client puts there
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
    """A socket that listens.

    Args:
        host: a name or an address.
        port: 0: any free one.

    Raises:
        UsageError: if it cannot.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((str(address[0]), int(address[1])), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"cannot listen at {host}, port {port}: {reason}; see `host` and `port`") from error


class _Server(uvicorn.Server):
    """uvicorn, which takes a signal to be the end of its work and not that of the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """See uvicorn, which would raise the signal again at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
