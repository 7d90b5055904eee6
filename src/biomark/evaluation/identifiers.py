"""Count correct and wrong identifiers of mentions, for each document.

The answer for a mention is the *set* of its identifiers in canonical spelling (`biomark.identifiers`): a
composite mention is correct if it has all of its identifiers and no other. Mentions without an
identifier, gold or predicted, are not counted; docs/evaluation.md has an example of each case.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biomark.evaluation.counts import Counts
from biomark.evaluation.pairs import Pair
from biomark.formats.identifiers import split_ids
from biomark.identifiers import COMBINED, canonical, namespace
from biomark.spans import Entity, Span

CANDIDATES = (
    "candidates"  # the infon of a predicted mention with its candidate identifiers, best first, blank-separated
)
LEVELS = ("mention", "document")
_FIRST = 5

Ids = frozenset[str]
Place = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Accuracy of identifiers on the gold mentions whose spans and type were predicted.

    Attributes:
        gold: the number of gold mentions that have an identifier.
        mentions: the number of those that a predicted mention equals in spans and type.
        first: the number of `mentions` whose predicted identifiers are correct.
        first_five: the number of `mentions` with the correct identifiers among the first five candidates.
        ranked: the number of `mentions` for which the predictions have candidates.
    """

    gold: int = 0
    mentions: int = 0
    first: int = 0
    first_five: int = 0
    ranked: int = 0

    def __add__(self, other: Accuracy) -> Accuracy:
        return Accuracy(
            self.gold + other.gold,
            self.mentions + other.mentions,
            self.first + other.first,
            self.first_five + other.first_five,
            self.ranked + other.ranked,
        )

    @property
    def share(self) -> float:
        """The share of gold mentions that were predicted, in [0, 1]; 0 if there are none."""
        return self.mentions / self.gold if self.gold else 0.0

    @property
    def at_1(self) -> float:
        """The share of `mentions` whose identifiers are correct, in [0, 1]; 0 if there are none."""
        return self.first / self.mentions if self.mentions else 0.0

    @property
    def at_5(self) -> float | None:
        """The share of `mentions` with a correct candidate among the first five; None if no mention has candidates."""
        return self.first_five / self.mentions if self.ranked else None


@dataclass(frozen=True, slots=True)
class IdentifierTally:
    """The counts of identifiers in all documents.

    Attributes:
        counts: int64 (documents, types, levels, 4): tp, fp, fn and surplus (0) as in `Counts`, for
            documents sorted by id, the requested types, and the levels in the order of `LEVELS`.
        accuracy: entity type → accuracy.
        gold: a line for each gold mention with its identifiers, from which the signature is computed.
        notes: remarks for the reader of the scores.
    """

    counts: NDArray[np.int64]
    accuracy: dict[str, Accuracy]
    gold: tuple[str, ...]
    notes: tuple[str, ...]

    def table(self) -> NDArray[np.int64]:
        """Return int64 (documents, 1 + types, levels, 4): the sum over types in row 0, then `counts`."""
        return np.concatenate([self.counts.sum(axis=1, keepdims=True), self.counts], axis=1)


@dataclass(frozen=True, slots=True)
class _IdentifiedMentions:
    """The identifiers of the mentions of one type in one document.

    Attributes:
        gold: the spans of each gold mention → its sets of identifiers; empty if it has no identifier.
        ranked: the spans of each predicted mention → for every mention there, its set of identifiers
            (possibly empty), then its other candidates.
    """

    gold: dict[Place, set[Ids]]
    ranked: dict[Place, set[tuple[Ids, ...]]]

    @classmethod
    def of(cls, pair: Pair, entity_type: str) -> _IdentifiedMentions:
        gold: dict[Place, set[Ids]] = {}
        ranked: dict[Place, set[tuple[Ids, ...]]] = {}
        for entity in pair.gold_entities:
            if entity.type == entity_type:
                gold.setdefault(entity.spans, set()).update({identifiers(entity)} - {frozenset()})
        for entity in pair.predicted_entities:
            if entity.type == entity_type:
                ranked.setdefault(entity.spans, set()).add((identifiers(entity), *candidates(entity)))
        return cls(gold, ranked)

    def right(self) -> set[tuple[Place, Ids]]:
        """Return the gold mentions with their identifiers."""
        return {(place, ids) for place, sets in self.gold.items() for ids in sets}

    def predicted(self) -> set[tuple[Place, Ids]]:
        """Return the predicted mentions with their identifiers."""
        return {(place, ids) for place, answers in self.ranked.items() for ids, *_ in answers if ids}

    def without(self) -> set[Place]:
        """Return the spans of gold mentions without an identifier."""
        return {place for place, sets in self.gold.items() if not sets}

    def mention_counts(self) -> Counts:
        """Count mentions with their identifiers; predictions for gold mentions without an identifier do not count."""
        without = self.without()
        return _counts(self.right(), {answer for answer in self.predicted() if answer[0] not in without})

    def document_counts(self) -> Counts:
        """Count the distinct identifiers of the document, whatever the offsets of their mentions."""
        return _counts(_distinct(self.right()), _distinct(self.predicted()))

    def accuracy(self) -> Accuracy:
        """Compute `Accuracy`; of several predictions with identifiers for the same spans, all must be correct."""
        named = {place: sets for place, sets in self.gold.items() if sets}
        compared = [(sets, self.ranked[place]) for place, sets in named.items() if place in self.ranked]
        return Accuracy(
            len(named),
            len(compared),
            sum(_all_right(sets, answers, 1) for sets, answers in compared),
            sum(_all_right(sets, answers, _FIRST) for sets, answers in compared),
            sum(any(len(answer) > 1 for answer in answers) for _, answers in compared),
        )


