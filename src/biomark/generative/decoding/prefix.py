"""Common beginnings of prompts, such as instructions, whose keys and values are computed once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import groupby

TokenIds = tuple[int, ...]


def worth_keeping(prompts: Sequence[TokenIds], kept: Collection[TokenIds], *, least: int) -> list[TokenIds]:
    """Return the beginnings of prompts that are worth computing once and are not yet kept.

    Prompts with a common beginning form a group, which contains smaller groups with longer common beginnings. The
    beginning of a group is worth keeping if it saves at least `least` tokens more than a shorter one. This selects
    instructions, but not the first words that sentences happen to share.

    Args:
        prompts: the token ids of the prompts of a batch, and of some before it.
        kept: the beginnings that are kept already.
        least: the lowest number of saved tokens.

    Returns:
        Beginnings, each of two or more longer prompts.
    """
    return list(_worth(sorted(prompts), 0, kept, least))


def longest_of(prompt: TokenIds, kept: Collection[TokenIds]) -> TokenIds:
    """Return the longest of the kept beginnings that a prompt extends, or () if there is none."""
    return max((ids for ids in kept if len(ids) < len(prompt) and prompt[: len(ids)] == ids), key=len, default=())


def _worth(group: list[TokenIds], base: int, kept: Collection[TokenIds], least: int) -> Iterator[TokenIds]:
    if len(group) < 2:
        return
    size = min(_common(group[0], group[-1]), min(map(len, group)) - 1)
    beginning = group[0][:size]
    base = max(base, len(longest_of((*beginning, -1), kept)))
    if (len(group) - 1) * (size - base) >= least:
        yield beginning
        base = size
    for _, branch in groupby((ids for ids in group if len(ids) > size + 1), key=lambda ids: ids[: size + 1]):
        yield from _worth(list(branch), base, kept, least)


def _common(a: TokenIds, b: TokenIds) -> int:
    """Return the length of the common beginning of two sequences."""
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
