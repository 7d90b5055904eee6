"""Replace control characters, so that text of any origin is safe to show in a terminal or on a page."""

from __future__ import annotations

import re

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]|\r(?!\n)")


def visible(text: str) -> str:
    """Return the text with a symbol in place of each control character, except tabs and line ends.

    Every code point is replaced by one code point, so that offsets do not change.
    """
    return _CONTROL.sub(lambda match: chr(0x2400 + ord(match[0])) if match[0] < " " else "\ufffd", text)
