"""The shape `dictionary`: a JSON object from mentions to types, as in DiRAG (Monajatipoor et al. 2024)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from biomark.marks import type_named
from biomark.shapes import loose_json
from biomark.shapes.base import names_of
from biomark.shapes.strings import ListedString, Listing

_NO_OBJECT = "the answer is not a JSON object of mentions and types"


def _write(listed: Mapping[str, Sequence[str]]) -> str:
    names = names_of(tuple(listed))
    return json.dumps(
        {string: names[entity_type] for entity_type in listed for string in listed[entity_type]}, ensure_ascii=False
    )


def _read(answer: str, types: Sequence[str]) -> tuple[list[ListedString], str]:
    places = {(key, value): place for key, value, place in loose_json.pairs(answer)}
    problem = ""
    try:
        value = loose_json.parse(answer)
    except ValueError as error:
        value, problem = [{key: value} for key, value in places], f"{error}; only its complete pairs are read"
    rows = value if isinstance(value, list) else [value]
    objects = [row for row in rows if isinstance(row, dict)]
    if len(objects) < len(rows):
        return [], _NO_OBJECT
    pairs = [pair for row in objects for pair in _pairs(row, types)]
    items = [
        ListedString(type_named(entity_type, types) or entity_type, text, places.get((text, entity_type)))
        for text, entity_type in pairs
    ]
    return items, problem


def _pairs(row: Mapping[object, object], types: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the mentions of an object with their types; the object may also map types to lists of mentions."""
    for key, value in row.items():
        if isinstance(value, list):
            turned = type_named(str(key), types) is not None
            yield from ((one, str(key)) if turned else (str(key), one) for one in value if isinstance(one, str))
        elif isinstance(value, str):
            yield str(key), value


def _ask(types: Sequence[str]) -> str:
    return (
        "Answer with a JSON object that has each mention, quoted from the text as it stands there, with its type: "
        '{"first mention": "type", "second mention": "type"}. If there is no mention: {}. '
        f"The types are: {', '.join(names_of(types).values())}."
    )


def _form(types: Sequence[str]) -> Mapping[str, object]:
    named = {"type": "string", "enum": list(names_of(types).values())}
    return {"type": "object", "additionalProperties": named}


DICTIONARY = Listing("dictionary", write=_write, read=_read, ask=_ask, single=False, form=_form)
