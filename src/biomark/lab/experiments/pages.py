"""Pages that show an experiment's figures beside the published ones, in the layout of the paper.

A page needs only its JSON file (`biomark.lab.experiments.facts`), so that it can be written again without a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from biomark.evaluation.counts import SCHEMES
from biomark.evaluation.significance import SHUFFLES
from biomark.lab.experiments import svg
from biomark.lab.experiments.facts import SAMPLE
from biomark.lab.experiments.findings import Estimate
from biomark.lab.experiments.outcome import Outcome, Table
from biomark.lab.experiments.published import PublishedRow
from biomark.lab.experiments.sheet import UNPAIRED, Cell, Sheet, short
from biomark.lab.experiments.specs import TRAINED, Experiment
from biomark.lab.experiments.svg import Point
from biomark.lab.experiments.verdicts import MARGIN, judge

KINDS = ("missing", "wrong", "boundary")
_FIGURES = ("precision", "recall", "f1")
_WIDE = 3  # a table of more test sets than this has F1 alone
_EMPTY = "not run"
_DIFFERENCES = "Differences in F1, model B minus model A"


@dataclass(frozen=True, slots=True)
class PagePart:
    """The tables of a layout, and its pictures (SVG) by their titles."""

    tables: tuple[Table, ...]
    figures: Mapping[str, str]


def page(experiment: Experiment, data: Mapping[str, Any]) -> Outcome:
    """Make the page of an experiment.

    Args:
        experiment: the row of the experiment.
        data: the result of `biomark.lab.experiments.facts.gather`, or the content of its JSON file.
    """
    sheet = Sheet(experiment, data)
    part = LAYOUTS[experiment.layout](sheet)
    findings = [finding for claim in experiment.claims if (finding := judge(claim, sheet))]
    about = f"{experiment.source}. {experiment.about}\n\n{_made(sheet)}"
    tables = (*part.tables, _test_table(sheet), _model_table(sheet))
    notes = (*experiment.notes, *_restrictions(sheet), *(_RULES if findings else ()))
    # Verdicts are computed from the figures, so that an older file gets those of the present rules.
    facts = {**data, "findings": [finding.as_json() for finding in findings]}
    sentences = tuple(finding.sentence() for finding in findings)
    return Outcome(experiment.title, about, tables, notes, facts, part.figures, sentences)


def _made(sheet: Sheet) -> str:
    command = f"`biomark reproduce {sheet.experiment.name} --scale {sheet.scale}`"
    if not sheet.all_cells:
        return f"Not run yet. Run it with {command}."
    hardware, seconds = sheet.data["hardware"], sheet.data["seconds"]
    gpus = f", {hardware['gpus']}" if hardware.get("gpus") else ", no GPU"
    return (
        f"Produced by {command} on {hardware['processor']} ({hardware['cores']} cores{gpus}): "
        f"{seconds['training'] / 60:.0f} minutes of training and {seconds['reading'] / 60:.0f} minutes of inference."
        + (" The notes name the rows from earlier runs." if sheet.data.get("kept") else "")
    )


_RULES = (
    "A difference counts as shown if its 95 % confidence interval excludes 0. That two models match counts as shown "
    f"only if the interval excludes differences of more than {100 * MARGIN:.0f} points; that something does not "
    f"help, only if it excludes gains of more than {100 * MARGIN:.0f} points. *Not shown* is no evidence of equality.",
)


# Scores


def _scores(sheet: Sheet) -> PagePart:
    table = _wide if len(sheet.tests) > _WIDE else _narrow
    tables = [table(sheet, scheme) for scheme in SCHEMES]
    tables += [_row_by_row(sheet, scheme) for scheme in SCHEMES if _beside(sheet, scheme)]
    tables += [made for make in (_spreads, _differences) if (made := make(sheet)).rows]
    panels: dict[str, dict[str, Point]] = {short(test): {} for test in sheet.tests}
    for model in sheet.models:
        for test in sheet.tests:
            for cell in sheet.cells(model, test)[:1]:
                strict = cell["strict"]
                panels[short(test)][sheet.title(model)] = Point(0.0, strict["f1"], strict["low"], strict["high"])
    picture = svg.intervals(panels, label="strict F1 in percent, with 95 % confidence intervals")
    return PagePart(tuple(tables), {f"{sheet.experiment.title}: strict F1": picture})


def _narrow(sheet: Sheet, scheme: str) -> Table:
    header = ("model", *(f"{short(test)} {figure}" for test in sheet.tests for figure in ("P", "R", "F1")))
    rows: list[tuple[str, ...]] = []
    for model in sheet.models:
        cells = [cell for test in sheet.tests for cell in _three(sheet, model, test, scheme)]
        rows.append((sheet.title(model), *cells))
    for row in _published(sheet, scheme):
        known = [row.figures(scheme, test) or ("",) * 3 for test in sheet.tests]
        rows.append((f"*{row.model}, published*", *(_three_digits(one) for each in known for one in each)))
    return Table(f"{scheme.capitalize()} match", header, tuple(rows))


def _three(sheet: Sheet, model: str, test: str, scheme: str) -> tuple[str, ...]:
    cell = next(iter(sheet.cells(model, test)), None)
    if cell is None:
        return (_EMPTY,) * 3 if sheet.meant(model, test) else ("",) * 3
    return (*(f"{cell[scheme][figure]:.3f}" for figure in _FIGURES[:2]), _f1(cell, scheme))


def _wide(sheet: Sheet, scheme: str) -> Table:
    rows = []
    for model in sheet.models:
        rows.append((sheet.title(model), *(_three(sheet, model, test, scheme)[2] for test in sheet.tests)))
    return Table(f"{scheme.capitalize()} match, F1", ("model", *map(short, sheet.tests)), tuple(rows))


def _published(sheet: Sheet, scheme: str) -> list[PublishedRow]:
    """Return the paper's rows that have figures on these test sets."""
    rows = sheet.experiment.published.figures if sheet.experiment.published else ()
    return [row for row in rows if any(row.figures(scheme, test) for test in sheet.tests)]


