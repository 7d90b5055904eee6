"""The shape `dialogue`: a question for each type, answered by a JSON list (UniversalNER: Zhou et al. 2024)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial

from biomark.entity_types import label
from biomark.shapes import loose_json
from biomark.shapes.strings import ListedString, Listing, in_answer

_ITEM = re.compile(r"^[^\S\n]*+(?:[-*•]|\d++[.)])\s++(.*)", re.MULTILINE)
_NOTHING = {"", "none", "none.", "n/a", "null"}
_NO_LIST = "the answer is not a list of mentions"
_quoted = partial(json.dumps, ensure_ascii=False)


def _write(listed: Mapping[str, Sequence[str]]) -> str:
    return _quoted([string for strings in listed.values() for string in strings])


def _read(answer: str, types: Sequence[str]) -> tuple[list[ListedString], str]:
    try:
        value = loose_json.parse(answer)
    except ValueError:
        strings = loose_json.strings(answer) or [item.strip().strip("\"'`") for item in _ITEM.findall(answer)]
        return in_answer(types[0], strings, answer, _quoted), _NO_LIST
    if isinstance(value, dict) and len(value) == 1:
        value = next(iter(value.values()))
    if not isinstance(value, list):
        return [], _NO_LIST
    strings = [item for item in value if isinstance(item, str) and item.casefold() not in _NOTHING]
    whole = all(isinstance(item, str) for item in value)
    return in_answer(types[0], strings, answer, _quoted), "" if whole else _NO_LIST


def _what(entity_type: str) -> str:
    return f"What describes {label(entity_type)} in the text?"


def _ask(types: Sequence[str]) -> str:
    return (
        f'The question "{_what(types[0])}" is answered with a JSON list of strings, each quoted from the text as it '
        'stands there, such as ["a", "b"]; if there is nothing, with [].'
    )


def _question(text: str, types: Sequence[str]) -> tuple[str, ...]:
    """Return the conversation that UniversalNER's models were tuned on."""
    return (f"Text: {text}", "I've read this text.", _what(types[0]))


DIALOGUE = Listing("dialogue", write=_write, read=_read, ask=_ask, question=_question)
