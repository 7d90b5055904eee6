"""Evaluation: gold and predicted mentions → counts → scores with intervals → report.

`evaluate` scores one system, and `compare` tests several systems against the first one. Both take documents and
return scores with a signature that identifies the data and the scheme. docs/evaluation.md explains each score by an
example.
"""

from __future__ import annotations

from biomark.evaluation.comparison import Comparison, Difference, Differences, compare
from biomark.evaluation.comparison_report import write_comparison
from biomark.evaluation.counts import Counts, Tally, gather
from biomark.evaluation.identifiers import Accuracy, IdentifierTally, gather_identifiers
from biomark.evaluation.inputs import read_predicted
from biomark.evaluation.mistakes import Mistake, MistakeKind, surface_forms
from biomark.evaluation.output import comparison_json, comparison_table, evaluation_json, evaluation_table
from biomark.evaluation.pairs import Gold, Pair
from biomark.evaluation.reliability import Calibration
from biomark.evaluation.report import write_report
from biomark.evaluation.scores import (
    Evaluation,
    IdentifierScores,
    Score,
    Scores,
    Signature,
    evaluate,
    score,
)
from biomark.evaluation.semeval import SchemaCounts

__all__ = [
    "Accuracy",
    "Calibration",
    "Comparison",
    "Counts",
    "Difference",
    "Differences",
    "Evaluation",
    "Gold",
    "IdentifierScores",
    "IdentifierTally",
    "Mistake",
    "MistakeKind",
    "Pair",
    "SchemaCounts",
    "Score",
    "Scores",
    "Signature",
    "Tally",
    "compare",
    "comparison_json",
    "comparison_table",
    "evaluate",
    "evaluation_json",
    "evaluation_table",
    "gather",
    "gather_identifiers",
    "read_predicted",
    "score",
    "surface_forms",
    "write_comparison",
    "write_report",
]
