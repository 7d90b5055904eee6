"""The service on a real socket of loopback, and requests to it."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conftest import HANG
from terms import TermRecognizer

pytest.importorskip("fastapi")
import uvicorn

from biomark.serve.app import ServedModel, Service
from biomark.serve.server import listening
from biomark.serve.settings import ServeOptions


@dataclass(frozen=True)
class Reply:
    """A response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Address:
    """Where a service listens."""

    host: str
    port: int

    def ask(
        self,
        method: str,
        path: str,
        values: object = None,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a request and read the whole response; `values` are sent as JSON, `body` as it is."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=HANG)
        data = json.dumps(values).encode() if values is not None else body
        kind = {"Content-Type": "application/json"} if data is not None else {}
        try:
            connection.request(method, path, data, {**kind, **(headers or {})})
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, found, response.read())
        finally:
            connection.close()

    def post(self, values: object, path: str = "/v1/annotate", **headers: str) -> Reply:
        """Send JSON."""
        return self.ask("POST", path, values, headers={name.replace("_", "-"): text for name, text in headers.items()})

    def get(self, path: str, **headers: str) -> Reply:
        """Ask for a path."""
        return self.ask("GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()})


@contextmanager
def served(service: Service) -> Iterator[Address]:
    """A service in this process, in a thread of its own."""
    with listening("127.0.0.1", 0) as socket:
        settings = uvicorn.Config(service.asgi, lifespan="off", ws="none", log_config=None, access_log=False)
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
        thread.start()
        try:
            yield Address(*socket.getsockname())
        finally:
            server.should_exit = True
            thread.join()
            service.worker.close()


def service(recognizer: object = None, *, token: str = "", **options: Any) -> Service:
    """A service with one model, `terms`."""
    model = ServedModel(recognizer or TermRecognizer())  # type: ignore[arg-type]
    return Service({"terms": model}, ServeOptions(**options), token)


@contextmanager
def command(
    arguments: Sequence[str], folder: Path, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], Address]]:
    """`python ARGUMENTS`, which serves, in a process of its own; its standard error goes on to `folder`/err."""
    with (folder / "err").open("w") as err:
        run = subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, **environment},
            stderr=err,
            stdout=err,
            cwd=folder,
            text=True,
        )
        try:
            yield run, _address(run, folder / "err")
        finally:
            run.kill()
            run.wait()


def _address(run: subprocess.Popen[str], err: Path) -> Address:
    while not (found := re.search(r"served at http://([\d.]+):(\d+)/", err.read_text())):
        assert run.poll() is None, err.read_text()
        time.sleep(0.05)
    return Address(found[1], int(found[2]))
