"""The report of an evaluation: one HTML page that opens offline and shows every error in its sentence."""

from __future__ import annotations

import html
import json
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from importlib.resources import files
from pathlib import Path
from string import Template

from biomark.entity_types import label
from biomark.errors import FormatError
from biomark.evaluation.counts import SCHEMES
from biomark.evaluation.excerpts import excerpt_json, excerpts
from biomark.evaluation.mistakes import Mistake, MistakeKind, count_kinds, form, shown
from biomark.evaluation.output import named_types
from biomark.evaluation.scores import Evaluation, Score, Scores
from biomark.screen import visible

_KINDS = {
    MistakeKind.MISSING: "a gold mention that no prediction of its type overlaps",
    MistakeKind.WRONG: "a predicted mention that overlaps no gold mention of its type",
    MistakeKind.BOUNDARY: "the right type in the right place, with other boundaries",
    MistakeKind.TYPE: "the right place, with another type",
}
_FREQUENT = 15


def write_report(
    evaluation: Evaluation, folder: Path, *, system: str = "predictions", seen: Set[str] | None = None
) -> Path:
    """Write `index.html`, a page that opens offline and needs no other file.

    Args:
        evaluation: scores and errors, from `biomark.evaluation.evaluate`.
        folder: the folder of the page; it is created if it does not exist.
        system: the name of the system on the page.
        seen: surface forms of the training data (`surface_forms`), with which the page labels mentions
            as seen or unseen; None: no labels.

    Returns:
        The path of the page.

    Raises:
        FormatError: if the page cannot be written.
    """
    return write_page(folder, render(evaluation, system=system, seen=seen))


def write_page(folder: Path, text: str) -> Path:
    """Write the HTML `text` to `index.html` in a folder, which is created if needed, and return the file's path.

    Raises:
        FormatError: if the page cannot be written.
    """
    page = folder / "index.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        page.write_text(text, "utf-8", errors="replace")
    except OSError as error:
        raise FormatError(f"{page}: cannot be written: {error.strerror or error}") from error
    return page


def render(evaluation: Evaluation, *, system: str = "predictions", seen: Set[str] | None = None) -> str:
    """Return the HTML of the page that `write_report` writes."""
    template = Template(page_part("report.html"))
    mistakes = evaluation.mistakes
    return template.substitute(
        system=escape(system),
        headline=_headline(evaluation),
        notes="".join(f"<li>{escape(note)}</li>" for note in evaluation.notes),
        corpus=escape(evaluation.corpus or "gold"),
        axis=f"F1 with its interval, {axis_start([evaluation])} to 100",
        scores=_score_rows(evaluation),
        classes=_class_bars(mistakes),
        missed=_frequent(shown(m.gold, m.document.text) for m in mistakes if m.kind is MistakeKind.MISSING and m.gold),
        wrong=_frequent(
            shown(m.predicted, m.document.text) for m in mistakes if m.kind is MistakeKind.WRONG and m.predicted
        ),
        signature=escape(evaluation.signature),
        style=page_part("report.css"),
        script=page_part("report.js"),
        data=script_json([], [excerpt_json(excerpt, seen) for excerpt in excerpts([mistakes])]),
    )


def _headline(evaluation: Evaluation) -> str:
    strict, partial = evaluation.overall.strict, evaluation.overall.partial
    abbreviations = sum(mistake.has_abbreviation for mistake in evaluation.mistakes)
    figures = [
        ("Strict F1", percent(strict.f1), f"95 % interval {interval(strict)}"),
        ("Partial F1", percent(partial.f1), f"95 % interval {interval(partial)}"),
        ("Errors", f"{len(evaluation.mistakes):,}", f"{abbreviations:,} with an abbreviation"),
        ("Documents", f"{evaluation.documents:,}", f"{strict.counts.tp + strict.counts.fn:,} gold mentions"),
    ]
    if named := evaluation.overall.identifiers:
        description = f"95 % interval {interval(named.mention)}; accuracy@1 {percent(named.accuracy.at_1)}"
        figures.insert(2, ("Identifiers F1", percent(named.mention.f1), description))
    return "".join(f"<div><dt>{name}</dt><dd><b>{value}</b> {more}</dd></div>" for name, value, more in figures)


def _score_rows(evaluation: Evaluation) -> str:
    """Return table rows: first for all types together, then for each type if there are several."""
    start = axis_start([evaluation])
    if len(evaluation.types) == 1:
        return _score_row(label(*evaluation.types), evaluation.overall, start)
    rows = [("all types", evaluation.overall), *named_types(evaluation.types)]
    return "".join(_score_row(name, scores, start) for name, scores in rows)


