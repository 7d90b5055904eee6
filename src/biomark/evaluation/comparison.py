"""Compare systems: the scores of each, and the difference of every other system from the first one."""

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
    """F1 of two systems, and the significance of their difference.

    Attributes:
        a: F1 of the first system, in [0, 1].
        b: F1 of the other system, in [0, 1].
        p: the two-sided p-value of the permutation test: the probability of a difference at least as large if both
            systems were equally good.
        low: the lower end of the 95 % interval of `difference`.
        high: the upper end of that interval.
        won: the number of documents in which the other system has the higher F1, or the same F1 and fewer errors.
        lost: the number of documents in which the first system has the higher F1, or the same F1 and fewer errors.
        documents: the number of all documents; the systems tie in those that are neither won nor lost.
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
        """F1 of the other system minus F1 of the first one."""
        return self.b - self.a


@dataclass(frozen=True, slots=True)
class Differences:
    """The differences between two systems: a `Difference` for each scheme, overall and by type.

    Attributes:
        a: the index of the first system, counted from 0.
        b: the index of the other system.
        overall: scheme → difference, over all types together.
        types: entity type → scheme → difference.
    """

    a: int
    b: int
    overall: Mapping[str, Difference]
    types: Mapping[str, Mapping[str, Difference]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The scores of several systems, and their differences from the first one.

    Attributes:
        systems: the scores and errors of each system, by its name.
        differences: the differences of every other system from the first one.
        corpus: the name of the gold corpus, as in the signature.
        signature: see `biomark.evaluation.scores.Signature`.
        notes: remarks for the reader of the scores, each with the name of its system.
    """

    systems: Mapping[str, Evaluation]
    differences: tuple[Differences, ...]
    corpus: str
    signature: str
    notes: tuple[str, ...] = field(default=())

    @property
    def overall(self) -> Mapping[str, Difference]:
        """The difference of the second system from the first one over all types together, by scheme."""
        return self.differences[0].overall

    @property
    def types(self) -> Mapping[str, Mapping[str, Difference]]:
        """The difference of the second system from the first one for each type, by scheme."""
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
    """Test whether systems differ significantly from the first one.

    Args:
        gold: the reference documents.
        systems: the predicted documents of each system, 2 to 26 of them; each has the texts of `gold`.
        names: one distinct name for each system; empty: A, B, C …
        types, type_map, style, corpus: see `biomark.evaluation.evaluate`.

    Raises:
        SpanError: if the texts of a document differ.
        UsageError: if there are fewer than 2 or more than 26 systems, their names are not distinct or of another
            number, or for any reason of `evaluate`.
    """
    names = tuple(names) or tuple(LETTERS[: len(systems)])
    if not 2 <= len(systems) <= len(LETTERS):
        raise UsageError(f"a comparison needs 2 to {len(LETTERS)} systems, got {len(systems)}")
    if len(names) != len(systems) or len(set(names)) < len(names):
        raise UsageError(f"each of the {len(systems)} systems needs a distinct name, got {', '.join(names)}")
    notes: list[str] = []
    reference = Gold(gold, types=types, type_map=type_map, style=style, tell=notes.append)

    def tally(name: str, predicted: Iterable[Document]) -> Tally:
        system_notes: list[str] = []
        try:
            counted = gather(reference.pair(predicted, tell=system_notes.append), reference.types)
        except UsageError as error:
            raise UsageError(f"{name}: {error}") from error
        notes.extend(f"{name}: {note}" for note in system_notes)
        return counted

    tallies = [tally(name, predicted) for name, predicted in zip(names, systems, strict=True)]
    all_types = tuple(sorted({entity_type for counted in tallies for entity_type in counted.types}))
    tallies = [counted.with_types(all_types) for counted in tallies]
    tables = [counted.table() for counted in tallies]
    procedure = f"permutation,shuffles={SHUFFLES},bootstrap,resamples={RESAMPLES},seed={SEED}"
    return Comparison(
        {name: score(counted, reference, corpus=corpus) for name, counted in zip(names, tallies, strict=True)},
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

    def difference(place: tuple[int, int]) -> Difference:
        low, high = intervals[place].tolist()
        shares = float(f1_a[place]), float(f1_b[place]), float(p_values[place])
        return Difference(*shares, low, high, int(won[place]), int(lost[place]), len(first))

    def row(number: int) -> dict[str, Difference]:
        return {scheme: difference((number, column)) for column, scheme in enumerate(SCHEMES)}

    return Differences(a, b, row(0), {entity_type: row(number) for number, entity_type in enumerate(types, 1)})


def _won(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return int64 (rows, schemes): the documents in which `b` has the higher F1, or the same F1 and fewer errors.

    Args:
        a: counts of the first system, int64 (documents, rows, schemes, 4).
        b: counts of the other system, of the same shape.
    """
    f1_a, f1_b = precision_recall_f1(a)[..., 2], precision_recall_f1(b)[..., 2]
    errors_a, errors_b = (table[..., 1] + table[..., 2] for table in (a, b))
    higher, alike = f1_b > f1_a + _EQUAL, np.abs(f1_b - f1_a) <= _EQUAL
    return np.asarray((higher | (alike & (errors_b < errors_a))).sum(axis=0))
