"""Which names are too ambiguous to be looked for in texts as they stand.

The rules are data, in `caution.toml`; the store keeps each name's caution, and
`biomark knowledge search` shows it. Names that are left out of the search in texts still give
identifiers to mentions that a recognizer found.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cache, cached_property

from biomark.knowledge.forms import form
from biomark.runtime.toml import packaged


class Caution(IntEnum):
    """How a name is looked for in texts."""

    NONE = 0
    CASE = 1
    """Only as it is written: a short name with capitals."""
    BESIDE = 2
    """Only as it is written, in a text that also has a longer name of the concept: a very short abbreviation."""
    NEVER = 3
    """Not at all: a single letter, a number, a word of everyday language."""

    @property
    def meaning(self) -> str:
        """The caution in words."""
        return _MEANINGS[self]


_MEANINGS = {
    Caution.NONE: "",
    Caution.CASE: "only as written",
    Caution.BESIDE: "only as written, beside a longer name",
    Caution.NEVER: "not looked for",
}


@dataclass(frozen=True)  # without slots, for the cached property
class Rules:
    """The content of `caution.toml`, which explains the fields."""

    letters: int
    short: int
    abbreviation: int
    attested: int
    words: str

    @cached_property
    def everyday(self) -> frozenset[str]:
        """The normalised forms of `words`."""
        return frozenset(map(form, self.words.split()))


@cache
def rules() -> Rules:
    """The rules that come with the package."""
    return packaged("biomark.knowledge", "caution.toml", Rules)


def caution(name: str, count: int = 0) -> Caution:
    """How a name is looked for in texts.

    Args:
        name: as its source writes it.
        count: how often annotated corpora have it with the identifier in question.
    """
    limits = rules()
    letters = [character for character in name if character.isalpha()]
    capitals = sum(letter.isupper() for letter in letters)
    if len(letters) < limits.letters:
        return Caution.NEVER
    # Cat is a word at the beginning of a sentence, CAT is none
    if (capitals <= 1 or len(name) > limits.short) and form(name) in limits.everyday:
        return Caution.NEVER
    if len(name) > limits.short or not capitals:
        return Caution.NONE
    plain = not any(character.isdigit() for character in name)
    known = count >= limits.attested
    return Caution.BESIDE if plain and len(letters) <= limits.abbreviation and not known else Caution.CASE
