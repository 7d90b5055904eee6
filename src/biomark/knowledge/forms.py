"""Normalised forms, which are equal for different spellings of one name.

A form is a sequence of words without case, accents, hyphens and other punctuation. Greek letters are
spelled out, plurals are singular, British spellings American, and letters are separated from digits, so
that `IL-2`, `IL2` and `il 2` have the same form. Each word keeps its offsets in the text, so that a match
of a form has exact offsets.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from biomark.text.greek import spelled_out

_MARKS = r"[\u0300-\u036f]*"
# One Greek letter, a run of other letters with their accents, or a run of digits.
_WORD = re.compile(
    rf"[\u0370-\u03ff]{_MARKS}|(?:[^\W\d_\u0370-\u03ff]{_MARKS})+|\d+",
)
_POSSESSIVE = re.compile(r"['’]s(?!\w)")
# Plural → singular by ending; the first pattern that matches applies, and words keep at least three letters.
_PLURALS = (
    (re.compile(r"(?<=\w{3})ies$"), "y"),
    (re.compile(r"(?<=\w{3})oses$"), "osis"),
    (re.compile(r"(?<=\w\wt)ases$"), "asis"),
    (re.compile(r"(?<=\w\wly)ses$"), "sis"),
    (re.compile(r"(?<=ss)es$|(?<=\wus)es$"), ""),
    (re.compile(r"(?<=\w\w[cs]h)es$|(?<=\w\wx)es$"), ""),
    (re.compile(r"(?<=\w\w[^suixo])s$"), ""),
)
_SPELLINGS = (
    (re.compile(r"(?<=\w\w)our$"), "or"),
    (re.compile(r"(?<=\w)[ao]e(?=[a-z])"), "e"),
    (re.compile(r"^[ao]e(?=[a-z]{3})"), "e"),
    (re.compile(r"sulph"), "sulf"),
    (re.compile(r"isation$"), "ization"),
)
# Words that are ignored where the order of words does not matter.
SMALL = frozenset("a an and by due for from in of on or the to type with without".split())
_LONGEST_ACRONYM = 6


class Word(NamedTuple):
    """A word of a form with its offsets: code points `start` (included) to `end` (excluded) of the text."""

    form: str
    start: int
    end: int


def words(text: str) -> Iterator[Word]:
    """Yield the words of a text in order, each with its offsets.

    A possessive `'s` is skipped. A word of a form may be only part of a word of the text (`TNFα` has
    two words), so callers that match forms have to check the boundaries.
    """
    for match in _WORD.finditer(text):
        written = match.group()
        if written in ("s", "S") and match.start() and _POSSESSIVE.match(text, match.start() - 1):
            continue
        yield Word(fold(written), match.start(), match.end())


def form(text: str) -> str:
    """Return the normalised form of a name: its words joined by blanks; empty if it has no letters and digits."""
    return " ".join(word.form for word in words(text))


def bag(form: str) -> str:
    """Return a form's words sorted and without small words, equal for `cancer of the breast` and `breast cancer`."""
    kept = sorted({word for word in form.split() if word not in SMALL})
    return " ".join(kept) or form


@lru_cache(maxsize=1 << 16)
def fold(word: str) -> str:
    """Return the form of one word."""
    if greek := spelled_out(word[0]):
        return greek
    plain = "".join(c for c in unicodedata.normalize("NFKD", word.casefold()) if not unicodedata.combining(c))
    if word.isupper() and len(word) <= _LONGEST_ACRONYM:
        return plain  # "AIDS" is not the plural of "aid"
    for pattern, replacement in _PLURALS:
        changed, count = pattern.subn(replacement, plain)
        if count:
            plain = changed
            break
    for pattern, replacement in _SPELLINGS:
        plain = pattern.sub(replacement, plain)
    return plain
