"""Figures of results and their differences, with 95 % intervals by bootstrap over documents, and seeds if several.

Differences are paired: the documents that are drawn are the same for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from biomark import evaluation, formats
from biomark.evaluation.counts import SCHEMES
from biomark.evaluation.significance import LEVEL, RESAMPLES, SEED, permutation_p_values, precision_recall_f1
from biomark.lab.experiments.cells import PREDICTED, Reading, Result

Counted = NDArray[np.int64]  # (documents, schemes, 4)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, or the difference of two figures, with the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """Return 1 if the interval lies above 0, -1 if it lies below 0, else 0."""
        return int(self.low > 0) - int(self.high < 0)

    def points(self, documents: int) -> str:
        """Format the figure, and its interval if it is over several documents, in points of F1."""
        interval = f" [{100 * self.low:+.1f}, {100 * self.high:+.1f}]" if documents > 1 else ""
        return f"{100 * self.value:+.1f} points{interval}"

    def as_json(self) -> dict[str, float]:
        """Return the rounded figures for the JSON file."""
        return {"value": round(self.value, 6), "low": round(self.low, 6), "high": round(self.high, 6)}


@lru_cache(maxsize=256)
def _counts(folder: Path, reading: Reading, types: tuple[str, ...]) -> Counted:
    gold = evaluation.Gold(reading.documents(), types=types)
    tally = evaluation.gather(gold.pair(formats.read(folder / PREDICTED)), types)
    return tally.table()[:, 0]


def counts(result: Result) -> Counted:
    """Return the counts of each document over all types; the documents are in the order of their ids."""
    return _counts(result.folder, result.reading, tuple(result.facts["types"]))


def f1_of(results: Sequence[Result], scheme: str = "strict") -> Estimate:
    """Return the mean F1 of a model over its seeds."""
    return _estimate(_drawn([results], scheme)[0])


def difference(a: Sequence[Result], b: Sequence[Result], scheme: str = "strict") -> Estimate:
    """Return the F1 of the second model minus that of the first one, each the mean over seeds."""
    drawn = _drawn([a, b], scheme)
    return _estimate(drawn[1] - drawn[0])


def p_values(a: Result, b: Result) -> dict[str, float]:
    """Return the p-value of the permutation test under each scheme, as `biomark compare` computes it."""
    return dict(zip(SCHEMES, permutation_p_values(counts(a), counts(b)).tolist(), strict=True))


def _drawn(groups: Sequence[Sequence[Result]], scheme: str) -> list[NDArray[np.float64]]:
    """Return the mean F1 of each group, (1 + draws,): the observed one, then those of resampled documents and seeds.

    Args:
        groups: results on one test set; those of a group differ in their seeds.
    """
    column = SCHEMES.index(scheme)
    tables = [np.stack([counts(result)[:, column] for result in group]) for group in groups]  # (seeds, documents, 4)
    generator = np.random.default_rng(SEED)
    documents = tables[0].shape[1]
    means = [[float(precision_recall_f1(table.sum(axis=1))[:, 2].mean())] for table in tables]
    for _ in range(RESAMPLES):
        weights = generator.multinomial(documents, np.full(documents, 1 / documents))
        seeds = generator.random(max(len(table) for table in tables))
        for mean, table in zip(means, tables, strict=True):
            chosen = (seeds[: len(table)] * len(table)).astype(np.int64)
            sums = np.einsum("d,sdc->sc", weights, table)
            mean.append(float(precision_recall_f1(sums)[chosen, 2].mean()))
    return [np.asarray(mean) for mean in means]


def _estimate(drawn: NDArray[np.float64]) -> Estimate:
    low, high = np.quantile(drawn[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(drawn[0]), float(low), float(high))


class Findings:
    """Look-up of the results of an experiment.

    Args:
        results: all of them.
    """

    def __init__(self, results: Sequence[Result]) -> None:
        self._results = results

    def of(self, model: str, test: str, fraction: float = 1.0) -> list[Result]:
        """Return the results of a model on a test set, one for each seed."""
        return [
            result
            for result in self._results
            if result.reading.build.model.name == model
            and result.reading.test == test
            and result.reading.build.fraction == fraction
        ]

    def tests(self, models: Sequence[str]) -> list[str]:
        """Return the test sets that all the given models have read."""
        every = dict.fromkeys(result.reading.test for result in self._results)
        return [test for test in every if all(self.of(model, test) for model in models)]
