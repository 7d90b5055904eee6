"""A server with OpenAI's interface on loopback that answers as a test says: truth, nonsense, or nothing."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from biomark.prompted.chat import USER, Message, Reply, Request
from biomark.prompted.chat.server import Server
from biomark.prompted.settings import ServerOptions


@dataclass
class Says:
    """What a server sends.

    Attributes:
        body: bytes as they are, or an object that becomes JSON.
        short: how many bytes are promised and not sent.
        pause: seconds between any two bytes.
    """

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    short: int = 0
    pause: float = 0.0


def tokens(*pieces: str | bytes, logprob: float = -0.5) -> dict[str, Any]:
    """What a server says of an answer's tokens, all of them equally likely."""
    spelled = [piece.encode() if isinstance(piece, str) else piece for piece in pieces]
    rows = [{"token": one.decode("utf-8", "replace"), "bytes": list(one), "logprob": logprob} for one in spelled]
    return {"content": rows}


def answer(*texts: str | None, reason: str | None = "stop", read: int = 10, written: int = 5) -> Says:
    """A proper response."""
    choices = [
        {"index": n, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
        for n, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": read, "completion_tokens": written}
    return Says({"id": "1", "object": "chat.completion", "choices": choices, "usage": usage})


def stream(text: str, *, ends: bool = True, reason: str | None = "stop", completions: bool = False) -> Says:
    """A response in events, three characters each; one that does not end was cut off."""
    pieces = [text[n : n + 3] for n in range(0, len(text), 3)]
    said = [{"text": piece} if completions else {"delta": {"content": piece}} for piece in pieces]
    events: list[dict[str, Any]] = [{"choices": [{"index": 0, **part, "finish_reason": None}]} for part in said]
    if ends:
        events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        events.append({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}})
    lines = [f"data: {json.dumps(event)}\n\n" for event in events] + (["data: [DONE]\n\n"] if ends else [])
    return Says("".join(lines).encode(), headers={"content-type": "text/event-stream"})


def failure(status: int, message: str = "no", **headers: str) -> Says:
    """A response that is an error."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Says({"error": {"message": message, "type": "t", "code": None}}, status, named)


@dataclass
class Scripted:
    """A server under way, and what it was asked.

    Attributes:
        url: its base URL.
        asked: the requests.
        keys: the Authorization headers.
        paths: what was asked for, with what stands behind the question mark.
        headers: all of them, in lower case.
        most: how many requests were under way at once.
    """

    url: str
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    under_way: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def scripted(say: Callable[[dict[str, Any], int], Says]) -> Iterator[Scripted]:
    """A server that sends what `say` makes of a request and of the number of requests before it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            pass

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with state.lock:
                number = len(state.asked)
                state.asked.append(asked)
                state.keys.append(self.headers.get("authorization", ""))
                state.paths.append(self.path)
                state.headers.append({name.lower(): value for name, value in self.headers.items()})
                state.under_way += 1
                state.most = max(state.most, state.under_way)
            says = say(asked, number)
            with state.lock:
                state.under_way -= 1
            self.send(says)

        def send(self, says: Says) -> None:
            body = says.body if isinstance(says.body, bytes) else json.dumps(says.body).encode()
            self.send_response(says.status)
            for name, value in {"content-type": "application/json", **says.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body) + says.short))
            self.end_headers()
            try:
                if says.pause:
                    for byte in body:
                        self.wfile.write(bytes([byte]))
                        self.wfile.flush()
                        time.sleep(says.pause)
                else:
                    self.wfile.write(body)
            except OSError:  # the client did not wait
                pass
            if says.short:
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state = Scripted(f"http://127.0.0.1:{server.server_address[1]}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def asked(text: str = "a", **settings: Any) -> Request:
    """A request of one message."""
    return Request((Message(USER, text),), 50, **settings)


def ask(server: Server, requests: Sequence[Request]) -> list[Reply | Exception]:
    """The replies to requests that are open at once."""

    async def run() -> list[Any]:
        async with server.session() as session:
            return await asyncio.gather(*map(session, requests), return_exceptions=True)

    return asyncio.run(run())


def client(url: str, **settings: Any) -> Server:
    """What asks the server at an address."""
    return Server("m", ServerOptions(base_url=url, **settings))
