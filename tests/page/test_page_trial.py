"""A clinician's trial: thirty notes among five hundred documents, corrected with the keyboard alone, then learned."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from page_cases import saved
from tokenizers import Tokenizer

from biomark import formats, models
from biomark.demonstrations import demonstrations
from biomark.formats import html
from biomark.spans import Document, Entity, Span
from browser import Opened, drop, press, window
from toy_bert import save_bert
from toy_recipe import SMALL, quiet, write_recipe

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from biomark.tagging.training.trainer import train  # noqa: E402
from biomark.training.recipe import load_recipe  # noqa: E402

pytest_plugins = ("page_fixtures",)
pytestmark = pytest.mark.slow
torch.set_num_threads(1)

MOST = 4  # keys for one correction
ABSTRACTS = 470  # that are open beside the notes
ALIKE = ("fever", "gout", "anemia", "asthma", "eczema")
PLANS = ("missing", "wrong", "boundary", "type", "alike", "right")


def note(number: int) -> Document:
    """A note of its own; what a model has found in it is wrong as its plan (by turns) says."""
    plan, name = PLANS[number % len(PLANS)], ALIKE[number % len(ALIKE)]
    text = f"Visit {number}. Woman of {40 + number} years with severe {name} for {number + 2} days. "
    text += "Given aspirin, then Zyntrexa at night. Cough gone."
    words = {"disease": [name], "chemical": ["aspirin"]}
    if plan == "boundary":
        words["disease"] = [f"severe {name}"]
    if plan == "type":
        words = {"disease": [name, "aspirin"]}
    if plan == "wrong":
        words["chemical"] += ["night"]
    return _marked(f"note-{number:02}", text, words)


def corrected(number: int) -> Document:
    """The note as a clinician wants it."""
    text, name = note(number).text, ALIKE[number % len(ALIKE)]
    words = {"disease": [name], "chemical": ["aspirin", "Zyntrexa"]}
    if PLANS[number % len(PLANS)] == "missing":
        words["disease"] += ["Cough"]
    return _marked(f"note-{number:02}", text, words)


def _marked(name: str, text: str, words: dict[str, list[str]]) -> Document:
    found = [
        Entity((Span(text.index(one), text.index(one) + len(one)),), type) for type, all in words.items() for one in all
    ]
    return Document(name, text, entities=tuple(sorted(found, key=lambda e: e.start)))


@dataclass
class Keyboard:
    """Presses keys, and counts them for each correction."""

    page: Any
    counts: dict[str, list[int]] = field(default_factory=dict)

    def __call__(self, what: str, *keys: str) -> None:
        press(self.page, *keys)
        self.counts.setdefault(what, []).append(len(keys))

    @property
    def words(self) -> str:
        """What is selected."""
        return str(self.page.locator("#inspector h2").text_content())


def test_thirty_notes_are_corrected_with_the_keyboard_and_learned(
    browser: Any, tmp_path: Path, word_pieces: Tokenizer
) -> None:
    notes = [note(n) for n in range(30)]
    abstracts = [Document(f"abstract-{n}", f"{n} mice had no gout. " * 60) for n in range(ABSTRACTS)]
    formats.write([*notes, *abstracts], tmp_path / "notes.jsonl")
    (tmp_path / "page.html").write_text(html.page([]))
    with window(browser, viewport={"width": 1280, "height": 900}) as context:
        opened = Opened(context)
        page = opened.go(tmp_path / "page.html")
        drop(page, notes__jsonl=(tmp_path / "notes.jsonl").read_text())
        page.locator("article").nth(29 + ABSTRACTS).wait_for(state="attached")
        keyboard = Keyboard(page)
        page.locator(".editable").first.focus()
        correct(keyboard)
        found = page.evaluate("async () => (await biomark).exported('jsonl')[0].text()")
        files = {kind: saved(page, kind, tmp_path) for kind in ("brat", "demonstrations")}
        assert opened.problems == []
    assert max(count for counts in keyboard.counts.values() for count in counts) <= MOST
    expected = [corrected(n) for n in range(30)]
    documents = [Document.from_dict(json.loads(line)) for line in found.splitlines()]
    assert [mentions(d) for d in documents] == [mentions(d) for d in (*expected, *abstracts)]
    with zipfile.ZipFile(files["brat"]) as archive:
        archive.extractall(tmp_path / "brat")
    assert [mentions(d) for d in formats.read(tmp_path / "brat") if d.id.startswith("note")] == list(
        map(mentions, expected)
    )
    check_demonstrations(json.loads(files["demonstrations"].read_text()), expected)
    check_model(tmp_path, word_pieces)


def correct(keyboard: Keyboard) -> None:
    """Correct the notes; the first one marks the new medicine in all documents."""
    for number in range(30):
        plan = PLANS[number % len(PLANS)]
        if number == 0:
            keyboard("add all equal ones", "f", "z", "Shift+Digit2")
            assert keyboard.words == "Zyntrexa"
        if plan == "missing":
            keyboard("add", "f", "c", "1")
        elif plan == "wrong":
            keyboard("go to a mention", "p")  # behind the last one, as the text was left at its end
            keyboard("go to a mention", *(["p"] if keyboard.words != "night" else []))
            keyboard("drop", "Delete")
        elif plan == "boundary":
            keyboard("resize", "n", "Alt+ArrowRight")
        elif plan == "type":
            keyboard("retype", "n", "n", "2")
        keyboard("undo and redo", "u", "r")
        keyboard("next document", "j")


def mentions(document: Document) -> tuple[str, list[tuple[int, int, str]]]:
    return document.id, [(e.start, e.end, e.type) for e in document.entities]


def check_demonstrations(found: list[dict[str, Any]], expected: list[Document]) -> None:
    """Those of the notes equal biomark's own."""
    own = [d for d in demonstrations(expected, ["disease", "chemical"])]
    notes = [f for f in found if f["document_id"].startswith("note")]
    assert [(f["instruction"], f["input"], f["output"]) for f in notes] == [
        (d.instruction, d.input, d.output) for d in own
    ]


def check_model(folder: Path, word_pieces: Tokenizer) -> None:
    """A model of the corrected notes finds the new medicine in a new one."""
    save_bert(folder / "encoder", word_pieces)
    for part, numbers in (("train", range(24)), ("devel", range(24, 30))):
        (folder / part).mkdir()
        for number in numbers:
            for path in (folder / "brat").glob(f"note-{number:02}.*"):
                path.rename(folder / part / path.name)
    write_recipe(
        folder / "recipe.toml",
        name="corrected",
        encoder=str(folder / "encoder"),
        train=[str(folder / "train")],
        devel=[str(folder / "devel")],
        types=["disease", "chemical"],
        epochs=20,
        max_pieces=64,
        **SMALL,
    )
    run = train(load_recipe(folder / "recipe.toml"), folder / "run", reject=formats.raise_rejected, progress=quiet)
    (found,) = models.load(str(run)).annotate([note(31)])
    assert "Zyntrexa" in [e.mention(found.document.text) for e in found.document.entities]
