"""Counting identifiers: which concepts each document's mentions name, rightly and wrongly.

A mention's answer is the *set* of its identifiers, each in one spelling (`biomark.identifiers`): a
composite mention is right if all of its identifiers are there and no other. Mentions without an
identifier say nothing, on either side; docs/evaluation.md has an example of each case.
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

CANDIDATES = "candidates"  # the infon of a predicted mention: what it may be, best first, joined by blanks
LEVELS = ("mention", "document")
_FIRST = 5

Ids = frozenset[str]
Place = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often the identifiers of gold mentions are right where the mention itself was predicted.

    Attributes:
        gold: gold mentions that have an identifier.
        mentions: those of them that a predicted mention equals in spans and type.
        first: those of `mentions` whose identifiers are right.
        first_five: those whose identifiers are right, or among the first five candidates.
        ranked: those of which the predictions give candidates.
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
        """How many of the gold mentions were predicted; 0 if there are none."""
        return self.mentions / self.gold if self.gold else 0.0

    @property
    def at_1(self) -> float:
        """The share of `mentions` whose identifiers are right; 0 if there are none."""
        return self.first / self.mentions if self.mentions else 0.0

    @property
    def at_5(self) -> float | None:
        """The share of `mentions` right among the first five; None if nothing has candidates."""
        return self.first_five / self.mentions if self.ranked else None


@dataclass(frozen=True, slots=True)
class IdentifierTally:
    """The counts of all documents.

    Attributes:
        counts: int64 (documents, types, levels, 4): tp, fp, fn and surplus (0) as in `Counts`, for
            documents sorted by id, the types asked for, and the levels in the order of `LEVELS`.
        accuracy: of each type.
        gold: lines that tell one gold from another one by its identifiers, for the signature.
        notes: what the reader of the scores should know.
    """

    counts: NDArray[np.int64]
    accuracy: dict[str, Accuracy]
    gold: tuple[str, ...]
    notes: tuple[str, ...]

    def table(self) -> NDArray[np.int64]:
        """int64 (documents, 1 + types, levels, 4): `counts` after their sum over types."""
        return np.concatenate([self.counts.sum(axis=1, keepdims=True), self.counts], axis=1)


@dataclass(frozen=True, slots=True)
class _Answers:
    """The identifiers of one type's mentions in one document.

    Attributes:
        gold: for each place its sets of identifiers; none if gold leaves it without.
        ranked: for each place what every mention predicted there says: its set of identifiers
            (maybe empty), then its other candidates.
    """

    gold: dict[Place, set[Ids]]
    ranked: dict[Place, set[tuple[Ids, ...]]]

    @classmethod
    def of(cls, pair: Pair, type: str) -> _Answers:
        gold: dict[Place, set[Ids]] = {}
        ranked: dict[Place, set[tuple[Ids, ...]]] = {}
        for entity in pair.gold_entities:
            if entity.type == type:
                gold.setdefault(entity.spans, set()).update({identifiers(entity)} - {frozenset()})
        for entity in pair.predicted_entities:
            if entity.type == type:
                ranked.setdefault(entity.spans, set()).add((identifiers(entity), *candidates(entity)))
        return cls(gold, ranked)

    def right(self) -> set[tuple[Place, Ids]]:
        """What gold says."""
        return {(place, ids) for place, sets in self.gold.items() for ids in sets}

    def given(self) -> set[tuple[Place, Ids]]:
        """What the predictions say."""
        return {(place, ids) for place, answers in self.ranked.items() for ids, *_ in answers if ids}

    def without(self) -> set[Place]:
        """Where gold has a mention, but no identifier."""
        return {place for place, sets in self.gold.items() if not sets}

    def mention_counts(self) -> Counts:
        """Of mentions with their identifiers; what is predicted where gold has none is neither right nor wrong."""
        without = self.without()
        return _counts(self.right(), {answer for answer in self.given() if answer[0] not in without})

    def document_counts(self) -> Counts:
        """Of the distinct identifiers, wherever they stand."""
        return _counts(_distinct(self.right()), _distinct(self.given()))

    def accuracy(self) -> Accuracy:
        """See `Accuracy`; where several mentions with identifiers are predicted at a place, all must be right."""
        named = {place: sets for place, sets in self.gold.items() if sets}
        found = [(sets, self.ranked[place]) for place, sets in named.items() if place in self.ranked]
        return Accuracy(
            len(named),
            len(found),
            sum(_all_right(sets, answers, 1) for sets, answers in found),
            sum(_all_right(sets, answers, _FIRST) for sets, answers in found),
            sum(any(len(answer) > 1 for answer in answers) for _, answers in found),
        )


def identifiers(entity: Entity) -> Ids:
    """A mention's identifiers, each once and in biomark's spelling; empty where there are none (`-`, `-1`).

    Args:
        entity: with biomark's name of its type.
    """
    return _ids(entity.ids, entity.type)


def candidates(entity: Entity) -> tuple[Ids, ...]:
    """What the infon `candidates` says a mention may be, best first; the parts of a composite one stand as `A|B`."""
    names = entity.infons.get(CANDIDATES, "").split()
    return tuple(ids for name in names if (ids := _ids((name,), entity.type)))


def gather_identifiers(pairs: Iterable[Pair], types: Sequence[str]) -> IdentifierTally:
    """Count the identifiers of each document.

    Args:
        pairs: from `biomark.evaluation.pairs.Gold.pair`.
        types: those to count.
    """
    rows: dict[str, list[tuple[tuple[int, ...], ...]]] = {}
    accuracy = dict.fromkeys(types, Accuracy())
    lines: list[str] = []
    spoken: tuple[Counter[str], Counter[str]] = Counter(), Counter()
    without = answered = 0
    for pair in pairs:
        row = rows.setdefault(pair.document.id, [])
        for type in types:
            answers = _Answers.of(pair, type)
            right, given = answers.right(), answers.given()
            row.append((answers.mention_counts().row(), answers.document_counts().row()))
            accuracy[type] += answers.accuracy()
            lines += (f"{pair.document.id}\t{place}\t{type}\t{sorted(ids)}" for place, ids in right)
            for said, namespaces in zip((right, given), spoken, strict=True):
                namespaces.update(namespace(id) for _, ids in said for id in ids)
            without += len(answers.without())
            answered += len(answers.without().intersection(place for place, _ in given))
    counts = np.array([rows[id] for id in sorted(rows)], dtype=np.int64)
    return IdentifierTally(
        counts.reshape(len(rows), len(types), len(LEVELS), 4),
        accuracy,
        tuple(sorted(lines)),
        tuple(_notes(without, answered, *spoken)),
    )


def _notes(without: int, answered: int, gold: Counter[str], predicted: Counter[str]) -> Iterable[str]:
    if not gold:
        yield "gold has no identifiers, so there is nothing to score them by"
    elif not predicted:
        yield "no predicted mention has an identifier, so all scores of identifiers are 0"
    elif foreign := {name or "(none)": n for name, n in predicted.items() if name not in gold}:
        told = ", ".join(f"{name} ({n})" for name, n in sorted(foreign.items()))
        yield f"predicted identifiers of namespaces that gold never uses, which are all wrong: {told}"
    if gold and without:
        yield (
            f"gold mentions without an identifier, whose identifiers are not scored: {without}; "
            f"{answered} of them are predicted with one"
        )


def _ids(names: Iterable[str], type: str) -> Ids:
    return frozenset(_spelled(id, type) for name in names for id in split_ids(name))


def _spelled(identifier: str, type: str) -> str:
    """Canonical; the parts of a combined identifier (`A+B`) have no order."""
    return COMBINED.join(sorted(canonical(identifier, type).split(COMBINED)))


def _distinct(answers: Iterable[tuple[Place, Ids]]) -> set[str]:
    return {id for _, ids in answers for id in ids}


def _counts(right: Set[object], given: Set[object]) -> Counts:
    return Counts(tp=len(right & given), fp=len(given - right), fn=len(right - given))


def _all_right(gold: set[Ids], answers: set[tuple[Ids, ...]], first: int) -> bool:
    """Whether each of the mentions predicted at a place has one of gold's sets among its `first`.

    One without identifiers counts only if none there has any.
    """
    speaking = [answer for answer in answers if answer[0]] or list(answers)
    return all(not gold.isdisjoint(_best(answer, first)) for answer in speaking)


def _best(answer: tuple[Ids, ...], first: int) -> list[Ids]:
    """The mention's own identifiers, then its other candidates; a mention without any has no first one."""
    if first == 1:
        return [answer[0]]
    return [ids for ids in dict.fromkeys(answer) if ids][:first]
