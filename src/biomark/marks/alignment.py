"""Alignment of the words and characters of an answer with those of its source.

A global alignment (Needleman & Wunsch 1970) without gap penalty: it matches as many equal elements as possible and
prefers runs of neighbours. Often several alignments have the best score; the two extreme ones are returned, so that a
match is certain if both contain it.

Comparisons ignore letter case, compatibility forms of Unicode (NFKC) and variants of hyphens and quotes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from biomark.spans import Span
from biomark.text.typography import APOSTROPHES, HYPHENS, QUOTES

MAX_CELLS = 100_000_000
"""The largest product of both lengths that is aligned; each cell takes one byte."""

# Scores: a match outweighs everything else; of repeated words, the preferred one outweighs a run.
_MATCH, _RUN, _PREFERRED = 8, 2, 3
_NEVER = np.int32(-(10**9))
# Flags of a cell: the best score comes from a match here, from the cell above, or from the cell to the left;
# the best match here continues a run.
_HERE, _ABOVE, _LEFT, _CONTINUES = 1, 2, 4, 8

_TOKEN = re.compile(r"\w+|[^\w\s]")
# Where no words agree, characters are aligned, up to this product of the lengths (for speed).
_MAX_CHARACTER_CELLS = 1_000_000
# Typographic variants that models write for each other.
_VARIANTS = {**dict.fromkeys(HYPHENS, "-"), **dict.fromkeys(f"{APOSTROPHES}`", "'"), **dict.fromkeys(QUOTES, '"')}

Placement = dict[int, int]
"""Index in the answer → index in the source, both increasing."""


def placements(source: Sequence[str], answer: Sequence[str], preferred: Sequence[bool]) -> tuple[Placement, Placement]:
    """Return the two extreme best alignments: matches as early, and as late, in the source as possible.

    Args:
        source: n elements, such as words.
        answer: m elements.
        preferred: m flags; if equal elements of the answer compete for one place in the source, a preferred one is
            matched.

    Returns:
        Both alignments, which are equal if there is only one best alignment.

    Raises:
        ValueError: if n × m is more than `MAX_CELLS`.
    """
    if len(source) * len(answer) > MAX_CELLS:
        raise ValueError(
            f"cannot align {len(source)} with {len(answer)} elements: the product must be at most {MAX_CELLS}"
        )
    cells = _cells(source, answer, preferred)
    return _trace(cells, (_ABOVE, _LEFT, _HERE)), _trace(cells, (_LEFT, _HERE, _ABOVE))


def _cells(source: Sequence[str], answer: Sequence[str], preferred: Sequence[bool]) -> NDArray[np.uint8]:
    """Return the flags of all cells, of shape (n + 1, m + 1); the first row and column are the empty prefixes."""
    ids = {element: index for index, element in enumerate(dict.fromkeys((*source, *answer)))}
    elements = np.fromiter((ids[element] for element in answer), np.int32, len(answer))
    gain = _MATCH + _PREFERRED * np.asarray(preferred, dtype=np.int32)
    flags = np.zeros((len(source) + 1, len(answer) + 1), np.uint8)
    flags[:, 0], flags[0, 1:] = _ABOVE, _LEFT
    best = np.zeros(len(answer) + 1, np.int32)  # scores of all alignments up to here
    match = np.full(len(answer) + 1, _NEVER)  # scores of those that end with a match here
    for row, element in enumerate(source, 1):
        run, jump = match[:-1] + _RUN, best[:-1]
        match_here = np.where(elements == ids[element], gain + np.maximum(run, jump), _NEVER)
        best_here = np.empty_like(best)
        best_here[0] = 0
        np.maximum.accumulate(np.maximum(best[1:], match_here), out=best_here[1:])
        np.maximum(best_here, 0, out=best_here)
        flags[row, 1:] = (
            _HERE * (match_here == best_here[1:])
            + _ABOVE * (best[1:] == best_here[1:])
            + _LEFT * (best_here[:-1] == best_here[1:])
            + _CONTINUES * (run >= jump)
        )
        best, match[1:] = best_here, match_here
    return flags


def _trace(cells: NDArray[np.uint8], order: tuple[int, int, int]) -> Placement:
    """Trace the best path from the last cell to the first; of equally good steps, take the first in `order`."""
    row, column = cells.shape[0] - 1, cells.shape[1] - 1
    placement: Placement = {}
    on_run = False
    while row and column:
        flags = int(cells[row, column])
        step = _HERE if on_run else next(step for step in order if flags & step)
        if step == _HERE:
            placement[column - 1] = row - 1
            on_run = bool(flags & _CONTINUES)
        row -= step != _LEFT
        column -= step != _ABOVE
    return placement


def character_maps(answer: str, source: str, inside: list[bool]) -> tuple[Placement, ...]:
    """Return the offsets in the source for the offsets in the answer, for both extreme alignments of words.

    Args:
        answer: the answer without marks.
        source: the text that it copies.
        inside: for each character of the answer, whether it was inside marks.
    """
    theirs = words(source)
    ours = _cut(words(answer), inside, {word for word, _ in theirs})
    both = placements([w for w, _ in theirs], [w for w, _ in ours], [any(inside[s.start : s.end]) for _, s in ours])
    maps = []
    for latest, pairs in enumerate(both):
        placement: Placement = {}
        at = end = 0
        for index in sorted(pairs):
            ours_span, their_span = ours[index][1], theirs[pairs[index]][1]
            gap = (range(at, ours_span.start), range(end, their_span.start))
            placement |= _characters(answer, source, inside, gap)[latest]
            placement |= dict(
                zip(range(ours_span.start, ours_span.end), range(their_span.start, their_span.end), strict=True)
            )
            at, end = ours_span.end, their_span.end
        placement |= _characters(answer, source, inside, (range(at, len(answer)), range(end, len(source))))[latest]
        maps.append(placement)
    return tuple(maps)


def _characters(answer: str, source: str, inside: list[bool], gap: tuple[range, range]) -> tuple[Placement, Placement]:
    """Return the character alignments of a gap in the answer with one in the source, without white space."""
    ours = [i for i in gap[0] if not answer[i].isspace()]
    theirs = [i for i in gap[1] if not source[i].isspace()]
    if not ours or not theirs or len(ours) * len(theirs) > _MAX_CHARACTER_CELLS:
        return {}, {}
    both = placements([_fold(source[i]) for i in theirs], [_fold(answer[i]) for i in ours], [inside[i] for i in ours])
    first, last = ({ours[i]: theirs[j] for i, j in placement.items()} for placement in both)
    return first, last


def stretch(offsets: range, answer: str, source: str, placement: Placement) -> Span | None:
    """Return the span of the source that consists exactly of the characters aligned with `offsets`, if there is one."""
    targets = [placement.get(i, -1) for i in offsets if not answer[i].isspace()]
    if -1 in targets:
        return None
    span = Span(targets[0], targets[-1] + 1)
    return span if sum(not character.isspace() for character in span.of(source)) == len(targets) else None


def near_stretch(offsets: range, answer: str, source: str, placement: Placement) -> Span | None:
    """Return the span of the source that these characters copy, apart from repeated words or a few changes.

    At most a seventh of the characters may be without a counterpart, and none of them a digit: a corrected or new
    misprint, an ending, a word of two letters.
    """
    ours = [i for i in offsets if not answer[i].isspace()]
    copied = {i: placement[i] for i in ours if i in placement}
    if not copied:
        return None
    span = _whole_words(Span(min(copied.values()), max(copied.values()) + 1), source)
    theirs = [i for i in range(span.start, span.end) if not source[i].isspace()]
    added = [i for i in ours if i not in copied]
    missing = set(theirs).difference(copied.values())
    if not missing and _doubled(
        folded("".join(answer[i] for i in ours)), [n for n, i in enumerate(ours) if i not in copied]
    ):
        return span
    is_near = 7 * len(copied) >= 6 * max(len(ours), len(theirs))
    digits = any(answer[i].isdigit() for i in added) or any(source[i].isdigit() for i in missing)
    return span if is_near and not digits else None


def _whole_words(span: Span, text: str) -> Span:
    start, end = span.start, span.end
    while inside_word(text, start):
        start -= 1
    while inside_word(text, end):
        end += 1
    return Span(start, end)


def _doubled(text: str, added: list[int]) -> bool:
    """Return whether each run of these characters is next to a copy of itself."""
    at = 0
    while at < len(added):
        size = 1
        while at + size < len(added) and added[at + size] == added[at] + size:
            size += 1
        start, end = added[at], added[at] + size
        if text[start:end] not in (text[max(0, start - size) : start], text[end : end + size]):
            return False
        at += size
    return True


def inside_word(text: str, offset: int) -> bool:
    """Return whether an offset lies between two letters, digits or underscores."""
    around = text[max(0, offset - 1) : offset + 1]
    return len(around) == 2 and all(character.isalnum() or character == "_" for character in around)


def _cut(answer_words: list[tuple[str, Span]], inside: list[bool], known: set[str]) -> list[tuple[str, Span]]:
    """Split the words of an answer where marks begin and end, unless the source has the whole word.

    Models drop the blank before a mark, so that the previous word and the marked one are joined.
    """
    parts = []
    for word, span in answer_words:
        edges = [i for i in range(span.start + 1, span.end) if inside[i] != inside[i - 1] and word not in known]
        for start, end in pairwise([span.start, *edges, span.end]):
            parts.append((word[start - span.start : end - span.start], Span(start, end)))
    return parts


def words(text: str) -> list[tuple[str, Span]]:
    """Return the words and punctuation marks of a text, folded, with their spans."""
    return [(folded(match.group()), Span(*match.span())) for match in _TOKEN.finditer(text)]


def folded(text: str) -> str:
    """Fold a text for comparison, character by character, so that offsets stay valid."""
    return "".join(map(_fold, text))


@lru_cache(maxsize=4096)
def _fold(character: str) -> str:
    """Fold a character for comparison into exactly one character, so that offsets stay valid."""
    folded = unicodedata.normalize("NFKC", _VARIANTS.get(character, character)).casefold()
    return folded if len(folded) == 1 else character


def occurrences(string: str, text: str) -> tuple[Span, ...]:
    """Return the spans of a string in a text: first those at word boundaries, then those inside words."""
    if not string or len(string) > len(text):
        return ()
    starts = [match.start() for match in re.finditer(f"(?={re.escape(string)})", text)]
    return _bounded_first([Span(start, start + len(string)) for start in starts], text)


def similar(string: str, text: str) -> tuple[Span, ...]:
    """Return the spans like `occurrences`, ignoring case, white space, and variants of hyphens, quotes and letters."""
    parts = [word for word, _ in words(string)]
    if sum(map(len, parts)) > len(text):
        return ()
    pattern = r"\s*".join(map(re.escape, parts))
    matches = re.finditer(f"(?=({pattern}))", folded(text)) if pattern else ()
    return _bounded_first([Span(*match.span(1)) for match in matches], text)


def bounded(span: Span, text: str) -> bool:
    """Return whether a span begins and ends at word boundaries."""
    return not inside_word(text, span.start) and not inside_word(text, span.end)


def _bounded_first(spans: list[Span], text: str) -> tuple[Span, ...]:
    return tuple(sorted(spans, key=lambda span: (not bounded(span, text), span)))


def rearranged(string: str, text: str) -> tuple[Span, ...]:
    """Return the spans in which the words of a string are adjacent in any order."""
    wanted = sorted(word for word, _ in words(string))
    text_words = words(text)
    windows = (
        [text_words[i : i + len(wanted)] for i in range(len(text_words) - len(wanted) + 1)] if len(wanted) > 1 else []
    )
    return tuple(
        Span(window[0][1].start, window[-1][1].end)
        for window in windows
        if sorted(word for word, _ in window) == wanted
    )
