"""Answers that quote mentions without their place: where in the text the strings stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from biomark.marks.alignment import bounded, occurrences, similar
from biomark.shapes.base import Decoded, Encoded, of_types, only, stops_outside, text_alone
from biomark.spans import Entity, Rejected, Span, flat


@dataclass(frozen=True, slots=True)
class Item:
    """What an answer lists.

    Attributes:
        type: one of those that were asked for, or what the answer calls it if it is none of them.
        text: the string.
        place: the code points of the answer that say it, with what sets it off; None: not known.
    """

    type: str
    text: str
    place: Span | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """A shape that lists strings.

    Each string stands for all its occurrences at the boundaries of words, except where a longer
    string of its type stands. A mention can be listed if all these are mentions.

    Attributes:
        name: of the shape.
        write: the answer for types, in their order, and the strings of each.
        read: the items of an answer about some types, and what is wrong with its form, "" if nothing is.
        ask: what the prompt says of the answer's form, for some types.
        question: see `Shape`.
        single: whether an answer is about one type.
        one_message: see `Shape`.
        ends: what ends an answer about a text that does not have it; "": nothing.
        form: makes the JSON schema for some types; None: answers are no JSON object.
    """

    name: str
    write: Callable[[Mapping[str, Sequence[str]]], str]
    read: Callable[[str, Sequence[str]], tuple[list[Item], str]]
    ask: Callable[[Sequence[str]], str]
    question: Callable[[str, Sequence[str]], tuple[str, ...]] = text_alone
    single: bool = True
    one_message: bool = False
    ends: str = ""
    form: Callable[[Sequence[str]], Mapping[str, object]] | None = None

    def request(self, types: Sequence[str]) -> str:
        """What the prompt says of the answer's form."""
        return self.ask(self._checked(types))

    def encode(self, text: str, entities: Iterable[Entity], types: Sequence[str]) -> Encoded:
        """The strings of the mentions; left out are mentions whose string stands elsewhere without being one."""
        types = self._checked(types)
        asked = list(of_types(entities, types))
        first: dict[tuple[str, str], int] = {}
        for entity_type in types:
            for entity in reversed(flat(entity for entity in asked if entity.type == entity_type)):
                first[entity.mention(text), entity_type] = entity.start
        kept: list[tuple[str, str]] = []
        found: set[Entity] = set()
        # A longer string keeps its places whatever shorter ones there are.
        for string in sorted(first, key=lambda one: (-len(one[0]), first[one], types.index(one[1]))):
            more = sorted([*kept, string], key=lambda one: first[one])
            now = set(self.decode(self._written(more, types), text, types).entities)
            if now.issubset(asked) and now > found:
                kept, found = more, now
        rest = asked
        for entity in found:
            rest.remove(entity)
        return Encoded(self._written(kept, types), tuple(rest))

    def decode(self, answer: str, text: str, types: Sequence[str]) -> Decoded:
        """Find the strings of an answer in the text."""
        types = self._checked(types)
        items, problem = self.read(answer, types)
        found: dict[Entity, Span | None] = {}
        rejected = [Rejected(problem, raw=answer)] if problem else []
        faithful = not problem
        distinct = {(item.type, item.text): item for item in reversed(items)}
        for item in sorted(reversed(distinct.values()), key=lambda item: -len(item.text)):
            if item.type not in types:
                rejected.append(Rejected(f"no type {item.type!r} was asked for", raw=item.text))
                faithful = False
                continue
            exact = occurrences(item.text, text)
            spans = exact if exact and bounded(exact[0], text) else similar(item.text, text)
            faithful &= spans == exact
            taken = [entity.spans[0] for entity in found if entity.type == item.type]
            free = _free([span for span in spans if bounded(span, text)], taken)
            if not free:
                rejected.append(Rejected(_reason(spans, text), raw=item.text))
            found |= dict.fromkeys((Entity((span,), item.type) for span in free), item.place)
        entities = tuple(sorted(found, key=lambda entity: (entity.spans, types.index(entity.type))))
        return Decoded(entities, tuple(rejected), faithful, tuple(found[entity] for entity in entities))

    def stops(self, text: str) -> tuple[str, ...]:
        """See `biomark.shapes.base.Shape`."""
        return stops_outside(self.ends, text)

    def schema(self, types: Sequence[str]) -> Mapping[str, object] | None:
        """None for a list of strings: a server could hold an answer to it only where lists may be the whole of it."""
        return self.form(types) if self.form else None

    def _checked(self, types: Sequence[str]) -> Sequence[str]:
        return (only(types, self.name),) if self.single else types

    def _written(self, strings: Sequence[tuple[str, str]], types: Sequence[str]) -> str:
        return self.write(
            {entity_type: [string for string, of in strings if of == entity_type] for entity_type in types}
        )


def in_answer(entity_type: str, strings: Iterable[str], answer: str, quoted: Callable[[str], str] = str) -> list[Item]:
    """Items of a type, with their places: each where it stands in the answer after the one before it.

    Args:
        entity_type: of all.
        strings: in the order of the answer.
        answer: that has them.
        quoted: how it writes a string.
    """
    items = []
    at = 0
    for string in strings:
        written = quoted(string)
        start = answer.find(written, at)
        if start >= 0:
            at = start + len(written)
        items.append(Item(entity_type, string, Span(start, at) if start >= 0 and written else None))
    return items


def _free(spans: Iterable[Span], taken: Sequence[Span]) -> list[Span]:
    free: list[Span] = []
    for span in spans:
        if not any(span.overlaps(other) for other in (*taken, *free)):
            free.append(span)
    return free


def _reason(spans: Sequence[Span], text: str) -> str:
    if not spans:
        return "the text has no such words"
    if not bounded(spans[0], text):
        return "the words are a part of a word of the text"
    return "wherever the words stand, they are a part of a longer mention"
