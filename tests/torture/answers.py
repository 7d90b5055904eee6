"""Careless and invented answers of every shape, for `fuzz.py`."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from files import corpus

from biomark.marks.alignment import folded
from biomark.shapes import SHAPES
from biomark.spans import Document, Entity

if TYPE_CHECKING:
    from fuzz import Tally

TYPES = ("disease", "chemical", "gene")
_ADDED = (
    "<mark>", "</mark>", "<MARK >", "< /mark>", "@@", "##", "[", "]", " | disease ]", "{", "}", '"', "\\", "\\u0000",
    "\\ud800",
    "```json\n", "```", "None", "Sure! Here is the answer:\n", "\n", "\n\n", "1. ", "- ", "|", ",", ", ", ": ",
    "&lt;mark&gt;", "&amp;", "&#99999999999;", "\0", "\ud800", "\u2028", "İ", "ß", "ﬁ", "e\u0301", '"occurrence": 99',
    "null", "[" * 400, '{"a":' * 400, "True", "aspirin", "asthma", "of the",
    "9" * 5000, '<span class="disease">', "</span>",
)  # fmt: skip


def decode_changed(name: str, rng: random.Random, tally: Tally) -> None:
    """One trial of a shape: the answer about a text, as a careless model gives it.

    Raises:
        AssertionError: if a mention is not where the answer has it.
    """
    shape = SHAPES[name]
    (document,) = corpus(rng, 1, rng.choice((1, 3, 10, 40, 120)))
    types = TYPES[:1] if shape.single else TYPES
    renamed = tuple(Entity(e.spans, types[len(e.type) % len(types)]) for e in document.entities)
    answer = shape.encode(document.text, renamed, types).text
    if rng.random() > 0.05:  # else as it is
        answer = _changed(answer, rng) if rng.random() < 0.9 else "".join(rng.choices(_ADDED, k=rng.randrange(60)))
    decoded = shape.decode(answer, document.text, types)
    tally.documents += 1
    tally.rejects += len(decoded.rejected)
    tally.mentions += len(decoded.entities)
    _check(document, decoded.entities, types)
    for entity, place in zip(decoded.entities, decoded.places, strict=False):
        if place is not None:
            tally.verified += 1
            _compare(entity.mention(document.text), answer[place.start : place.end])
    for rejected in decoded.rejected:
        str(rejected)


def _check(document: Document, entities: tuple[Entity, ...], types: tuple[str, ...]) -> None:
    for entity in entities:
        if not all(0 <= span.start < span.end <= len(document.text) for span in entity.spans):
            raise AssertionError(f"{entity.spans} of {len(document.text)}")
        if entity.type not in types:
            raise AssertionError(f"type {entity.type!r} was not asked for")
        if not entity.mention(document.text).strip():
            raise AssertionError(f"white space at {entity.spans}")


def _compare(mention: str, words: str) -> None:
    """Raises AssertionError if the words of an answer, with its signs, are not those of the text.

    They may be in another order, and a seventh of them may differ.
    """
    ours, theirs = (Counter(re.sub(r"\s+", "", folded(part))) for part in (mention, words))
    missing = (ours - theirs).total()
    if "\\" not in words and "&" not in words and 7 * missing > 2 * max(7, ours.total()):
        raise AssertionError(f"{words!r} was read as {mention!r}")


def _changed(answer: str, rng: random.Random) -> str:
    """An answer with words dropped, added, repeated, exchanged, in other letters; cut off, or with signs added."""
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        pieces = re.findall(r"\s+|\w+|[^\w\s]", answer)
        if pieces:
            answer = "".join(rng.choice(_CHANGES)(pieces, rng.randrange(len(pieces)), rng))
    return answer


def _exchanged(pieces: list[str], at: int, rng: random.Random) -> list[str]:
    to = rng.randrange(len(pieces))
    pieces[at], pieces[to] = pieces[to], pieces[at]
    return pieces


def _respelled(pieces: list[str], at: int, rng: random.Random) -> list[str]:
    word = pieces[at]
    return [*pieces[:at], rng.choice((word.upper(), word.lower(), word[::-1], word[1:])), *pieces[at + 1 :]]


def _typeset(pieces: list[str], at: int, rng: random.Random) -> list[str]:
    space = rng.choice((" ", "", "\n"))
    return [re.sub(r"\s+", space, piece).replace("-", "–").replace("'", "’") for piece in pieces]


_CHANGES: tuple[Callable[[list[str], int, random.Random], list[str]], ...] = (
    lambda pieces, at, rng: pieces[:at] + pieces[at + rng.choice((1, 1, 2, 9)) :],
    lambda pieces, at, rng: [*pieces[:at], rng.choice(_ADDED), *pieces[at:]],
    lambda pieces, at, rng: [*pieces[:at], rng.choice(_ADDED), *pieces[at + 1 :]],
    lambda pieces, at, rng: pieces[: at + rng.choice((1, 3, 30))] + pieces[at:],
    lambda pieces, at, rng: pieces[: max(at, len(pieces) // 2)],
    _exchanged,
    _respelled,
    _typeset,
)
