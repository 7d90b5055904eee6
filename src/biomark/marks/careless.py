"""The mentions of careless answers, which differ from their source by more than signs."""

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

# In words: a longer mark with other marks inside was not meant as one mention.
_LONGEST_OUTER = 10
# The code points of an answer that a reject shows; an answer may have thousands of them.
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Aligned:
    """The mentions of an answer that have a place in its source, and the others with their reasons.

    Attributes:
        entities: the mentions, with offsets in the source.
        rejected: the mentions and signs without a place in the source.
        places: for each mention, its span in the answer (code points, signs included); empty: unknown.
    """

    entities: tuple[Entity, ...]
    rejected: tuple[Rejected, ...] = ()
    places: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class _UnmarkedAnswer:
    """An answer without its signs.

    Attributes:
        text: the answer without signs, except for those that it copies from the source.
        mentions: the spans that were between signs, in order and without overlaps, with the type's name in the signs.
        rejected: the signs that do not enclose a mention.
        places: for each mention, its span in the answer, signs included.
    """

    text: str
    mentions: tuple[tuple[Span, str], ...]
    rejected: tuple[Rejected, ...]
    places: Mapping[Span, Span]


def align(answer: str, source: str, signs: Signs | str) -> Aligned:
    """Place the mentions of an answer, faithful or not, in its source.

    The answer may drop, change, add, repeat or re-space words, and may nest its marks or leave them open. A mention is
    kept if its characters are aligned with one span of the source in every best alignment; its text then equals that
    of the source apart from white space, letter case, compatibility forms of Unicode (NFKC) and variants of hyphens
    and quotes. A mention is also kept if it is aligned apart from repeated words or a few letters, or if its words
    have moved and can only come from one place. Everything else is rejected.

    Args:
        answer: the answer of a model.
        source: the text that the model was asked to mark.
        signs: the signs, or the type of mentions in marks.

    Returns:
        The mentions in text order, without overlaps, with offsets in `source`; and the rejects.
    """
    signs = mark(signs) if isinstance(signs, str) else signs
    faithful = decode(answer, source, signs)
    if not isinstance(faithful, Rejected):
        return Aligned(faithful)
    unsigned = _read_signs(answer, signs.loose, _own_signs(answer, source, signs.loose))
    inside = [False] * len(unsigned.text)
    for span, _ in unsigned.mentions:
        inside[span.start : span.end] = [True] * len(span)
    try:
        maps = character_maps(unsigned.text, source, inside) if unsigned.mentions else ()
    except ValueError as error:
        return Aligned((), (Rejected(f"{error}; cut the text into windows", raw=answer),))
    placed: list[tuple[Entity, Span]] = []
    taken: set[int] = set()
    rejected = list(unsigned.rejected)
    moved: list[tuple[Span, str, str]] = []
    for span, name in unsigned.mentions:
        entity_type = type_named(name, tuple(signs.names)) if signs.typed else next(iter(signs.names))
        place = (
            _place(span, unsigned.text, source, maps) if entity_type is not None else f"type {name!r} was not requested"
        )
        if isinstance(place, Span) and not taken.isdisjoint(range(place.start, place.end)):
            place = "another mention has the same place in the source"
        if isinstance(place, Span) and entity_type is not None:
            placed.append((Entity((place,), entity_type), unsigned.places[span]))
            taken.update(range(place.start, place.end))
        elif entity_type is not None:
            moved.append((span, entity_type, str(place)))
        else:
            rejected.append(Rejected(str(place), raw=span.of(unsigned.text)))
    for span, entity_type, reason in moved:
        elsewhere = _elsewhere(span, unsigned.text, source, maps, taken)
        if elsewhere:
            placed.append((Entity((elsewhere,), entity_type), unsigned.places[span]))
            taken.update(range(elsewhere.start, elsewhere.end))
        else:
            rejected.append(Rejected(reason, raw=span.of(unsigned.text)))
    placed.sort(key=lambda pair: pair[0].spans)
    entities, places = zip(*placed, strict=True) if placed else ((), ())
    return Aligned(entities, tuple(rejected), places)


def unmarked(answer: str, signs: Signs) -> tuple[str, tuple[Entity, ...]] | Rejected:
    """Read a marked text that has no source; mentions lose white space at their ends.

    Args:
        answer: the text, such as a model's answer.
        signs: the signs that were asked for, without blanks on their inner sides; loose variants are read too.

    Returns:
        The text without signs and its mentions; or a reject if a sign is unpaired, encloses no text, or has an unknown
        type.
    """
    unsigned = _read_signs(answer, signs.loose, set())
    if unsigned.rejected:
        return unsigned.rejected[0]
    entities = []
    for span, name in unsigned.mentions:
        words = span.of(unsigned.text)
        start, end = span.start + len(words) - len(words.lstrip()), span.end - len(words) + len(words.rstrip())
        entity_type = type_named(name, signs.names) if signs.typed else next(iter(signs.names))
        if start >= end or entity_type is None:
            reason = "the marks enclose no text" if start >= end else f"type {name!r} was not requested"
            return Rejected(reason, raw=words)
        entities.append(Entity((Span(start, end),), entity_type))
    return unsigned.text, tuple(entities)


