"""The text with `[ mention | type ]` around each mention (TANL: Paolini et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence

from biomark.entity_types import label
from biomark.marks import Signs
from biomark.shapes.signs import Signed

_LOOSE = r"(?P<opens>\[)|\|(?P<name>[^|\[\]]*+)\]"


def _signs(types: Sequence[str]) -> Signs:
    labels = {type: label(type) for type in types}
    apart = len(set(labels.values())) == len(labels)
    return Signs("[ ", " | {} ]", _LOOSE, labels if apart else {type: type for type in types})


def _ask(types: Sequence[str]) -> str:
    signs = _signs(types)
    before, after = signs.around(types[0])
    return (
        f"Write the text again, word for word, with each mention of an entity as {before}mention{after}, "
        f"where the entity types are: {', '.join(signs.names.values())}. If there is none, write the text as it is."
    )


TANL = Signed("tanl", single=False, signs=_signs, ask=_ask)
