"""Whether the words that a file gives for a mention are those at its offsets, and what to tell where they are not.

White space may differ, since many corpora disagree with their own text there. So may signs that tools
bring into another form without moving an offset: case, accents, Greek letters in Latin ones, hyphens and
quotation marks of all kinds. The mention is then the text's own words.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

_LONGEST = 80  # characters that a message shows of a text

# Latin letters that stand for Greek ones; "μ" has no single spelling.
_GREEK = {
    "α": "a", "β": "b", "γ": "gy", "δ": "d", "ε": "e", "ζ": "z", "η": "hen", "θ": "tqh", "ι": "i", "κ": "k", "λ": "l",
    "μ": "mu", "ν": "nv", "ξ": "x", "ο": "o", "π": "p", "ρ": "r", "σ": "s", "ς": "s", "τ": "t", "υ": "uy", "φ": "fp",
    "χ": "cx", "ψ": "yp", "ω": "ow",
}  # fmt: skip
_HYPHENS = frozenset("-‐‑‒–—―−­﹣－_ \t\n\r\u00a0\u2009\u202f")
_QUOTES = frozenset("'’‘`´ʹʼ′\"“”″")


def fits(there: str, told: str) -> bool:
    """Whether a text may be what a file calls a mention, in view of the module's head."""
    return "".join(there.split()) == "".join(told.split()) or _alike(there, told)


def misplaced(where: str, there: str, told: str, hint: str = "") -> str:
    """What to tell where a mention's words are not at its offsets."""
    return f"at {where} the text has {short(there)!r}, not {short(told)!r}{hint}"


def beyond(where: str, length: int, hint: str = "") -> str:
    """What to tell where a mention's offsets lie outside its text."""
    return f"offsets {where} lie beyond the end of the text ({length} code points){hint}"


def unit_hint(text: str, spans: list[tuple[int, int]], told: str | None) -> str:
    """What the offsets count, if the words are where bytes or UTF-16 units would have them; else nothing."""
    if told is None or text.isascii():
        return ""
    for name, encoding, size in (("bytes of UTF-8", "utf-8", 1), ("UTF-16 units", "utf-16-le", 2)):
        raw = _encoded(text, encoding)
        there = " ".join(raw[start * size : end * size].decode(encoding, "replace") for start, end in spans)
        if fits(there, told):
            return f"; its offsets count {name}, and must count code points"
    return ""


@lru_cache(maxsize=2)
def _encoded(text: str, encoding: str) -> bytes:
    return text.encode(encoding, "replace")


def short(text: str) -> str:
    """The beginning of a text that is too long for a message."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _alike(there: str, told: str) -> bool:
    if len(there) != len(told):
        return False
    pairs = list(zip(there, told, strict=True))
    return all(a == b or _same_sign(a, b) for a, b in pairs) and any(map(str.isalnum, there))


@lru_cache(maxsize=1 << 12)
def _same_sign(a: str, b: str) -> bool:
    """Whether tools write one of the characters for the other."""
    if any(a in signs and b in signs for signs in (_HYPHENS, _QUOTES)):
        return True
    a, b = _plain(a), _plain(b)
    return a == b or b in _GREEK.get(a, "") or a in _GREEK.get(b, "")


def _plain(character: str) -> str:
    """A letter in lower case, without accents and not in another width or place."""
    return unicodedata.normalize("NFKD", character.casefold())[:1].casefold()
