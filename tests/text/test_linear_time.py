"""Whatever a model writes, and whatever a text repeats, is read in time that grows as its length does."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from biomark.knowledge.composites import readings
from biomark.knowledge.forms import form
from biomark.marks import OPEN
from biomark.marks.alignment import occurrences, similar
from biomark.prompted.chat.answers import without_thoughts
from biomark.prompted.invention import _lines
from biomark.prompted.prompts import _listed, yes_or_no
from biomark.shapes import SHAPES
from biomark.text.abbreviations import abbreviations
from biomark.text.sentences import split

TEXT = "Asthma [see <b>] was treated with aspirin (ASA) & zileuton in 1,25-dihydroxyvitamin D3 | patients."
# Each begins what a pattern looks for, and never ends it
UNITS = [
    "<span class=", "<span class=class=", "class=", "<span ", "<span", "<  ", "< / ", "</span>", "<mark>", "</mark>",
    "<mark>a ", "<mark>a</mark>", "[", "[ ", "|", "| ", "[ a | ", "@@", "@@a", "{", '{"a":', '{"a":[', "[[", '["', '"',
    '"\\', '\\"', '["a",', "- ", "-\n", "1.", "* ", "a ", " ", "\n", " \n", "a", "```", "```\n", "&", "& ", "&#1",
    "<think>", "</think>", "entity is ", "[SEP]", " [SEP]", "a [SEP] ", "| True", " | ", ": yes", " -- ", "**", "& # ",
    "1. asthma | True\n", "asthma ", "(", "(a) ", ", ", " and ", ". ", "'",
]  # fmt: skip
BEFORE = ["", '{"entities": [']


def decoder(shape: str) -> Callable[[str], object]:
    found = SHAPES[shape]
    types = ("disease",) if found.single else ("disease", "chemical")
    return lambda answer: found.decode(answer, TEXT, types)


READERS: dict[str, Callable[[str], object]] = {
    **{shape: decoder(shape) for shape in SHAPES},
    "thoughts": without_thoughts,
    "yes or no": yes_or_no,
    "terms": lambda answer: _listed(answer, "a moss grew"),
    "sentences of a list": _lines,
    "composite mentions": lambda text: list(readings(text)),
    "abbreviations": abbreviations,
    "forms": form,
    "sentences": split,
    "similar words": lambda text: (similar(text, TEXT), occurrences(text, TEXT)),
}
SHORT, TIMES = 2_000, 4


def seconds(read: Callable[[str], object], text: str) -> float:
    """Of the processor for this process alone, however busy the machine is."""
    begin = time.process_time()
    read(text)
    return time.process_time() - begin


def grows_faster(read: Callable[[str], object], text: str, longer: str) -> bool:
    """Whether the longer text, of `TIMES` the length, takes more than its share of time, in each of three tries."""
    for _ in range(3):
        if (long := seconds(read, longer)) < 0.1:
            return False
        # Four times the text takes four times as long; a square would take 16 times, a cube 64 times
        if long <= 2.2 * TIMES * seconds(read, text):
            return False
    return True


@pytest.mark.long
@pytest.mark.parametrize("name", READERS)
def test_time_grows_as_the_length_does(name: str) -> None:
    read = READERS[name]
    slow = []
    for before in BEFORE:
        for unit in UNITS:
            text, longer = (f"{before}{unit * (size // len(unit))}x" for size in (SHORT, TIMES * SHORT))
            if grows_faster(read, text, longer):
                slow.append((before, unit))
    assert not slow


def test_a_long_answer_is_read_in_seconds() -> None:
    for unit in ("<span class=class=", "</span>", '{"a":', "| ", " "):
        for shape in SHAPES:
            assert seconds(decoder(shape), unit * (40_000 // len(unit))) < 5


def test_rejects_of_an_answer_do_not_repeat_all_of_it() -> None:
    for sign in ("</mark>", OPEN, f"{OPEN} a ", f"{OPEN}</mark>"):
        found = SHAPES["mark"].decode(sign * 3_000, "Asthma.", ("disease",))  # type: ignore[operator]
        assert sum(len(rejected.raw) for rejected in found.rejected) < 1_000_000
