"""One question a type, answered by a JSON list of strings (UniversalNER: Zhou et al. 2024)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from biomark.entity_types import label
from biomark.shapes import loose_json
from biomark.shapes.strings import Listing

_ITEM = re.compile(r"^[^\S\n]*+(?:[-*•]|\d++[.)])\s++(.*)", re.MULTILINE)
_NOTHING = {"", "none", "none.", "n/a", "null"}


def _write(type: str, strings: Sequence[str]) -> str:
    return json.dumps(list(strings), ensure_ascii=False)


def _read(answer: str) -> tuple[list[str], bool]:
    try:
        value = loose_json.parse(answer)
    except ValueError:
        return loose_json.strings(answer) or [item.strip().strip("\"'`") for item in _ITEM.findall(answer)], False
    if isinstance(value, dict) and len(value) == 1:
        value = next(iter(value.values()))
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return [item for item in value if item.casefold() not in _NOTHING], True
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else [], False


def _what(type: str) -> str:
    return f"What describes {label(type)} in the text?"


def _ask(type: str) -> str:
    return (
        f'The question "{_what(type)}" is answered with a JSON list of strings, each quoted from the text as it stands '
        'there, such as ["a", "b"]; if there is nothing, with [].'
    )


def _question(text: str, types: Sequence[str]) -> tuple[str, ...]:
    """The conversation that UniversalNER's models were tuned on."""
    return (f"Text: {text}", "I've read this text.", _what(types[0]))


DIALOGUE = Listing("dialogue", write=_write, read=_read, ask=_ask, question=_question)
