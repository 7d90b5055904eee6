"""A clinician's trial of the served page: thirty notes, the default model, the keyboard, and a model that learns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from note_cases import NOTES
from page_cases import saved

import biomark
from biomark import formats
from biomark.demonstrations import demonstrations
from biomark.spans import Document, Entity, Span
from browser import Opened, drop, press, state, window
from conftest import HANG, ROOT
from service import command

pytest_plugins = ("page_fixtures",)
pytestmark = pytest.mark.slow

Mention = tuple[str, str]
CORRECTIONS: dict[int, tuple[tuple[str, ...], Mention | None, Mention | None]] = {
    3: (("f", "i", "1"), None, ("Ileus", "disease")),
    4: (("p", *["Alt+ArrowLeft"] * 3), ("heart failure", "disease"), ("acute on chronic heart failure", "disease")),
    5: (("n", "n", "9"), ("HbA1c", "gene"), ("HbA1c", "test")),
    10: (("f", "p", "c", "8"), None, ("PCI", "treatment")),
    11: (("n", "Alt+ArrowLeft"), ("pancreatic cancer", "disease"), ("Metastatic pancreatic cancer", "disease")),
    12: (("f", "r", "a", "1"), None, ("RA", "disease")),
    13: (("n", "Shift+ArrowRight"), ("otitis", "disease"), ("otitis media", "disease")),
    15: (("n", "n", "Delete"), ("AVF", "chemical"), None),
    16: (("f", "t", "2"), None, ("tPA", "chemical")),
    19: (("n", "n", "Delete"), ("cashews", "disease"), None),
    20: (("f", "f", "a", "Shift+ArrowRight", "Shift+ArrowRight", "1"), None, ("Factor V Leiden", "disease")),
    26: (("n", "n", "n", "8"), ("TCHP", "disease"), ("TCHP", "treatment")),
}
"""By note: the keys, the mention that the default model finds, and what a clinician makes of it."""
HALF = 12  # after this note the page is loaded again


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A service with the default model."""
    with command(["-m", "biomark", "serve", "--port", "0"], tmp_path) as (_, found):
        yield f"http://{found.host}:{found.port}/"


def test_thirty_notes_are_dropped_corrected_taken_away_and_learned(browser: Any, address: str, tmp_path: Path) -> None:
    expected = [corrected(n) for n in range(len(NOTES))]
    with window(browser, viewport={"width": 1280, "height": 900}) as context:
        opened = Opened(context)
        page = opened.go(address)
        drop(page, **{f"note-{n:02}__txt": text for n, text in enumerate(NOTES)})
        page.locator("article").nth(len(NOTES) - 1).wait_for(state="attached")
        assert [(d["id"], d["text"]) for d in state(page)] == [(f"note-{n:02}", text) for n, text in enumerate(NOTES)]
        focus(page)
        correct(page, range(HALF + 1))
        page.locator("#saved", has_text="Saved in this browser").wait_for()
        page.reload()
        page.wait_for_selector("html[data-ready]")
        focus(page)
        press(page, *["j"] * (HALF + 1))
        correct(page, range(HALF + 1, len(NOTES)))
        assert [mentions(d.entities, d.text) for d in taken(page)] == [mentions(e, d.text) for d, e in expected]
        brat, demos = (saved(page, kind, tmp_path) for kind in ("brat", "demonstrations"))
        assert opened.problems == []
        assert [one for one in opened.requests if not one.startswith((address, "data:", "blob:"))] == []
    zipfile.ZipFile(brat).extractall(tmp_path / "corrected")
    again = list(formats.read(tmp_path / "corrected"))
    assert [(d.id, mentions(d.entities, d.text)) for d in again] == [(d.id, mentions(e, d.text)) for d, e in expected]
    types = sorted({e.type for d in again for e in d.entities})
    check_demonstrations(json.loads(demos.read_text("utf-8")), again, types)
    check_model(tmp_path, types)


def focus(page: Any) -> None:
    """Go to the first text with the keyboard."""
    for _ in range(100):
        press(page, "Tab")
        if page.evaluate("document.activeElement.classList.contains('editable')"):
            return
    raise AssertionError("no text gets the focus")


def correct(page: Any, numbers: Iterable[int]) -> None:
    """Correct notes, one after the other."""
    for number in numbers:
        press(page, *CORRECTIONS.get(number, ((), None, None))[0], "Escape", "Escape", "j")


def corrected(number: int) -> tuple[Document, list[Entity]]:
    """A note, and its mentions after the correction."""
    (document,) = biomark.annotate([Document(f"note-{number:02}", NOTES[number])])
    found, (_, before, after) = list(document.entities), CORRECTIONS.get(number, ((), None, None))
    if before:
        found.remove(next(e for e in found if (e.mention(document.text), e.type) == before))
    if after:
        start = document.text.index(after[0])
        found.append(Entity((Span(start, start + len(after[0])),), after[1]))
    return document, found


def mentions(entities: Iterable[Entity], text: str) -> list[tuple[int, int, str, str]]:
    """Mentions in the order of the text."""
    return sorted((e.start, e.end, e.type, e.mention(text)) for e in entities)


def taken(page: Any) -> list[Document]:
    """The page's documents."""
    return [Document.from_dict(values) for values in state(page)]


def check_demonstrations(found: list[dict[str, Any]], documents: list[Document], types: list[str]) -> None:
    """They are those that biomark makes of the same documents."""
    own = demonstrations(documents, types)
    assert sorted((f["document_id"], f["instruction"], f["input"], f["output"]) for f in found) == sorted(
        (d.document_id, d.instruction, d.input, d.output) for d in own
    )


def check_model(folder: Path, types: list[str]) -> None:
    """The small generative model of the package learns from the demonstrations, and annotates a new note."""
    settings = {
        "name": "mine", "train": ["biomark.demos.json"], "devel": ["corrected"], "types": types,
        "prompt": "alpaca", "examples": 16, "devel_sentences": 6, "epochs": 1,
    }  # fmt: skip
    options = [part for name, value in settings.items() for part in ("--set", f"{name}={json.dumps(value)}")]
    assert "16 demonstrations, " in run(folder, "train", str(ROOT / "recipes" / "smallest.toml"), *options)
    text = "Asthma since childhood. Takes aspirin for a sore throat."
    (folder / "new.txt").write_text(text, "utf-8")
    run(folder, "annotate", "new.txt", "-o", "new.jsonl", "--model", "runs/mine")
    (document,) = formats.read(folder / "new.jsonl")
    assert document.text == text
    assert {e.type for e in document.entities} <= set(types)  # two steps teach nothing yet


def run(folder: Path, *arguments: str) -> str:
    """Run a command of biomark in a folder; return its messages."""
    done = subprocess.run(
        [sys.executable, "-m", "biomark", *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr
