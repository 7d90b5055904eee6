"""Count true positives, false positives and false negatives in each document, before anything is scored.

All scores are computed from sums of the counts of single documents. The bootstrap and the permutation
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
    """The numbers of correct and incorrect mentions.

    Attributes:
        tp: gold mentions that the predictions contain (true positives).
        fp: predicted mentions that match no gold mention (false positives).
        fn: gold mentions that the predictions miss (false negatives).
        surplus: correct predicted mentions minus `tp`. It is 0 where mentions match one to one; under
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
        """The number of correct predicted mentions."""
        return self.tp + self.surplus

    def row(self) -> tuple[int, int, int, int]:
        """Return the four numbers in the order of the last axis of `Tally.counts`."""
        return self.tp, self.fp, self.fn, self.surplus


def strict_counts(gold: Mentions, missed: Mentions, wrong: Mentions) -> Counts:
    """Return the strict counts of one type.

    Args:
        gold: all gold mentions of the type.
        missed: the gold mentions without a match, from `Pair.unmatched`.
        wrong: the predicted mentions without a match, from `Pair.unmatched`.
    """
    return Counts(tp=len(gold) - len(missed), fp=len(wrong), fn=len(missed))


def partial_counts(gold: Mentions, predicted: Mentions) -> Counts:
    """Return the partial counts of mentions of one type (Keloth et al. 2024, section 2.5).

    Precision is the share of predicted mentions that overlap a gold mention, recall the share of
    gold mentions that overlap a predicted one. Mentions that only touch do not overlap.
    """
    matched_gold = sum(map(predicted.touched_by, gold))
    correct = sum(map(gold.touched_by, predicted))
    return Counts(
        tp=matched_gold, fp=len(predicted) - correct, fn=len(gold) - matched_gold, surplus=correct - matched_gold
    )


@dataclass(frozen=True, slots=True)
class Tally:
    """The counts of all documents.

    Attributes:
        documents: the document ids, sorted, so that the order of files never matters.
        types: the scored entity types, sorted.
        counts: int64 (documents, types, schemes, 4): tp, fp, fn and surplus as in `Counts`, for the
            schemes in the order of `SCHEMES`.
        mistakes: every error, in the order of the documents.
        semeval: the SemEval-2013 counts of all types together, by schema.
        semeval_by_type: the SemEval-2013 counts of each type, by schema.
    """

    documents: tuple[str, ...]
    types: tuple[str, ...]
    counts: NDArray[np.int64]
    mistakes: tuple[Mistake, ...]
    semeval: dict[str, SchemaCounts]
    semeval_by_type: dict[str, dict[str, SchemaCounts]]

    def table(self) -> NDArray[np.int64]:
        """Return int64 (documents, 1 + types, schemes, 4): the sum over types in row 0, then `counts`."""
        return np.concatenate([self.counts.sum(axis=1, keepdims=True), self.counts], axis=1)

    def with_types(self, types: tuple[str, ...]) -> Tally:
        """Return this tally with a row for each of `types`, which must include all of its own."""
        counts = np.zeros((len(self.counts), len(types), *self.counts.shape[2:]), dtype=np.int64)
        counts[:, [types.index(entity_type) for entity_type in self.types]] = self.counts
        nothing = dict.fromkeys(SCHEMAS, SchemaCounts())
        by_type = {entity_type: self.semeval_by_type.get(entity_type, nothing) for entity_type in types}
        return replace(self, types=types, counts=counts, semeval_by_type=by_type)


def gather(pairs: Iterable[Pair], types: Sequence[str] = ()) -> Tally:
    """Count the matches and mistakes of each document.

    Args:
        pairs: a stream of documents with gold and predicted mentions, from `Gold.pair`.
        types: the entity types that get a row even if they do not occur; any other type that occurs
            gets a row as well.

    Raises:
        UsageError: if there are more than `MOST_TYPES` types.
    """
    rows: dict[str, dict[str, list[tuple[int, ...]]]] = {}
    mistakes: dict[str, tuple[Mistake, ...]] = {}
    total = dict.fromkeys(SCHEMAS, SchemaCounts())
    _check_number(types)
    by_type = {entity_type: dict.fromkeys(SCHEMAS, SchemaCounts()) for entity_type in types}
    for pair in pairs:
        document_id = pair.document.id
        missed, wrong = pair.unmatched()
        mistakes[document_id] = find_mistakes(pair, missed, wrong)
        of_all = semeval(pair.gold, pair.predicted)
        _add(total, of_all)
        rows[document_id] = {}
        types_here = pair.gold.types() | pair.predicted.types()
        for entity_type in types_here:
            gold, predicted = pair.gold.of_type(entity_type), pair.predicted.of_type(entity_type)
            rows[document_id][entity_type] = [
                strict_counts(gold, missed.of_type(entity_type), wrong.of_type(entity_type)).row(),
                partial_counts(gold, predicted).row(),
            ]
            of_type = of_all if len(types_here) == 1 else semeval(gold, predicted)
            _add(by_type.setdefault(entity_type, dict.fromkeys(SCHEMAS, SchemaCounts())), of_type)
        _check_number(by_type)
    documents, names = tuple(sorted(rows)), tuple(sorted(by_type))
    counts = np.zeros((len(documents), len(names), len(SCHEMES), 4), dtype=np.int64)
    for i, document_id in enumerate(documents):
        for entity_type, numbers in rows[document_id].items():
            counts[i, names.index(entity_type)] = numbers
    return Tally(
        documents, names, counts, tuple(m for document_id in documents for m in mistakes[document_id]), total, by_type
    )


def _add(total: dict[str, SchemaCounts], more: dict[str, SchemaCounts]) -> None:
    for schema, counts in more.items():
        total[schema] += counts


def _check_number(types: Collection[str]) -> None:
    """Raise UsageError if there are more than `MOST_TYPES` types, whose counts would fill the memory."""
    if len(types) > MOST_TYPES:
        few = ", ".join(sorted(types)[:5])
        raise UsageError(
            f"there are {len(types):,} types of mentions ({few}, …); at most {MOST_TYPES} can be scored at once: "
            "choose some (`types`), or map them to fewer (`type_map`)"
        )
