"""Alignment of an answer with its source: which words and characters of one copy which of the other.

A global alignment (Needleman & Wunsch 1970) without penalty for gaps: it matches as many equal
elements as it can and prefers runs of neighbours. Often several alignments are equally good; the
two extreme ones are returned, so that what they agree on is certain and what they differ in is not.

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

MAX_CELLS = 100_000_000
"""The largest product of both lengths that is aligned; one byte a cell is held."""

# A match always outweighs the rest; of doubled words the preferred one outweighs a run.
_MATCH, _RUN, _PREFERRED = 8, 2, 3
_NEVER = np.int32(-(10**9))
# What is known of a cell: the best score is that of a match here, of the cell above, of the cell to
# the left; the best match here goes on a run.
_HERE, _ABOVE, _LEFT, _GOES_ON = 1, 2, 4, 8

_TOKEN = re.compile(r"\w+|[^\w\s]")
# Within a stretch where no words agree, characters are aligned, unless that would take long.
_MAX_CHARACTER_CELLS = 1_000_000
# Typographic variants that models exchange.
_VARIANTS = {**dict.fromkeys("‐‑‒–—−﹣－", "-"), **dict.fromkeys("‘’‛′`´", "'"), **dict.fromkeys("“”„‟″", '"')}

Placement = dict[int, int]
"""Index in the answer → index in the source, both rising."""


def placements(source: Sequence[str], answer: Sequence[str], preferred: Sequence[bool]) -> tuple[Placement, Placement]:
    """The two extreme best alignments: matched as early, and as late, in the source as possible.

    Args:
        source: n elements, such as words.
        answer: m elements.
        preferred: m flags; of equal elements of the answer that compete for one place in the
            source a preferred one gets it.

    Returns:
        Both alignments, equal where there is one best alignment alone.

    Raises:
        ValueError: if n × m is more than `MAX_CELLS`.
    """
    if len(source) * len(answer) > MAX_CELLS:
        raise ValueError(f"{len(source)} × {len(answer)} elements are too many to align")
    cells = _cells(source, answer, preferred)
    return _trace(cells, (_ABOVE, _LEFT, _HERE)), _trace(cells, (_LEFT, _HERE, _ABOVE))


def _cells(source: Sequence[str], answer: Sequence[str], preferred: Sequence[bool]) -> NDArray[np.uint8]:
    """The flags of all cells; (n + 1, m + 1), the first row and column for nothing read yet."""
    ids = {element: index for index, element in enumerate(dict.fromkeys((*source, *answer)))}
    elements = np.fromiter((ids[element] for element in answer), np.int32, len(answer))
    gain = _MATCH + _PREFERRED * np.asarray(preferred, dtype=np.int32)
    flags = np.zeros((len(source) + 1, len(answer) + 1), np.uint8)
    flags[:, 0], flags[0, 1:] = _ABOVE, _LEFT
    best = np.zeros(len(answer) + 1, np.int32)  # of all alignments up to here
    match = np.full(len(answer) + 1, _NEVER)  # of those that end with a match here
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
            + _GOES_ON * (run >= jump)
        )
        best, match[1:] = best_here, match_here
    return flags


def _trace(cells: NDArray[np.uint8], order: tuple[int, int, int]) -> Placement:
    """The path from the last cell back to the first that takes, of equally good ways, the first of `order`."""
    row, column = cells.shape[0] - 1, cells.shape[1] - 1
    found: Placement = {}
    on_run = False
    while row and column:
        flags = int(cells[row, column])
        way = _HERE if on_run else next(way for way in order if flags & way)
        if way == _HERE:
            found[column - 1] = row - 1
            on_run = bool(flags & _GOES_ON)
        row -= way != _LEFT
        column -= way != _ABOVE
    return found


def character_maps(answer: str, source: str, inside: list[bool]) -> tuple[Placement, ...]:
    """Offsets in the answer → offsets in the source, for both extreme alignments of words.

    Args:
        answer: without marks.
        source: what it copies.
        inside: for each character of the answer whether it stood inside a mark.
    """
    theirs = words(source)
    ours = _cut(words(answer), inside, {word for word, _ in theirs})
    both = placements([w for w, _ in theirs], [w for w, _ in ours], [any(inside[s.start : s.end]) for _, s in ours])
    maps = []
    for latest, pairs in enumerate(both):
        found: Placement = {}
        at = end = 0
        for index in sorted(pairs):
            ours_span, their_span = ours[index][1], theirs[pairs[index]][1]
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


def stretch(offsets: range, answer: str, source: str, found: Placement) -> Span | None:
    """The source's stretch that consists of what these characters are aligned with, if there is one."""
    targets = [found.get(i, -1) for i in offsets if not answer[i].isspace()]
    if -1 in targets:
        return None
    span = Span(targets[0], targets[-1] + 1)
    return span if sum(not character.isspace() for character in span.of(source)) == len(targets) else None


