"""Sentences with their mentions, for tests of experiments."""

from __future__ import annotations

import re

from biomark.spans import Document, Entity, Span

SENTENCES = (
    "Aspirin helped 12 patients with dry cough.",
    "No fever was seen after β-carotene (or zinc).",
    "Zinc-induced fever; dry cough again.",
    "Two days of aspirin, then none.",
)
MENTIONS = {"disease": ("dry cough", "fever"), "chemical": ("aspirin", "β-carotene", "zinc")}


def annotated(text: str, id: str = "1") -> Document:
    entities = [
        Entity((Span(*match.span()),), type)
        for type, names in MENTIONS.items()
        for name in names
        for match in re.finditer(re.escape(name), text, re.IGNORECASE)
    ]
    return Document(id, text, entities=tuple(sorted(entities, key=lambda e: e.start)))
