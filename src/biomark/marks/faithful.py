"""Entities → marked text, and back from a faithful answer, which differs from its source by signs alone.

Marks are flat: of nested and crossing mentions the longest is marked, and discontinuous ones are not. A sign that
occurs in the source is text. If such a sign is next to one of ours, there are two readings of the marked text, and the
shorter mention is meant: one that neither begins with an opening sign of the source nor ends with a closing one.
`encode` leaves out the mentions that this rule cannot express, so that `decode` is its exact inverse for every text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from biomark.marks.signs import Signs, mark
from biomark.spans import Entity, Rejected, Span, flat


@dataclass(frozen=True, slots=True)
class Marked:
    """A marked text, and the mentions that marks cannot express (`left_out`)."""

    text: str
    left_out: tuple[Entity, ...] = ()


def encode(text: str, entities: Iterable[Entity], signs: Signs | None = None) -> Marked:
    """Put signs around mentions.

    Args:
        text: the source, such as a sentence.
        entities: mentions with offsets in `text`.
        signs: the signs; None: marks around mentions of any type.

    Returns:
        The marked text, and the entities left out: nested, crossing, discontinuous and repeated
        ones, and those of types for which there are no signs.
    """
    left_out = list(entities)
    kept = flat(e for e in left_out if signs is None or e.type in signs.names)
    signs = signs or mark("")
    if not _inverts(text, kept, signs):
        kept = _expressible(text, kept, signs)
    for entity in kept:
        left_out.remove(entity)
    return Marked(_insert(text, kept, signs), tuple(left_out))


def _inverts(text: str, entities: tuple[Entity, ...], signs: Signs) -> bool:
    """Return whether `decode` restores exactly these entities."""
    decoded = decode(_insert(text, entities, signs), text, signs)
    return not isinstance(decoded, Rejected) and [(e.spans, e.type) for e in decoded] == [
        (e.spans, e.type if e.type in signs.names else "") for e in entities
    ]


def _expressible(text: str, entities: tuple[Entity, ...], signs: Signs) -> tuple[Entity, ...]:
    """Return the entities that `decode` can restore in a text that contains signs itself."""
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
class _DecodingState:
    """A state of decoding: next piece, offset in the source, start and sign of the open mention, mentions so far."""

    index: int
    offset: int
    start: int = -1
    sign: str = ""
    entities: tuple[Entity, ...] = ()


def decode(marked: str, source: str, signs: Signs | str) -> tuple[Entity, ...] | Rejected:
    """Read the mentions of a faithful answer: the source with alternating opening and closing signs.

    Args:
        marked: a text such as `encode` writes.
        source: the text that was marked.
        signs: the signs, or the type of mentions in marks.

    Returns:
        The mentions in text order, with offsets in `source`; or a reject with the offset from which `marked` differs
        (`align` may still find mentions in it).
    """
    signs = mark(signs) if isinstance(signs, str) else signs
    opening, closing = _exact(signs)
    pattern = "|".join(map(re.escape, sorted({*opening, *closing}, key=len, reverse=True)))
    pieces = re.split(f"({pattern})", marked)  # text, sign, text, sign, …, text
    # Depth-first search; only a source that contains signs has more than one path.
    states = [_DecodingState(0, 0)]
    seen = set()
    reached = 0
    while states:
        state = states.pop()
        index, offset, start, entities = state.index, state.offset, state.start, state.entities
        if (index, offset, start, state.sign) in seen or not source.startswith(pieces[index], offset):
            continue
        seen.add((index, offset, start, state.sign))
        offset += len(pieces[index])
        reached = max(reached, offset)
        if index + 1 == len(pieces):
            if offset == len(source) and start < 0:
                return entities
            continue
        sign = pieces[index + 1]
        if sign in opening and start < 0:
            states.append(_DecodingState(index + 2, offset, offset, sign, entities))
        if source.startswith(sign, offset):
            states.append(_DecodingState(index + 2, offset + len(sign), start, state.sign, entities))
        if sign in closing and 0 <= start < offset:
            for entity_type in opening[state.sign]:
                if entity_type in closing[sign]:
                    entity = Entity((Span(start, offset),), entity_type)
                    states.append(_DecodingState(index + 2, offset, entities=(*entities, entity)))
    return Rejected(f"the answer without marks differs from its source after {reached} characters", raw=marked)


def _exact(signs: Signs) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return the opening and the closing signs, each with the types that it may mean."""
    opening: dict[str, list[str]] = {}
    closing: dict[str, list[str]] = {}
    for entity_type in signs.names:
        before, after = signs.around(entity_type)
        opening.setdefault(before, []).append(entity_type)
        closing.setdefault(after, []).append(entity_type)
    return opening, closing
