"""The mentions of an answer that is not exactly its source with signs, as models write them."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from biomark.marks.alignment import (
    Placement,
    bounded,
    character_maps,
    folded,
    inside_word,
    near_stretch,
    placements,
    rearranged,
    similar,
    stretch,
)
from biomark.marks.faithful import decode
from biomark.marks.signs import Signs, mark, type_named
from biomark.spans import Entity, Rejected, Span

# In words: what is longer and has other marks inside was not meant as one mention.
_LONGEST_OUTER = 10
# Code points of an answer that a reject repeats: an answer may have thousands of them.
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Aligned:
    """The mentions of an answer that have a place in its source, and the others with the reason.

    Attributes:
        entities: the mentions.
        rejected: the others.
        places: for each mention the code points of the answer that say it, signs included; empty: not known.
    """

    entities: tuple[Entity, ...]
    rejected: tuple[Rejected, ...] = ()
    places: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer without its signs.

    Attributes:
        text: with the signs of the source's own still in it.
        mentions: where signs stood around text, apart and in order, with the name that they gave.
        rejected: the signs that hold nothing usable.
        places: for each mention, where it stood with its signs in the answer.
    """

    text: str
    mentions: tuple[tuple[Span, str], ...]
    rejected: tuple[Rejected, ...]
    places: Mapping[Span, Span]


def align(answer: str, source: str, signs: Signs | str) -> Aligned:
    """Place the mentions of an answer, faithful or not, in its source.

    The answer may have dropped, changed, added, doubled or re-spaced words and may nest or leave open
    its marks. A mention is kept if its characters are aligned with one stretch of the source, in every
    best alignment; its text then equals the source's but for white space, letter case, compatibility
    forms of Unicode (NFKC) and variants of hyphens and quotes. So is one that is aligned but for doubled
    words or a few letters, and one whose words have moved, if there is one place where they can be from.
    Everything else is rejected.

    Args:
        answer: what a model wrote.
        source: what it was to copy.
        signs: or a type, whose mentions stand in marks.

    Returns:
        The mentions in text order, apart, with offsets in `source`; and the rejects.
    """
    signs = mark(signs) if isinstance(signs, str) else signs
    faithful = decode(answer, source, signs)
    if not isinstance(faithful, Rejected):
        return Aligned(faithful)
    found = _read_signs(answer, signs.loose, _own_signs(answer, source, signs.loose))
    inside = [False] * len(found.text)
    for span, _ in found.mentions:
        inside[span.start : span.end] = [True] * len(span)
    try:
        maps = character_maps(found.text, source, inside) if found.mentions else ()
    except ValueError as error:
        return Aligned((), (Rejected(f"{error}; cut the text into windows", raw=answer),))
    placed: list[tuple[Entity, Span]] = []
    taken: set[int] = set()
    rejected = list(found.rejected)
    moved: list[tuple[Span, str, str]] = []
    for span, name in found.mentions:
        entity_type = type_named(name, tuple(signs.names)) if signs.typed else next(iter(signs.names))
        place = _place(span, found.text, source, maps) if entity_type is not None else f"no type {name!r} was asked for"
        if isinstance(place, Span) and not taken.isdisjoint(range(place.start, place.end)):
            place = "the mark stands at a place of the source that has one already"
        if isinstance(place, Span) and entity_type is not None:
            placed.append((Entity((place,), entity_type), found.places[span]))
            taken.update(range(place.start, place.end))
        elif entity_type is not None:
            moved.append((span, entity_type, str(place)))
        else:
            rejected.append(Rejected(str(place), raw=span.of(found.text)))
    for span, entity_type, reason in moved:
        elsewhere = _elsewhere(span, found.text, source, maps, taken)
        if elsewhere:
            placed.append((Entity((elsewhere,), entity_type), found.places[span]))
            taken.update(range(elsewhere.start, elsewhere.end))
        else:
            rejected.append(Rejected(reason, raw=span.of(found.text)))
    placed.sort(key=lambda pair: pair[0].spans)
    entities, places = zip(*placed, strict=True) if placed else ((), ())
    return Aligned(entities, tuple(rejected), places)


def unmarked(answer: str, signs: Signs) -> tuple[str, tuple[Entity, ...]] | Rejected:
    """A marked text that has no source: the text itself, and its mentions without white space at their edges.

    Args:
        answer: what a model wrote.
        signs: those that it was told to write, without blanks on their inner sides; others that pass for them are
            read too.

    Returns:
        Rejected where a mark does not open and close around some text, or is of no type of the signs.
    """
    read = _read_signs(answer, signs.loose, set())
    if read.rejected:
        return read.rejected[0]
    entities = []
    for span, name in read.mentions:
        said = span.of(read.text)
        start, end = span.start + len(said) - len(said.lstrip()), span.end - len(said) + len(said.rstrip())
        entity_type = type_named(name, signs.names) if signs.typed else next(iter(signs.names))
        if start >= end or entity_type is None:
            return Rejected("the mark holds no text" if start >= end else f"no type {name!r} was asked for", raw=said)
        entities.append(Entity((Span(start, end),), entity_type))
    return read.text, tuple(entities)


