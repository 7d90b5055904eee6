"""Normalised forms: what different writings of one name have in common.

A form is a row of words: case, accents, hyphens and other punctuation are gone, Greek letters are
spelled out, plurals are singular, British spellings American, and letters are apart from digits, so
that `IL-2`, `IL2` and `il 2` are one. Each word knows where it stands in the text, so that a form
found in a text has exact offsets.
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
# Plural → singular by ending, the first that fits; words keep at least three letters.
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
# Words that are left out where the order of words does not matter.
SMALL = frozenset("a an and by due for from in of on or the to type with without".split())
_LONGEST_ACRONYM = 6


class Word(NamedTuple):
    """A word of a form and where it stands: `start` and `end` are code points of the text."""

    form: str
    start: int
    end: int


def words(text: str) -> Iterator[Word]:
    """The words of a text in order, each with its offsets.

    A possessive `'s` is no word. A word in the sense of a form may be part of a word of the text
    (`TNFα` has two): who matches forms has to look at the boundaries.
    """
    for found in _WORD.finditer(text):
        written = found.group()
        if written in ("s", "S") and found.start() and _POSSESSIVE.match(text, found.start() - 1):
            continue
        yield Word(fold(written), found.start(), found.end())


def form(text: str) -> str:
    """The normalised form of a name: its words with a blank between them; empty if it has none."""
    return " ".join(word.form for word in words(text))


def bag(form: str) -> str:
    """A form without order and small words: `cancer of the breast` and `breast cancer` are one."""
    kept = sorted({word for word in form.split() if word not in SMALL})
    return " ".join(kept) or form


@lru_cache(maxsize=1 << 16)
def fold(word: str) -> str:
    """The form of one word."""
    if greek := spelled_out(word[0]):
        return greek
    plain = "".join(c for c in unicodedata.normalize("NFKD", word.casefold()) if not unicodedata.combining(c))
    if word.isupper() and len(word) <= _LONGEST_ACRONYM:
        return plain  # AIDS is not the plural of an aid
    for pattern, replacement in _PLURALS:
        changed, count = pattern.subn(replacement, plain)
        if count:
            plain = changed
            break
    for pattern, replacement in _SPELLINGS:
        plain = pattern.sub(replacement, plain)
    return plain