def _three_digits(figure: float | str) -> str:
    return f"{figure:.3f}" if isinstance(figure, float) else figure


def _beside(sheet: Sheet, scheme: str) -> list[PublishedRow]:
    return _published(sheet, scheme) if sheet.setting.beside else []


def _row_by_row(sheet: Sheet, scheme: str) -> Table:
    """Return the table of the paper's figures beside those of the models that correspond to the paper's."""
    header = ["published model", "our model"]
    for test in sheet.tests:
        header += [f"{short(test)}, published", f"{short(test)}, ours", "ours − published (points)"]
    rows = []
    for row in _beside(sheet, scheme):
        model = sheet.setting.beside.get(row.model, "")
        cells = [
            f"*{row.model}*",
            sheet.title(model) if model in sheet.models else _EMPTY if model else "no counterpart",
        ]
        for test in sheet.tests:
            theirs = row.figures(scheme, test)
            ours = next((cell[scheme]["f1"] for cell in sheet.cells(model, test)), None)
            cells += [
                f"{theirs.f1:.3f}" if theirs else "",
                (_EMPTY if model else "") if ours is None else f"{ours:.3f}",
            ]
            cells.append(f"{100 * (ours - theirs.f1):+.1f}" if theirs and ours is not None else "")
        rows.append(tuple(cells))
    return Table(f"Published and our {scheme} F1", tuple(header), tuple(rows))


def _spreads(sheet: Sheet) -> Table:
    """Return the table of the test scores of all settings, for models that are the best of a grid."""
    rows = []
    for cell in sheet.all_cells:
        for scheme in SCHEMES if "grid" in cell else ():
            spread = cell["grid"][scheme]
            values = (f"{spread[name]:.3f}" for name in ("minimum", "median", "maximum"))
            chosen = f"{cell[scheme]['f1']:.3f}"
            settings = str(cell["grid"]["settings"])
            rows.append((sheet.title(cell["model"]), short(cell["test"]), scheme, settings, *values, chosen))
    header = ("model", "test set", "match", "settings", "minimum", "median", "maximum", "chosen by validation loss")
    return Table("Test F1 of all settings of the hyperparameter grid", header, tuple(rows))


def _differences(sheet: Sheet) -> Table:
    rows = []
    for row in sheet.data.get("contrasts", ()):
        read = sheet.documents(row["test"])
        tested = {s: f"{row[s]['p']:.4f}" if "p" in row[s] else "not tested" for s in SCHEMES}
        cells = [cell for s in SCHEMES for cell in (_estimate(row[s]).points(read), tested[s])]
        rows.append((short(row["test"]), sheet.title(row["a"]), sheet.title(row["b"]), *cells))
    each = [name for scheme in SCHEMES for name in (f"{scheme} F1, B − A", f"p ({scheme})")]
    return Table(_DIFFERENCES, ("test set", "model A", "model B", *each), tuple(rows))


