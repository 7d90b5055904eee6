"""Entities ↔ marked text: the sentence itself with `<mark>` and `</mark>` around each mention.

Marked text is what a model learns to write (Keloth et al. 2024) and what it answers. `encode` makes
it, `decode` reads a faithful answer back, and `align` finds in an unfaithful one the mentions that
can be placed without doubt.

Marks are flat: of nested and crossing mentions the longest is marked, a discontinuous one is not.
A tag that the source text itself contains is source text. Where it stands beside a mark of ours,
the marked text can be read in two ways, and the shorter mention is meant: one that neither begins
with an opening tag of the source nor ends with a closing one. `encode` leaves out the mentions that
this rule cannot express, so that `decode` is its exact inverse for every text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from biomark.alignment import Placement, placements
from biomark.spans import Entity, Rejected, Span, flat

OPEN = "<mark>"
CLOSE = "</mark>"

_TAG = re.compile(f"({OPEN}|{CLOSE})")
_LOOSE_TAG = re.compile(r"<\s*(?P<slash>/?)\s*mark\s*>", re.IGNORECASE)
_TOKEN = re.compile(r"\w+|[^\w\s]")
_TOKEN_OR_TAG = re.compile(rf"(?i:{_LOOSE_TAG.pattern})|{_TOKEN.pattern}")
# Within a stretch where no words agree, characters are aligned, unless that would take long.
_MAX_CHARACTER_CELLS = 1_000_000
# Typographic variants that models exchange.
_VARIANTS = {**dict.fromkeys("‐‑‒–—−﹣－", "-"), **dict.fromkeys("‘’‛′`´", "'"), **dict.fromkeys("“”„‟″", '"')}


@dataclass(frozen=True, slots=True)
class Marked:
    """A marked text, and the mentions that marks cannot hold."""

    text: str
    left_out: tuple[Entity, ...] = ()


@dataclass(frozen=True, slots=True)
class Aligned:
    """The mentions of an answer that have a place in its source, and the others with the reason."""

    entities: tuple[Entity, ...]
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer without its marks.

    Attributes:
        text: with the tags of the source's own still in it.
        mentions: where marks stood around text, apart and in order.
        rejected: the marks that hold nothing usable.
    """

    text: str
    mentions: tuple[Span, ...]
    rejected: tuple[Rejected, ...]


def encode(text: str, entities: Iterable[Entity]) -> Marked:
    """Put marks around mentions.

    Args:
        text: the source, such as a sentence.
        entities: mentions with offsets in `text`, of any types.

    Returns:
        The marked text, and the entities left out: nested, crossing, discontinuous and repeated ones.
    """
    rest = list(entities)
    kept = flat(rest)
    if _TAG.search(text):
        kept = _expressible(text, kept)
    for entity in kept:
        rest.remove(entity)
    return Marked(_insert(text, kept), tuple(rest))


def _expressible(text: str, entities: tuple[Entity, ...]) -> tuple[Entity, ...]:
    """The entities that `decode` finds again in a text that has tags of its own."""
    kept: list[Entity] = []
    for entity in entities:
        spans = [(e.start, e.end) for e in (*kept, entity)]
        found = decode(_insert(text, (*kept, entity)), text, entity.type)
        if not isinstance(found, Rejected) and [(e.start, e.end) for e in found] == spans:
            kept.append(entity)
    return tuple(kept)


def _insert(text: str, entities: tuple[Entity, ...]) -> str:
    pieces = []
    end = 0
    for entity in entities:
        pieces += [text[end : entity.start], OPEN, text[entity.start : entity.end], CLOSE]
        end = entity.end
    return "".join((*pieces, text[end:]))


