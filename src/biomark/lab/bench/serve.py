"""The service under load beside `annotate` on the same texts: throughput, waiting times, answers, memory."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from biomark import models
from biomark.annotation import annotate
from biomark.errors import UsageError
from biomark.lab.bench import machine
from biomark.recognizers import Recognizer
from biomark.spans import Document

_RESIDENT = re.compile(r"^process_resident_memory_bytes (\S+)$", re.MULTILINE)
_PATIENCE = 600  # seconds
_MIB = 1 << 20


def serve(
    documents: Sequence[Document], *, model: str = models.DEFAULT, clients: int = 64, seconds: float = 60.0
) -> dict[str, object]:
    """Requests of one text each, from clients that send the next one when they have the answer.

    The service and its clients share this machine's cores. `annotate` runs first, alone, on the same texts; every
    answer of the service is compared with its own.

    Args:
        documents: their texts are sent, in turn.
        model: is served.
        clients: the number of clients that send requests at the same time.
        seconds: the duration for which they send requests, in seconds.

    Raises:
        UsageError: if there is no text, or the service does not start.
    """
    texts = [document.text for document in documents]
    if not texts:
        raise UsageError("there is no text to annotate; name a file or split that has documents")
    recognizer = models.load(model)
    expected = [_mentions(document.to_dict()) for document in annotate(texts, model=recognizer)]
    offline = _offline(texts, recognizer, seconds / 4)
    with _served(model, clients) as port:
        load = _Load(port, texts, expected)
        memory = load.run(clients, seconds)
    waits = sorted(load.waits)
    if not waits:
        raise UsageError("no request was answered; give the service more seconds (--seconds)")
    served = load.characters / load.seconds
    return {
        "bench": "serve",
        "model": model,
        "clients": clients,
        "seconds": round(load.seconds, 1),
        "answers": len(waits),
        "statuses": dict(load.statuses),
        "wrong": load.wrong,
        "characters_per_second": {"annotate": round(offline), "serve": round(served)},
        "ratio": round(served / offline, 3),
        "seconds_p50": round(waits[len(waits) // 2], 3),
        "seconds_p99": round(waits[min(len(waits) - 1, len(waits) * 99 // 100)], 3),
        "resident_mib": memory,
        **machine("onnxruntime", "fastapi", "uvicorn"),
    }


def _offline(texts: Sequence[str], recognizer: Recognizer, seconds: float) -> float:
    """Characters a second of `annotate`, which runs on all texts again and again for some seconds, at least once."""
    begin = time.perf_counter()
    characters = 0
    while not characters or time.perf_counter() - begin < seconds:
        characters += sum(len(document.text) for document in annotate(texts, model=recognizer))
    return characters / (time.perf_counter() - begin)


def _mentions(document: dict[str, object]) -> object:
    return document["entities"]


@contextmanager
def _served(model: str, clients: int) -> Iterator[int]:
    """Run the command in a separate process, and yield its port."""
    command = [sys.executable, "-m", "biomark", "serve", "--model", model, "--port", "0", "--queue", str(2 * clients)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stderr.readline() if process.stderr else ""
            address = re.search(r"http://[\d.]+:(\d+)/", line)
            if address is None:
                raise UsageError(f"the service does not start: {line.strip()}")
            yield int(address[1])
        finally:
            process.terminate()


@dataclass(slots=True)
class _Load:
    """Clients, and what they have seen."""

    port: int
    texts: Sequence[str]
    expected: Sequence[object]
    statuses: Counter[str] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    wrong: int = 0
    characters: int = 0
    seconds: float = 0.0
    _next: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, clients: int, seconds: float) -> list[int]:
        """Ask; gives the service's memory in MiB once all clients have asked, in the middle and at the end."""
        begin = time.monotonic()
        threads = [threading.Thread(target=self._client, args=(begin + seconds,)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        memory = []
        for share in (0.2, 0.6, 1.0):
            time.sleep(max(0.0, begin + share * seconds - time.monotonic()))
            memory.append(self._memory())
        for thread in threads:
            thread.join()
        self.seconds = time.monotonic() - begin
        return memory

    def _client(self, until: float) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        while time.monotonic() < until:
            with self._lock:
                number = self._next % len(self.texts)
                self._next += 1
            begin = time.monotonic()
            try:
                body = json.dumps({"text": self.texts[number]})
                connection.request("POST", "/v1/annotate", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException) as error:
                with self._lock:
                    self.statuses[type(error).__name__] += 1
                connection.close()
                continue
            self._note(number, response.status, answer, time.monotonic() - begin)
        connection.close()

    def _note(self, number: int, status: int, answer: bytes, wait: float) -> None:
        right = status == 200 and _mentions(json.loads(answer)["documents"][0]) == self.expected[number]
        with self._lock:
            self.statuses[str(status)] += 1
            if status == 200:
                self.waits.append(wait)
                self.characters += len(self.texts[number])
                self.wrong += not right

    def _memory(self) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        connection.request("GET", "/metrics")
        resident = _RESIDENT.search(connection.getresponse().read().decode())
        connection.close()
        return round(float(resident[1]) / _MIB) if resident else 0
