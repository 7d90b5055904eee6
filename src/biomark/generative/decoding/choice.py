"""The choice among the tokens that may come next: the likeliest one, or one drawn at random.

A token is drawn with the Gumbel-max trick: the highest of the logits, divided by the temperature and with independent
Gumbel noise added to each, is a draw from their softmax. The noise depends only on a key and the token's position in
the answer. A drawn answer can therefore be drafted and verified like the likeliest one, and depends neither on the
draft nor on the rest of the batch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biomark.errors import ModelError, UsageError

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sampling:
    """The settings for drawing several answers to each question.

    Attributes:
        samples: the number of answers, at least 2.
        temperature: a number above 0. With 1, answers are drawn with the model's probabilities; lower values favour
            likely answers.
        seed: the seed of the random numbers.

    Raises:
        UsageError: if a number is out of its range.
    """

    samples: int
    temperature: float
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples < 2 or not 0 < self.temperature < float("inf"):
            raise UsageError("several `samples` need a `temperature` above 0; otherwise all are the same")

    def chances(self, *question: str) -> list[Chance]:
        """Return the source of randomness of each answer to a question, such as a text and a type."""
        return [Chance.of(self.temperature, self.seed, n, *question) for n in range(self.samples)]


@dataclass(frozen=True, slots=True)
class Chance:
    """The source of randomness of one drawn answer.

    Attributes:
        temperature: see `Sampling`.
        key: the seed of the noise.
    """

    temperature: float
    key: int

    @classmethod
    def of(cls, temperature: float, *facts: object) -> Chance:
        """Make one whose key is a hash of the text of some values."""
        digest = hashlib.sha256("\0".join(map(str, facts)).encode(errors="replace")).digest()
        return cls(temperature, int.from_bytes(digest[:7], "big"))

    def noise(self, step: int, size: int) -> _Floats:
        """Return the noise to add to the logits, (size,), of the candidates at one position of the answer."""
        return self.temperature * np.random.default_rng((self.key, step)).gumbel(size=size)


@dataclass(frozen=True, slots=True)
class Choices:
    """The tokens chosen at several positions, with the probability of each among the candidates of its position."""

    tokens: list[int]
    probabilities: list[float]


def choose(logits: _Floats, candidates: _Ints, sizes: _Ints, owners: _Ints, noise: _Floats | None = None) -> Choices:
    """Choose the likeliest candidate at each of N positions, the first of equal ones; with noise, draw one.

    Args:
        logits: (M,) float64 logits of the candidates of all positions.
        candidates: (M,) int64 token ids, ascending within a position.
        sizes: (N,) int64 number of candidates of each position.
        owners: (M,) int64 position of each candidate.
        noise: (M,) float64 noise to add to the logits before the highest one is chosen; None: no noise.

    Raises:
        ModelError: if a logit is not finite.
    """
    if not np.isfinite(logits).all():
        raise ModelError("the model computes logits that are not finite; load its weights in float32")
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    ranked = logits if noise is None else logits + noise
    best = np.maximum.reduceat(ranked, starts)[owners]
    chosen = np.minimum.reduceat(np.where(ranked == best, np.arange(len(ranked)), len(ranked)), starts)
    highest = np.maximum.reduceat(logits, starts)
    sums = np.add.reduceat(np.exp(logits - highest[owners]), starts)
    return Choices(candidates[chosen].tolist(), (np.exp(logits[chosen] - highest) / sums).tolist())
