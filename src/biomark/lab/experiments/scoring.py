"""Scores of a test cell, in a form that JSON can represent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import median

from biomark import evaluation
from biomark.evaluation import Evaluation, Score
from biomark.evaluation.counts import SCHEMES


def scores_of(result: Evaluation) -> dict[str, object]:
    """Return the scores and errors of an evaluation in a form that JSON can represent."""

    def one(score: Score) -> dict[str, object]:
        figures = {name: round(getattr(score, name), 6) for name in ("precision", "recall", "f1", "low", "high")}
        return {**figures, **asdict(score.counts)}

    errors = evaluation.mistakes.count_kinds(result.mistakes)
    return {
        "strict": one(result.overall.strict),
        "partial": one(result.overall.partial),
        "errors": {str(kind): count for kind, count in errors.items()},
        "signature": result.signature,
    }


def grid_runs(folder: Path) -> list[Path]:
    """Return the folders of all settings of a grid that was trained in a folder."""
    from biomark.tagging.training.grid import RESULT

    rows = json.loads((folder / RESULT).read_text("utf-8"))["runs"]
    return [folder / row["folder"] for row in rows]


def spread(runs: Iterable[Path], read: Callable[[Path], Evaluation]) -> Mapping[str, object]:
    """Return the minimum, median and maximum F1 of all settings of a grid on a test set, under each scheme.

    Args:
        runs: see `grid_runs`.
        read: lets the model of a run read the test set, and scores it.
    """
    scores = [read(run).overall for run in runs]
    figures: dict[str, object] = {"settings": len(scores)}
    for scheme in SCHEMES:
        f1 = [getattr(overall, scheme).f1 for overall in scores]
        values = {"minimum": min(f1), "median": median(f1), "maximum": max(f1)}
        figures[scheme] = {name: round(value, 6) for name, value in values.items()}
    return figures