@lru_cache(maxsize=64)
def _loose(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def _own_signs(answer: str, source: str, pattern: str) -> set[int]:
    """Where in the answer stand signs that are a copy of the source's own."""
    sign = _loose(pattern)
    if not sign.search(source):
        return set()
    token = _loose(rf"{pattern}|\w+|[^\w\s]")
    copied = list(token.finditer(answer))
    theirs = [folded(match.group()) for match in token.finditer(source)]
    first, _ = placements(theirs, [folded(match.group()) for match in copied], [False] * len(copied))
    return {copied[index].start() for index in first if sign.fullmatch(copied[index].group())}


def _read_signs(answer: str, pattern: str, own: set[int]) -> _Answer:
    """Take the signs out of an answer, whatever state they are in.

    Args:
        answer: what a model wrote.
        pattern: what passes for a sign.
        own: where signs stand that are text.
    """
    pieces: list[str] = []
    mentions: list[tuple[Span, str]] = []
    rejected: list[Rejected] = []
    places: dict[Span, Span] = {}
    opened: list[tuple[int, str, int]] = []
    read = length = 0
    for sign in _loose(pattern).finditer(answer):
        if sign.start() in own:
            continue
        pieces.append(answer[read : sign.start()])
        length += sign.start() - read
        read = sign.end()
        name = (sign.groupdict().get("name") or "").strip()
        if sign["opens"] is not None:
            opened.append((length, name, sign.start()))
        elif not opened:
            rejected.append(Rejected("a mark is closed that was not opened", raw=answer[sign.start() :][:_SHOWN]))
        elif opened[-1][0] == length:
            rejected.append(Rejected("the mark holds no text", raw=answer[max(0, read - _SHOWN) : read]))
            opened.pop()
        else:
            start, first, at = opened.pop()
            mentions.append((Span(start, length), first or name))
            places[Span(start, length)] = Span(at, sign.end())
    text = "".join((*pieces, answer[read:]))
    rejected += [Rejected("a mark is opened and not closed", raw=text[start : start + _SHOWN]) for start, *_ in opened]
    outer = _outermost(mentions, text, rejected)
    return _Answer(text, outer, tuple(rejected), places)


def _outermost(
    mentions: Sequence[tuple[Span, str]], text: str, rejected: list[Rejected]
) -> tuple[tuple[Span, str], ...]:
    """The marks that stay of nested ones, in text order.

    Args:
        mentions: in the order in which they were closed.
        text: the answer without its signs.
        rejected: takes the others.
    """
    outer: list[tuple[Span, str]] = []
    inner: list[Span] = []
    begins = [word.start() for word in re.finditer(r"\S++", text)]
    for span, name in reversed(mentions):  # from right to left, and the outer ones first
        inside = outer and span.end > outer[-1][0].start
        if inside and bisect_left(begins, outer[-1][0].end) - bisect_left(begins, outer[-1][0].start) > _LONGEST_OUTER:
            raw = outer.pop()[0].of(text)[:_SHOWN]
            rejected.append(Rejected("a long mark around others; one of its signs was forgotten", raw=raw))
            inside = bool(outer) and span.end > outer[-1][0].start
        if inside:
            inner.append(span)
        else:
            outer.append((span, name))
    rejected += [Rejected("a mark inside another one", raw=span.of(text)[:_SHOWN]) for span in reversed(inner)]
    return tuple(reversed(outer))


def _place(mention: Span, answer: str, source: str, maps: tuple[Placement, ...]) -> Span | str:
    """Where in the source a mention of the answer stands, or why it has no place."""
    start, end = mention.start, mention.end
    while start < end and answer[start].isspace():
        start += 1
    while end > start and answer[end - 1].isspace():
        end -= 1
    if start == end:
        return "the mark holds no text"
    offsets = range(start, end)
    places = {place for found in maps if (place := stretch(offsets, answer, source, found)) is not None}
    if len(places) > 1:
        return "the marked words fit more than one place of the source"
    bounds = not inside_word(answer, start), not inside_word(answer, end)
    for place in places:
        cuts = inside_word(source, place.start), inside_word(source, place.end)
        if not any(cut and bound for cut, bound in zip(cuts, bounds, strict=True)):
            return place
    near = {near_stretch(offsets, answer, source, found) for found in maps if all(bounds)}
    if len(near) == 1 and (only := near.pop()):
        return only
    if places:
        return "the marked words are a part of a word of the source"
    return "the marked words are not in the source, or not at this place"


def _elsewhere(mention: Span, answer: str, source: str, maps: tuple[Placement, ...], taken: set[int]) -> Span | None:
    """The one place of the source that has a mention's words and that nothing else of the answer copies, if any."""
    copied = [{place for at, place in found.items() if not mention.start <= at < mention.end} for found in maps]
    free = [
        span
        for span in similar(mention.of(answer), source) or rearranged(mention.of(answer), source)
        if bounded(span, source)
        and taken.isdisjoint(range(span.start, span.end))
        and not any(
            places.issuperset(i for i in range(span.start, span.end) if not source[i].isspace()) for places in copied
        )
    ]
    return free[0] if len(free) == 1 else None
