"""Corpora of a few words, so that small networks learn them in seconds."""

from __future__ import annotations

import random

from biomark.spans import Document, Entity, Passage, Span

DISEASES = ("fever", "dry cough", "Marfan syndrome", "ABC deficiency", "asthma")
UNKNOWN = ("stiff neck", "low blood pressure")  # that training never shows
CHEMICALS = ("aspirin", "zinc", "5-HT", "alpha-tocopherol", "LSD")
CLAUSES = (
    "Patients with {d} were given {c}.",
    "{c} may cause {d} in mice.",
    "No {d} was seen after {c}, but pain was.",
)


def documents(
    type: str, mentions: tuple[str, ...], size: int, seed: int, *, clauses: int = 2, hard: bool = False
) -> list[Document]:
    """Documents of a few sentences, in which the mentions of one type are annotated; hard ones have unknown names."""
    chance = random.Random(seed)
    found = []
    for number in range(size):
        text, entities = "", []
        for _ in range(clauses):
            names = {"d": chance.choice(DISEASES + UNKNOWN * hard), "c": chance.choice(CHEMICALS)}
            clause = chance.choice(CLAUSES).format(**names)
            name = names["d"] if mentions is DISEASES else names["c"]
            start = len(text) + clause.index(name)
            entities.append(Entity((Span(start, start + len(name)),), type))
            text += clause + " "
        passage = Passage(Span(0, len(text) - 1), "title")
        found.append(Document(str(number), text.strip(), (passage,), entities=tuple(entities)))
    return found
