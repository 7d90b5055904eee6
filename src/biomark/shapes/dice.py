"""One type's mentions in a sentence: `Entity type is Disease. … Entity is e1 [SEP] e2.` (DICE: Ma et al. 2023)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from biomark.entity_types import entity_types, label
from biomark.shapes.strings import Listing

_NONE = "<entity>"
_BEGIN = re.compile(r"\bentity is\b[ \t]*:?[ \t]*", re.IGNORECASE)
_SEPARATOR = re.compile(r"\s*\[SEP\]\s*", re.IGNORECASE)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _head(type: str) -> str:
    known = entity_types().get(type)
    definition = f" {_capital(known.definition)}." if known else ""
    return f"Entity type is {_capital(label(type))}.{definition}"


def _write(type: str, strings: Sequence[str]) -> str:
    return f"{_head(type)} Entity is {' [SEP] '.join(strings) or _NONE}."


def _read(answer: str) -> tuple[list[str], bool]:
    begin = _BEGIN.search(answer)
    rest = answer[begin.end() :] if begin else answer.strip()
    line = rest.partition("\n")[0].strip().removesuffix(".")
    strings = [string for string in _SEPARATOR.split(line) if string]
    if begin and [string.casefold() for string in strings] == [_NONE]:
        return [], True
    return [string for string in strings if string.casefold() != _NONE], bool(begin and strings)


def _ask(type: str) -> str:
    return (
        f"{_head(type)}\nAnswer with one sentence that quotes all entities of this type from the text: "
        f"Entity is first entity [SEP] second entity. If there is none: Entity is {_NONE}."
    )


DICE = Listing("dice", write=_write, read=_read, ask=_ask)
