"""Whether scores are probabilities, and what a least score costs and gains.

A mention's score says how sure its recognizer is. The scores are calibrated if of the mentions with a score near *s*
a share of *s* is right (strict); the expected calibration error is the mean distance from that (Naeini et al. 2015).
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
    """A predicted mention: its type, its score, and whether it is right (strict)."""

    type: str
    score: float
    right: bool


@dataclass(frozen=True, slots=True)
class Bin:
    """The mentions with scores in one of ten equal parts of [0, 1]: how many, their mean score, the share right."""

    mentions: int
    score: float
    right: float


@dataclass(frozen=True, slots=True)
class Point:
    """Strict scores if mentions with a lower score than `least` are left out."""

    least: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """How good the scores of predicted mentions are.

    Attributes:
        error: the expected calibration error over ten bins of equal width, in [0, 1]; 0 without mentions.
        bins: those that have mentions, from low scores to high ones.
        curve: a point for each of `LEAST_SCORES`.
    """

    error: float
    bins: tuple[Bin, ...]
    curve: tuple[Point, ...]


def judged(pairs: Iterable[Pair]) -> tuple[list[Judged], int]:
    """All predicted mentions with their scores, and how many gold mentions there are.

    Raises:
        UsageError: if a mention has no score.
    """
    found: list[Judged] = []
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
        found += [Judged(key[1], score, key not in wrong) for key, score in scores.items()]
    return found, gold


def calibration(mentions: Sequence[Judged], gold: int) -> Calibration:
    """See `Calibration`.

    Args:
        mentions: those that were predicted, whatever their score.
        gold: how many there are in truth.
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


def curve(pairs: Sequence[Pair]) -> tuple[Point, ...]:
    """A point for each of `LEAST_SCORES`, counted anew: under BC2GM's official score one gold mention may be found by
    several predictions, and several by one, so that it does not follow from which predictions are right."""
    return tuple(_counted(pairs, least) for least in LEAST_SCORES)


def _counted(pairs: Sequence[Pair], least: float) -> Point:
    gold = found = wrong = 0
    for pair in pairs:
        kept = Mentions(entity for entity in pair.predicted_entities if (entity.score or 0.0) >= least)
        missed, spurious = replace(pair, predicted=kept).unmatched()
        gold += len(pair.gold)
        found += len(pair.gold) - len(missed)
        wrong += len(spurious)
    return _of_counts(least, found, found + wrong, gold)


def _point(scores: np.ndarray, right: np.ndarray, gold: int, least: float) -> Point:
    kept = scores >= least
    return _of_counts(least, int(right[kept].sum()), int(kept.sum()), gold)


def _of_counts(least: float, hits: int, predicted: int, gold: int) -> Point:
    precision, recall = hits / max(predicted, 1), hits / max(gold, 1)
    return Point(least, precision, recall, 2 * precision * recall / max(precision + recall, 1e-12))
