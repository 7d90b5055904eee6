"""The shape `span`: the text as HTML with `<span class="TYPE">` and `</span>` around each mention (Hu et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence

from biomark.entity_types import label
from biomark.marks import Signs
from biomark.shapes.signs import Signed

# The type may be the value of any of several attributes, in any quotation marks or none. Possessive quantifiers prevent
# backtracking: the repetitive answer of a careless model would otherwise take quadratic or cubic time.
_LOOSE = (
    r"""(?P<opens><\s*+span\b(?:(?!\b(?:class|type|label)\s*+=)[^<>])*+"""
    r"""(?:(?:class|type|label)\s*+=\s*+["'“”‘’]?+(?P<name>[^"'“”‘’<>]*+))?+[^<>]*+>)"""
    r"""|<\s*+/\s*+span\s*+>"""
)


def _signs(types: Sequence[str]) -> Signs:
    return Signs('<span class="{}">', "</span>", _LOOSE, {entity_type: entity_type for entity_type in types})


def _ask(types: Sequence[str]) -> str:
    classes = "".join(f'Use <span class="{entity_type}"> for each {label(entity_type)}.\n' for entity_type in types)
    return (
        "Write the text again, word for word, as HTML with a <span> around each mention; "
        f"its class says what is mentioned.\n{classes}If there is none, write the text as it is."
    )


SPAN = Signed("span", single=False, signs=_signs, ask=_ask)
