"""What tests of the page share: a browser, pages of documents, the page's modules, a service."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest
from page_cases import Running

from biomark import formats
from biomark.formats import html
from biomark.page import script
from biomark.spans import Document
from browser import Open, Opened, chromium, window


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Open a page of documents; nothing may go wrong in it, and nothing but the file may be asked for."""
    opened: list[Opened] = []

    def open_(*documents: Document) -> Opened:
        path = tmp_path / "page.html"
        formats.write(documents, path)
        opened.append(Opened(context))
        opened[-1].go(path)
        return opened[-1]

    with window(browser, viewport={"width": 1280, "height": 900}) as context:
        yield open_
    for one in opened:
        assert one.problems == []
        assert [address for address in one.requests if not address.startswith(("file:", "data:", "blob:"))] == []


@pytest.fixture(scope="module")
def modules(browser: Any) -> Iterator[Any]:
    """The page's functions, as `m` of the window."""
    page = browser.new_page()
    names = (
        "Offsets, visible, documentOf, jsonOf, jsonLines, pubtator, biocJson, brat, csv, demonstrations, differences"
    )
    names += ", occurrences, TextView, Types, pieceOf, piecesOf, stretchesOf, readFile, readBrat, pythonJson"
    code = script().removesuffix("globalThis.biomark = begin();\n") + f"globalThis.m = {{ {names} }};"
    page.add_script_tag(type="module", content=code)
    page.wait_for_function("globalThis.m")
    yield page
    page.close()


class _Service(BaseHTTPRequestHandler):
    """Finds every "gout"; the model "any" takes types in a user's own words."""

    asked: ClassVar[list[dict[str, Any]]] = []

    def do_GET(self) -> None:
        if self.path == "/":
            return self._answer(html.page(api="v1").encode(), "text/html; charset=utf-8")
        models = [{"name": "plain", "types": ["disease"]}, {"name": "any", "types": None}]
        return self._answer(json.dumps({"models": models}).encode())

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(asked)
        if "content" in asked and asked["content"].startswith("bad"):
            return self._answer(b'{"title": "Unreadable", "detail": "line 1 holds no document"}', status=422)
        given = asked.get("documents") or [{"id": "n", "text": asked["content"]}]
        type = (asked.get("types") or ["disease"])[0]
        for document in given:
            places = [m.span() for m in re.finditer("gout", document["text"])]
            document["entities"] = [{"spans": [place], "text": "gout", "type": type, "score": 0.5} for place in places]
        return self._answer(json.dumps({"model": "plain", "documents": given, "rejects": []}).encode())

    def _answer(self, body: bytes, kind: str = "application/json", status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged."""


@pytest.fixture
def service() -> Iterator[Running]:
    """A service with a page, which finds each "gout"."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Service)
    Thread(target=server.serve_forever, daemon=True).start()
    _Service.asked.clear()
    yield Running(f"http://127.0.0.1:{server.server_address[1]}/", _Service.asked)
    server.shutdown()
    server.server_close()
