"""The report of an evaluation: one HTML page that opens offline, with every error in its sentence."""

from __future__ import annotations

import html
import json
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from string import Template

from biomark.entity_types import label
from biomark.errors import FormatError
from biomark.evaluation.counts import SCHEMES
from biomark.evaluation.mistakes import Kind, Mistake, count_kinds, form, sentence_of
from biomark.evaluation.output import named_types
from biomark.evaluation.scores import Evaluation, Score, Scores
from biomark.sentences import with_sentences
from biomark.spans import Document, Entity, Span

_KINDS = {
    Kind.MISSING: "a gold mention that no prediction of its type overlaps",
    Kind.WRONG: "a predicted mention that overlaps no gold mention of its type",
    Kind.BOUNDARY: "the right type in the right place, with other boundaries",
    Kind.TYPE: "the right place, with another type",
}
_FREQUENT = 15
_GOLD, _PREDICTED = 1, 2  # bits of a segment; the page's script knows them too


def write_report(
    evaluation: Evaluation, folder: Path, *, system: str = "predictions", seen: Set[str] | None = None
) -> Path:
    """Write `index.html`, which needs nothing beside it and no network.

    Args:
        evaluation: scores and errors, from `biomark.evaluation.evaluate`.
        folder: is made if it is not there.
        system: how the page calls the predictions.
        seen: surface forms of the training data (`surface_forms`); None: the page does not tell
            which mentions were seen there.

    Returns:
        The page's path.

    Raises:
        FormatError: if it cannot be written.
    """
    page = folder / "index.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        page.write_text(render(evaluation, system=system, seen=seen), "utf-8")
    except OSError as error:
        raise FormatError(f"{page}: cannot be written: {error.strerror or error}") from error
    return page


def render(evaluation: Evaluation, *, system: str = "predictions", seen: Set[str] | None = None) -> str:
    """The page's text; see `write_report`."""
    template = Template(files("biomark.evaluation").joinpath("report.html").read_text("utf-8"))
    mistakes = evaluation.mistakes
    return template.substitute(
        system=_escape(system),
        headline=_headline(evaluation),
        notes="".join(f"<li>{_escape(note)}</li>" for note in evaluation.notes),
        corpus=_escape(evaluation.corpus or "gold"),
        axis=f"F1 with its interval, {_axis_start(evaluation)} to 100",
        scores=_score_rows(evaluation),
        classes=_class_bars(mistakes),
        missed=_frequent(m.gold.mention(m.document.text) for m in mistakes if m.kind is Kind.MISSING and m.gold),
        wrong=_frequent(m.predicted.mention(m.document.text) for m in mistakes if m.kind is Kind.WRONG and m.predicted),
        signature=_escape(evaluation.signature),
        data=_script_json(_errors(mistakes, seen)),
    )


def _headline(evaluation: Evaluation) -> str:
    strict, partial = evaluation.overall.strict, evaluation.overall.partial
    abbreviations = sum(mistake.has_abbreviation for mistake in evaluation.mistakes)
    figures = [
        ("Strict F1", _percent(strict.f1), f"95 % interval {_interval(strict)}"),
        ("Partial F1", _percent(partial.f1), f"95 % interval {_interval(partial)}"),
        ("Errors", f"{len(evaluation.mistakes):,}", f"{abbreviations:,} with an abbreviation"),
        ("Documents", f"{evaluation.documents:,}", f"{strict.counts.tp + strict.counts.fn:,} gold mentions"),
    ]
    if named := evaluation.overall.identifiers:
        told = f"95 % interval {_interval(named.mention)}; accuracy@1 {_percent(named.accuracy.at_1)}"
        figures.insert(2, ("Identifiers F1", _percent(named.mention.f1), told))
    return "".join(f"<div><dt>{name}</dt><dd><b>{value}</b> {more}</dd></div>" for name, value, more in figures)


def _score_rows(evaluation: Evaluation) -> str:
    """Table rows: all types, then each one unless it is the only one."""
    start = _axis_start(evaluation)
    if len(evaluation.types) == 1:
        return _score_row(label(*evaluation.types), evaluation.overall, start)
    rows = [("all types", evaluation.overall), *named_types(evaluation.types)]
    return "".join(_score_row(name, scores, start) for name, scores in rows)


