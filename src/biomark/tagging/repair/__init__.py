"""What is mended in a document's mentions before a reader sees them: borders, abbreviations, one type a name.

A tagging network reads windows, and each of its types by itself. What it says of a whole document may therefore end in
the middle of brackets, miss an abbreviation whose definition it has found, or give one name two types. `repaired` mends
this by rules that look at the text and the mentions alone, so that they hold for every tagging model.
"""

from __future__ import annotations

from collections.abc import Iterable

from biomark.spans import Document, Entity
from biomark.tagging.repair.abbreviated import with_short_forms
from biomark.tagging.repair.borders import with_borders
from biomark.tagging.repair.types import with_one_type


def repaired(document: Document, entities: Iterable[Entity]) -> list[Entity]:
    """The mentions of a document with the repairs of this package, in text order.

    Args:
        document: whose own entities are not looked at.
        entities: with scores; those of one type do not overlap. Discontinuous ones stay as they are.
    """
    found = with_borders(document, entities)
    found = with_short_forms(document.text, found)
    return with_one_type(document.text, found)


__all__ = ["repaired"]
