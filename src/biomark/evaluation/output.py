"""Evaluations and comparisons as JSON, and as tables for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TypeVar

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Group
from rich.table import Table

from biomark.entity_types import label
from biomark.evaluation.comparison import LETTERS, Comparison, Difference, Differences
from biomark.evaluation.counts import SCHEMES
from biomark.evaluation.identifiers import Accuracy
from biomark.evaluation.mistakes import count_kinds
from biomark.evaluation.reliability import Calibration
from biomark.evaluation.scores import Evaluation, IdentifierScores, Score, Scores
from biomark.evaluation.semeval import SchemaCounts
from biomark.screen import visible

T = TypeVar("T")

JsonObject = dict[str, object]


def evaluation_json(evaluation: Evaluation) -> JsonObject:
    """Return the object that `biomark evaluate` prints as JSON; docs/evaluation.md lists its keys."""
    return {
        **_scores_json(evaluation.overall),
        "types": {entity_type: _scores_json(scores) for entity_type, scores in evaluation.types.items()},
        **_identifiers_json(evaluation),
        **({"calibration": asdict(evaluation.calibration)} if evaluation.calibration else {}),
        "errors": {kind.value: count for kind, count in count_kinds(evaluation.mistakes).items()},
        "documents": evaluation.documents,
        "notes": list(evaluation.notes),
        "signature": evaluation.signature,
    }


def comparison_json(comparison: Comparison) -> JsonObject:
    """Return the object that `biomark compare` prints as JSON; docs/evaluation.md lists its keys."""
    names = list(comparison.systems)
    return {
        **_differences_json(comparison.differences[0]),
        "systems": [
            {"name": name, **_schemes_json(evaluation.overall), "types": _types_json(evaluation)}
            for name, evaluation in comparison.systems.items()
        ],
        "differences": [
            {"a": names[other.a], "b": names[other.b], **_differences_json(other)} for other in comparison.differences
        ],
        "notes": list(comparison.notes),
        "signature": comparison.signature,
    }


def evaluation_table(evaluation: Evaluation) -> Group:
    """Return the tables of an evaluation, with scores in percent.

    The first table has a row for each scheme, over all types together and for each type. If identifiers were scored,
    a second table has their accuracy on the predicted mentions. If calibration was computed, two more tables have its
    bins and the strict scores at each minimum score.
    """
    counts = count_kinds(evaluation.mistakes)
    caption = "errors: " + ", ".join(f"{count} {kind}" for kind, count in counts.items())
    if evaluation.overall.identifiers:
        caption += "\nids: mentions with identifiers; doc ids: distinct identifiers of a document"
    table = _table("type", "scheme", "P", "R", "F1", "95 % interval", "tp", "fp", "fn", caption=caption)
    rows = _all_rows(evaluation.overall, evaluation.types)
    for name, scores in rows:
        for scheme, score in _named_scores(scores).items():
            shares = (_percent(share) for share in (score.precision, score.recall, score.f1))
            numbers = (str(number) for number in (score.counts.tp, score.counts.fp, score.counts.fn))
            table.add_row(name, scheme, *shares, f"{_percent(score.low)} – {_percent(score.high)}", *numbers)
    tables = [table]
    if evaluation.overall.identifiers:
        tables.append(_accuracy_table([(name, s.identifiers.accuracy) for name, s in rows if s.identifiers]))
    if evaluation.calibration:
        tables += _calibration_tables(evaluation.calibration)
    return Group(*tables)


def named_types(rows: Mapping[str, T]) -> list[tuple[str, T]]:
    """Return the value of each type with the type's label; types that share a label keep their names."""
    labels = Counter(map(label, rows))
    return [
        (visible(label(entity_type) if labels[label(entity_type)] == 1 else entity_type), value)
        for entity_type, value in rows.items()
    ]


def comparison_table(comparison: Comparison) -> Group:
    """Return the scores of each system, named by a letter, and the differences of the others from A, in percent."""
    letters = dict(zip(comparison.systems, LETTERS, strict=False))
    lines = [f"{letter}: {visible(name)}" for name, letter in letters.items()]
    legend = Table.grid()
    legend.add_column(no_wrap=True, min_width=max(map(cell_len, lines)))  # Rich's own width would cut a long path
    for line in lines:
        legend.add_row(line)
    scores = _table("type", "scheme", "system", "P", "R", "F1", "95 % interval")
    rows = {name: dict(_all_rows(system.overall, system.types)) for name, system in comparison.systems.items()}
    for entity_type in next(iter(rows.values())):
        for scheme in SCHEMES:
            for name, letter in letters.items():
                score = _named_scores(rows[name][entity_type])[scheme]
                shares = (_percent(share) for share in (score.precision, score.recall, score.f1))
                scores.add_row(entity_type, scheme, letter, *shares, f"{_percent(score.low)} – {_percent(score.high)}")
    caption = "won, lost: documents in which the system is better or worse than A"
    changes = _table("type", "scheme", "F1", "difference", "95 % interval", "p", "won", "lost", caption=caption)
    for other in comparison.differences:
        for entity_type, differences in _all_rows(other.overall, other.types):
            for scheme in SCHEMES:
                one = differences[scheme]
                interval = f"{_points(one.low)} to {_points(one.high)}"
                numbers = (_points(one.difference), interval, f"{one.p:.4f}", str(one.won), str(one.lost))
                changes.add_row(entity_type, scheme, f"{LETTERS[other.b]} - {LETTERS[other.a]}", *numbers)
    return Group(legend, scores, changes)