def decode(marked: str, source: str, type: str) -> tuple[Entity, ...] | Rejected:
    """Read mentions from a faithful answer: its source with marks opened and closed in turn.

    Args:
        marked: as `encode` writes it.
        source: the text that was marked.
        type: the type of the mentions.

    Returns:
        The mentions in text order, with offsets in `source`; or why `marked` is not faithful
        (`align` may still make something of it).
    """
    pieces = _TAG.split(marked)  # text, tag, text, tag, …, text
    # Only a source with tags of its own leaves a choice. What was chosen last is revised first. A
    # state: how many pieces are read, offset in the source, start of the open mark, spans so far.
    states: list[tuple[int, int, int, tuple[Span, ...]]] = [(0, 0, -1, ())]
    seen = set()
    reached = 0
    while states:
        index, offset, start, spans = states.pop()
        if (index, offset, start) in seen or not source.startswith(pieces[index], offset):
            continue
        seen.add((index, offset, start))
        offset += len(pieces[index])
        reached = max(reached, offset)
        if index + 1 == len(pieces):
            if offset == len(source) and start < 0:
                return tuple(Entity((span,), type) for span in spans)
            continue
        tag = pieces[index + 1]
        if tag == OPEN and start < 0:
            states.append((index + 2, offset, offset, spans))
        if source.startswith(tag, offset):
            states.append((index + 2, offset + len(tag), start, spans))
        if tag == CLOSE and 0 <= start < offset:
            states.append((index + 2, offset, -1, (*spans, Span(start, offset))))
    return Rejected(f"the answer is not its source with marks; they part after {reached} characters", raw=marked)


def align(answer: str, source: str, type: str) -> Aligned:
    """Place the mentions of an answer, faithful or not, in its source.

    The answer may have dropped, changed, added, doubled or re-spaced words and may nest or leave open
    its marks. A mention is kept if its characters are aligned with one stretch of the source, in every
    best alignment; its text then equals the source's but for white space, letter case, compatibility
    forms of Unicode (NFKC) and variants of hyphens and quotes. Everything else is rejected.

    Args:
        answer: what a model wrote.
        source: what it was to copy.
        type: the type of the mentions.

    Returns:
        The mentions in text order, apart, with offsets in `source`; and the rejects.
    """
    faithful = decode(answer, source, type)
    if not isinstance(faithful, Rejected):
        return Aligned(faithful)
    found = _read_marks(answer, _own_tags(answer, source))
    inside = [False] * len(found.text)
    for span in found.mentions:
        inside[span.start : span.end] = [True] * len(span)
    try:
        maps = _character_maps(found.text, source, inside) if found.mentions else ()
    except ValueError as error:
        return Aligned((), (Rejected(f"{error}; cut the text into windows", raw=answer),))
    placed: list[Span] = []
    taken: set[int] = set()
    rejected = list(found.rejected)
    for span in found.mentions:
        place = _place(span, found.text, source, maps)
        if isinstance(place, Span) and not taken.isdisjoint(range(place.start, place.end)):
            place = "the mark stands at a place of the source that has one already"
        if isinstance(place, Span):
            placed.append(place)
            taken.update(range(place.start, place.end))
        else:
            rejected.append(Rejected(place, raw=span.of(found.text)))
    return Aligned(tuple(Entity((span,), type) for span in sorted(placed)), tuple(rejected))


def _own_tags(answer: str, source: str) -> set[int]:
    """Where in the answer stand tags that are a copy of the source's own."""
    if not _LOOSE_TAG.search(source):
        return set()
    copied = list(_TOKEN_OR_TAG.finditer(answer))
    theirs = [_folded(match.group()) for match in _TOKEN_OR_TAG.finditer(source)]
    first, _ = placements(theirs, [_folded(match.group()) for match in copied], [False] * len(copied))
    return {copied[index].start() for index in first if _LOOSE_TAG.fullmatch(copied[index].group())}


def _read_marks(answer: str, own: set[int]) -> _Answer:
    """Take the marks out of an answer, whatever state they are in.

    Args:
        answer: what a model wrote.
        own: where tags stand that are text, not marks.
    """
    pieces: list[str] = []
    mentions: list[Span] = []
    rejected: list[Rejected] = []
    opened: list[int] = []
    read = length = 0
    for tag in _LOOSE_TAG.finditer(answer):
        if tag.start() in own:
            continue
        pieces.append(answer[read : tag.start()])
        length += tag.start() - read
        read = tag.end()
        if not tag["slash"]:
            opened.append(length)
        elif not opened:
            rejected.append(Rejected("a mark is closed that was not opened", raw=answer[tag.start() :]))
        elif opened[-1] == length:
            rejected.append(Rejected("the mark holds no text", raw=answer[:read][-60:]))
            opened.pop()
        else:
            mentions.append(Span(opened.pop(), length))
    text = "".join((*pieces, answer[read:]))
    rejected += [Rejected("a mark is opened and not closed", raw=text[start:]) for start in opened]
    outer: list[Span] = []
    for span in sorted(mentions, key=lambda span: (span.start, -span.end)):
        if outer and span.start < outer[-1].end:
            rejected.append(Rejected("a mark inside another one", raw=span.of(text)))
        else:
            outer.append(span)
    return _Answer(text, tuple(outer), tuple(rejected))


