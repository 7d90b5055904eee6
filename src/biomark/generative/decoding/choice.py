"""The choice among the tokens that may come next: the likeliest, or one drawn at random.

A token is drawn by Gumbel noise: of logits divided by the temperature, with independent noise added to each, the
highest one is a draw from their softmax. The noise depends on nothing but a key and the token's place in the answer. So
a drawn answer can be drafted and verified as the likeliest one is, and comes out the same whatever was drafted, and
beside whatever else it is computed.
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
    """Several answers to each question, drawn at random.

    Attributes:
        samples: how many.
        temperature: above 0; 1: as likely as the model finds them, below: the likelier ones more often.
        seed: the same one gives the same answers.

    Raises:
        UsageError: if these are no such numbers.
    """

    samples: int
    temperature: float
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples < 2 or not 0 < self.temperature < float("inf"):
            raise UsageError("several `samples` need a `temperature` above 0; otherwise all are the same")

    def chances(self, *question: str) -> list[Chance]:
        """What decides each of the answers to a question, such as a text and a type."""
        return [Chance.of(self.temperature, self.seed, n, *question) for n in range(self.samples)]


@dataclass(frozen=True, slots=True)
class Chance:
    """What decides one drawn answer.

    Attributes:
        temperature: see `Sampling`.
        key: of the noise.
    """

    temperature: float
    key: int

    @classmethod
    def of(cls, temperature: float, *facts: object) -> Chance:
        """With a key that is made of anything that has a text."""
        digest = hashlib.sha256("\0".join(map(str, facts)).encode(errors="replace")).digest()
        return cls(temperature, int.from_bytes(digest[:7], "big"))

    def noise(self, step: int, size: int) -> _Floats:
        """What is added to the logits (size,) of the tokens that may stand at a place of the answer."""
        return self.temperature * np.random.default_rng((self.key, step)).gumbel(size=size)


@dataclass(frozen=True, slots=True)
class Choices:
    """The choices at several places of answers, with the probability of each among the tokens that may stand there."""

    tokens: list[int]
    probabilities: list[float]


def choose(logits: _Floats, candidates: _Ints, sizes: _Ints, owners: _Ints, noise: _Floats | None = None) -> Choices:
    """Of each place's candidates the likeliest, the first if there are several; with noise, the one that is drawn.

    Args:
        logits: (M,) of all places' candidates.
        candidates: (M,) ids, ascending within a place.
        sizes: (N,) how many candidates a place has.
        owners: (M,) the place of each.
        noise: (M,) what is added to the logits before the highest one is taken; None: nothing.

    Raises:
        ModelError: if a logit is not finite.
    """
    if not np.isfinite(logits).all():
        raise ModelError("the model computes numbers that are not finite; load it with more precise numbers")
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    ranked = logits if noise is None else logits + noise
    best = np.maximum.reduceat(ranked, starts)[owners]
    chosen = np.minimum.reduceat(np.where(ranked == best, np.arange(len(ranked)), len(ranked)), starts)
    highest = np.maximum.reduceat(logits, starts)
    sums = np.add.reduceat(np.exp(logits - highest[owners]), starts)
    return Choices(candidates[chosen].tolist(), (np.exp(logits[chosen] - highest) / sums).tolist())
