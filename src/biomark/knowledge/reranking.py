"""Which of several identifiers a mention most likely has: a conditional logit model with few weights.

The candidates of a mention, and one that says "none of them", share the probability in proportion to
exp(weights · features). `reranker.json` holds the weights; `python -m biomark.lab.bench.reranker` learns them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from biomark.knowledge.entries import Kind
from biomark.knowledge.fuzzy import FEATURES as _OF_NAMES
from biomark.knowledge.store import Term

Vector = NDArray[np.float64]

OF_TERMS = (
    "related",  # whether the name is a related or broader term
    "from_corpora",  # whether it is known from corpora alone
    "count",  # the logarithm of how often corpora have it, in threes
    "parent",  # whether the identifier is the parent's of the concept that has the name
    "grandparent",  # or the parent's parent
)
OF_IDENTIFIERS = (
    "support",  # the logarithm of how many names speak for it
    "seen",  # the logarithm of how often corpora have the identifier, in fives
    "in_document",  # whether another mention of the document has it
    "known_mention",  # in that case, mention_covered
    "known_name",  # and name_covered
)
FEATURES = (*_OF_NAMES, *OF_TERMS, *OF_IDENTIFIERS)
NOTHING_NEAR = (0.0,) * (len(_OF_NAMES) + len(OF_TERMS))
"""The features of an identifier that has no name near the mention."""
NONE = "none"
_RIDGE = 3e-3
_STEPS = 30


@dataclass(frozen=True, slots=True)
class Weights:
    """What was learnt.

    Attributes:
        values: float64 (features), in the order of `FEATURES`.
        none: the score of "none of them".
    """

    values: Vector
    none: float

    def probabilities(self, features: Vector) -> Vector:
        """The probability of each candidate; what is missing to 1 is that of "none of them".

        Args:
            features: float64 (candidates, features).
        """
        scores = features @ self.values
        top = max(float(scores.max(initial=self.none)), self.none)
        shares: Vector = np.exp(scores - top)
        found: Vector = shares / (shares.sum() + np.exp(self.none - top))
        return found

    def as_json(self) -> dict[str, float]:
        """A number for each feature, and `none`."""
        return {name: round(float(value), 4) for name, value in zip(FEATURES, self.values, strict=True)} | {
            NONE: round(self.none, 4)
        }


@cache
def packaged() -> Weights:
    """The weights that come with the package."""
    found: Mapping[str, float] = json.loads(files("biomark.knowledge").joinpath("reranker.json").read_text("utf-8"))
    return Weights(np.array([found[name] for name in FEATURES]), found[NONE])


def term_features(term: Term, generations: int) -> tuple[float, ...]:
    """The values of `OF_TERMS`.

    Args:
        generations: 0 if the identifier is the term's own, 1 if it is its concept's parent's, and so on.
    """
    return (
        float(term.kind >= Kind.RELATED),
        float(term.kind is Kind.MENTION),
        float(np.log1p(term.count)) / 3,
        float(generations == 1),
        float(generations > 1),
    )


@dataclass(frozen=True, slots=True)
class Example:
    """A mention to learn from.

    Attributes:
        features: float64 (candidates, features).
        right: the row of the right candidate; None if it is not among them.
        weight: how much it counts.
    """

    features: Vector
    right: int | None
    weight: float = 1.0


def learn(examples: Sequence[Example]) -> Weights:
    """The weights under which the right candidates are most probable (with a ridge; Newton's method, damped)."""
    size = len(FEATURES) + 1  # the last one is `none`, whose only feature is 1
    rows = [np.vstack([np.hstack([e.features, np.zeros((len(e.features), 1))]), np.eye(size)[-1]]) for e in examples]
    ridge = np.diag([_RIDGE * len(examples)] * (size - 1) + [0.0])
    weights, scale = np.zeros(size), 1.0
    loss = _loss(weights, rows, examples, ridge)
    for _ in range(_STEPS):
        gradient, curvature = ridge @ weights, ridge + 1e-9 * np.eye(size)
        for example, features in zip(examples, rows, strict=True):
            shares = np.exp(_log_shares(features @ weights))
            mean = shares @ features
            gradient += example.weight * (mean - features[_row(example)])
            curvature += example.weight * ((features.T * shares) @ features - np.outer(mean, mean))
        step, scale = np.linalg.solve(curvature, gradient), min(1.0, 4 * scale)
        while (found := _loss(weights - scale * step, rows, examples, ridge)) > loss and scale > 1e-9:
            scale /= 2
        weights = weights - scale * step
        if loss - found < 1e-6 * loss:
            break
        loss = found
    return Weights(weights[:-1], float(weights[-1]))


def _loss(weights: Vector, rows: Sequence[Vector], examples: Sequence[Example], ridge: Vector) -> float:
    found = float(weights @ ridge @ weights) / 2
    for example, features in zip(examples, rows, strict=True):
        found -= example.weight * float(_log_shares(features @ weights)[_row(example)])
    return found


def _log_shares(scores: Vector) -> Vector:
    top = scores.max()
    found: Vector = scores - top - np.log(np.exp(scores - top).sum())
    return found


def _row(example: Example) -> int:
    return -1 if example.right is None else example.right
