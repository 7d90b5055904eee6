"""Counting: what is right and wrong in each document, before anything is scored.

All scores follow from the counts of single documents, added up. The bootstrap and the permutation
test therefore cost additions only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from biomark.errors import UsageError
from biomark.evaluation.mentions import Mentions
from biomark.evaluation.mistakes import Mistake, find_mistakes
from biomark.evaluation.pairs import Pair
from biomark.evaluation.semeval import SCHEMAS, SchemaCounts, semeval

Scheme = Literal["strict", "partial"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
MOST_TYPES = 250  # twice as many as the richest corpus has (MedMentions, 127)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many mentions are right and wrong.

    Attributes:
        tp: gold mentions that were found.
        fp: predicted mentions that are wrong.
        fn: gold mentions that were not found.
        surplus: right predicted mentions beyond `tp`. It is 0 where mentions match one to one; under
            the partial scheme two predicted mentions may overlap one gold mention (+1), or one may
            overlap two (-1).
    """

    tp: int
    fp: int
    fn: int
    surplus: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.surplus + other.surplus)

    @property
    def tp_predicted(self) -> int:
        """Predicted mentions that are right."""
        return self.tp + self.surplus

    def row(self) -> tuple[int, int, int, int]:
        """The four numbers, in the order of `Tally.counts`."""
        return self.tp, self.fp, self.fn, self.surplus


def strict_counts(gold: Mentions, missed: Mentions, wrong: Mentions) -> Counts:
    """The strict counts of mentions of one type: gold ones, and of `Pair.unmatched` those that were missed or wrong."""
    return Counts(tp=len(gold) - len(missed), fp=len(wrong), fn=len(missed))


def partial_counts(gold: Mentions, predicted: Mentions) -> Counts:
    """The partial counts of mentions of one type (Keloth et al. 2024, section 2.5).

    Precision is the share of predicted mentions that overlap a gold mention, recall the share of
    gold mentions that overlap a predicted one. Mentions that only touch do not overlap.
    """
    found = sum(map(predicted.touched_by, gold))
    right = sum(map(gold.touched_by, predicted))
    return Counts(tp=found, fp=len(predicted) - right, fn=len(gold) - found, surplus=right - found)


@dataclass(frozen=True, slots=True)
class Tally:
    """The counts of all documents.

    Attributes:
        documents: their ids, sorted, so that the order of files never matters.
        types: the types scored, sorted.
        counts: int64 (documents, types, schemes, 4): tp, fp, fn and surplus as in `Counts`, for the
            schemes in the order of `SCHEMES`.
        mistakes: every error, in the order of the documents.
        semeval: the SemEval-2013 counts by schema, of all types together.
        semeval_by_type: the same of each type on its own.
    """

    documents: tuple[str, ...]
    types: tuple[str, ...]
    counts: NDArray[np.int64]
    mistakes: tuple[Mistake, ...]
    semeval: dict[str, SchemaCounts]
    semeval_by_type: dict[str, dict[str, SchemaCounts]]

    def table(self) -> NDArray[np.int64]:
        """int64 (documents, 1 + types, schemes, 4): `counts` after their sum over types."""
        return np.concatenate([self.counts.sum(axis=1, keepdims=True), self.counts], axis=1)

    def with_types(self, types: tuple[str, ...]) -> Tally:
        """The same with a row for each of `types`, among which its own are."""
        counts = np.zeros((len(self.counts), len(types), *self.counts.shape[2:]), dtype=np.int64)
        counts[:, [types.index(type) for type in self.types]] = self.counts
        nothing = dict.fromkeys(SCHEMAS, SchemaCounts())
        by_type = {type: self.semeval_by_type.get(type, nothing) for type in types}
        return replace(self, types=types, counts=counts, semeval_by_type=by_type)


def gather(pairs: Iterable[Pair], types: Sequence[str] = ()) -> Tally:
    """Count each document.

    Args:
        pairs: from `Gold.pair`; a stream.
        types: a row for each of them, whether it occurs or not; other types that occur get theirs.

    Raises:
        UsageError: if there are more than `MOST_TYPES` types.
    """
    rows: dict[str, dict[str, list[tuple[int, ...]]]] = {}
    mistakes: dict[str, tuple[Mistake, ...]] = {}
    total = dict.fromkeys(SCHEMAS, SchemaCounts())
    _check_number(types)
    by_type = {type: dict.fromkeys(SCHEMAS, SchemaCounts()) for type in types}
    for pair in pairs:
        id = pair.document.id
        missed, wrong = pair.unmatched()
        mistakes[id] = find_mistakes(pair, missed, wrong)
        of_all = semeval(pair.gold, pair.predicted)
        _add(total, of_all)
        rows[id] = {}
        types_here = pair.gold.types() | pair.predicted.types()
        for type in types_here:
            gold, predicted = pair.gold.of_type(type), pair.predicted.of_type(type)
            rows[id][type] = [
                strict_counts(gold, missed.of_type(type), wrong.of_type(type)).row(),
                partial_counts(gold, predicted).row(),
            ]
            of_type = of_all if len(types_here) == 1 else semeval(gold, predicted)
            _add(by_type.setdefault(type, dict.fromkeys(SCHEMAS, SchemaCounts())), of_type)
        _check_number(by_type)
    documents, names = tuple(sorted(rows)), tuple(sorted(by_type))
    counts = np.zeros((len(documents), len(names), len(SCHEMES), 4), dtype=np.int64)
    for i, id in enumerate(documents):
        for type, numbers in rows[id].items():
            counts[i, names.index(type)] = numbers
    return Tally(documents, names, counts, tuple(m for id in documents for m in mistakes[id]), total, by_type)


def _add(total: dict[str, SchemaCounts], more: dict[str, SchemaCounts]) -> None:
    for schema, counts in more.items():
        total[schema] += counts


def _check_number(types: Collection[str]) -> None:
    """Refuse so many types that the counts of each document would fill the memory."""
    if len(types) > MOST_TYPES:
        few = ", ".join(sorted(types)[:5])
        raise UsageError(
            f"there are {len(types):,} types of mentions ({few}, …); at most {MOST_TYPES} can be scored at once: "
            "choose some (`types`), or map them to fewer (`type_map`)"
        )
