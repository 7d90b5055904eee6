"""Several systems beside each other: the scores of each, and how far the others differ from the first one."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from biomark.errors import UsageError
from biomark.evaluation.counts import SCHEMES, Tally, gather
from biomark.evaluation.pairs import Gold
from biomark.evaluation.scores import Evaluation, Signature, score
from biomark.evaluation.significance import (
    RESAMPLES,
    SEED,
    SHUFFLES,
    bootstrap_differences,
    permutation_p_values,
    precision_recall_f1,
)
from biomark.spans import Document

LETTERS = string.ascii_uppercase
_EQUAL = 1e-12  # sums of equal counts can differ in the last bits of their F1


@dataclass(frozen=True, slots=True)
class Difference:
    """F1 of two systems, and how sure their difference is.

    Attributes:
        a: F1 of the first system.
        b: F1 of the other one.
        p: the two-sided p-value of the permutation test: how likely a difference as large is if they were equally good.
        low: the lower end of the 95 % interval of `difference`.
        high: its upper end.
        won: documents in which the other system has the higher F1, or as high a one and fewer errors.
        lost: documents in which the first one has.
        documents: all documents; those neither won nor lost are alike.
    """

    a: float
    b: float
    p: float
    low: float
    high: float
    won: int
    lost: int
    documents: int

    @property
    def difference(self) -> float:
        """How much better the other system is."""
        return self.b - self.a


@dataclass(frozen=True, slots=True)
class Differences:
    """What separates two systems: a `Difference` for each scheme, overall and by type.

    Attributes:
        a: the number of the first system, from 0.
        b: that of the other one.
        overall: of all types together.
        types: of each type on its own.
    """

    a: int
    b: int
    overall: Mapping[str, Difference]
    types: Mapping[str, Mapping[str, Difference]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Systems beside each other.

    Attributes:
        systems: the scores and errors of each, by its name.
        differences: of every other system from the first one.
        corpus: how gold is called, as in the signature.
        signature: see `biomark.evaluation.scores.Signature`.
        notes: what the reader should know, each with the name of its system.
    """

    systems: Mapping[str, Evaluation]
    differences: tuple[Differences, ...]
    corpus: str
    signature: str
    notes: tuple[str, ...] = field(default=())

    @property
    def overall(self) -> Mapping[str, Difference]:
        """How the second system differs from the first one, of all types together."""
        return self.differences[0].overall

    @property
    def types(self) -> Mapping[str, Mapping[str, Difference]]:
        """How the second system differs from the first one, of each type on its own."""
        return self.differences[0].types


def compare(
    gold: Iterable[Document],
    *systems: Iterable[Document],
    names: Sequence[str] = (),
    types: Sequence[str] = (),
    type_map: Mapping[str, str] | None = None,
    style: str = "standard",
    corpus: str = "",
) -> Comparison:
    """Test whether systems differ from the first one of them.

    Args:
        gold: the reference documents.
        systems: the same documents with the mentions of each system; two at least, 26 at most.
        names: of the systems, each another one; empty: A, B, C …
        types: as for `biomark.evaluation.evaluate`, and so are all that follow.

    Raises:
        SpanError: if the texts of a document differ.
        UsageError: if there are fewer than two systems or too many, their names are not as many or not distinct, or as
            for `evaluate`.
    """
    names = tuple(names) or tuple(LETTERS[: len(systems)])
    if not 2 <= len(systems) <= len(LETTERS):
        raise UsageError(f"a comparison takes 2 to {len(LETTERS)} systems, not {len(systems)}")
    if len(names) != len(systems) or len(set(names)) < len(names):
        raise UsageError(f"each of the {len(systems)} systems needs a name of its own, unlike {', '.join(names)}")
    notes: list[str] = []
    reference = Gold(gold, types=types, type_map=type_map, style=style, tell=notes.append)

    def tally(name: str, predicted: Iterable[Document]) -> Tally:
        told: list[str] = []
        try:
            found = gather(reference.pair(predicted, tell=told.append), reference.types)
        except UsageError as error:
            raise UsageError(f"{name}: {error}") from error
        notes.extend(f"{name}: {note}" for note in told)
        return found

    tallies = [tally(name, predicted) for name, predicted in zip(names, systems, strict=True)]
    all_types = tuple(sorted({type for one in tallies for type in one.types}))
    tallies = [one.with_types(all_types) for one in tallies]
    tables = [one.table() for one in tallies]
    procedure = f"permutation,shuffles={SHUFFLES},bootstrap,resamples={RESAMPLES},seed={SEED}"
    return Comparison(
        {name: score(one, reference, corpus=corpus) for name, one in zip(names, tallies, strict=True)},
        tuple(_differences(0, b, tables, all_types) for b in range(1, len(tables))),
        Path(corpus).name,
        str(Signature.of(reference, all_types, corpus, procedure)),
        tuple(notes),
    )


def _differences(a: int, b: int, tables: Sequence[NDArray[np.int64]], types: Sequence[str]) -> Differences:
    first, other = tables[a], tables[b]
    f1_a, f1_b = (precision_recall_f1(table.sum(axis=0))[..., 2] for table in (first, other))
    p_values, intervals = permutation_p_values(first, other), bootstrap_differences(first, other)
    won, lost = _won(first, other), _won(other, first)

    def one(place: tuple[int, int]) -> Difference:
        low, high = intervals[place].tolist()
        shares = float(f1_a[place]), float(f1_b[place]), float(p_values[place])
        return Difference(*shares, low, high, int(won[place]), int(lost[place]), len(first))

    def row(number: int) -> dict[str, Difference]:
        return {scheme: one((number, column)) for column, scheme in enumerate(SCHEMES)}

    return Differences(a, b, row(0), {type: row(number) for number, type in enumerate(types, 1)})


def _won(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """(rows, schemes): the documents in which `b` has the higher F1, or as high a one and fewer errors."""
    f1_a, f1_b = precision_recall_f1(a)[..., 2], precision_recall_f1(b)[..., 2]
    errors_a, errors_b = (table[..., 1] + table[..., 2] for table in (a, b))
    higher, alike = f1_b > f1_a + _EQUAL, np.abs(f1_b - f1_a) <= _EQUAL
    return np.asarray((higher | (alike & (errors_b < errors_a))).sum(axis=0))
