"""Vote over several answers to a prompt: a mention's score is the share of answers with it (Wang et al. 2023)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from biomark.spans import Entity, Rejected, Span

SURE = 0.5
"""The default minimum share of answers that have a mention."""


class ReadAnswer(Protocol):
    """A decoded answer: its entities, and the parts that could not be placed."""

    @property
    def entities(self) -> tuple[Entity, ...]: ...  # noqa: D102

    @property
    def rejected(self) -> tuple[Rejected, ...]: ...  # noqa: D102


def vote(answers: Sequence[ReadAnswer]) -> tuple[tuple[Entity, ...], tuple[Rejected, ...]]:
    """Return the mentions of all answers, scored by the share of answers that have them, and the rejects.

    The rejects of an answer without any mention count only if no answer is usable.
    """
    votes: Counter[tuple[tuple[Span, ...], str]] = Counter()
    for answer in answers:
        votes.update({(entity.spans, entity.type) for entity in answer.entities})
    useful = [answer for answer in answers if answer.entities or not answer.rejected] or answers
    rejected = dict.fromkeys(reject for answer in useful for reject in answer.rejected)
    entities = (Entity(spans, entity_type, score=count / len(answers)) for (spans, entity_type), count in votes.items())
    return tuple(entities), tuple(rejected)
