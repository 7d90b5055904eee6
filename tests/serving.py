"""`transformers serve` with a model of a folder, on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conftest import HANG


def answers(url: str) -> bool:
    """Whether a server is up."""
    try:
        urllib.request.urlopen(url, timeout=HANG).close()
    except OSError:
        return False
    return True


@contextmanager
def served(model: Path, home: Path) -> Iterator[str]:
    """A server with a model; gives its base URL. `home` takes its log and what it caches."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = str(Path(sys.executable).parent / "transformers")
    with (home / "log").open("wb") as log:
        run = subprocess.Popen(
            [program, "serve", str(model), "--port", str(port), "--device", "cpu"],
            env={**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
            stdout=log,
            stderr=log,
        )
        try:
            while not answers(f"http://127.0.0.1:{port}/health"):
                assert run.poll() is None, (home / "log").read_text()
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            run.terminate()
            run.wait()
