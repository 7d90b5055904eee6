"""Shapes: the forms in which a prompted model gives its answer.

Each shape has what the prompt says of it, an `encode` that writes the answer for annotated text (for
demonstrations), and a `decode` that reads whatever a model wrote. docs/prompting.md shows them all.
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


def shape_named(name: str, said: Mapping[str, tuple[str, str]] | None = None) -> Shape:
    """The shape of a name.

    Args:
        name: of the shape.
        said: the label and the definition of types, for answers that repeat them; None: biomark's.

    Raises:
        UsageError: if there is none.
    """
    if name not in SHAPES:
        raise UsageError(f"no shape {name!r}; there are {', '.join(SHAPES)}")
    return dice(said) if said and name == DICE.name else SHAPES[name]


__all__ = ["DICE", "MARK", "SHAPES", "TANL", "Decoded", "Encoded", "Shape", "shape_named"]
