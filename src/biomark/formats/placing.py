"""Comparison of a mention's words in a file with the text at its offsets, and messages about differences.

White space may differ, because many corpora disagree with their own text there. So may characters that tools convert
without moving an offset: case, accents, Greek letters written as Latin ones, hyphens and quotation marks of all
kinds. The mention then has the words of the text.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from biomark.text.typography import APOSTROPHES, HYPHENS, QUOTES

_LONGEST = 80  # characters that a message shows of a text

# Latin letters that replace Greek ones in some corpora; "μ" has two spellings.
_GREEK = {
    "α": "a", "β": "b", "γ": "gy", "δ": "d", "ε": "e", "ζ": "z", "η": "hen", "θ": "tqh", "ι": "i", "κ": "k", "λ": "l",
    "μ": "mu", "ν": "nv", "ξ": "x", "ο": "o", "π": "p", "ρ": "r", "σ": "s", "ς": "s", "τ": "t", "υ": "uy", "φ": "fp",
    "χ": "cx", "ψ": "yp", "ω": "ow",
}  # fmt: skip
_HYPHENS = frozenset(f"-{HYPHENS}\u00ad_")  # some tools write white space for them, or the other way round
_QUOTES = frozenset(f"'`\"{APOSTROPHES}{QUOTES}")


def fits(words: str, mention: str) -> bool:
    """Return whether the words of a text agree with a mention in a file; see the module for allowed differences."""
    return "".join(words.split()) == "".join(mention.split()) or _alike(words, mention)


def misplaced(where: str, words: str, mention: str, hint: str = "") -> str:
    """Return the message about a mention whose words are not at its offsets."""
    return f"at {where} the text has {short(words)!r}, not {short(mention)!r}{hint}"


def beyond(where: str, length: int, hint: str = "") -> str:
    """Return the message about a mention whose offsets lie outside the text of `length` code points."""
    return f"offsets {where} lie beyond the end of the text ({length} code points){hint}"


def unit_hint(text: str, spans: list[tuple[int, int]], mention: str | None) -> str:
    """Return the unit of the offsets if they count UTF-8 bytes or UTF-16 units instead of code points, else ""."""
    if mention is None or text.isascii():
        return ""
    for name, encoding, size in (("bytes of UTF-8", "utf-8", 1), ("UTF-16 units", "utf-16-le", 2)):
        raw = _encoded(text, encoding)
        words = " ".join(raw[start * size : end * size].decode(encoding, "replace") for start, end in spans)
        if fits(words, mention):
            return f"; its offsets count {name}, and must count code points"
    return ""


@lru_cache(maxsize=2)
def _encoded(text: str, encoding: str) -> bytes:
    return text.encode(encoding, "replace")


def short(text: str) -> str:
    """Return a text for a message, cut off after 80 characters."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _alike(words: str, mention: str) -> bool:
    if len(words) != len(mention):
        return False
    pairs = list(zip(words, mention, strict=True))
    return all(a == b or _is_variant(a, b) for a, b in pairs) and any(map(str.isalnum, words))


@lru_cache(maxsize=1 << 12)
def _is_variant(a: str, b: str) -> bool:
    """Return whether tools write one of the characters for the other."""
    if all(c in _HYPHENS or c.isspace() for c in (a, b)) or (a in _QUOTES and b in _QUOTES):
        return True
    a, b = _plain(a), _plain(b)
    return a == b or b in _GREEK.get(a, "") or a in _GREEK.get(b, "")


def _plain(character: str) -> str:
    """Return a letter in lower case, without accents, and in its compatibility form (NFKD)."""
    return unicodedata.normalize("NFKD", character.casefold())[:1].casefold()
