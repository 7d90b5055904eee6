"""Text of any origin, made harmless for a terminal or a page."""

from __future__ import annotations

import re

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]|\r(?!\n)")


def visible(text: str) -> str:
    """The text with a symbol in place of each control character, so that none reaches a terminal or a page.

    Every code point stays one code point; tabs and line ends stay as they are.
    """
    return _CONTROL.sub(lambda match: chr(0x2400 + ord(match[0])) if match[0] < " " else "\ufffd", text)
