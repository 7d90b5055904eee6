"""Cautions: restrictions on matching ambiguous names in texts.

The rules are data, in `caution.toml`; the store keeps each name's caution, and
`biomark knowledge search` shows it. Names that are never matched in texts still give
identifiers to the mentions of a recognizer.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cache, cached_property

from biomark.knowledge.forms import form
from biomark.runtime.toml import packaged


class Caution(IntEnum):
    """The strictness with which a name is matched in texts."""

    NONE = 0
    CASE = 1
    """Matched only in its exact spelling: a short name with capitals."""
    BESIDE = 2
    """Matched only in its exact spelling and beside a longer name of the concept: a very short abbreviation."""
    NEVER = 3
    """Never matched: a single letter, a number, a word of everyday language."""

    @property
    def meaning(self) -> str:
        """The caution in words, empty for `NONE`."""
        return _MEANINGS[self]


_MEANINGS = {
    Caution.NONE: "",
    Caution.CASE: "only as written",
    Caution.BESIDE: "only as written, beside a longer name",
    Caution.NEVER: "not looked for",
}


@dataclass(frozen=True)  # without slots, for the cached property
class CautionRules:
    """The rules of `caution.toml`, which explains the fields."""

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
def rules() -> CautionRules:
    """Return the rules that the package contains."""
    return packaged("biomark.knowledge", "caution.toml", CautionRules)


def caution(name: str, count: int = 0) -> Caution:
    """Return how strictly a name is matched in texts.

    Args:
        name: the name as its source spells it.
        count: the number of mentions in annotated corpora with this name and identifier.
    """
    limits = rules()
    letters = [character for character in name if character.isalpha()]
    capitals = sum(letter.isupper() for letter in letters)
    if len(letters) < limits.letters:
        return Caution.NEVER
    # "Cat" may be an everyday word at the beginning of a sentence; "CAT" is not an everyday word.
    if (capitals <= 1 or len(name) > limits.short) and form(name) in limits.everyday:
        return Caution.NEVER
    if len(name) > limits.short or not capitals:
        return Caution.NONE
    plain = not any(character.isdigit() for character in name)
    known = count >= limits.attested
    return Caution.BESIDE if plain and len(letters) <= limits.abbreviation and not known else Caution.CASE
