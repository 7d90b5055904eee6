"""Shapes whose answers list mentions as strings, without their places in the text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from biomark.marks.alignment import bounded, occurrences, similar
from biomark.shapes.base import Decoded, Encoded, of_types, only, stops_outside, text_alone
from biomark.spans import Entity, Rejected, Span, flat


@dataclass(frozen=True, slots=True)
class ListedString:
    """A string that an answer lists.

    Attributes:
        type: one of the requested types, or the answer's own name for an unknown type.
        text: the string.
        place: its span in the answer, in code points, including quotation marks; None: not known.
    """

    type: str
    text: str
    place: Span | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """A shape whose answers list strings.

    Each string stands for all its occurrences at word boundaries, except those inside a longer listed string of the
    same type. A mention can be listed if all these occurrences are mentions.

    Attributes:
        name: the name of the shape.
        write: returns the answer for the strings of each type, in the order of the types.
        read: returns the items of an answer about types, and the problem with its form, or "" if there is none.
        ask: returns the description of the answer's form for the prompt, for types.
        question: see `Shape`.
        single: whether an answer is about one type.
        one_message: see `Shape`.
        ends: a string that ends an answer, unless the text contains it; "": none.
        form: returns the JSON schema for types; None: answers are not JSON objects.
    """

    name: str
    write: Callable[[Mapping[str, Sequence[str]]], str]
    read: Callable[[str, Sequence[str]], tuple[list[ListedString], str]]
    ask: Callable[[Sequence[str]], str]
    question: Callable[[str, Sequence[str]], tuple[str, ...]] = text_alone
    single: bool = True
    one_message: bool = False
    ends: str = ""
    form: Callable[[Sequence[str]], Mapping[str, object]] | None = None

    def request(self, types: Sequence[str]) -> str:
        """See `biomark.shapes.base.Shape`."""
        return self.ask(self._checked(types))

    def encode(self, text: str, entities: Iterable[Entity], types: Sequence[str]) -> Encoded:
        """Return the mentions' strings, without those that also occur outside of mentions."""
        types = self._checked(types)
        requested = list(of_types(entities, types))
        first: dict[tuple[str, str], int] = {}
        for entity_type in types:
            for entity in reversed(flat(entity for entity in requested if entity.type == entity_type)):
                first[entity.mention(text), entity_type] = entity.start
        kept: list[tuple[str, str]] = []
        covered: set[Entity] = set()
        # Longer strings come first, since shorter ones do not change their places.
        for string in sorted(first, key=lambda one: (-len(one[0]), first[one], types.index(one[1]))):
            more = sorted([*kept, string], key=lambda one: first[one])
            now = set(self.decode(self._written(more, types), text, types).entities)
            if now.issubset(requested) and now > covered:
                kept, covered = more, now
        left_out = requested
        for entity in covered:
            left_out.remove(entity)
        return Encoded(self._written(kept, types), tuple(left_out))

    def decode(self, answer: str, text: str, types: Sequence[str]) -> Decoded:
        """Locate the strings of an answer in the text."""
        types = self._checked(types)
        items, problem = self.read(answer, types)
        places: dict[Entity, Span | None] = {}
        rejected = [Rejected(problem, raw=answer)] if problem else []
        faithful = not problem
        distinct = {(item.type, item.text): item for item in reversed(items)}
        for item in sorted(reversed(distinct.values()), key=lambda item: -len(item.text)):
            if item.type not in types:
                rejected.append(Rejected(f"type {item.type!r} was not requested", raw=item.text))
                faithful = False
                continue
            exact = occurrences(item.text, text) if item.text.strip() else ()  # white space alone is no mention
            spans = exact if exact and bounded(exact[0], text) else similar(item.text, text)
            faithful &= spans == exact
            taken = [entity.spans[0] for entity in places if entity.type == item.type]
            free = _free([span for span in spans if bounded(span, text)], taken)
            if not free:
                rejected.append(Rejected(_reason(spans, text), raw=item.text))
            places |= dict.fromkeys((Entity((span,), item.type) for span in free), item.place)
        entities = tuple(sorted(places, key=lambda entity: (entity.spans, types.index(entity.type))))
        return Decoded(entities, tuple(rejected), faithful, tuple(places[entity] for entity in entities))

    def stops(self, text: str) -> tuple[str, ...]:
        """See `biomark.shapes.base.Shape`."""
        return stops_outside(self.ends, text)

    def schema(self, types: Sequence[str]) -> Mapping[str, object] | None:
        """See `biomark.shapes.base.Shape`; None for a plain list, which many servers refuse as the root of a schema."""
        return self.form(types) if self.form else None

    def _checked(self, types: Sequence[str]) -> Sequence[str]:
        return (only(types, self.name),) if self.single else types

    def _written(self, strings: Sequence[tuple[str, str]], types: Sequence[str]) -> str:
        return self.write(
            {entity_type: [string for string, of in strings if of == entity_type] for entity_type in types}
        )


def in_answer(
    entity_type: str, strings: Iterable[str], answer: str, quoted: Callable[[str], str] = str
) -> list[ListedString]:
    """Return the items of a type with their places in the answer, each after the preceding one.

    Args:
        entity_type: the type of all items.
        strings: the strings, in the order of the answer.
        answer: the answer that contains them.
        quoted: returns the spelling of a string in the answer.
    """
    items = []
    at = 0
    for string in strings:
        written = quoted(string)
        start = answer.find(written, at)
        if start >= 0:
            at = start + len(written)
        items.append(ListedString(entity_type, string, Span(start, at) if start >= 0 and written else None))
    return items


def _free(spans: Iterable[Span], taken: Sequence[Span]) -> list[Span]:
    free: list[Span] = []
    for span in spans:
        if not any(span.overlaps(other) for other in (*taken, *free)):
            free.append(span)
    return free


def _reason(spans: Sequence[Span], text: str) -> str:
    if not spans:
        return "the text does not contain these words"
    if not bounded(spans[0], text):
        return "the text contains these words only inside other words"
    return "the text contains these words only inside longer mentions"
