"""The service with many requests at once, with clients that go away, and at its end."""

from __future__ import annotations

import http.client
import json
import logging
import re
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import biomark
from biomark import models
from biomark.recognizers import Annotated, in_groups
from biomark.serve.app import ServedModel, Service
from biomark.serve.worker import AT_ONCE
from biomark.spans import Document
from conftest import HANG, Outcome, TermRecognizer
from service import Address, command, served, service

CLIENTS = 64
SLOW = str(Path(__file__).parent.parent / "slow_service.py")
NAMES = ("asthma", "zileuton", "TNF-α", "ALOX5", "aspirin")


class Held(TermRecognizer):
    """Waits before each batch until it is let go; notes the batches."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.let_go = threading.Semaphore(0)
        self.batches: list[list[str]] = []

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        documents = list(documents)
        if documents:
            self.batches.append([document.text for document in documents])
            self.begun.release()
            assert self.let_go.acquire(timeout=HANG)
        if any("FAILING" in document.text for document in documents):
            raise ValueError("a model that fails")
        yield from super().annotate(documents, types, min_score=min_score)


def texts(client: int) -> list[str]:
    """What a client sends: from one text to three, of its own."""
    return [f"Client {client}, text {n}: {NAMES[(client + n) % 5]} 😀." for n in range(1 + client % 3)]


def offline(items: Sequence[str], recognizer: Any) -> list[dict[str, object]]:
    return [document.to_dict() for document in biomark.annotate(items, model=recognizer)]


def until(address: Address, line: str) -> None:
    """Wait until the metrics have a line."""
    while f"\n{line}\n" not in address.get("/metrics").body.decode():
        pass


def test_many_clients_share_batches_and_each_gets_the_answer_of_its_own() -> None:
    recognizer = Held()
    with served(service(recognizer)) as address, ThreadPoolExecutor(CLIENTS) as pool:
        first = pool.submit(address.post, {"text": "first"})
        assert recognizer.begun.acquire(timeout=HANG)
        asked = [pool.submit(address.post, {"texts": texts(client)}) for client in range(CLIENTS - 1)]
        waiting = sum(len(texts(client)) for client in range(CLIENTS - 1))
        until(address, f"biomark_waiting_documents {waiting:.1f}")
        recognizer.let_go.release(1000)
        replies = [one.result() for one in asked]
        assert first.result().status == 200
    assert Counter(reply.status for reply in replies) == {200: CLIENTS - 1}
    for client, reply in enumerate(replies):
        assert reply.json == {"model": "terms", "documents": offline(texts(client), TermRecognizer()), "rejects": []}
    assert len(recognizer.batches) == 2
    assert sorted(recognizer.batches[1]) == sorted(text for client in range(CLIENTS - 1) for text in texts(client))


def test_answers_of_the_default_model_do_not_depend_on_their_neighbours() -> None:
    default = models.kept("default")
    with served(Service({"default": ServedModel(default)})) as address, ThreadPoolExecutor(CLIENTS) as pool:
        asked = [[f"{text} Patient {n} had gout." for text in texts(n)] for n in range(CLIENTS)]
        replies = list(pool.map(lambda items: address.post({"texts": items}), asked))
    for items, reply in zip(asked, replies, strict=True):
        assert reply.json["documents"] == offline(items, default)


def test_requests_with_other_options_are_in_batches_of_their_own() -> None:
    recognizer = Held()
    kinds: list[dict[str, Any]] = [{}, {"types": ["disease"]}, {"min_score": 0.9}]
    with served(service(recognizer)) as address, ThreadPoolExecutor(9) as pool:
        first = pool.submit(address.post, {"text": "first"})
        assert recognizer.begun.acquire(timeout=HANG)
        asked = [pool.submit(address.post, {"text": f"asthma {n % 3}", **kinds[n % 3]}) for n in range(6)]
        until(address, "biomark_waiting_documents 6.0")
        recognizer.let_go.release(1000)
        found = [len(one.result().json["documents"][0]["entities"]) for one in asked]
        assert first.result().status == 200
    assert found == [1, 1, 0, 1, 1, 0]
    assert sorted(map(tuple, recognizer.batches[1:])) == [(f"asthma {n}", f"asthma {n}") for n in range(3)]


def test_a_short_request_does_not_wait_for_the_whole_of_a_long_one() -> None:
    recognizer = Held()
    long = [str(n) + "x" * AT_ONCE for n in range(6)]
    with served(service(recognizer)) as address, ThreadPoolExecutor(2) as pool:
        slow = pool.submit(address.post, {"texts": long})
        assert recognizer.begun.acquire(timeout=HANG)
        quick = pool.submit(address.post, {"text": "asthma"})
        until(address, "biomark_waiting_documents 5.0")
        recognizer.let_go.release(2)
        assert quick.result().status == 200
        assert not slow.done()
        recognizer.let_go.release(1000)
        assert [document["text"] for document in slow.result().json["documents"]] == long
    assert recognizer.batches == [long[:2], [long[2], "asthma", long[3]], long[4:]]


def test_a_model_reads_the_next_documents_before_it_returns_those_before() -> None:
    """As a model does that computes one group of documents while it reads the next one."""
    sizes: list[int] = []

    class Ahead(TermRecognizer):
        def annotate(
            self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
        ) -> Iterator[Annotated]:
            held: list[Document] = []
            for group in in_groups(documents, AT_ONCE):
                sizes.append(len(held) + len(group))
                yield from super().annotate(held, types, min_score=min_score)
                held = group
            yield from super().annotate(held, types, min_score=min_score)

    texts = [str(n) + "x" * AT_ONCE for n in range(5)]
    with served(service(Ahead())) as address:
        assert [document["text"] for document in address.post({"texts": texts}).json["documents"]] == texts
    assert sizes == [1, 2, 2, 2, 2]


def test_a_request_that_makes_the_model_fail_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    recognizer = Held()
    with served(service(recognizer)) as address, ThreadPoolExecutor(4) as pool:
        first = pool.submit(address.post, {"text": "first"})
        assert recognizer.begun.acquire(timeout=HANG)
        asked = [pool.submit(address.post, {"text": text}) for text in ("asthma", "FAILING", "zileuton")]
        until(address, "biomark_waiting_documents 3.0")
        recognizer.let_go.release(1000)
        assert [one.result().status for one in (first, *asked)] == [200, 200, 500, 200]
        assert address.post({"text": "asthma"}).status == 200
    (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    told = r"a request to /v1/annotate failed: ValueError at serve/test_serve_load\.py:\d+ < annotation/.*"
    assert re.fullmatch(told, record.getMessage())
    assert record.exc_info is None


def test_a_full_queue_says_when_to_come_again() -> None:
    recognizer = Held()
    with served(service(recognizer, queue=2)) as address, ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(address.post, {"text": "asthma"}) for _ in range(2)]
        until(address, "biomark_open_requests 2.0")
        reply = address.post({"text": "asthma"})
        assert (reply.status, reply.headers["content-type"]) == (503, "application/problem+json")
        assert 1 <= int(reply.headers["retry-after"]) <= 60
        assert address.get("/v1/models").status == 200
        recognizer.let_go.release(1000)
        assert [one.result().status for one in asked] == [200, 200]
        assert address.post({"text": "asthma"}).status == 200


def test_what_takes_too_long_is_given_up() -> None:
    recognizer = Held()
    with served(service(recognizer, time_limit=0.2)) as address:
        first, second = (address.post({"text": text}) for text in ("first", "second"))
        assert (first.status, second.status) == (504, 504)
        assert "the answer was not ready within 0.2 s" in second.json["detail"]
        with socket.create_connection((address.host, address.port), timeout=HANG) as slow:
            lines = (
                "POST /v1/annotate HTTP/1.1",
                "Host: localhost",
                "Content-Type: application/json",
                "Content-Length: 9",
            )
            slow.sendall("\r\n".join((*lines, "", "{")).encode())
            assert slow.recv(100).startswith(b"HTTP/1.1 408 ")
        recognizer.let_go.release(1000)
    assert recognizer.batches == [["first"]]


def test_what_a_client_that_is_gone_asked_for_is_not_begun() -> None:
    recognizer = Held()
    with served(service(recognizer)) as address, ThreadPoolExecutor(2) as pool:
        first = pool.submit(address.post, {"text": "first"})
        assert recognizer.begun.acquire(timeout=HANG)
        gone = http.client.HTTPConnection(address.host, address.port, timeout=HANG)
        gone.request("POST", "/v1/annotate", json.dumps({"text": "gone"}), {"Content-Type": "application/json"})
        until(address, "biomark_waiting_documents 1.0")
        gone.close()
        until(address, "biomark_open_requests 1.0")
        last = pool.submit(address.post, {"text": "last"})
        until(address, "biomark_waiting_documents 1.0")
        recognizer.let_go.release(1000)
        assert (first.result().status, last.result().status) == (200, 200)
        assert '{path="/v1/annotate",status="499"} 1.0' in address.get("/metrics").body.decode()
    assert recognizer.batches == [["first"], ["last"]]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_under_load_loses_no_request_that_was_accepted(tmp_path: Path, number: signal.Signals) -> None:
    answers: Counter[str] = Counter()
    lock = threading.Lock()
    enough = threading.Event()

    def ask(address: Address, client: int) -> None:
        """Ask until the service is gone, each time on a connection of its own."""
        while True:
            try:
                reply = address.post({"texts": texts(client)})
            except (OSError, http.client.HTTPException):
                return  # not accepted, or the service lost it: the counts below tell
            right = reply.json["documents"] == offline(texts(client), TermRecognizer())
            with lock:
                answers[f"{reply.status} {'right' if right else 'wrong'}"] += 1
                if answers.total() >= CLIENTS:
                    enough.set()

    with (
        command([SLOW, "0.001", "serve", "--port", "0"], tmp_path) as (run, address),
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        clients = [pool.submit(ask, address, client) for client in range(CLIENTS)]
        assert enough.wait(timeout=HANG)
        run.send_signal(number)
        assert run.wait(timeout=HANG) == 0
        for client in clients:
            client.result()
    told = re.search(r"ended; ([\d,]+) of ([\d,]+) accepted requests were answered", (tmp_path / "err").read_text())
    assert told is not None
    assert told[1] == told[2] == f"{answers.total():,}"
    assert set(answers) == {"200 right"}


MARKER = "Marker7Zileuton"


def test_no_text_of_a_request_is_left_anywhere(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    places = {"TMPDIR": str(home), "HOME": str(home), "XDG_CACHE_HOME": str(home), "PYTHONASYNCIODEBUG": "1"}
    document = {"id": MARKER, "text": f"{MARKER} asthma", "infons": {MARKER: MARKER}}
    bodies: list[Any] = [
        {"text": MARKER},
        {"texts": [f"{MARKER} \ud83d", f"{MARKER} BROKEN"]},
        {"documents": [document, document, {"id": MARKER}]},
        {"content": f"{MARKER}\n{MARKER}", "format": "jsonl"},
        {"content": f"<{MARKER}>", "format": "bioc_xml"},
        {"content": MARKER, "format": MARKER},
        {"text": f"{MARKER} FAILING"},
        {"text": "a", "types": [MARKER]},
        {"text": "a", "model": MARKER},
        {MARKER: MARKER},
        {"text": [MARKER]},
        MARKER,
    ]
    with command([SLOW, "0", "serve", "--port", "0"], tmp_path, **places) as (run, address):
        for path in ("/v1/annotate", "/v1/evaluate"):
            for body in bodies:
                wrapped = body if path.endswith("annotate") else {"gold": body, "predicted": body}
                address.post(wrapped, path, Accept="text/plain" if body == bodies[0] else "*/*")
        address.ask("POST", f"/v1/annotate?{MARKER}", body=f'{{"text": "{MARKER}'.encode())
        address.ask("POST", "/v1/annotate", body=MARKER.encode(), headers={"Content-Type": MARKER, "Accept": MARKER})
        address.ask("GET", f"/{MARKER}", headers={"Authorization": MARKER, MARKER: MARKER})
        with socket.create_connection((address.host, address.port), timeout=HANG) as odd:
            odd.sendall(f"{MARKER} {MARKER}\r\n\r\n".encode())
            odd.recv(1000)
        metrics = address.get("/metrics").body
        run.send_signal(signal.SIGTERM)
        assert run.wait(timeout=HANG) == 0
    told = (tmp_path / "err").read_text()
    assert "a request to /v1/annotate failed: ValueError at tests/slow_service.py" in told
    assert "Traceback" not in told
    assert MARKER not in told
    assert MARKER.encode() not in metrics
    assert [file.name for file in home.rglob("*") if file.is_file() and MARKER.encode() in file.read_bytes()] == []
    assert not [file for file in home.rglob(f"*{MARKER}*")]


def test_the_benchmark_counts_right_answers(biomark: Callable[..., Outcome], tmp_path: Path) -> None:
    file = tmp_path / "notes.pubtator"
    file.write_text("1|t|Gout and asthma.\n1|a|Aspirin.\n\n2|t|Fever.\n2|a|No cough.\n")
    done = biomark("bench", "serve", file, "--clients", "2", "--seconds", "1")
    found = json.loads(done.out)
    assert (found["bench"], found["clients"], found["wrong"]) == ("serve", 2, 0)
    assert found["statuses"] == {"200": found["answers"]}
    assert found["answers"] >= 2
    assert len(found["resident_mib"]) == 3
