"""Greek letters and their English names, both of which occur in biomedical texts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

_NAME = re.compile(r"GREEK (?:SMALL|CAPITAL) LETTER (?:FINAL )?(\w+)")
_SYMBOL = re.compile(r"GREEK (?:CAPITAL )?(\w+) SYMBOL")  # ϕ, ϑ, ϵ, which occur in formulas


LETTERS = "αβγδεζηθικλμνξοπρστυφχψω"


@lru_cache(maxsize=1 << 12)
def spelled_out(letter: str) -> str:
    """Return the name of a Greek letter in lower case, such as `lambda`, without accents; "" for other characters.

    The micro sign does not count as a Greek letter: `µm` is a unit.
    """
    name = unicodedata.name(letter, "")
    match = _NAME.match(name) or _SYMBOL.match(name)
    if match is None:
        return ""
    return "lambda" if match[1] == "LAMDA" else match[1].lower()  # Unicode's own spelling


NAMES: Mapping[str, str] = {spelled_out(letter): letter for letter in LETTERS}
"""Name → lower-case Greek letter."""