def _score_row(name: str, scores: Scores, start: int) -> str:
    strict, partial, counts = scores.strict, scores.partial, scores.strict.counts
    cells = [
        *(percent(number) for number in (strict.precision, strict.recall)),
        f"<b>{percent(strict.f1)}</b>",
        *(percent(number) for number in (partial.precision, partial.recall)),
        f"<b>{percent(partial.f1)}</b>",
        *(f"{number:,}" for number in (counts.tp, counts.fp, counts.fn)),
        interval_plot(name, scores, start),
    ]
    return f'<tr><th scope="row">{escape(name)}</th>' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def axis_start(evaluations: Iterable[Evaluation]) -> int:
    """Return the percentage at which plots of intervals begin: a multiple of 20, at most 80, below all intervals."""
    rows = (scores for evaluation in evaluations for scores in (evaluation.overall, *evaluation.types.values()))
    lows = (score.low for scores in rows for score in _both(scores))
    return min(80, int(100 * min(lows)) // 20 * 20)


def _both(scores: Scores) -> tuple[Score, Score]:
    return scores.strict, scores.partial


def interval_plot(name: str, scores: Scores, start: int) -> str:
    """Return an SVG plot of F1 and its interval: strict as a dot above, partial as a ring below.

    Args:
        name: the name of the row, for screen readers.
        scores: the scores to plot.
        start: the percentage at the left end of the axis, which ends at 100.
    """

    def x(percent: float) -> float:
        return 4 + 200 * (percent - start) / (100 - start)

    description = "; ".join(
        f"{scheme} F1 {percent(score.f1)}, {interval(score)}"
        for scheme, score in zip(SCHEMES, _both(scores), strict=True)
    )
    marks = "".join(f'<path class="axis" d="M{x(tick):.1f} 2v24"/>' for tick in range(start, 101, (100 - start) // 4))
    for scheme, score, y in zip(SCHEMES, _both(scores), (9, 20), strict=True):
        marks += f'<path class="{scheme}" d="M{x(100 * score.low):.1f} {y}H{x(100 * score.high):.1f}"/>'
        marks += f'<circle class="{scheme}" cx="{x(100 * score.f1):.1f}" cy="{y}" r="3.5"/>'
    title = f"{escape(name)}: {description}"
    return f'<svg class="interval" viewBox="0 0 208 28" role="img" aria-label="{title}">{marks}</svg>'


def _class_bars(mistakes: Sequence[Mistake]) -> str:
    """Return a bar chart of the classes of errors, with widths relative to the largest class."""
    counts = count_kinds(mistakes)
    largest, rows = max(1, *counts.values()), ""
    for row, (kind, count) in enumerate(counts.items()):
        y, width = 34 * row, 170 * count / largest
        share = f"{count:,} · {100 * count / max(1, len(mistakes)):.0f} %"
        rows += f'<text x="0" y="{y + 20}">{kind}</text>'
        rows += f'<rect class="{kind}" x="84" y="{y + 4}" width="{width:.1f}" height="24" rx="3"/>'
        rows += f'<text x="{92 + width:.1f}" y="{y + 20}">{share}</text>'
    description = ", ".join(f"{kind} {count}" for kind, count in counts.items())
    figure = f'<svg viewBox="0 0 360 136" role="img" aria-label="Errors by class: {description}">{rows}</svg>'
    meanings = "".join(f"<dt>{kind}</dt><dd>{meaning}</dd>" for kind, meaning in _KINDS.items())
    return f"{figure}<dl>{meanings}</dl>"


def _frequent(mentions: Iterable[str]) -> str:
    """Return the most frequent surface forms as buttons that search for them on the page."""
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for mention in mentions:
        counts[form(mention)] += 1
        first.setdefault(form(mention), mention)
    rows = (_frequent_row(first[key], count) for key, count in counts.most_common(_FREQUENT))
    return "".join(rows) or "<li>none</li>"


def _frequent_row(mention: str, count: int) -> str:
    one_line = escape(" ".join(mention.split()))  # a search field cannot contain line breaks
    return f'<li><button type="button" data-search="{one_line}">{one_line}</button> {count:,}</li>'


def page_part(name: str) -> str:
    """Return the text of one of this package's template, style or script files."""
    return files("biomark.evaluation").joinpath(name).read_text("utf-8")


def script_json(systems: Sequence[str], excerpts: Sequence[dict[str, object]]) -> str:
    """Return the data for the script of a page, as JSON with `<` escaped so that it cannot end its element.

    Args:
        systems: the names of the compared systems; empty for a single system.
        excerpts: the excerpts, from `excerpt_json`.
    """
    data = {"systems": [visible(name) for name in systems], "excerpts": excerpts}
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def interval(score: Score) -> str:
    """Return the ends of a score's interval in percent."""
    return f"{percent(score.low)} – {percent(score.high)}"


def percent(share: float) -> str:
    """Return a share in percent, with one decimal."""
    return f"{100 * share:.1f}"


def escape(text: str) -> str:
    """Escape a text for HTML, with visible symbols in place of control characters."""
    return html.escape(visible(text), quote=True)
