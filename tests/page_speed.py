"""How quick the page is in Chromium: `python tests/page_speed.py` prints a JSON object; docs/page.md has its figures.

Times are milliseconds of a clock, from the user's act to the frame that shows its effect; of several acts the median
and the longest. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import json
import math
import random
import statistics
import tempfile
from pathlib import Path

from biomark import formats
from biomark.spans import Document, Entity, Span
from browser import Opened, chromium, window

WORDS = ("aspirin", "relieves", "asthma", "in", "children", "with", "gout", "after", "IL-6", "rose", "again.")
TYPES = {"aspirin": "chemical", "asthma": "disease", "gout": "disease", "IL-6": "gene"}
_PARAGRAPH = 150  # words of a paragraph, about
ACT = """async ([selector, index]) => {
  const element = document.querySelectorAll(selector)[index];
  const begin = performance.now();
  element.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - begin;
}"""


def document(name: str, size: int, chance: random.Random, paragraph: float = _PARAGRAPH) -> Document:
    """Return a document of about `size` characters, with a mention for each word that has a type.

    A paragraph has about `paragraph` words.
    """
    text, entities = "", []
    while len(text) < size:
        word = chance.choice(WORDS)
        if word in TYPES:
            entities.append(Entity((Span(len(text), len(text) + len(word)),), TYPES[word], score=chance.random()))
        text += word + ("\n\n" if chance.random() < 1 / paragraph else " ")
    return Document(name, text, entities=tuple(entities))


def measured(browser: object, file: Path) -> dict[str, float]:
    """Return the times for one file."""
    with window(browser, viewport={"width": 1280, "height": 850}) as context:
        page = Opened(context).go(file)
        facts = page.evaluate(
            """() => ({ ready: performance.now(),
                        paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? -1 })"""
        )
        clicks = [page.evaluate(ACT, ["article .piece", index]) for index in range(0, 18, 2)]
        hidden = page.evaluate(ACT, [".types input", 0])
    return {
        "mentions": sum(len(d.entities) for d in formats.read(file.with_suffix(".jsonl"))),
        "first paint": round(facts["paint"]),
        "ready": round(facts["ready"]),
        "click, median": round(statistics.median(clicks)),
        "click, longest": round(max(clicks)),
        "a type hidden": round(hidden),
    }


def main() -> None:
    """Measure an article of 50,000 characters, in paragraphs and without any line end, and 500 abstracts of 1,500."""
    chance = random.Random(0)
    files = {
        "article": [document("article", 50_000, chance)],
        "one line": [document("one line", 50_000, chance, paragraph=math.inf)],
        "abstracts": [document(f"abstract-{n}", 1_500, chance) for n in range(500)],
    }
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        for name, documents in files.items():
            formats.write(documents, Path(folder, f"{name}.jsonl"))
            formats.write(documents, Path(folder, f"{name}.html"))
        print(json.dumps({name: measured(browser, Path(folder, f"{name}.html")) for name in files}))  # noqa: T201


if __name__ == "__main__":
    main()
