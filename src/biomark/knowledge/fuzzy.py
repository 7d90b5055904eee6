"""Similarity of names: keys of their words, and the features that a learnt model weighs.

A key is a word without its ending: `ischemic` and `ischemia` share a key, as do words that
`equivalents.toml` lists as synonyms (`renal`, `kidney`), and Roman and Arabic numerals.
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
_LIGHT = 0.25  # the factor on the weight of a light word
_NEAR = 0.7  # the similarity of words that `equivalents.toml` lists as near
_ALIKE = 0.5  # a lower similarity counts as 0


@dataclass(frozen=True, slots=True)
class Equivalents:
    """The words of `equivalents.toml`, which explains them.

    Attributes:
        near: key → the keys near it.
        light: the keys of light words.
    """

    near: dict[str, frozenset[str]]
    light: frozenset[str]


@cache
def equivalents() -> Equivalents:
    """Return the equivalent words that the package contains."""
    fields: dict[str, set[str]] = {}
    for line in _rows().near.splitlines():
        keys = [key(fold(word)) for word in line.split()]
        for word_key in keys:
            fields.setdefault(word_key, set()).update(keys)
    near = {word_key: frozenset(others - {word_key}) for word_key, others in fields.items()}
    return Equivalents(near, frozenset(key(fold(word)) for word in _rows().light.split()))


@dataclass(frozen=True, slots=True)
class _EquivalentSpellings:
    """The content of `equivalents.toml`, which explains the fields."""

    same: str
    near: str
    light: str
    beginnings: dict[str, str]
    endings: dict[str, str]


@cache
def _rows() -> _EquivalentSpellings:
    return packaged("biomark.knowledge", "equivalents.toml", _EquivalentSpellings)


@cache
def _same() -> dict[str, str]:
    lines = [line.split() for line in _rows().same.splitlines()]
    return {fold(word): fold(line[0]) for line in lines for word in line}


@lru_cache(maxsize=1 << 16)
def key(word: str) -> str:
    """Return the key of one word of a form."""
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
    """Return the keys of a word of a form: those of the parts of a compound, otherwise its own key."""
    compound = _compound().fullmatch(word)
    if compound is None:
        return (key(word),)
    parts = f"{_rows().beginnings[compound[1]]} {_rows().endings[compound[2]]}"
    return tuple(key(fold(part)) for part in parts.split())


@lru_cache(maxsize=1 << 16)
def keys(form: str) -> tuple[str, ...]:
    """Return the distinct keys of a form's words in order, without small words unless there are no others."""
    words = form.split()
    all_keys = (key for word in words if word not in SMALL for key in _meanings(word))
    return tuple(dict.fromkeys(all_keys)) or tuple(dict.fromkeys(words))


@lru_cache(maxsize=1 << 18)
def likeness(first: str, second: str) -> float:
    """Return the similarity of two keys in [0, 1]: the Dice coefficient of their trigrams, or their common prefix."""
    if first == second:
        return 1.0
    if first.isdigit() or second.isdigit() or len(first) < _SHORTEST_KEY or len(second) < _SHORTEST_KEY:
        return 0.0
    if second in equivalents().near.get(first, ()):
        return _NEAR
    similarity = dice(first, second)
    shorter, longer = sorted((len(first), len(second)))
    common = next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), shorter)
    if common > _SHORTEST_KEY:
        similarity = max(similarity, common / longer)
    return similarity if similarity >= _ALIKE else 0.0


def dice(first: str, second: str) -> float:
    """Return the Dice coefficient of the trigram sets of two strings, with signs for beginning and end."""
    a, b = _trigrams(first), _trigrams(second)
    return 2 * len(a & b) / (len(a) + len(b))


@lru_cache(maxsize=1 << 16)
def _trigrams(word: str) -> frozenset[str]:
    padded = f"^{word}$"
    return frozenset(padded[start : start + 3] for start in range(len(padded) - 2))


FEATURES = (
    "mention_covered",  # the share of the mention's weight that words of the name cover
    "name_covered",  # the share of the name's weight that words of the mention cover
    "covered",  # their harmonic mean
    "dice",  # the Dice coefficient of the trigrams of both without blanks
    "mention_left",  # the weight of the mention's words that the name lacks, in tens
    "name_left",  # the weight of the name's words that the mention lacks, in tens
    "last",  # the likeness of the last words
    "beginning",  # whether the first four letters are the same
    "words_more",  # the number of words that the mention has more than the name, in threes
    "words_fewer",  # the number of words that the mention has fewer than the name, in threes
    "all_of_mention",  # whether the name has all of the mention's keys
    "all_of_name",  # whether the mention has all of the name's keys
)
"""The names of the features that `compare` returns."""


def compare(mention: str, name: str, weight: Callable[[str], float]) -> tuple[float, ...]:
    """Compare a mention and a name.

    Args:
        mention: the form of the mention.
        name: the form of the name.
        weight: returns the weight of a key, more than 0; see `weight_of`.

    Returns:
        The values of `FEATURES`.
    """
    mention_keys, name_keys = keys(mention), keys(name)
    mention_best = [max(likeness(mention_key, name_key) for name_key in name_keys) for mention_key in mention_keys]
    name_best = [max(likeness(mention_key, name_key) for mention_key in mention_keys) for name_key in name_keys]
    mention_covered, mention_left = _covered([weight(key) for key in mention_keys], mention_best)
    name_covered, name_left = _covered([weight(key) for key in name_keys], name_best)
    mention_letters, name_letters = mention.replace(" ", ""), name.replace(" ", "")
    more = len(mention_keys) - len(name_keys)
    return (
        mention_covered,
        name_covered,
        2 * mention_covered * name_covered / (mention_covered + name_covered or 1.0),
        dice(mention_letters, name_letters),
        mention_left / 10,
        name_left / 10,
        likeness(mention_keys[-1], name_keys[-1]),
        float(mention_letters[:4] == name_letters[:4]),
        max(more, 0) / 3,
        max(-more, 0) / 3,
        float(min(mention_best) == 1),
        float(min(name_best) == 1),
    )


def weight_of(key: str, rarity: float) -> float:
    """Return the weight of a key.

    Args:
        key: a key of a word.
        rarity: the logarithm of the number of all names divided by the number of names with the key.
    """
    return rarity * (_LIGHT if key in equivalents().light else 1.0)


def _covered(weights: Sequence[float], best: Sequence[float]) -> tuple[float, float]:
    """Return the weighted mean of the similarities, and the sum of the weights whose similarity is 0."""
    covered = sum(weight * like for weight, like in zip(weights, best, strict=True)) / sum(weights)
    return covered, sum(weight for weight, like in zip(weights, best, strict=True) if not like)