def identifiers(entity: Entity) -> Ids:
    """Return a mention's distinct identifiers in canonical spelling; empty if it has none (`-`, `-1`).

    Args:
        entity: a mention whose type has biomark's name.
    """
    return _ids(entity.ids, entity.type)


def candidates(entity: Entity) -> tuple[Ids, ...]:
    """Return the candidates in the infon `candidates`, best first; `A|B` is a candidate of two identifiers."""
    names = entity.infons.get(CANDIDATES, "").split()
    return tuple(ids for name in names if (ids := _ids((name,), entity.type)))


def gather_identifiers(pairs: Iterable[Pair], types: Sequence[str]) -> IdentifierTally:
    """Count correct and wrong identifiers in each document.

    Args:
        pairs: documents with gold and predicted mentions, from `biomark.evaluation.pairs.Gold.pair`.
        types: the entity types to count.
    """
    rows: dict[str, list[tuple[tuple[int, ...], ...]]] = {}
    accuracy = dict.fromkeys(types, Accuracy())
    lines: list[str] = []
    namespaces_used: tuple[Counter[str], Counter[str]] = Counter(), Counter()
    without = answered = 0
    for pair in pairs:
        row = rows.setdefault(pair.document.id, [])
        for entity_type in types:
            answers = _IdentifiedMentions.of(pair, entity_type)
            right, predicted = answers.right(), answers.predicted()
            row.append((answers.mention_counts().row(), answers.document_counts().row()))
            accuracy[entity_type] += answers.accuracy()
            lines += (f"{pair.document.id}\t{place}\t{entity_type}\t{sorted(ids)}" for place, ids in right)
            for answers_of_side, namespaces in zip((right, predicted), namespaces_used, strict=True):
                namespaces.update(namespace(identifier) for _, ids in answers_of_side for identifier in ids)
            without += len(answers.without())
            answered += len(answers.without().intersection(place for place, _ in predicted))
    counts = np.array([rows[document_id] for document_id in sorted(rows)], dtype=np.int64)
    return IdentifierTally(
        counts.reshape(len(rows), len(types), len(LEVELS), 4),
        accuracy,
        tuple(sorted(lines)),
        tuple(_notes(without, answered, *namespaces_used)),
    )


def _notes(without: int, answered: int, gold: Counter[str], predicted: Counter[str]) -> Iterable[str]:
    if not gold:
        yield "gold has no identifiers, so there is nothing to score them by"
    elif not predicted:
        yield "no predicted mention has an identifier, so all scores of identifiers are 0"
    elif foreign := {name or "(none)": n for name, n in predicted.items() if name not in gold}:
        counts_text = ", ".join(f"{name} ({n})" for name, n in sorted(foreign.items()))
        yield f"predicted identifiers of namespaces that gold never uses, which are all wrong: {counts_text}"
    if gold and without:
        yield (
            f"gold mentions without an identifier, whose identifiers are not scored: {without}; "
            f"{answered} of them are predicted with one"
        )


def _ids(names: Iterable[str], entity_type: str) -> Ids:
    return frozenset(_spelled(identifier, entity_type) for name in names for identifier in split_ids(name))


def _spelled(identifier: str, entity_type: str) -> str:
    """Return the canonical spelling, with the parts of a combined identifier (`A+B`) sorted."""
    return COMBINED.join(sorted(canonical(identifier, entity_type).split(COMBINED)))


def _distinct(answers: Iterable[tuple[Place, Ids]]) -> set[str]:
    return {identifier for _, ids in answers for identifier in ids}


def _counts(right: Set[object], predicted: Set[object]) -> Counts:
    return Counts(tp=len(right & predicted), fp=len(predicted - right), fn=len(right - predicted))


def _all_right(gold: set[Ids], answers: set[tuple[Ids, ...]], first: int) -> bool:
    """Return whether each predicted answer has a gold set of identifiers among its `first` candidates.

    Answers without identifiers count only if no answer has any.
    """
    identified = [answer for answer in answers if answer[0]] or list(answers)
    return all(not gold.isdisjoint(_best(answer, first)) for answer in identified)


def _best(answer: tuple[Ids, ...], first: int) -> list[Ids]:
    """Return the first candidates of an answer; the first one is the mention's own set of identifiers, maybe empty."""
    if first == 1:
        return [answer[0]]
    return [ids for ids in dict.fromkeys(answer) if ids][:first]