def _all_rows(overall: T, types: Mapping[str, T]) -> list[tuple[str, T]]:
    return [("all types", overall), *named_types(types)]


def _named_scores(scores: Scores) -> dict[str, Score]:
    """Return the scores by the names of their rows; those of identifiers only if any identifier was counted."""
    named: dict[str, Score] = {"strict": scores.strict, "partial": scores.partial}
    if scores.identifiers:
        more = {"ids": scores.identifiers.mention, "doc ids": scores.identifiers.document}
        named.update({name: score for name, score in more.items() if any(score.counts.row())})
    return named


def _accuracy_table(rows: Iterable[tuple[str, Accuracy]]) -> Table:
    caption = "gold: mentions with identifiers\npredicted: those with the same spans and type\naccuracy: of these"
    table = _table("type", None, "gold", "predicted", "share", "accuracy@1", "accuracy@5", caption=caption)
    for name, accuracy in rows:
        if accuracy.gold:
            at_5 = "no candidates" if accuracy.at_5 is None else _percent(accuracy.at_5)
            numbers = (str(accuracy.gold), str(accuracy.mentions), _percent(accuracy.share))
            table.add_row(name, *numbers, _percent(accuracy.at_1), at_5)
    return table


def _calibration_tables(calibration: Calibration) -> list[Table]:
    error = _percent(calibration.error)
    caption = f"scores beside the share of mentions that are right; expected calibration error {error}"
    bins = _table("score", "right", "mentions", caption=caption)
    for one in calibration.bins:
        bins.add_row(_percent(one.score), _percent(one.right), str(one.mentions))
    curve = _table("least score", "P", "R", "F1", caption="strict, without mentions of a lower score")
    for point in calibration.curve:
        curve.add_row(f"{point.least:.1f}", *(_percent(share) for share in (point.precision, point.recall, point.f1)))
    return [bins, curve]


def _scores_json(scores: Scores) -> JsonObject:
    return {
        "strict": _score_json(scores.strict),
        "partial": _score_json(scores.partial),
        "semeval": {schema: _schema_json(counts) for schema, counts in scores.semeval.items()},
    }


def _identifiers_json(evaluation: Evaluation) -> JsonObject:
    """Return the key `identifiers` with its scores, or nothing if identifiers were not scored."""
    if not evaluation.overall.identifiers:
        return {}
    types = {
        entity_type: _one_identifiers_json(s.identifiers)
        for entity_type, s in evaluation.types.items()
        if s.identifiers
    }
    return {"identifiers": {**_one_identifiers_json(evaluation.overall.identifiers), "types": types}}


def _one_identifiers_json(scores: IdentifierScores) -> JsonObject:
    accuracy = scores.accuracy
    return {
        "mention": _score_json(scores.mention),
        "document": _score_json(scores.document),
        "accuracy@1": accuracy.at_1,
        "accuracy@5": accuracy.at_5,
        "mentions": accuracy.mentions,
        "gold_mentions": accuracy.gold,
        "share": accuracy.share,
    }


def _score_json(score: Score) -> JsonObject:
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


def _schema_json(counts: SchemaCounts) -> JsonObject:
    return {**asdict(counts), "precision": counts.precision, "recall": counts.recall, "f1": counts.f1}


def _schemes_json(scores: Scores) -> JsonObject:
    return {"strict": _score_json(scores.strict), "partial": _score_json(scores.partial)}


def _types_json(evaluation: Evaluation) -> JsonObject:
    return {entity_type: _schemes_json(scores) for entity_type, scores in evaluation.types.items()}


def _differences_json(differences: Differences) -> JsonObject:
    def schemes(differences: Mapping[str, Difference]) -> JsonObject:
        return {scheme: _difference_json(one) for scheme, one in differences.items()}

    types = {entity_type: schemes(by_scheme) for entity_type, by_scheme in differences.types.items()}
    return {**schemes(differences.overall), "types": types}


def _difference_json(difference: Difference) -> JsonObject:
    return {
        "a": difference.a,
        "b": difference.b,
        "difference": difference.difference,
        "interval": [difference.low, difference.high],
        "p": difference.p,
        "won": difference.won,
        "lost": difference.lost,
        "documents": difference.documents,
    }


def _table(first_heading: str, second_heading: str | None, *numbers: str, caption: str | None = None) -> Table:
    """Return an empty table with one or two columns of names, then columns of numbers."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
    table.add_column(first_heading, overflow="fold")  # the only column that wraps in a narrow terminal
    if second_heading:
        table.add_column(second_heading, no_wrap=True)
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _points(difference: float) -> str:
    return f"{100 * difference:+.2f}"
