"""Greek letters and their English names, as biomedical texts write either."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

_NAME = re.compile(r"GREEK (?:SMALL|CAPITAL) LETTER (?:FINAL )?(\w+)")
_SYMBOL = re.compile(r"GREEK (?:CAPITAL )?(\w+) SYMBOL")  # ϕ, ϑ, ϵ, which formulas have


LETTERS = "αβγδεζηθικλμνξοπρστυφχψω"


@lru_cache(maxsize=1 << 12)
def spelled_out(letter: str) -> str:
    """The name of a Greek letter in small letters, such as `lambda`, accents left off; "" for any other character.

    The micro sign is no Greek letter: `µm` is a unit.
    """
    name = unicodedata.name(letter, "")
    match = _NAME.match(name) or _SYMBOL.match(name)
    if match is None:
        return ""
    return "lambda" if match[1] == "LAMDA" else match[1].lower()  # Unicode's own spelling


NAMES: Mapping[str, str] = {spelled_out(letter): letter for letter in LETTERS}
"""The small letters by their names."""
