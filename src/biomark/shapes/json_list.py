"""The shape `json`: a JSON object with a list of mentions, each with its text, type and number of occurrence."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from biomark.entity_types import label
from biomark.marks import type_named
from biomark.marks.alignment import occurrences, similar
from biomark.shapes import loose_json
from biomark.shapes.base import Decoded, Encoded, of_types, text_alone
from biomark.spans import Entity, Rejected, Span

_TEXT = ("text", "mention", "entity", "name", "span", "word")
_TYPE = ("type", "label", "category", "class", "entity_type")
_NUMBER = ("occurrence", "occurence", "n", "index")


@dataclass(frozen=True, slots=True)
class _ListedMention:
    """A mention in an answer's list.

    Attributes:
        text: its text.
        type: its type, in the answer's spelling.
        number: the number of the text's occurrence, counted from 1; None if the answer has none.
    """

    text: str
    type: str
    number: int | None


class JsonList:
    """The shape `json`, the only one that represents nested and crossing mentions.

    Occurrences are counted from 1: first those at word boundaries, in text order, then those inside words.
    """

    name = "json"
    single = False
    one_message = False

    def request(self, types: Sequence[str]) -> str:
        """See `biomark.shapes.base.Shape`."""
        names = "".join(f'"{entity_type}": {label(entity_type)}\n' for entity_type in types)
        return (
            'List the mentions as JSON: {"entities": [{"text": "…", "type": "…", "occurrence": 1}]}. '
            "The text is quoted as it stands there; if it stands there more than once, occurrence says which one "
            f"is meant, counted from 1. If there is no mention, the list is empty. The types are:\n{names.rstrip()}"
        )

    def question(self, text: str, types: Sequence[str]) -> tuple[str, ...]:
        """See `biomark.shapes.base.Shape`."""
        return text_alone(text, types)

    def encode(self, text: str, entities: Iterable[Entity], types: Sequence[str]) -> Encoded:
        """Return the list of mentions; discontinuous, repeated and blank ones are left out."""
        items, left_out, seen = [], [], set()
        for entity in sorted(of_types(entities, types), key=lambda entity: entity.spans):
            if len(entity.spans) > 1 or entity in seen or not entity.mention(text).strip():
                left_out.append(entity)
                continue
            seen.add(entity)
            number = occurrences(entity.mention(text), text).index(entity.spans[0]) + 1
            items.append({"text": entity.mention(text), "type": entity.type, "occurrence": number})
        return Encoded(json.dumps({"entities": items}, ensure_ascii=False), tuple(left_out))

    def decode(self, answer: str, text: str, types: Sequence[str]) -> Decoded:
        """Locate the mentions that the answer lists; of a truncated list the complete items are read."""
        rejected: list[Rejected] = []
        faithful = True
        try:
            value = loose_json.parse(answer)
        except ValueError as error:
            value, faithful = loose_json.objects(answer), False
            rejected.append(Rejected(f"{error}; only its complete items are read", raw=answer))
        try:
            items = list(_items(value, types, rejected))
        except RecursionError:
            items, faithful = [], False
            rejected = [Rejected("the answer is nested too deeply", raw=answer)]
        faithful &= not rejected
        unnumbered = Counter((item.text, item.type) for item in items if item.number is None)
        place_of: dict[Entity, Span | None] = {}
        for item, place in zip(items, _in_answer(items, answer), strict=True):
            entity_type = type_named(item.type, types)
            spans = _places(item, unnumbered[item.text, item.type], text)
            entities = [Entity((span,), entity_type) for span in spans if entity_type is not None]
            if entity_type is None:
                rejected.append(Rejected(f"type {item.type!r} was not requested", raw=item.text))
            elif not spans:
                rejected.append(Rejected(_reason(item, text), raw=item.text))
            elif item.number is not None and entities[0] in place_of:
                rejected.append(Rejected("the mention is listed twice", raw=item.text))
            faithful &= bool(entities) and item.text == spans[0].of(text)
            for entity in entities:
                place_of.setdefault(entity, place)
        kept = tuple(sorted(place_of, key=lambda e: (e.spans, e.type)))
        return Decoded(kept, tuple(rejected), faithful, tuple(place_of[entity] for entity in kept))

    def stops(self, text: str) -> tuple[str, ...]:
        """Return nothing, since an object ends with its closing bracket."""
        return ()

    def schema(self, types: Sequence[str]) -> Mapping[str, object] | None:
        """Return the schema of the object; all its properties are required, so that strict servers accept it."""
        item = {
            "type": "object",
            "properties": {
                "text": {"type": "string"},
                "type": {"type": "string", "enum": list(types)},
                "occurrence": {"type": "integer"},
            },
            "required": ["text", "type", "occurrence"],
            "additionalProperties": False,
        }
        return {
            "type": "object",
            "properties": {"entities": {"type": "array", "items": item}},
            "required": ["entities"],
            "additionalProperties": False,
        }


def _items(value: object, types: Sequence[str], rejected: list[Rejected]) -> Iterator[_ListedMention]:
    """Yield the mentions in a JSON value, whatever structure the model gave to the list."""
    rows: Sequence[object] = [value]
    if isinstance(value, list):
        rows = value
    elif isinstance(value, dict) and not _first(value, _TEXT):
        yield from _values(value, types, rejected)
        return
    for row in rows:
        if isinstance(row, str) and len(types) == 1:
            yield _ListedMention(row, types[0], None)
        elif isinstance(row, dict) and (text := _first(row, _TEXT)):
            yield _ListedMention(text, _first(row, _TYPE) or (types[0] if len(types) == 1 else ""), _number(row))
        elif isinstance(row, dict) and any(isinstance(inside, list) for inside in row.values()):
            yield from _items(row, types, rejected)
        else:
            rejected.append(Rejected("the item is not a mention with a text and a type", raw=str(row)))


def _values(value: Mapping[object, object], types: Sequence[str], rejected: list[Rejected]) -> Iterator[_ListedMention]:
    """Yield the mentions in an object that is not a mention itself."""
    for key, inside in value.items():
        if isinstance(inside, str) and type_named(inside, types):  # a mention → its type
            yield _ListedMention(str(key), inside, None)
        elif not isinstance(inside, list):
            rejected.append(Rejected("the value is not a list of mentions", raw=str({key: inside})))
        elif all(isinstance(row, str) for row in inside):  # type → its mentions
            yield from (_ListedMention(row, str(key), None) for row in inside)
        else:
            yield from _items(inside, types, rejected)


def _in_answer(items: Sequence[_ListedMention], answer: str) -> list[Span | None]:
    """Return the span of each item in the answer, from its text to the end of its object; items are in order."""
    places: list[Span | None] = []
    at = 0
    for item in items:
        written = json.dumps(item.text, ensure_ascii=False)
        start = answer.find(written, at)
        end = answer.find("}", start + len(written)) + 1 if start >= 0 else 0
        places.append(Span(start, end or start + len(written)) if start >= 0 else None)
        at = max(at, end)
    return places


def _first(row: Mapping[object, object], keys: Sequence[str]) -> str:
    return next((value for key in keys if isinstance(value := row.get(key), str) and value), "")


def _number(row: Mapping[object, object]) -> int | None:
    for key in _NUMBER:
        value = row.get(key)
        if isinstance(value, str) and value.isdecimal() and len(value) < 9:
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def _places(item: _ListedMention, times: int, text: str) -> tuple[Span, ...]:
    """Return the spans of a mention in the source text, or none if they are ambiguous.

    Args:
        item: the listed mention.
        times: how often the answer lists it without a number.
        text: the source text.
    """
    exact = occurrences(item.text, text) if item.text.strip() else ()  # white space alone is no mention
    for spans in (exact, similar(item.text, text)):
        if item.number is not None and 0 < item.number <= len(spans):
            return (spans[item.number - 1],)
        if len(spans) == 1:
            return spans
        if item.number is None and 0 < len(spans) == times:
            return spans
    return ()


def _reason(item: _ListedMention, text: str) -> str:
    count = len(similar(item.text, text))
    if not count:
        return "the text does not contain these words"
    return f"the text contains these words {count} times, and the answer has no valid number of an occurrence"


JSON = JsonList()
