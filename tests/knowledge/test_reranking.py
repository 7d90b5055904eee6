"""The learnt rule that chooses among candidates."""

from __future__ import annotations

import numpy as np
import pytest

from biomark.knowledge.reranking import FEATURES, RankingExample, Weights, learn, packaged


class TestReranking:
    def test_learns_what_tells_right_from_wrong(self) -> None:
        rng = np.random.default_rng(0)
        examples = []
        for _ in range(200):
            features = rng.normal(size=(4, len(FEATURES)))
            right = int(features[:, 2].argmax())
            examples.append(RankingExample(features, right if features[right, 2] > 0.5 else None))
        weights = learn(examples)
        assert int(np.abs(weights.values).argmax()) == 2
        asked = np.zeros((2, len(FEATURES)))
        asked[0, 2], asked[1, 2] = 2.0, -2.0
        shares = weights.probabilities(asked)
        assert shares[0] > 0.9
        assert shares.sum() < 1

    def test_none_of_them(self) -> None:
        weights = Weights(np.zeros(len(FEATURES)), 3.0)
        assert weights.probabilities(np.zeros((0, len(FEATURES)))).size == 0
        assert weights.probabilities(np.zeros((1, len(FEATURES))))[0] == pytest.approx(1 / (1 + np.exp(3)))

    def test_the_weights_of_the_package(self) -> None:
        assert packaged().values.shape == (len(FEATURES),)
        assert set(packaged().as_json()) == {*FEATURES, "none"}
