"""The calibration of mention scores, and precision, recall and F1 at each minimum score.

The score of a mention is the recognizer's probability that the mention is correct. Scores are calibrated if, among
mentions with a score near *s*, the share of correct ones (strict) is *s*. The expected calibration error is the mean
distance from calibration (Naeini et al. 2015).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from biomark.errors import UsageError
from biomark.evaluation.mentions import Mentions
from biomark.evaluation.pairs import Pair

BINS = 10
LEAST_SCORES = tuple(step / 10 for step in range(10))


@dataclass(frozen=True, slots=True)
class Judged:
    """A predicted mention: its type, its score in [0, 1], and whether it is correct under the strict scheme."""

    type: str
    score: float
    right: bool


@dataclass(frozen=True, slots=True)
class Bin:
    """The mentions with scores in one of ten equal intervals of [0, 1].

    Attributes:
        mentions: the number of mentions.
        score: their mean score, in [0, 1].
        right: the share of correct mentions, in [0, 1].
    """

    mentions: int
    score: float
    right: float


@dataclass(frozen=True, slots=True)
class Threshold:
    """Strict precision, recall and F1 in [0, 1] without the mentions whose score is below `least`."""

    least: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibration of the scores of predicted mentions.

    Attributes:
        error: the expected calibration error over ten bins of equal width, in [0, 1]; 0 without mentions.
        bins: the non-empty bins, from low scores to high ones.
        curve: the strict scores for each of `LEAST_SCORES`.
    """

    error: float
    bins: tuple[Bin, ...]
    curve: tuple[Threshold, ...]


def judged(pairs: Iterable[Pair]) -> tuple[list[Judged], int]:
    """Return all predicted mentions with their scores, and the number of gold mentions.

    Raises:
        UsageError: if a mention has no score.
    """
    judgements: list[Judged] = []
    gold = 0
    for pair in pairs:
        gold += len(pair.gold)
        _, unmatched = pair.unmatched()
        wrong = {(mention.spans, mention.type) for mention in unmatched}
        scores: dict[tuple[object, str], float] = {}
        for entity in pair.predicted_entities:
            if entity.score is None:
                raise UsageError(
                    f"document {pair.document.id}: the mention at {entity.start}-{entity.end} has no score; "
                    "write predictions in a format that keeps scores, such as .jsonl or BioC"
                )
            key = entity.spans, entity.type
            scores[key] = max(entity.score, scores.get(key, 0.0))
        judgements += [Judged(key[1], score, key not in wrong) for key, score in scores.items()]
    return judgements, gold


def calibration(mentions: Sequence[Judged], gold: int) -> Calibration:
    """Compute the calibration of scores.

    Args:
        mentions: all predicted mentions, whatever their score.
        gold: the number of gold mentions.
    """
    scores = np.array([mention.score for mention in mentions])
    right = np.array([mention.right for mention in mentions], dtype=bool)
    places = np.minimum((scores * BINS).astype(int), BINS - 1)
    bins = [
        Bin(int(inside.sum()), float(scores[inside].mean()), float(right[inside].mean()))
        for place in range(BINS)
        if (inside := places == place).any()
    ]
    error = sum(one.mentions * abs(one.score - one.right) for one in bins) / max(len(mentions), 1)
    return Calibration(error, tuple(bins), tuple(_point(scores, right, gold, least) for least in LEAST_SCORES))


def curve(pairs: Sequence[Pair]) -> tuple[Threshold, ...]:
    """Return the strict scores for each of `LEAST_SCORES`.

    The mentions are matched again for each minimum score. Under BC2GM's official score, matches are not one to one, so
    the number of missed gold mentions does not follow from the number of correct predictions.
    """
    return tuple(_counted(pairs, least) for least in LEAST_SCORES)


def _counted(pairs: Sequence[Pair], least: float) -> Threshold:
    gold = hits = wrong = 0
    for pair in pairs:
        kept = Mentions(entity for entity in pair.predicted_entities if (entity.score or 0.0) >= least)
        missed, spurious = replace(pair, predicted=kept).unmatched()
        gold += len(pair.gold)
        hits += len(pair.gold) - len(missed)
        wrong += len(spurious)
    return _of_counts(least, hits, hits + wrong, gold)


def _point(scores: np.ndarray, right: np.ndarray, gold: int, least: float) -> Threshold:
    kept = scores >= least
    return _of_counts(least, int(right[kept].sum()), int(kept.sum()), gold)


def _of_counts(least: float, hits: int, predicted: int, gold: int) -> Threshold:
    precision, recall = hits / max(predicted, 1), hits / max(gold, 1)
    return Threshold(least, precision, recall, 2 * precision * recall / max(precision + recall, 1e-12))
