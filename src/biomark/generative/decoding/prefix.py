"""What prompts have in common at their beginning: the instruction, which is computed once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import groupby

Ids = tuple[int, ...]


def worth_keeping(prompts: Sequence[Ids], kept: Collection[Ids], *, least: int) -> list[Ids]:
    """Beginnings that should be computed once, as far as they are not kept yet.

    Prompts with the same beginning are a group; within it, those that go on in the same way are one, and
    so on. A group's beginning is worth it if the tokens that it spares, beyond those that a shorter
    beginning spares, are at least `least`. So instructions are found, and sentences that happen to begin
    with the same word are not.

    Args:
        prompts: of a batch, and some before it.
        kept: beginnings that are at hand.
        least: tokens.

    Returns:
        Beginnings, each of two or more prompts that are longer.
    """
    return list(_worth(sorted(prompts), 0, kept, least))


def longest_of(prompt: Ids, kept: Collection[Ids]) -> Ids:
    """The longest of some beginnings that a prompt has and is longer than; () if it has none."""
    return max((ids for ids in kept if len(ids) < len(prompt) and prompt[: len(ids)] == ids), key=len, default=())


def _worth(group: list[Ids], base: int, kept: Collection[Ids], least: int) -> Iterator[Ids]:
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


def _common(a: Ids, b: Ids) -> int:
    """How many ids two sequences have in common at their beginning."""
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
