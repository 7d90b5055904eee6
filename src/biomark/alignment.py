"""Alignment of two sequences: which elements of an answer copy which elements of its source.

A global alignment (Needleman & Wunsch 1970) without penalty for gaps: it matches as many equal
elements as it can and prefers runs of neighbours. Often several alignments are equally good; the
two extreme ones are returned, so that what they agree on is certain and what they differ in is not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MAX_CELLS = 100_000_000
"""The largest product of both lengths that is aligned; one byte a cell is held."""

# A match always outweighs the rest; of doubled words the preferred one outweighs a run.
_MATCH, _RUN, _PREFERRED = 8, 2, 3
_NEVER = np.int32(-(10**9))
# What is known of a cell: the best score is that of a match here, of the cell above, of the cell to
# the left; the best match here goes on a run.
_HERE, _ABOVE, _LEFT, _GOES_ON = 1, 2, 4, 8

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
