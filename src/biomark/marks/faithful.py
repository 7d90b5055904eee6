"""Entities → marked text, and back from an answer that is its source with signs and nothing else.

Marks are flat: of nested and crossing mentions the longest is marked, a discontinuous one is not.
A sign that the source text itself contains is source text. Where it stands beside a sign of ours,
the marked text can be read in two ways, and the shorter mention is meant: one that neither begins
with an opening sign of the source nor ends with a closing one. `encode` leaves out the mentions that
this rule cannot express, so that `decode` is its exact inverse for every text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from biomark.marks.signs import Signs, mark
from biomark.spans import Entity, Rejected, Span, flat


@dataclass(frozen=True, slots=True)
class Marked:
    """A marked text, and the mentions that marks cannot hold."""

    text: str
    left_out: tuple[Entity, ...] = ()


def encode(text: str, entities: Iterable[Entity], signs: Signs | None = None) -> Marked:
    """Put signs around mentions.

    Args:
        text: the source, such as a sentence.
        entities: mentions with offsets in `text`.
        signs: None: marks around mentions of any types.

    Returns:
        The marked text, and the entities left out: nested, crossing, discontinuous and repeated
        ones, and those of types that the signs cannot name.
    """
    rest = list(entities)
    kept = flat(e for e in rest if signs is None or e.type in signs.names)
    signs = signs or mark("")
    if not _inverts(text, kept, signs):
        kept = _expressible(text, kept, signs)
    for entity in kept:
        rest.remove(entity)
    return Marked(_insert(text, kept, signs), tuple(rest))


def _inverts(text: str, entities: tuple[Entity, ...], signs: Signs) -> bool:
    """Whether `decode` finds just these entities again."""
    found = decode(_insert(text, entities, signs), text, signs)
    return not isinstance(found, Rejected) and [(e.spans, e.type) for e in found] == [
        (e.spans, e.type if e.type in signs.names else "") for e in entities
    ]


def _expressible(text: str, entities: tuple[Entity, ...], signs: Signs) -> tuple[Entity, ...]:
    """The entities that `decode` finds again in a text that has signs of its own."""
    kept: tuple[Entity, ...] = ()
    for entity in entities:
        if _inverts(text, (*kept, entity), signs):
            kept = (*kept, entity)
    return kept


def _insert(text: str, entities: tuple[Entity, ...], signs: Signs) -> str:
    pieces = []
    end = 0
    for entity in entities:
        before, after = signs.around(entity.type)
        pieces += [text[end : entity.start], before, text[entity.start : entity.end], after]
        end = entity.end
    return "".join((*pieces, text[end:]))


@dataclass(frozen=True, slots=True)
class _State:
    """How far a marked text is read: pieces read, offset in the source, the open sign, mentions so far."""

    index: int
    offset: int
    start: int = -1
    sign: str = ""
    found: tuple[Entity, ...] = ()


def decode(marked: str, source: str, signs: Signs | str) -> tuple[Entity, ...] | Rejected:
    """Read mentions from a faithful answer: its source with signs opened and closed in turn.

    Args:
        marked: as `encode` writes it.
        source: the text that was marked.
        signs: or a type, whose mentions stand in marks.

    Returns:
        The mentions in text order, with offsets in `source`; or why `marked` is not faithful
        (`align` may still make something of it).
    """
    signs = mark(signs) if isinstance(signs, str) else signs
    opening, closing = _exact(signs)
    pattern = "|".join(map(re.escape, sorted({*opening, *closing}, key=len, reverse=True)))
    pieces = re.split(f"({pattern})", marked)  # text, sign, text, sign, …, text
    # Only a source with signs of its own leaves a choice. What was chosen last is revised first.
    states = [_State(0, 0)]
    seen = set()
    reached = 0
    while states:
        state = states.pop()
        index, offset, start, found = state.index, state.offset, state.start, state.found
        if (index, offset, start, state.sign) in seen or not source.startswith(pieces[index], offset):
            continue
        seen.add((index, offset, start, state.sign))
        offset += len(pieces[index])
        reached = max(reached, offset)
        if index + 1 == len(pieces):
            if offset == len(source) and start < 0:
                return found
            continue
        sign = pieces[index + 1]
        if sign in opening and start < 0:
            states.append(_State(index + 2, offset, offset, sign, found))
        if source.startswith(sign, offset):
            states.append(_State(index + 2, offset + len(sign), start, state.sign, found))
        if sign in closing and 0 <= start < offset:
            for entity_type in opening[state.sign]:
                if entity_type in closing[sign]:
                    states.append(
                        _State(index + 2, offset, found=(*found, Entity((Span(start, offset),), entity_type)))
                    )
    return Rejected(f"the answer is not its source with marks; they part after {reached} characters", raw=marked)


def _exact(signs: Signs) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The opening and the closing signs, each with the types that it may stand for."""
    opening: dict[str, list[str]] = {}
    closing: dict[str, list[str]] = {}
    for entity_type in signs.names:
        before, after = signs.around(entity_type)
        opening.setdefault(before, []).append(entity_type)
        closing.setdefault(after, []).append(entity_type)
    return opening, closing
