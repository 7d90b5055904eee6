"""The report of a comparison: one HTML page with the scores of all systems, and their errors in each sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Template
from typing import TypeVar

from biomark.evaluation.comparison import Comparison, Differences
from biomark.evaluation.counts import SCHEMES
from biomark.evaluation.excerpts import excerpt_json, excerpts
from biomark.evaluation.mistakes import count_kinds
from biomark.evaluation.output import named_types
from biomark.evaluation.report import (
    axis_start,
    escape,
    interval,
    interval_plot,
    page_part,
    percent,
    script_json,
    write_page,
)
from biomark.evaluation.scores import Scores

T = TypeVar("T")


def write_comparison(comparison: Comparison, folder: Path) -> Path:
    """Write `index.html`, a page that opens offline and needs no other file.

    Args:
        comparison: the result of `biomark.evaluation.compare`.
        folder: the folder of the page; it is created if it does not exist.

    Returns:
        The path of the page.

    Raises:
        FormatError: if the page cannot be written.
    """
    return write_page(folder, render_comparison(comparison))


def render_comparison(comparison: Comparison) -> str:
    """Return the HTML of the page that `write_comparison` writes."""
    names = list(comparison.systems)
    mistakes = [evaluation.mistakes for evaluation in comparison.systems.values()]
    start = axis_start(comparison.systems.values())
    return Template(page_part("comparison.html")).substitute(
        systems=escape(" · ".join(names)),
        first=escape(names[0]),
        corpus=escape(comparison.corpus or "gold"),
        headline=_headline(comparison),
        notes="".join(f"<li>{escape(note)}</li>" for note in comparison.notes),
        axis=f"F1 with its interval, {start} to 100",
        scores=_score_rows(comparison, start),
        differences="".join(_difference_rows(names, one) for one in comparison.differences),
        classes=_class_rows(comparison),
        signature=escape(comparison.signature),
        style=page_part("report.css"),
        script=page_part("report.js"),
        data=script_json(names, [excerpt_json(excerpt) for excerpt in excerpts(mistakes)]),
    )


def _headline(comparison: Comparison) -> str:
    """Return list items with the strict F1 of each system."""
    rows = ((name, evaluation.overall.strict) for name, evaluation in comparison.systems.items())
    cells = (
        (f"{escape(name)}, strict F1", percent(score.f1), f"95 % interval {interval(score)}") for name, score in rows
    )
    return "".join(f"<div><dt>{name}</dt><dd><b>{f1}</b> {more}</dd></div>" for name, f1, more in cells)


def _score_rows(comparison: Comparison, start: int) -> str:
    """Return table rows: a row for each system, first for all types together, then for each type."""
    of_types = {name: dict(_rows(system.overall, system.types)) for name, system in comparison.systems.items()}
    types = next(iter(of_types.values()))
    return "".join(
        _score_row(entity_type, name, rows[entity_type], start, first=number == 0)
        for entity_type in types
        for number, (name, rows) in enumerate(of_types.items())
    )


def _rows(overall: T, types: Mapping[str, T]) -> Iterable[tuple[str, T]]:
    """Return labelled values: first that of all types together, then those of each type if there are several."""
    return [("all types", overall), *(named_types(types) if len(types) > 1 else [])]


def _score_row(entity_type: str, system: str, scores: Scores, start: int, *, first: bool) -> str:
    shares = []
    for score in (scores.strict, scores.partial):
        shares += [percent(score.precision), percent(score.recall), f"<b>{percent(score.f1)}</b>"]
    cells = "".join(f"<td>{cell}</td>" for cell in (*shares, interval_plot(f"{entity_type}, {system}", scores, start)))
    heads = f'<th scope="row">{escape(entity_type) if first else ""}</th><th scope="row">{escape(system)}</th>'
    return f"<tr>{heads}{cells}</tr>"


def _difference_rows(names: list[str], differences: Differences) -> str:
    rows = []
    for entity_type, by_scheme in _rows(differences.overall, differences.types):
        for scheme in SCHEMES:
            one = by_scheme[scheme]
            cells = (
                scheme,
                f"<b>{_points(one.difference)}</b>",
                f"{_points(one.low)} to {_points(one.high)}",
                f"{one.p:.4f}",
                f"{one.won:,}",
                f"{one.lost:,}",
                f"{one.documents - one.won - one.lost:,}",
            )
            heads = "".join(f'<th scope="row">{escape(head)}</th>' for head in (entity_type, names[differences.b]))
            rows.append(f"<tr>{heads}" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return "".join(rows)


def _points(difference: float) -> str:
    """Return a difference of shares in percentage points, with its sign."""
    return f"{100 * difference:+.1f}".replace("-", "−")


def _class_rows(comparison: Comparison) -> str:
    rows = []
    for name, evaluation in comparison.systems.items():
        counts = [*count_kinds(evaluation.mistakes).values(), len(evaluation.mistakes)]
        cells = "".join(f"<td>{count:,}</td>" for count in counts)
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    return "".join(rows)
