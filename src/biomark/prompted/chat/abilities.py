"""Abilities of servers, found by a short request: a server ignores what it does not support, without an error."""

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
"""A request for each ability, without any of the user's text, and whether an answer to it proves the ability."""
