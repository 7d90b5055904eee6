"""How alike two names are: keys of their words, and what a learnt rule weighs.

A key is what is left of a word without ending: `ischemic` and `ischemia` share one, as do words that
`equivalents.toml` says are the same (`renal`, `kidney`), and Roman and Arabic numerals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from biomark.knowledge.forms import SMALL, fold
from biomark.runtime.toml import packaged

_NUMERALS = "i ii iii iv v vi vii viii ix x xi xii xiii xiv xv".split()
_ROMAN = {numeral: str(value) for value, numeral in enumerate(_NUMERALS, 1)}
_ENDINGS = re.compile(
    r"(?:ically|ical|ic|ally|al|atous|ous|iac|ia|is|ity|ively|ive|ion|ing|ed|ism|ist|um|us|ae|[aeyo])$"
)
_SHORTEST_KEY = 4
_SHORTEST_WITH_ENDING = 6
_LIGHT = 0.25  # the weight of a light word, as a share of what its rarity gives it
_NEAR = 0.7  # the likeness of words that `equivalents.toml` calls near
_ALIKE = 0.5  # less likeness is none


@dataclass(frozen=True, slots=True)
class Equivalents:
    """What `equivalents.toml` says, which explains it.

    Attributes:
        near: a key → the keys near it.
        light: the keys of light words.
    """

    near: dict[str, frozenset[str]]
    light: frozenset[str]


@cache
def equivalents() -> Equivalents:
    """The words that come with the package."""
    fields: dict[str, set[str]] = {}
    for line in _rows().near.splitlines():
        keys = [key(fold(word)) for word in line.split()]
        for one in keys:
            fields.setdefault(one, set()).update(keys)
    near = {one: frozenset(others - {one}) for one, others in fields.items()}
    return Equivalents(near, frozenset(key(fold(word)) for word in _rows().light.split()))


@dataclass(frozen=True, slots=True)
class _Rows:
    """The content of `equivalents.toml`, which explains the fields."""

    same: str
    near: str
    light: str
    beginnings: dict[str, str]
    endings: dict[str, str]


@cache
def _rows() -> _Rows:
    return packaged("biomark.knowledge", "equivalents.toml", _Rows)


@cache
def _same() -> dict[str, str]:
    lines = [line.split() for line in _rows().same.splitlines()]
    return {fold(word): fold(line[0]) for line in lines for word in line}


@lru_cache(maxsize=1 << 16)
def key(word: str) -> str:
    """The key of one word of a form."""
    if word in _ROMAN:
        return _ROMAN[word]
    word = _same().get(word, word)
    if len(word) < _SHORTEST_WITH_ENDING or not word.isalpha():
        return word
    cut = _ENDINGS.sub("", word)
    if len(cut) < _SHORTEST_KEY:
        return word
    while len(cut) > _SHORTEST_KEY and cut[-1] in "stei":  # paralys-is, paralyt-ic
        cut = cut[:-1]
    return cut


@cache
def _compound() -> re.Pattern[str]:
    return re.compile(f"({'|'.join(_rows().beginnings)})o?({'|'.join(_rows().endings)})")


@lru_cache(maxsize=1 << 16)
def _meanings(word: str) -> tuple[str, ...]:
    """The keys of a word of a form: of what a compound is made of, or its own one."""
    found = _compound().fullmatch(word)
    if found is None:
        return (key(word),)
    parts = f"{_rows().beginnings[found[1]]} {_rows().endings[found[2]]}"
    return tuple(key(fold(part)) for part in parts.split())


@lru_cache(maxsize=1 << 16)
def keys(form: str) -> tuple[str, ...]:
    """The keys of a form's words, each once and in order; small words have none, unless there are no others."""
    words = form.split()
    found = (key for word in words if word not in SMALL for key in _meanings(word))
    return tuple(dict.fromkeys(found)) or tuple(dict.fromkeys(words))


@lru_cache(maxsize=1 << 18)
def likeness(one: str, other: str) -> float:
    """How alike two keys are, in [0, 1]: Dice's coefficient of their trigrams or their common beginning."""
    if one == other:
        return 1.0
    if one.isdigit() or other.isdigit() or len(one) < _SHORTEST_KEY or len(other) < _SHORTEST_KEY:
        return 0.0
    if other in equivalents().near.get(one, ()):
        return _NEAR
    found = dice(one, other)
    common = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    if common > _SHORTEST_KEY:
        found = max(found, common / max(len(one), len(other)))
    return found if found >= _ALIKE else 0.0


def dice(one: str, other: str) -> float:
    """Dice's coefficient of the sets of trigrams, beginning and end counted in."""
    a, b = _trigrams(one), _trigrams(other)
    return 2 * len(a & b) / (len(a) + len(b))


@lru_cache(maxsize=1 << 16)
def _trigrams(word: str) -> frozenset[str]:
    padded = f"^{word}$"
    return frozenset(padded[start : start + 3] for start in range(len(padded) - 2))


FEATURES = (
    "mention_covered",  # the share of the mention's weight that words of the name cover
    "name_covered",  # the share of the name's weight that words of the mention cover
    "covered",  # their harmonic mean
    "dice",  # of the trigrams of both without blanks
    "mention_left",  # the weight of the mention's words that the name lacks, in tens
    "name_left",  # the weight of the name's words that the mention lacks, in tens
    "last",  # the likeness of the last words
    "beginning",  # whether the first four letters are the same
    "words_more",  # how many words the mention has more, in threes
    "words_fewer",  # how many it has fewer, in threes
    "all_of_mention",  # whether the name has all the mention's keys
    "all_of_name",  # whether the mention has all the name's keys
)
"""What `compare` returns."""


def compare(mention: str, name: str, weight: Callable[[str], float]) -> tuple[float, ...]:
    """How alike a mention and a name are.

    Args:
        mention: its form.
        name: its form.
        weight: of a key, more than 0; see `weight_of`.

    Returns:
        The values of `FEATURES`.
    """
    asked, known = keys(mention), keys(name)
    asked_best = [max(likeness(one, other) for other in known) for one in asked]
    known_best = [max(likeness(one, other) for one in asked) for other in known]
    mention_covered, mention_left = _covered([weight(one) for one in asked], asked_best)
    name_covered, name_left = _covered([weight(one) for one in known], known_best)
    one, other = mention.replace(" ", ""), name.replace(" ", "")
    more = len(asked) - len(known)
    return (
        mention_covered,
        name_covered,
        2 * mention_covered * name_covered / (mention_covered + name_covered or 1.0),
        dice(one, other),
        mention_left / 10,
        name_left / 10,
        likeness(asked[-1], known[-1]),
        float(one[:4] == other[:4]),
        max(more, 0) / 3,
        max(-more, 0) / 3,
        float(min(asked_best) == 1),
        float(min(known_best) == 1),
    )


def weight_of(key: str, rarity: float) -> float:
    """The weight of a key.

    Args:
        rarity: the logarithm of how many names there are for each one that has the key.
    """
    return rarity * (_LIGHT if key in equivalents().light else 1.0)


def _covered(weights: Sequence[float], best: Sequence[float]) -> tuple[float, float]:
    """The share of the weights that is covered, and the sum of those that are not."""
    covered = sum(weight * like for weight, like in zip(weights, best, strict=True)) / sum(weights)
    return covered, sum(weight for weight, like in zip(weights, best, strict=True) if not like)