def _score_row(name: str, scores: Scores, start: int) -> str:
    strict, partial, counts = scores.strict, scores.partial, scores.strict.counts
    cells = [
        *(_percent(number) for number in (strict.precision, strict.recall)),
        f"<b>{_percent(strict.f1)}</b>",
        *(_percent(number) for number in (partial.precision, partial.recall)),
        f"<b>{_percent(partial.f1)}</b>",
        *(f"{number:,}" for number in (counts.tp, counts.fp, counts.fn)),
        _interval_plot(name, scores, start),
    ]
    return f'<tr><th scope="row">{_escape(name)}</th>' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _axis_start(evaluation: Evaluation) -> int:
    """The percentage at which the plots of intervals begin: a multiple of 20 below all of them."""
    lows = (score.low for scores in (evaluation.overall, *evaluation.types.values()) for score in _both(scores))
    return min(80, int(100 * min(lows)) // 20 * 20)


def _both(scores: Scores) -> tuple[Score, Score]:
    return scores.strict, scores.partial


def _interval_plot(name: str, scores: Scores, start: int) -> str:
    """F1 from `start` to 100 with its interval: strict above as a dot, partial below as a ring."""

    def x(percent: float) -> float:
        return 4 + 200 * (percent - start) / (100 - start)

    told = "; ".join(
        f"{scheme} F1 {_percent(score.f1)}, {_interval(score)}"
        for scheme, score in zip(SCHEMES, _both(scores), strict=True)
    )
    marks = "".join(f'<path class="axis" d="M{x(tick):.1f} 2v24"/>' for tick in range(start, 101, (100 - start) // 4))
    for scheme, score, y in zip(SCHEMES, _both(scores), (9, 20), strict=True):
        marks += f'<path class="{scheme}" d="M{x(100 * score.low):.1f} {y}H{x(100 * score.high):.1f}"/>'
        marks += f'<circle class="{scheme}" cx="{x(100 * score.f1):.1f}" cy="{y}" r="3.5"/>'
    return f'<svg class="interval" viewBox="0 0 208 28" role="img" aria-label="{_escape(name)}: {told}">{marks}</svg>'


def _class_bars(mistakes: Sequence[Mistake]) -> str:
    """A bar for each class of error, as wide as its share of the largest one."""
    counts = count_kinds(mistakes)
    largest, rows = max(1, *counts.values()), ""
    for row, (kind, count) in enumerate(counts.items()):
        y, width = 34 * row, 170 * count / largest
        share = f"{count:,} · {100 * count / max(1, len(mistakes)):.0f} %"
        rows += f'<text x="0" y="{y + 20}">{kind}</text>'
        rows += f'<rect class="{kind}" x="84" y="{y + 4}" width="{width:.1f}" height="24" rx="3"/>'
        rows += f'<text x="{92 + width:.1f}" y="{y + 20}">{share}</text>'
    told = ", ".join(f"{kind} {count}" for kind, count in counts.items())
    figure = f'<svg viewBox="0 0 360 136" role="img" aria-label="Errors by class: {told}">{rows}</svg>'
    meanings = "".join(f"<dt>{kind}</dt><dd>{meaning}</dd>" for kind, meaning in _KINDS.items())
    return f"{figure}<dl>{meanings}</dl>"


def _frequent(mentions: Iterable[str]) -> str:
    """The most frequent surface forms as buttons that search for them."""
    counts: Counter[str] = Counter()
    shown: dict[str, str] = {}
    for mention in mentions:
        counts[form(mention)] += 1
        shown.setdefault(form(mention), mention)
    rows = (_frequent_row(shown[key], count) for key, count in counts.most_common(_FREQUENT))
    return "".join(rows) or "<li>none</li>"


def _frequent_row(mention: str, count: int) -> str:
    one_line = _escape(" ".join(mention.split()))  # a field for searching takes no line ends
    return f'<li><button type="button" data-search="{one_line}">{one_line}</button> {count:,}</li>'


def _errors(mistakes: Iterable[Mistake], seen: Set[str] | None) -> list[dict[str, object]]:
    """What the page's script shows of each error."""
    split: dict[str, Document] = {}
    errors = []
    for mistake in mistakes:
        text = mistake.document.text
        document = split.get(mistake.document.id)
        if document is None:
            document = split[mistake.document.id] = with_sentences(mistake.document)
        mentions = {"gold": mistake.gold, "predicted": mistake.predicted}
        error: dict[str, object] = {
            "kind": mistake.kind,
            "document": mistake.document.id,
            "segments": _segments(text, sentence_of(mistake, document), mistake.gold, mistake.predicted),
            "abbreviation": mistake.has_abbreviation,
            "seen": None if seen is None else any(form(m.mention(text)) in seen for m in mistake.mentions[:1]),
        }
        for side, mention in mentions.items():
            if mention is not None:
                offsets = ", ".join(f"{span.start}–{span.end}" for span in mention.spans)
                error[side] = {"type": label(mention.type), "mention": mention.mention(text), "offsets": offsets}
        errors.append(error)
    return errors


def _segments(text: str, window: Span, gold: Entity | None, predicted: Entity | None) -> list[tuple[str, int]]:
    """The text of a window in pieces, each with a bit for gold and one for predicted."""
    marks = [
        (span, bit) for mention, bit in ((gold, _GOLD), (predicted, _PREDICTED)) if mention for span in mention.spans
    ]
    cuts = sorted({window.start, window.end, *(cut for span, _ in marks for cut in (span.start, span.end))})
    pieces = [Span(start, end) for start, end in pairwise(cuts)]
    return [(piece.of(text), sum(bit for span, bit in marks if span.contains(piece))) for piece in pieces]


def _script_json(value: object) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _interval(score: Score) -> str:
    return f"{_percent(score.low)} – {_percent(score.high)}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _escape(text: str) -> str:
    return html.escape(text, quote=True)
