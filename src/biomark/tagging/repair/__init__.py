"""Repairs of a document's mentions: borders, abbreviations, and one type for each name.

A tagging network reads windows and predicts each type independently. Its mentions may therefore end in the middle of
brackets, miss an abbreviation whose definition is a mention, or have two types for one name. `repaired` corrects
this by rules that use only the text and the mentions, so that they suit every tagging model.
"""

from __future__ import annotations

from collections.abc import Iterable

from biomark.spans import Document, Entity
from biomark.tagging.repair.abbreviated import with_short_forms
from biomark.tagging.repair.borders import with_borders
from biomark.tagging.repair.types import with_one_type


def repaired(document: Document, entities: Iterable[Entity]) -> list[Entity]:
    """Apply the repairs of this package to the mentions of a document; return them in text order.

    Args:
        document: the document; its own entities are ignored.
        entities: mentions with scores; those of one type do not overlap. Discontinuous mentions stay as they are.
    """
    mentions = with_borders(document, entities)
    mentions = with_short_forms(document.text, mentions)
    return with_one_type(document.text, mentions)


__all__ = ["repaired"]
