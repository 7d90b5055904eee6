"""The shape `mark`: the text with `<mark>` and `</mark>` around each mention of one type (Keloth et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence

from biomark.entity_types import label
from biomark.marks import CLOSE, OPEN, mark
from biomark.shapes.signs import Signed


def _ask(types: Sequence[str]) -> str:
    return (
        f"Write the text again, word for word, with {OPEN} and {CLOSE} around each {label(types[0])} that it mentions. "
        "If there is none, write the text as it is."
    )


MARK = Signed("mark", single=True, signs=lambda types: mark(types[0]), ask=_ask)