def _f1(cell: Cell, scheme: str) -> str:
    return _with_interval(cell["documents"], *(cell[scheme][end] for end in ("f1", "low", "high")))


def _with_interval(documents: int, value: float, low: float, high: float) -> str:
    interval = f" ({low:.3f}–{high:.3f})" if documents > 1 else ""
    return f"**{value:.3f}**{interval}"


def _estimate(facts: Mapping[str, float]) -> Estimate:
    return Estimate(facts["value"], facts["low"], facts["high"])


# Errors


def _errors(sheet: Sheet) -> PagePart:
    rows, shares = [], {}
    for model in sheet.models:
        for test in sheet.tests:
            for cell in sheet.cells(model, test)[:1]:
                errors = cell["errors"]
                total = sum(errors.values())
                each = {kind: errors[kind] / max(total, 1) for kind in KINDS}
                counts = (f"{errors[kind]} ({share:.0%})" for kind, share in each.items())
                rows.append((sheet.title(model), short(test), str(total), *counts))
                percent = {kind: round(100 * share) for kind, share in each.items()}
                shares[f"{sheet.title(model)}: {short(test)}"] = percent
    for one in sheet.experiment.published.counts if sheet.experiment.published else ():
        shares[f"{one.model}, published: {short(one.set)}"] = dict(one.errors)
    counted = Table("All errors on the test sets", ("model", "test set", "errors", *KINDS), tuple(rows))
    picture = svg.stacks(shares, label="Errors by class, in percent")
    return PagePart((_sampled(sheet), counted), {"Errors by class": picture})


def _sampled(sheet: Sheet) -> Table:
    rows = []
    for model in sheet.models:
        for test in sheet.tests:
            drawn = [row["kind"] for row in sheet.data["sample"] if (row["model"], row["test"]) == (model, test)]
            if drawn:
                counts = (str(drawn.count(kind)) for kind in KINDS)
                rows.append((sheet.title(model), short(test), str(len(drawn)), *counts))
    for one in sheet.experiment.published.counts if sheet.experiment.published else ():
        counts = (str(one.errors[kind]) for kind in KINDS)
        rows.append((f"*{one.model}, published*", short(one.set), str(sum(one.errors.values())), *counts))
    return Table("Random sample of errors", ("model", "test set", "errors sampled", *KINDS), tuple(rows))


# The curve of data


def _curve(sheet: Sheet) -> PagePart:
    tables = [_curve_table(sheet, scheme) for scheme in SCHEMES]
    tables += [made for made in (_costs(sheet), _changes(sheet)) if made.rows]
    panels: dict[str, dict[str, list[Point]]] = {short(test): {} for test in sheet.tests}
    for row in sheet.data["curve"]:
        if row["scheme"] == "strict":
            points = [Point(float(f), p["f1"], p["low"], p["high"]) for f, p in row["fractions"].items()]
            panels[short(row["test"])][sheet.title(row["model"])] = points
    picture = svg.lines(panels, x_label="percent of the training sentences", y_label="strict F1 in percent")
    return PagePart(tuple(tables), {"Strict F1 by share of the training data": picture})


def _curve_table(sheet: Sheet, scheme: str) -> Table:
    known = {(row["model"], row["test"]): row["fractions"] for row in sheet.data["curve"] if row["scheme"] == scheme}
    rows = []
    for model in sheet.models:
        for test in sheet.tests:
            points = [known.get((model, test), {}).get(f"{fraction:g}") for fraction in sheet.fractions]
            read = sheet.documents(test)
            cells = (_with_interval(read, p["f1"], p["low"], p["high"]) if p else _EMPTY for p in points)
            rows.append((sheet.title(model), short(test), *cells))
    header = ("model", "test set", *(f"{fraction:.0%}" for fraction in sheet.fractions))
    return Table(
        f"{scheme.capitalize()} F1 by share of the training data, {_seeds(len(sheet.data['seeds']))}",
        header,
        tuple(rows),
    )


