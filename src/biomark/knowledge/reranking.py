"""Probabilities of the candidate identifiers of a mention: a conditional logit model with few weights.

The probabilities of the candidates of a mention, and of the outcome "none of them", are proportional to
exp(weights · features). `reranker.json` has the weights; `python -m biomark.lab.bench.reranker` learns them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from biomark.knowledge.entries import NameKind
from biomark.knowledge.fuzzy import FEATURES as _OF_NAMES
from biomark.knowledge.store import Term

Vector = NDArray[np.float64]

OF_TERMS = (
    "related",  # whether the name is a related or broader term
    "from_corpora",  # whether only corpora have the name
    "count",  # log(1 + the number of mentions in corpora with the name), in threes
    "parent",  # whether the identifier is that of a parent of the name's concept
    "grandparent",  # whether the identifier is that of an earlier ancestor of the name's concept
)
OF_IDENTIFIERS = (
    "support",  # log(1 + the sum over its similar names of the feature `covered` cubed)
    "seen",  # log(1 + the number of mentions in corpora with the identifier), in fives
    "in_document",  # whether another mention of the document has the identifier
    "known_mention",  # mention_covered if another mention of the document has the identifier, otherwise 0
    "known_name",  # name_covered if another mention of the document has the identifier, otherwise 0
)
FEATURES = (*_OF_NAMES, *OF_TERMS, *OF_IDENTIFIERS)
NOTHING_NEAR = (0.0,) * (len(_OF_NAMES) + len(OF_TERMS))
"""The features of an identifier without a name similar to the mention."""
NONE = "none"
_RIDGE = 3e-3
_STEPS = 30


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of the model.

    Attributes:
        values: float64 (features), in the order of `FEATURES`.
        none: the logit of the outcome "none of them".
    """

    values: Vector
    none: float

    def probabilities(self, features: Vector) -> Vector:
        """Return the probability of each candidate; the remainder to 1 is the probability of "none of them".

        Args:
            features: float64 (candidates, features).

        Returns:
            float64 (candidates).
        """
        scores = features @ self.values
        top = max(float(scores.max(initial=self.none)), self.none)
        shares: Vector = np.exp(scores - top)
        result: Vector = shares / (shares.sum() + np.exp(self.none - top))
        return result

    def as_json(self) -> dict[str, float]:
        """Return the weights by feature, and `none`, rounded to four decimals."""
        return {name: round(float(value), 4) for name, value in zip(FEATURES, self.values, strict=True)} | {
            NONE: round(self.none, 4)
        }


@cache
def packaged() -> Weights:
    """Return the weights that the package contains."""
    table: Mapping[str, float] = json.loads(files("biomark.knowledge").joinpath("reranker.json").read_text("utf-8"))
    return Weights(np.array([table[name] for name in FEATURES]), table[NONE])


def term_features(term: Term, generations: int) -> tuple[float, ...]:
    """Return the values of the features `OF_TERMS`.

    Args:
        term: a name similar to the mention.
        generations: 0 for the identifier of the term's concept, 1 for that of a parent, and so on.
    """
    return (
        float(term.kind >= NameKind.RELATED),
        float(term.kind is NameKind.MENTION),
        float(np.log1p(term.count)) / 3,
        float(generations == 1),
        float(generations > 1),
    )


@dataclass(frozen=True, slots=True)
class RankingExample:
    """A mention from which the weights are learnt.

    Attributes:
        features: float64 (candidates, features).
        right: the row of the correct candidate; None if it is not among the candidates.
        weight: the weight of the mention in the loss.
    """

    features: Vector
    right: int | None
    weight: float = 1.0


def learn(examples: Sequence[RankingExample]) -> Weights:
    """Fit the weights by maximum likelihood with a ridge penalty (damped Newton's method)."""
    size = len(FEATURES) + 1  # the last weight is `none`, the only one for the outcome "none of them"
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
        while (new_loss := _loss(weights - scale * step, rows, examples, ridge)) > loss and scale > 1e-9:
            scale /= 2
        weights = weights - scale * step
        if loss - new_loss < 1e-6 * loss:
            break
        loss = new_loss
    return Weights(weights[:-1], float(weights[-1]))


def _loss(weights: Vector, rows: Sequence[Vector], examples: Sequence[RankingExample], ridge: Vector) -> float:
    loss = float(weights @ ridge @ weights) / 2
    for example, features in zip(examples, rows, strict=True):
        loss -= example.weight * float(_log_shares(features @ weights)[_row(example)])
    return loss


def _log_shares(scores: Vector) -> Vector:
    top = scores.max()
    result: Vector = scores - top - np.log(np.exp(scores - top).sum())
    return result


def _row(example: RankingExample) -> int:
    return -1 if example.right is None else example.right
