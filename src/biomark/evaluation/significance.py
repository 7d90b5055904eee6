"""Statistical uncertainty of scores: bootstrap intervals, and the permutation test between two systems.

Both draw whole documents, because the mentions of one document are not independent. Both add up counts, so one
computation covers all types and schemes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SEED = 20240401
RESAMPLES = 1_000
SHUFFLES = 10_000
LEVEL = 0.95
_CELLS = 4_000_000  # draws × documents held at once: 32 MB


def precision_recall_f1(counts: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute precision, recall and F1 from counts.

    Args:
        counts: (..., 4): tp, fp, fn and surplus as in `biomark.evaluation.counts.Counts`.

    Returns:
        float64 (..., 3) in [0, 1]. A ratio with denominator 0 is 0, as in seqeval and nervaluate; without any
        gold and predicted mention all three are therefore 0.
    """
    tp, fp, fn, surplus = np.moveaxis(counts, -1, 0).astype(np.float64)
    precision = _share(tp + surplus, tp + surplus + fp)
    recall = _share(tp, tp + fn)
    return np.stack([precision, recall, _share(2 * precision * recall, precision + recall)], axis=-1)


def bootstrap_intervals(
    table: NDArray[np.int64], *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = SEED
) -> NDArray[np.float64]:
    """Compute percentile intervals of F1 by the bootstrap over documents.

    Args:
        table: int64 (documents, ..., 4): counts.
        resamples: the number of resamples, each of as many documents as there are.
        level: the share of resamples inside the interval.
        seed: the seed of the random generator; equal seeds give equal intervals.

    Returns:
        float64 (..., 2): the lower and the upper end. The interval of a single document has no width, because
        there is no variation between documents to estimate.
    """
    drawn = _resampled(table, resamples, seed)
    return _ends(precision_recall_f1(drawn)[..., 2], level)


def bootstrap_differences(
    table_a: NDArray[np.int64],
    table_b: NDArray[np.int64],
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = SEED,
) -> NDArray[np.float64]:
    """Compute percentile intervals of F1 of B minus F1 of A; each resample uses the same documents for both.

    Args:
        table_a: int64 (documents, ..., 4): the counts of system A.
        table_b: int64 (documents, ..., 4): the counts of system B for the same documents.
        resamples: the number of resamples.
        level: the share of resamples inside the interval.
        seed: the seed of the random generator; equal seeds give equal intervals.

    Returns:
        float64 (..., 2): the lower and the upper end.
    """
    drawn = precision_recall_f1(_resampled(np.stack([table_a, table_b], axis=1), resamples, seed))[..., 2]
    return _ends(drawn[:, 1] - drawn[:, 0], level)


def _resampled(table: NDArray[np.int64], resamples: int, seed: int) -> NDArray[np.float64]:
    """Return float64 (resamples, ..., 4): the sums of counts over documents drawn with replacement."""
    documents = len(table)
    if not documents:
        return np.zeros((resamples, *table.shape[1:]))
    flat = table.reshape(documents, -1).astype(np.float64)
    generator = np.random.default_rng(seed)
    shares = np.full(documents, 1 / documents)
    sums = [generator.multinomial(documents, shares, size=size) @ flat for size in _chunks(resamples, documents)]
    return np.concatenate(sums).reshape(resamples, *table.shape[1:])


def _ends(drawn: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    return np.moveaxis(np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0), 0, -1)


def permutation_p_values(
    table_a: NDArray[np.int64], table_b: NDArray[np.int64], *, shuffles: int = SHUFFLES, seed: int = SEED
) -> NDArray[np.float64]:
    """Compute two-sided p-values for the difference of two systems' F1 (paired approximate permutation test).

    In each shuffle the two systems' answers to each document are swapped with probability 1/2. The
    p-value is the share of shuffles, counting the observed assignment as one, whose difference is at least
    as large as the observed one (Noreen 1989; Yeh 2000).

    Args:
        table_a: int64 (documents, ..., 4): the counts of one system.
        table_b: int64 (documents, ..., 4): the counts of the other system for the same documents.
        shuffles: the number of shuffles; no p-value is smaller than 1 / (shuffles + 1).
        seed: the seed of the random generator; equal seeds give equal p-values.

    Returns:
        float64 (...) in (0, 1].
    """
    documents = len(table_a)
    swap = (table_b - table_a).reshape(documents, -1).astype(np.float64)
    total_a, total_b = table_a.sum(axis=0), table_b.sum(axis=0)
    observed = np.abs(_difference(total_a, total_b))
    generator = np.random.default_rng(seed)
    as_large = np.ones(observed.shape)
    for size in _chunks(shuffles, max(swap.shape)):
        swapped = generator.integers(0, 2, size=(size, documents)).astype(np.float64)
        moved = (swapped @ swap).reshape(size, *total_a.shape)
        # Sums of equal counts can differ in the last bits of their F1.
        as_large += (np.abs(_difference(total_a + moved, total_b - moved)) >= observed - 1e-12).sum(axis=0)
    return np.asarray(as_large / (shuffles + 1))


def _difference(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(precision_recall_f1(a)[..., 2] - precision_recall_f1(b)[..., 2])


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _chunks(draws: int, documents: int) -> Iterator[int]:
    """Yield sizes of chunks that add up to `draws` and bound the memory.

    Args:
        draws: the number of draws.
        documents: the number of values of each draw.
    """
    size = max(1, _CELLS // max(1, documents))
    while draws > 0:
        yield min(size, draws)
        draws -= size