def _seeds(count: int) -> str:
    return f"mean of {count} seeds" if count > 1 else "one seed"


def _costs(sheet: Sheet) -> Table:
    """Format the loss of F1 with a share of the training data, and the difference of two models with the same share."""
    rows = []
    for row in sheet.data["contrasts"]:
        pair = (f"{sheet.title(row[side])}, {row[f'{side}_fraction']:.0%} of the data" for side in ("a", "b"))
        read = sheet.documents(row["test"])
        rows.append((short(row["test"]), *pair, *(_estimate(row[scheme]).points(read) for scheme in SCHEMES)))
    header = ("test set", "model A", "model B", *(f"{scheme} F1, B − A" for scheme in SCHEMES))
    return Table(_DIFFERENCES, header, tuple(rows))


def _changes(sheet: Sheet) -> Table:
    rows = []
    for one in sheet.experiment.published.changes if sheet.experiment.published else ():
        sets = ", ".join(map(short, one.sets)) or "all three of the paper"
        rows.append((one.what, f"{one.fraction:.0%}" if one.fraction else "", sets, one.points()))
    return Table(
        "Published differences in strict F1",
        ("comparison", "share of the data", "test sets", "difference"),
        tuple(rows),
    )


# Pairs


def _pairs(sheet: Sheet) -> PagePart:
    tables = []
    for test in sheet.tests:
        rows = []
        for row in sheet.data["pairs"]:
            if row["test"] == test:
                each = [row[scheme] for scheme in SCHEMES]
                cells = [cell for one in each for cell in _tested(one, sheet.documents(test))]
                rows.append((sheet.title(row["a"]), sheet.title(row["b"]), *cells))
        each = [name for s in SCHEMES for name in (f"{s} F1, B − A", f"p ({s})", f"adjusted p ({s})")]
        title = f"{short(test)}: differences in F1, model B minus model A"
        tables.append(Table(title, ("model A", "model B", *each), tuple(rows)))
    return PagePart(tuple(tables), {})


def _tested(facts: Mapping[str, float], documents: int) -> tuple[str, str, str]:
    return _estimate(facts).points(documents), f"{facts['p']:.4f}", f"{facts['adjusted']:.4f}"


def _scores_and_pairs(sheet: Sheet) -> PagePart:
    scores, pairs = _scores(sheet), _pairs(sheet)
    return PagePart(scores.tables + pairs.tables, scores.figures)


# What was run


def _test_table(sheet: Sheet) -> Table:
    rows = []
    for test in sheet.tests:
        cell = next((cell for cell in sheet.all_cells if cell["test"] == test), None)
        if cell:
            numbers = (f"{cell[name]:,}" for name in ("documents", "sentences", "mentions"))
            rows.append((short(test), ", ".join(cell["types"]), *numbers))
    return Table("Test sets", ("test set", "type", "documents", "sentences", "mentions"), tuple(rows))


def _model_table(sheet: Sheet) -> Table:
    rows = []
    for name, facts in sheet.models.items():
        run, speed = name in {cell["model"] for cell in sheet.all_cells}, sheet.speed(name)
        trained = facts["method"] in TRAINED
        made = (str(facts["trained"]), str(facts["minutes"])) if trained and run else ("", "")
        rate = _rate(speed) if speed else "not measured" if run else _EMPTY
        passes = str(facts["passes"]) if facts["passes"] > 1 else ""
        method = facts["recipe"] or _METHODS.get(facts["method"], facts["method"])
        rows.append((facts["title"], method, _taught(facts) if trained else facts["model"], passes, *made, rate))
    training = ("epochs", "models trained", "minutes of training")
    header = ("model", "recipe or method", "training data, or ready weights", *training, "sentences per second")
    return Table("Models", header, tuple(rows))


_METHODS: Mapping[str, str] = {
    "ready": "ready model",
    "crf": "CRF",
    "spacy": "spaCy",
    "prompted": "prompted",
    "gguf": "prompted, GGUF file",
}
"""The names on pages of the methods that have no recipe."""


def _rate(sentences: float) -> str:
    """Format a number of sentences per second, with one decimal below 10."""
    return f"{sentences:.0f}" if sentences >= 10 else f"{sentences:.1f}"