@lru_cache(maxsize=64)
def _loose(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def _own_signs(answer: str, source: str, pattern: str) -> set[int]:
    """Return the offsets of the signs in an answer that are copied from the source."""
    sign = _loose(pattern)
    if not sign.search(source):
        return set()
    token = _loose(rf"{pattern}|\w+|[^\w\s]")
    copied = list(token.finditer(answer))
    theirs = [folded(match.group()) for match in token.finditer(source)]
    first, _ = placements(theirs, [folded(match.group()) for match in copied], [False] * len(copied))
    return {copied[index].start() for index in first if sign.fullmatch(copied[index].group())}


def _read_signs(answer: str, pattern: str, own: set[int]) -> _UnmarkedAnswer:
    """Remove the signs from an answer, even if they are unpaired or nested.

    Args:
        answer: the answer of a model.
        pattern: the regular expression of a sign (`Signs.loose`).
        own: the offsets of signs that are text.
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
            rejected.append(Rejected("a mark is closed but not opened", raw=answer[sign.start() :][:_SHOWN]))
        elif opened[-1][0] == length:
            rejected.append(Rejected("the marks enclose no text", raw=answer[max(0, read - _SHOWN) : read]))
            opened.pop()
        else:
            start, first, at = opened.pop()
            mentions.append((Span(start, length), first or name))
            places[Span(start, length)] = Span(at, sign.end())
    text = "".join((*pieces, answer[read:]))
    rejected += [Rejected("a mark is opened but not closed", raw=text[start : start + _SHOWN]) for start, *_ in opened]
    outer = _outermost(mentions, text, rejected)
    return _UnmarkedAnswer(text, outer, tuple(rejected), places)


def _outermost(
    mentions: Sequence[tuple[Span, str]], text: str, rejected: list[Rejected]
) -> tuple[tuple[Span, str], ...]:
    """Return the outermost of nested mentions, in text order.

    Args:
        mentions: the mentions in the order in which they were closed.
        text: the answer without its signs.
        rejected: the list to which the others are added.
    """
    outer: list[tuple[Span, str]] = []
    inner: list[Span] = []
    begins = [word.start() for word in re.finditer(r"\S++", text)]
    for span, name in reversed(mentions):  # from right to left, and the outer ones first
        inside = outer and span.end > outer[-1][0].start
        if inside and bisect_left(begins, outer[-1][0].end) - bisect_left(begins, outer[-1][0].start) > _LONGEST_OUTER:
            raw = outer.pop()[0].of(text)[:_SHOWN]
            rejected.append(Rejected("a long mention encloses others; one of its marks may be missing", raw=raw))
            inside = bool(outer) and span.end > outer[-1][0].start
        if inside:
            inner.append(span)
        else:
            outer.append((span, name))
    rejected += [Rejected("the mention is inside another one", raw=span.of(text)[:_SHOWN]) for span in reversed(inner)]
    return tuple(reversed(outer))


def _place(mention: Span, answer: str, source: str, maps: tuple[Placement, ...]) -> Span | str:
    """Return the span of the source that a mention of the answer copies, or the reason why there is none."""
    start, end = mention.start, mention.end
    while start < end and answer[start].isspace():
        start += 1
    while end > start and answer[end - 1].isspace():
        end -= 1
    if start == end:
        return "the marks enclose no text"
    offsets = range(start, end)
    places = {place for placement in maps if (place := stretch(offsets, answer, source, placement)) is not None}
    if len(places) > 1:
        return "the marked words fit more than one place of the source"
    bounds = not inside_word(answer, start), not inside_word(answer, end)
    for place in places:
        cuts = inside_word(source, place.start), inside_word(source, place.end)
        if not any(cut and bound for cut, bound in zip(cuts, bounds, strict=True)):
            return place
    near = {near_stretch(offsets, answer, source, placement) for placement in maps if all(bounds)}
    if len(near) == 1 and (only := near.pop()):
        return only
    if places:
        return "the marked words are a part of a word of the source"
    return "the marked words are not in the source, or not at this place"


def _elsewhere(mention: Span, answer: str, source: str, maps: tuple[Placement, ...], taken: set[int]) -> Span | None:
    """Return the only span of the source with a mention's words that no other part of the answer copies, if any."""
    copied = [{place for at, place in placement.items() if not mention.start <= at < mention.end} for placement in maps]
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
