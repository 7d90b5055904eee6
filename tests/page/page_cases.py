"""Documents for tests of the page, and files that are taken away."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biomark.spans import Document, Entity, Passage, Span
from browser import press

TITLE = "Zileuton lowers 😀 leukotriene B4 in asthma"
REST = "Asthma and ALOX5: severe asthma of mice (ALOX5 again). Breast and ovarian cancer followed."
TEXT = f"{TITLE}\n{REST}"
EVIL = '"><img src=x onerror=alert(1)><script>alert(2)</script>\x1b\u202e'


def mention(type: str, *words: str, nth: int = 0, **more: Any) -> Entity:
    spans = []
    for word in words:
        start = [m.start() for m in re.finditer(re.escape(word), TEXT)][nth]
        spans.append(Span(start, start + len(word)))
    return Entity(tuple(spans), type, **more)


def example() -> Document:
    return Document(
        "pm-1",
        TEXT,
        (Passage(Span(0, len(TITLE)), "title"), Passage(Span(len(TITLE) + 1, len(TEXT)), "abstract")),
        entities=(
            mention("chemical", "Zileuton", score=0.95, ids=("MESH:C063449",)),
            mention("disease", "asthma", score=0.9),
            mention("gene", "ALOX5", score=0.4),
            mention("disease", "severe asthma", score=0.8),
            mention("disease", "asthma", nth=1, score=0.3),
            mention("disease", "Breast", "cancer", score=0.7),
            mention("disease", "ovarian cancer", score=0.75),
        ),
    )


@dataclass(frozen=True)
class Running:
    """A service at an address, and the requests for annotation that it has got."""

    address: str
    asked: list[dict[str, Any]]


def saved(page: Any, kind: str, folder: Path) -> Path:
    """A file that is taken away, with the keyboard."""
    page.locator("#take").focus()
    press(page, "Enter")
    page.locator("dialog input[name=format]").first.focus()
    while not page.locator(f"dialog input[value={kind}]").is_checked():
        press(page, "ArrowDown")
    with page.expect_download() as download:
        press(page, "Enter")
    path = folder / str(download.value.suggested_filename)
    download.value.save_as(path)
    return path
