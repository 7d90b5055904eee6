"""Evaluation: gold and predicted mentions → counts → scores with intervals → report.

`evaluate` scores one system and `compare` tests two; both take documents and return figures with
a signature that says what was scored. docs/evaluation.md explains each score by an example.
"""

from __future__ import annotations

from biomark.evaluation.counts import Counts, Tally, gather
from biomark.evaluation.pairs import Gold, Pair, Style
from biomark.evaluation.scores import (
    Comparison,
    Difference,
    Evaluation,
    Score,
    Scores,
    Signature,
    compare,
    evaluate,
    score,
)
from biomark.evaluation.semeval import SchemaCounts

__all__ = [
    "Comparison",
    "Counts",
    "Difference",
    "Evaluation",
    "Gold",
    "Pair",
    "SchemaCounts",
    "Score",
    "Scores",
    "Signature",
    "Style",
    "Tally",
    "compare",
    "evaluate",
    "gather",
    "score",
]