def _taught(facts: Mapping[str, Any]) -> str:
    how = ["one model for each type"] if facts["single"] else []
    how += [f"{facts['sentences']:,} sentences of each corpus"] if facts["sentences"] else []
    return f"{', '.join(how)}{': ' if how else ''}{', '.join(facts['train'])}"


def _drawn(models: Iterable[Mapping[str, Any]]) -> str:
    """Format the numbers of sentences that models have of each corpus, for those models that do not have all."""
    return " or ".join(f"{count:,}" for count in sorted({one["sentences"] for one in models if one["sentences"]}))


def _restrictions(sheet: Sheet) -> list[str]:
    data = sheet.data
    notes = [note for note in dict.fromkeys(one.get("note", "") for one in sheet.models.values()) if note]
    if data["test_sentences"]:
        notes.append(
            "Whole documents were drawn at random (seed 0) from each test set until they contained "
            f"{data['test_sentences']:,} sentences, or until all documents were drawn."
        )
    models = sheet.models.values()
    if counts := _drawn(one for one in models if one["method"] in TRAINED):
        notes.append(
            f"Models that were tuned for this page were trained on {counts} sentences of each corpus, drawn at random. "
            "The best epoch was chosen on sentences drawn at random from the development splits."
        )
    if counts := _drawn(one for one in models if one["method"] not in TRAINED):
        notes.append(f"Demonstrations were chosen from {counts} sentences of each corpus, drawn at random.")
    if sheet.setting.repeats:
        times = ("once" if n == 1 else f"{n} times" for n in data["repeats"])
        each = ", ".join(f"{n} for {f:.0%}" for n, f in zip(times, sheet.fractions, strict=True))
        notes.append(f"To give small shares enough training steps, an epoch repeats their sentences: {each}.")
    if any("p" in row[SCHEMES[0]] for row in data.get("contrasts", ())):
        notes.append(
            f"The p-values are those of paired approximate permutation tests ({SHUFFLES:,} shuffles, two-sided, by "
            "documents), without a correction for the number of comparisons."
        )
    notes += _odd(sheet)
    seeds = data["seeds"]
    return [
        *notes,
        f"Seeds of sampling and training: {', '.join(map(str, seeds))}. Intervals are 95 % confidence intervals by "
        "bootstrap over documents" + (" and seeds." if len(seeds) > 1 else "."),
    ]


def _odd(sheet: Sheet) -> list[str]:
    """Return notes about figures of earlier runs."""
    notes = [
        f"The scores of {', '.join(f'*{sheet.title(model)}*' for model in origin['models'])} are from an earlier run "
        f"({origin['file']}) on {origin['hardware']['processor']}, with biomark {origin['versions']['biomark']}."
        for origin in sheet.data.get("kept", ())
    ]
    unpaired = [row for row in sheet.data.get("contrasts", ()) if row.get("interval") == UNPAIRED]
    if unpaired:
        pairs = dict.fromkeys(f"*{sheet.title(r['a'])}* and *{sheet.title(r['b'])}*" for r in unpaired)
        between = "" if "curve" in sheet.data else f" between {', '.join(pairs)}"
        notes.append(
            f"The predictions of an earlier run were not kept. The intervals of the differences{between} "
            "are derived from the intervals of the two scores as if these were independent (Zou & Donner 2008), which "
            "usually makes them wider than paired intervals."
        )
    if any(cell.get("cached_answers") for cell in sheet.all_cells):
        notes.append("Answers from the cache, such as those of an interrupted run, are not counted in the speeds.")
    drawn = [(row["model"], row["test"]) for row in sheet.data.get("sample", ())]
    short_of = [cell for cell in sheet.all_cells if 0 < drawn.count((cell["model"], cell["test"])) < _due(cell)]
    if short_of:
        notes.append(
            f"This run sampled {SAMPLE} errors of each model from all test sets together. Newer runs sample {SAMPLE} "
            "from each test set, as in the paper. The table of all errors and the figure are not affected."
        )
    return notes


def _due(cell: Cell) -> int:
    errors: Mapping[str, int] = cell["errors"]
    return min(SAMPLE, sum(errors.values()))


LAYOUTS: Mapping[str, Callable[[Sheet], PagePart]] = {
    "scores": _scores,
    "errors": _errors,
    "curve": _curve,
    "pairs": _pairs,
    "scores and pairs": _scores_and_pairs,
}
"""The functions that make the tables of each layout of `experiments.toml`."""
