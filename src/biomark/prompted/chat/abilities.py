"""Tests of servers for abilities with short requests, because servers silently ignore unsupported parameters."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from biomark.prompted.chat import USER, Message, Request
from biomark.prompted.chat.cache import Kept


def _proves_schema(kept: Kept) -> bool:
    try:
        return bool(json.loads(kept.texts[0]) == {"colour": "xanthic"})
    except ValueError:
        return False


_SCHEMA = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": ["xanthic"]}},
    "required": ["colour"],
    "additionalProperties": False,
}
PROBES: Mapping[str, tuple[Request, Callable[[Kept], bool]]] = {
    "schema": (Request((Message(USER, "Say hello."),), 32, schema=_SCHEMA), _proves_schema),
    "answers": (
        Request((Message(USER, "Say hello."),), 16, temperature=1.0, answers=2),
        lambda kept: len(kept.texts) == 2,
    ),
}
"""For each ability, a request without any of the user's text, and a function that checks its answer."""
