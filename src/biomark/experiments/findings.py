"""What our figures say of the paper's findings: sentences made of numbers by rule, none of them written beforehand.

A difference is *beyond chance* where its 95 % interval, by a paired bootstrap over documents (and over seeds, where
there are several), lies on one side of 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from biomark import evaluation, formats
from biomark.evaluation.counts import SCHEMES
from biomark.evaluation.significance import LEVEL, RESAMPLES, SEED, permutation_p_values, precision_recall_f1
from biomark.experiments.cells import PREDICTED, Result
from biomark.experiments.data import test_documents
from biomark.experiments.rows import Claim

_LEAST = 0.1  # strict F1 of the better one of two models, below which their difference says nothing

Counted = NDArray[np.int64]  # (documents, schemes, 4)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, or a difference of two, with the ends of its interval."""

    value: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 or -1 where the interval lies above or below 0, else 0."""
        return int(self.low > 0) - int(self.high < 0)

    def points(self) -> str:
        """For people, in points."""
        return f"{100 * self.value:+.1f} points [{100 * self.low:+.1f}, {100 * self.high:+.1f}]"

    def as_json(self) -> dict[str, float]:
        """Rounded."""
        return {"value": round(self.value, 6), "low": round(self.low, 6), "high": round(self.high, 6)}


@lru_cache(maxsize=256)
def _counts(folder: Path, test: str, sentences: int, types: tuple[str, ...]) -> Counted:
    gold = evaluation.Gold(test_documents(test, sentences), types=types)
    tally = evaluation.gather(gold.pair(formats.read(folder / PREDICTED)), types)
    return tally.table()[:, 0]


def counts(result: Result) -> Counted:
    """The counts of each document, of all types together; documents in the order of their ids."""
    reading = result.reading
    return _counts(result.folder, reading.test, reading.sentences, tuple(result.facts["types"]))


def f1_of(results: Sequence[Result], scheme: str = "strict") -> Estimate:
    """The mean F1 of a model over its seeds."""
    return _estimate(_drawn([results], scheme)[0])


def difference(a: Sequence[Result], b: Sequence[Result], scheme: str = "strict") -> Estimate:
    """How much better the second model is on a test set: F1, the mean over seeds."""
    drawn = _drawn([a, b], scheme)
    return _estimate(drawn[1] - drawn[0])


def p_values(a: Result, b: Result) -> dict[str, float]:
    """The p-value of the permutation test under each scheme, as `biomark compare` gives it."""
    return dict(zip(SCHEMES, permutation_p_values(counts(a), counts(b)).tolist(), strict=True))


def _drawn(groups: Sequence[Sequence[Result]], scheme: str) -> list[NDArray[np.float64]]:
    """For each group (1 + draws,) mean F1: as it is, then of documents and seeds drawn with replacement, alike for all.

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


def _mean_f1(results: Sequence[Result]) -> float:
    return sum(result.figure("strict") for result in results) / len(results)


def _estimate(drawn: NDArray[np.float64]) -> Estimate:
    low, high = np.quantile(drawn[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(drawn[0]), float(low), float(high))


class Figures:
    """The results of an experiment, looked up.

    Args:
        results: all of them.
        names: of test sets, for people.
    """

    def __init__(self, results: Sequence[Result], names: Mapping[str, str]) -> None:
        self._results = results
        self.names = names

    def of(self, model: str, test: str, fraction: float = 1.0) -> list[Result]:
        """The results of a model on a test set, a seed each."""
        return [
            result
            for result in self._results
            if result.reading.build.model.name == model
            and result.reading.test == test
            and result.reading.build.fraction == fraction
        ]

    def tests(self, models: Sequence[str], among: Sequence[str] = ()) -> list[str]:
        """The test sets that all of some models have read."""
        every = dict.fromkeys(result.reading.test for result in self._results)
        return [t for t in every if (not among or t in among) and all(self.of(model, t) for model in models)]

    def judge(self, claim: Claim) -> str:
        """A sentence that says whether a finding holds here; "" if there is nothing to judge it by."""
        tests = self.tests(claim.models, claim.tests)
        if not tests:
            return ""
        if claim.kind == "most frequent":
            return self._most_frequent(claim, tests)
        if claim.kind == "costs":
            return self._costs(claim, tests)
        better, than = claim.models
        told = [test for test in tests if max(_mean_f1(self.of(model, test)) for model in claim.models) >= _LEAST]
        found = {test: difference(self.of(than, test), self.of(better, test)) for test in told}
        weak = ", ".join(self.names[test] for test in tests if test not in told)
        left_out = f" Not judged, since both models are below {100 * _LEAST:.0f} points there: {weak}." if weak else ""
        if not found:
            return f"**{claim.text}: cannot be told.**{left_out}"
        return self._compared(claim, found) + left_out

    def _compared(self, claim: Claim, found: Mapping[str, Estimate]) -> str:
        up = sum(estimate.sign > 0 for estimate in found.values())
        down = sum(estimate.sign < 0 for estimate in found.values())
        if claim.kind == "does not help":
            verdict = "holds" if up == 0 else "holds in part" if up < len(found) / 2 else "does not hold"
        elif claim.kind == "matches":
            verdict = "holds" if down == 0 else "holds in part" if down < len(found) else "does not hold"
        elif up == 0:
            verdict = "does not hold" if down else "not shown"
        else:
            verdict = "holds" if up > len(found) / 2 and not down else "holds in part"
        told = "; ".join(f"{self.names[test]} {estimate.points()}" for test, estimate in found.items())
        mean = sum(estimate.value for estimate in found.values()) / len(found)
        of = f" of {claim.models[0]} against {claim.models[1]}" if claim.models else ""
        return (
            f"**{claim.text}: {verdict}.** Strict F1{of} is higher beyond chance on {up} of {len(found)} test sets and "
            f"lower on {down}; {100 * mean:+.1f} points on average ({told})."
        )

    def _costs(self, claim: Claim, tests: Sequence[str]) -> str:
        (model,), (least, most) = claim.models, claim.range
        found = {
            test: difference(part, whole)
            for test in tests
            if (part := self.of(model, test, claim.fraction)) and (whole := self.of(model, test))
        }
        if not found:
            return ""
        inside = sum(least <= 100 * estimate.value <= most for estimate in found.values())
        agree = sum(100 * e.low <= most and 100 * e.high >= least for e in found.values())
        verdict = "holds" if inside == len(found) else "holds in part" if agree else "does not hold"
        told = "; ".join(f"{self.names[t]} {e.points().removeprefix('+')}" for t, e in found.items())
        return (
            f"**{claim.text}: {verdict}.** Against all of the data it costs {told}: between {least:g} and {most:g} on "
            f"{inside} of {len(found)} test sets, with an interval that reaches there on {agree}."
        )

    def _most_frequent(self, claim: Claim, tests: Sequence[str]) -> str:
        (model,) = claim.models
        shares, first = [], 0
        for test in tests:
            errors: Mapping[str, int] = self.of(model, test)[0].facts["errors"]
            total = sum(errors.values())
            if total:
                first += errors[claim.errors] == max(errors.values())
                shares.append(f"{self.names[test]} {errors[claim.errors] / total:.0%}")
        if not shares:
            return ""
        verdict = "holds" if first == len(shares) else "holds in part" if first else "does not hold"
        return (
            f"**{claim.text}: {verdict}.** Of the errors of {model}, {claim.errors} is the most frequent class on "
            f"{first} of {len(shares)} test sets ({', '.join(shares)})."
        )