def near_stretch(offsets: range, answer: str, source: str, found: Placement) -> Span | None:
    """The source's stretch that these characters copy but for doubled words, or for a few changes.

    Changes are few if a seventh of the characters at most has none to go with, and no digit is among
    them: a corrected or new misprint, an ending, a word of two letters.
    """
    ours = [i for i in offsets if not answer[i].isspace()]
    copied = {i: found[i] for i in ours if i in found}
    if not copied:
        return None
    span = _whole_words(Span(min(copied.values()), max(copied.values()) + 1), source)
    theirs = [i for i in range(span.start, span.end) if not source[i].isspace()]
    more = [i for i in ours if i not in copied]
    fewer = set(theirs).difference(copied.values())
    if not fewer and _doubled(
        folded("".join(answer[i] for i in ours)), [n for n, i in enumerate(ours) if i not in copied]
    ):
        return span
    few = 7 * len(copied) >= 6 * max(len(ours), len(theirs))
    digits = any(answer[i].isdigit() for i in more) or any(source[i].isdigit() for i in fewer)
    return span if few and not digits else None


def _whole_words(span: Span, text: str) -> Span:
    start, end = span.start, span.end
    while inside_word(text, start):
        start -= 1
    while inside_word(text, end):
        end += 1
    return Span(start, end)


def _doubled(text: str, more: list[int]) -> bool:
    """Whether each run of these characters stands beside a copy of itself."""
    at = 0
    while at < len(more):
        size = 1
        while at + size < len(more) and more[at + size] == more[at] + size:
            size += 1
        start, end = more[at], more[at] + size
        if text[start:end] not in (text[max(0, start - size) : start], text[end : end + size]):
            return False
        at += size
    return True


def inside_word(text: str, offset: int) -> bool:
    """Whether an offset lies between two letters or digits."""
    around = text[max(0, offset - 1) : offset + 1]
    return len(around) == 2 and all(character.isalnum() or character == "_" for character in around)


def _cut(found: list[tuple[str, Span]], inside: list[bool], known: set[str]) -> list[tuple[str, Span]]:
    """The words of an answer, cut where marks begin and end unless the source has the whole word.

    Models leave out the blank before a mark: the word there runs into the marked one.
    """
    parts = []
    for word, span in found:
        edges = [i for i in range(span.start + 1, span.end) if inside[i] != inside[i - 1] and word not in known]
        for start, end in pairwise([span.start, *edges, span.end]):
            parts.append((word[start - span.start : end - span.start], Span(start, end)))
    return parts


def words(text: str) -> list[tuple[str, Span]]:
    """The words and signs of a text, folded, and where they stand."""
    return [(folded(match.group()), Span(*match.span())) for match in _TOKEN.finditer(text)]


def folded(text: str) -> str:
    """A text as comparisons see it, character by character: offsets hold."""
    return "".join(map(_fold, text))


@lru_cache(maxsize=4096)
def _fold(character: str) -> str:
    """A character as comparisons see it: always one character, so that offsets hold."""
    folded = unicodedata.normalize("NFKC", _VARIANTS.get(character, character)).casefold()
    return folded if len(folded) == 1 else character


def occurrences(string: str, text: str) -> tuple[Span, ...]:
    """Where a string stands in a text: first the places at the boundaries of words, then those inside words."""
    if not string or len(string) > len(text):
        return ()
    found = [match.start() for match in re.finditer(f"(?={re.escape(string)})", text)]
    return _bounded_first([Span(start, start + len(string)) for start in found], text)


def similar(string: str, text: str) -> tuple[Span, ...]:
    """The same for a string in another spelling: case, white space, hyphens, quotes and forms of characters."""
    parts = [word for word, _ in words(string)]
    if sum(map(len, parts)) > len(text):
        return ()
    pattern = r"\s*".join(map(re.escape, parts))
    found = re.finditer(f"(?=({pattern}))", folded(text)) if pattern else ()
    return _bounded_first([Span(*match.span(1)) for match in found], text)


def bounded(span: Span, text: str) -> bool:
    """Whether a span begins and ends at the boundary of a word."""
    return not inside_word(text, span.start) and not inside_word(text, span.end)


def _bounded_first(spans: list[Span], text: str) -> tuple[Span, ...]:
    return tuple(sorted(spans, key=lambda span: (not bounded(span, text), span)))


def rearranged(string: str, text: str) -> tuple[Span, ...]:
    """Where the words of a string stand side by side in another order."""
    wanted = sorted(word for word, _ in words(string))
    found = words(text)
    windows = [found[i : i + len(wanted)] for i in range(len(found) - len(wanted) + 1)] if len(wanted) > 1 else []
    return tuple(
        Span(window[0][1].start, window[-1][1].end)
        for window in windows
        if sorted(word for word, _ in window) == wanted
    )
