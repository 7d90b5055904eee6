"""Which names are too ambiguous to be looked for in texts as they stand.

The rules are data, in `caution.toml`; the store keeps each name's caution, and
`biomark knowledge search` shows it. Names that are left out of the search in texts still give
identifiers to mentions that a recognizer found.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from importlib.resources import files


class Caution(IntEnum):
    """How a name is looked for in texts."""

    NONE = 0
    CASE = 1
    """Only as it is written: a short name with capitals."""
    NEVER = 2
    """Not at all: a single letter, a number, a word of everyday language."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What `caution.toml` says; it explains the fields."""

    letters: int
    short: int
    words: frozenset[str]


@cache
def rules() -> Rules:
    """The rules that come with the package."""
    found = tomllib.loads(files("biomark.knowledge").joinpath("caution.toml").read_text("utf-8"))
    return Rules(found["letters"], found["short"], frozenset(found["words"].split()))


def caution(name: str) -> Caution:
    """How a name is looked for in texts."""
    limits = rules()
    letters = [character for character in name if character.isalpha()]
    if len(letters) < limits.letters:
        return Caution.NEVER
    capitals = sum(letter.isupper() for letter in letters)
    if len(name) <= limits.short and capitals:
        # Cat is a word at the beginning of a sentence, CAT is none
        return Caution.NEVER if capitals == 1 and name.casefold() in limits.words else Caution.CASE
    return Caution.NEVER if name.casefold() in limits.words else Caution.NONE