def _character_maps(answer: str, source: str, inside: list[bool]) -> tuple[Placement, ...]:
    """Offsets in the answer → offsets in the source, for both extreme alignments of words.

    Args:
        answer: without marks.
        source: what it copies.
        inside: for each character of the answer whether it stood inside a mark.
    """
    theirs, ours = _words(source), _words(answer)
    both = placements([w for w, _ in theirs], [w for w, _ in ours], [any(inside[s.start : s.end]) for _, s in ours])
    maps = []
    for latest, words in enumerate(both):
        found: Placement = {}
        at = end = 0
        for index in sorted(words):
            ours_span, their_span = ours[index][1], theirs[words[index]][1]
            gap = (range(at, ours_span.start), range(end, their_span.start))
            found |= _characters(answer, source, inside, gap)[latest]
            found |= dict(
                zip(range(ours_span.start, ours_span.end), range(their_span.start, their_span.end), strict=True)
            )
            at, end = ours_span.end, their_span.end
        found |= _characters(answer, source, inside, (range(at, len(answer)), range(end, len(source))))[latest]
        maps.append(found)
    return tuple(maps)


def _characters(answer: str, source: str, inside: list[bool], gap: tuple[range, range]) -> tuple[Placement, Placement]:
    """The character alignments of a stretch of the answer with one of the source, white space apart."""
    ours = [i for i in gap[0] if not answer[i].isspace()]
    theirs = [i for i in gap[1] if not source[i].isspace()]
    if not ours or not theirs or len(ours) * len(theirs) > _MAX_CHARACTER_CELLS:
        return {}, {}
    both = placements([_fold(source[i]) for i in theirs], [_fold(answer[i]) for i in ours], [inside[i] for i in ours])
    first, last = ({ours[i]: theirs[j] for i, j in found.items()} for found in both)
    return first, last


def _place(mention: Span, answer: str, source: str, maps: tuple[Placement, ...]) -> Span | str:
    """Where in the source a mention of the answer stands, or why it has no place."""
    start, end = mention.start, mention.end
    while start < end and answer[start].isspace():
        start += 1
    while end > start and answer[end - 1].isspace():
        end -= 1
    if start == end:
        return "the mark holds no text"
    places = {place for found in maps if (place := _stretch(range(start, end), answer, source, found)) is not None}
    if not places:
        return "the marked words are not in the source, or not at this place"
    if len(places) > 1:
        return "the marked words fit more than one place of the source"
    place = places.pop()
    if (_inside_word(source, place.start) and not _inside_word(answer, start)) or (
        _inside_word(source, place.end) and not _inside_word(answer, end)
    ):
        return "the marked words are a part of a word of the source"
    return place


def _stretch(offsets: range, answer: str, source: str, found: Placement) -> Span | None:
    """The source's stretch that consists of what these characters are aligned with, if there is one."""
    targets = [found.get(i, -1) for i in offsets if not answer[i].isspace()]
    if -1 in targets:
        return None
    span = Span(targets[0], targets[-1] + 1)
    return span if sum(not character.isspace() for character in span.of(source)) == len(targets) else None


def _inside_word(text: str, offset: int) -> bool:
    around = text[max(0, offset - 1) : offset + 1]
    return len(around) == 2 and all(character.isalnum() or character == "_" for character in around)


def _words(text: str) -> list[tuple[str, Span]]:
    return [(_folded(match.group()), Span(*match.span())) for match in _TOKEN.finditer(text)]


def _folded(text: str) -> str:
    return "".join(map(_fold, text))


@lru_cache(maxsize=4096)
def _fold(character: str) -> str:
    """A character as comparisons see it: always one character, so that offsets hold."""
    folded = unicodedata.normalize("NFKC", _VARIANTS.get(character, character)).casefold()
    return folded if len(folded) == 1 else character
