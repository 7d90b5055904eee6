"""Shapes: the forms of a prompted model's answers.

Each shape describes the answer's form for the prompt, writes the answer for annotated text (`encode`, for
demonstrations), and reads any answer of a model (`decode`). docs/prompting.md shows them all.
"""

from __future__ import annotations

from collections.abc import Mapping

from biomark.errors import UsageError
from biomark.shapes.alpaca import ALPACA
from biomark.shapes.base import Decoded, Encoded, Shape
from biomark.shapes.dialogue import DIALOGUE
from biomark.shapes.dice import DICE, dice
from biomark.shapes.dictionary import DICTIONARY
from biomark.shapes.gpt_ner import GPT_NER
from biomark.shapes.json_list import JSON
from biomark.shapes.mark import MARK
from biomark.shapes.prompt_ner import PROMPT_NER
from biomark.shapes.span import SPAN
from biomark.shapes.tanl import TANL

_ALL: tuple[Shape, ...] = (MARK, SPAN, TANL, DICE, GPT_NER, JSON, DICTIONARY, DIALOGUE, PROMPT_NER, ALPACA)
SHAPES: dict[str, Shape] = {shape.name: shape for shape in _ALL}
"""All shapes by name."""


def shape_named(name: str, wording: Mapping[str, tuple[str, str]] | None = None) -> Shape:
    """Return the shape with a name.

    Args:
        name: one of `SHAPES`.
        wording: the label and the definition of types, for shapes whose answers repeat them; None: biomark's own.

    Raises:
        UsageError: if there is no such shape.
    """
    if name not in SHAPES:
        raise UsageError(f"unknown shape {name!r}; choose from {', '.join(SHAPES)}")
    return dice(wording) if wording and name == DICE.name else SHAPES[name]


__all__ = ["DICE", "MARK", "SHAPES", "TANL", "Decoded", "Encoded", "Shape", "shape_named"]
