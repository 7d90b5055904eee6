"""Evaluations and comparisons as JSON, and as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from rich.box import SIMPLE_HEAD
from rich.table import Table

from biomark.entity_types import label
from biomark.evaluation.counts import SCHEMES
from biomark.evaluation.mistakes import count_kinds
from biomark.evaluation.scores import Comparison, Difference, Evaluation, Score, Scores
from biomark.evaluation.semeval import SchemaCounts

Json = dict[str, object]


def evaluation_json(evaluation: Evaluation) -> Json:
    """The object that `biomark evaluate --json` prints; docs/evaluation.md lists its keys."""
    return {
        **_scores_json(evaluation.overall),
        "types": {type: _scores_json(scores) for type, scores in evaluation.types.items()},
        "errors": {kind.value: count for kind, count in count_kinds(evaluation.mistakes).items()},
        "documents": evaluation.documents,
        "notes": list(evaluation.notes),
        "signature": evaluation.signature,
    }


def comparison_json(comparison: Comparison) -> Json:
    """The object that `biomark compare --json` prints: F1 of A and B, B - A, and the p-value."""
    return {
        **_differences_json(comparison.overall),
        "types": {type: _differences_json(differences) for type, differences in comparison.types.items()},
        "notes": list(comparison.notes),
        "signature": comparison.signature,
    }


def evaluation_table(evaluation: Evaluation) -> Table:
    """A row for each scheme of all types together and of each type; scores in percent."""
    counts = count_kinds(evaluation.mistakes)
    told = "errors: " + ", ".join(f"{count} {kind}" for kind, count in counts.items())
    table = _table("type", "scheme", "P", "R", "F1", "95 % interval", "tp", "fp", "fn", caption=told)
    rows = {"all types": evaluation.overall, **{label(type): s for type, s in evaluation.types.items()}}
    for name, scores in rows.items():
        for scheme, score in zip(SCHEMES, (scores.strict, scores.partial), strict=True):
            shares = (_percent(share) for share in (score.precision, score.recall, score.f1))
            numbers = (str(number) for number in (score.counts.tp, score.counts.fp, score.counts.fn))
            table.add_row(name, scheme, *shares, f"{_percent(score.low)} – {_percent(score.high)}", *numbers)
    return table


def comparison_table(comparison: Comparison) -> Table:
    """A row for each scheme of all types together and of each type; F1 in percent."""
    table = _table("type", "scheme", "F1 of A", "F1 of B", "B - A", "p")
    rows = {"all types": comparison.overall, **{label(type): d for type, d in comparison.types.items()}}
    for name, differences in rows.items():
        for scheme in SCHEMES:
            found = differences[scheme]
            change = f"{100 * found.difference:+.2f}"
            table.add_row(name, scheme, _percent(found.a), _percent(found.b), change, f"{found.p:.4f}")
    return table


def _scores_json(scores: Scores) -> Json:
    return {
        "strict": _score_json(scores.strict),
        "partial": _score_json(scores.partial),
        "semeval": {schema: _schema_json(counts) for schema, counts in scores.semeval.items()},
    }


def _score_json(score: Score) -> Json:
    counts = score.counts
    return {
        "precision": score.precision,
        "recall": score.recall,
        "f1": score.f1,
        "tp": counts.tp,
        "fp": counts.fp,
        "fn": counts.fn,
        "tp_predicted": counts.tp_predicted,
        "interval": [score.low, score.high],
    }


def _schema_json(counts: SchemaCounts) -> Json:
    return {**asdict(counts), "precision": counts.precision, "recall": counts.recall, "f1": counts.f1}


def _differences_json(differences: Mapping[str, Difference]) -> Json:
    return {
        scheme: {"a": found.a, "b": found.b, "difference": found.difference, "p": found.p}
        for scheme, found in differences.items()
    }


def _table(type: str, scheme: str, *numbers: str, caption: str | None = None) -> Table:
    """An empty table with two columns of names and the rest of numbers."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
    table.add_column(type, overflow="fold")  # the only one that gives way in a narrow terminal
    table.add_column(scheme, no_wrap=True)
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"
