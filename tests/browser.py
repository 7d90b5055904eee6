"""Chromium for tests: pages that are opened from files, and a log of what they asked of the network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from conftest import HANG

# What Chromium would otherwise ask of its maker's servers
_QUIET = (
    "--no-sandbox --disable-background-networking --disable-component-update --disable-sync --no-first-run "
    "--disable-default-apps --disable-domain-reliability"
).split()


@contextmanager
def chromium() -> Iterator[Any]:
    """Debian's Chromium as Playwright's `Browser`; skips where one of them is not there."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as run:
        browser = run.chromium.launch(executable_path=program, args=_QUIET)
        yield browser
        browser.close()


@contextmanager
def window(browser: Any, **options: Any) -> Iterator[Any]:
    """A window that remembers nothing of others, as Playwright's `BrowserContext`."""
    context = browser.new_context(**options)
    context.set_default_timeout(1000 * HANG)
    yield context
    context.close()


class Opened:
    """A page of biomark in the browser: `page` is Playwright's, `problems` what went wrong in it."""

    def __init__(self, context: Any) -> None:
        self.page = context.new_page()
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda told: self.problems.append(told.text) if told.type == "error" else None)
        self.page.on("request", lambda request: self.requests.append(request.url))

    def go(self, address: str | Path) -> Any:
        """Open a file or an address, and wait until the page is ready."""
        self.page.goto(address.as_uri() if isinstance(address, Path) else address)
        self.page.wait_for_selector("html[data-ready]")
        return self.page


Open = Callable[..., Opened]
"""Opens a page of documents."""


def state(page: Any) -> list[dict[str, Any]]:
    """The documents of the page, in JSON Lines form."""
    text = page.evaluate("async () => (await biomark).exported('jsonl')[0].text()")
    return [json.loads(line) for line in text.split("\n") if line]


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def kinds(page: Any) -> list[tuple[str, str]]:
    """Words and type of each mention of the first document."""
    return [(e["text"], e["type"]) for e in state(page)[0]["entities"]]


def drop(page: Any, **files: str | bytes) -> None:
    """Drop files at once, in the order in which they are named; `__` stands for a dot."""
    page.evaluate(
        """(files) => {
          const data = new DataTransfer();
          const whole = (content) => (typeof content === "string" ? content : new Uint8Array(content));
          for (const [name, content] of files) data.items.add(new File([whole(content)], name));
          document.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        [
            [name.replace("__", "."), content if isinstance(content, str) else list(content)]
            for name, content in files.items()
        ],
    )
