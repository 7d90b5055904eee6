"""The guard in front of all routes: it checks the token and the limits on size, number and time of requests.

Errors that routes do not handle end here, as a problem for the client and a line in the log. The line has only the
class of the error and its place in the code, since messages may quote the request.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from biomark.serve.metrics import Metrics
from biomark.serve.problems import Problem
from biomark.serve.settings import ServeOptions

LOG = logging.getLogger("biomark.serve")
OPEN_TO_ALL = frozenset({"/", "/healthz", "/readyz", "/openapi.json"})
"""Paths that need no token; none of them discloses anything about requests."""
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
_MIB = 1 << 20
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'self' 'unsafe-inline' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


class Guard:
    """An ASGI middleware around the whole service.

    Args:
        app: the service.
        options: the limits.
        metrics: counts the answers.
        token: the token that requests must send; empty: requests need none.

    Attributes:
        accepted: the number of accepted requests with a body.
        answered: the number of these that have been answered, or whose clients have disconnected.
    """

    def __init__(self, app: ASGIApp, options: ServeOptions, metrics: Metrics, token: str) -> None:
        self._app = app
        self._options = options
        self._metrics = metrics
        self._token = token
        self.accepted = 0
        self.answered = 0
        self._seconds = 1.0  # moving average of the time of a request, for the header Retry-After

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(receive, send, self._options.max_body * _MIB)
        begin = time.monotonic()
        try:
            self._check(scope)
            with self._counted(scope):
                async with asyncio.timeout(self._options.time_limit):
                    await self._app(scope, exchange.receive, exchange.send)
        except Problem as problem:
            await exchange.give_up(scope, problem)
        except TimeoutError:
            await exchange.give_up(scope, self._late(whole=exchange.whole))
        except Exception as error:  # a route's handler has already answered
            LOG.error("a request to %s failed: %s", self._metrics.name_of(scope["path"]), _kind_and_place(error))
        finally:
            self._metrics.answered(scope["path"], exchange.status, time.monotonic() - begin)

    def _check(self, scope: Scope) -> None:
        """Check the host, the token, and the size and type of the body before the request is read.

        Raises:
            Problem: if the request is refused.
        """
        headers = Headers(scope=scope)
        if not self._token:  # a page of another site could send requests from a browser on this machine
            host = re.sub(r":\d*$", "", headers.get("host", "")).lower()
            if host not in _LOCAL_HOSTS | {self._options.host}:
                raise Problem(421, "without a token, the service answers only to localhost, 127.0.0.1 and [::1]")
        elif scope["path"] not in OPEN_TO_ALL and not self._is_allowed(headers.get("authorization", "")):
            raise Problem(
                401,
                "send the token: Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": 'Bearer realm="biomark"'},
            )
        if scope["method"] != "POST":
            return
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._options.max_body * _MIB:
            raise _too_large(self._options.max_body)
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Problem(415, "the body must be JSON: Content-Type: application/json")

    def _is_allowed(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self._token.encode())

    @contextmanager
    def _counted(self, scope: Scope) -> Iterator[None]:
        """Count a request as open while the context lasts.

        Raises:
            Problem: if too many requests are open.
        """
        if scope["method"] != "POST":  # other methods cost next to nothing
            yield
            return
        if self.accepted - self.answered >= self._options.queue:
            wait = min(max(1, ceil(self._seconds)), 60)
            detail = f"{self._options.queue:,} requests are open, the most that are allowed; try again in {wait} s"
            raise Problem(503, detail, headers={"Retry-After": str(wait)})
        self.accepted += 1
        self._metrics.open.inc()
        begin = time.monotonic()
        try:
            yield
        finally:
            self.answered += 1
            self._metrics.open.dec()
            self._seconds += 0.1 * (time.monotonic() - begin - self._seconds)

    def _late(self, *, whole: bool) -> Problem:
        limit = f"{self._options.time_limit:g} s"
        if not whole:
            return Problem(408, f"the body did not arrive within {limit}")
        return Problem(
            504, f"the answer was not ready within {limit}; send fewer documents at once, or try again later"
        )


class _Exchange:
    """A request while it is read, and its response while it is sent.

    Attributes:
        status: the HTTP status of the response; 499 (client closed request) until a response begins.
        whole: whether the request has been read to its end.
    """

    def __init__(self, receive: Receive, send: Send, limit: int) -> None:
        self.status = 499
        self.whole = False
        self._receive = receive
        self._send = send
        self._limit = limit
        self._size = 0

    async def receive(self) -> Message:
        """Receive the next piece of the request.

        Raises:
            Problem: if the body is too large.
        """
        message = await self._receive()
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            self.whole = not message.get("more_body", False)
            if self._size > self._limit:
                raise _too_large(self._limit // _MIB)
        return message

    async def send(self, message: Message) -> None:
        """Send a piece of the response, with the headers of all responses."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)

    async def give_up(self, scope: Scope, problem: Problem) -> None:
        """Answer with a problem, unless a response has begun."""
        if self.status == 499:
            await problem.response()(scope, self.receive, self.send)


def _too_large(limit: int) -> Problem:
    return Problem(413, f"the body is larger than {limit} MiB; send the documents in parts")


def _kind_and_place(error: Exception) -> str:
    frames = reversed(traceback.extract_tb(error.__traceback__)[-3:])
    places = (f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.lineno}" for frame in frames)
    return f"{type(error).__name__} at {' < '.join(places)}"
