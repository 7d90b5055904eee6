"""The shape `tanl`: the text with `[ mention | type ]` in the place of each mention (TANL: Paolini et al. 2021).

The whole prompt is one message, in which blank lines separate the examples, each a text and its marked copy; an answer
ends with its line (Monajatipoor et al. 2024).
"""

from __future__ import annotations

from collections.abc import Sequence

from biomark.marks import Signs
from biomark.shapes.base import names_of
from biomark.shapes.signs import Signed

_LOOSE = r"(?P<opens>\[)|\|(?P<name>[^|\[\]]*+)\]"


def _signs(types: Sequence[str]) -> Signs:
    return Signs("[ ", " | {} ]", _LOOSE, names_of(types))


def _ask(types: Sequence[str]) -> str:
    signs = _signs(types)
    # A request for several types has the word "type", so that no type stands for the others.
    before, after = signs.around(types[0]) if len(types) == 1 else (signs.before, signs.after.format("type"))
    return (
        f"Write the text again, word for word, with each mention of an entity as {before}mention{after}, "
        f"where the entity types are: {', '.join(signs.names.values())}. If there is none, write the text as it is."
    )


def _question(text: str, types: Sequence[str]) -> tuple[str, ...]:
    return (f"{text}\n",)


TANL = Signed("tanl", single=False, signs=_signs, ask=_ask, question=_question, one_message=True, ends="\n")
