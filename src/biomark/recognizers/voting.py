"""Several answers to one question: each mention with the share of the answers that have it (Wang et al. 2023)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from biomark.spans import Entity, Rejected, Span

SURE = 0.5
"""The share that a mention needs where nothing else is asked for."""


class Read(Protocol):
    """An answer as it was read."""

    @property
    def entities(self) -> tuple[Entity, ...]: ...  # noqa: D102

    @property
    def rejected(self) -> tuple[Rejected, ...]: ...  # noqa: D102


def vote(answers: Sequence[Read]) -> tuple[tuple[Entity, ...], tuple[Rejected, ...]]:
    """The mentions of all answers, each with the share that has it as its score, and what has no place.

    An answer that says nothing of use is outvoted, unless none says anything: what it says is then rejected.
    """
    votes: Counter[tuple[tuple[Span, ...], str]] = Counter()
    for answer in answers:
        votes.update({(entity.spans, entity.type) for entity in answer.entities})
    useful = [answer for answer in answers if answer.entities or not answer.rejected] or answers
    rejected = dict.fromkeys(reject for answer in useful for reject in answer.rejected)
    entities = (Entity(spans, entity_type, score=count / len(answers)) for (spans, entity_type), count in votes.items())
    return tuple(entities), tuple(rejected)
