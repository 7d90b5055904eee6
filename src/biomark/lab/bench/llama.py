"""Greedy generation by llama.cpp (the package `xllamacpp`), to compare mark decoding with it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from transformers import PreTrainedModel

from biomark import marks
from biomark.errors import ModelError, UsageError
from biomark.generative.answering import FreeGeneration, WindowPrompt
from biomark.generative.decoding.vocabulary import Vocabulary

_SERVER = """
import sys
from xllamacpp import CommonParams, Server

settings = CommonParams()
settings.model.path = sys.argv[1]
settings.hostnames, settings.port = ["127.0.0.1"], 0
settings.n_ctx, settings.n_parallel = 4096, 1
settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = int(sys.argv[2])
server = Server(settings)
print(server.listening_address, flush=True)
sys.stdin.read()  # until the benchmark is done
"""


@contextmanager
def serving(file: Path, threads: int) -> Iterator[str]:
    """Run llama.cpp's server with a GGUF file, in a process of its own with some threads; yield its address.

    Raises:
        UsageError: if `xllamacpp` is not installed, or there is no such file.
        ModelError: if the server does not start.
    """
    if find_spec("xllamacpp") is None:
        raise UsageError("xllamacpp, which has llama.cpp, is not installed; install it with: pip install xllamacpp")
    if not file.is_file():
        raise UsageError(f"{file}: there is no such file; name a GGUF file of the model")
    command = [sys.executable, "-c", _SERVER, str(file), str(threads)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        if process.stdin is None or process.stdout is None:
            raise ModelError("llama.cpp was started without pipes")
        try:
            address = process.stdout.readline().strip()
            if not address.startswith("http"):
                raise ModelError(f"{file}: llama.cpp did not start with this file; check that it is a GGUF file")
            yield address
        finally:
            process.stdin.close()
            process.wait()


class LlamaGeneration(FreeGeneration):
    """Greedy generation by a server of llama.cpp, from the same prompt tokens and with the same end token.

    Args:
        address: of the server.
        model: the same model in transformers, which limits the length.
        vocabulary: of the model.
    """

    def __init__(self, address: str, model: PreTrainedModel, vocabulary: Vocabulary) -> None:
        super().__init__(model, vocabulary)
        self._address = address

    def answer(self, windows: Sequence[WindowPrompt]) -> list[marks.Aligned | None]:
        """See `Answering`."""
        return [self._read(window, self._generate(window)) for window in windows]

    def _generate(self, window: WindowPrompt) -> list[int]:
        body = {
            "prompt": list(window.prompt),
            "n_predict": self._most(window),
            "temperature": 0,
            "return_tokens": True,
        }
        request = urllib.request.Request(
            f"{self._address}/completion", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as reply:
            answer = json.load(reply)
        tokens = [int(token) for token in answer["tokens"]]
        end = [self._vocabulary.end] if answer["stop_type"] == "eos" and self._vocabulary.end not in tokens else []
        return [*tokens, *end]
