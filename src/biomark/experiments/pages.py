"""An experiment's results as a page in the layout of the paper: tables, pictures, what holds at this size."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from biomark import evaluation
from biomark.evaluation import Mistake
from biomark.evaluation.counts import SCHEMES
from biomark.evaluation.mistakes import sentence_of
from biomark.experiments import figures
from biomark.experiments.cells import Result
from biomark.experiments.data import test_documents
from biomark.experiments.figures import Point
from biomark.experiments.findings import Estimate, Figures, difference, f1_of, p_values
from biomark.experiments.outcome import Outcome, Table
from biomark.experiments.rows import TRAINED, Model
from biomark.experiments.runner import Job
from biomark.sentences import with_sentences
from biomark.spans import Entity

SAMPLE = 100  # errors of each model that are listed
_WIDE = 3  # test sets beyond which a table has F1 alone
SHORT = {
    "ncbi_disease": "NCBI-disease",
    "bc5cdr_chemical": "BC5CDR-chemical",
    "bc5cdr_disease": "BC5CDR-disease",
    "bc2gm": "BC2GM",
    "nlm_chem": "NLM-Chem",
    "nlm_gene": "NLM-Gene",
    "s800": "S800",
    "linnaeus": "LINNAEUS",
    "bioid": "BioID",
    "tmvar3": "tmVar3",
}


@dataclass(frozen=True, slots=True)
class Part:
    """What a layout makes of results: tables, pictures by their titles, and figures for programs."""

    tables: tuple[Table, ...]
    figures: Mapping[str, str]
    data: Mapping[str, object]


def page(job: Job, results: Sequence[Result], seconds: float) -> Outcome:
    """The page of an experiment.

    Args:
        job: the experiment.
        results: of all its test cells.
        seconds: that this run took.
    """
    experiment = job.experiment
    found = Figures(results, {test: short(test) for test in job.setting.tests})
    part = LAYOUTS[experiment.layout](job, found)
    names = {model.name for model in job.models}
    claims = [claim for claim in experiment.claims if names.issuperset(claim.models)]
    judged = [sentence for claim in claims if (sentence := found.judge(claim))]
    took = job.seconds()
    about = (
        f"{experiment.source}. {experiment.about}\n\nMade by `biomark reproduce {experiment.name} --scale {job.scale}` "
        f"on {_hardware(job)}: {took['training'] / 60:.0f} minutes of training, {took['reading'] / 60:.0f} of reading."
    )
    data = {
        **job.facts(),
        "seconds": {**took, "this run": round(seconds, 1)},
        # Reasons may quote the texts of corpora, which are not to be published with the page.
        "cells": [{k: v for k, v in result.facts.items() if k != "reasons"} for result in results],
        "published": [
            {"model": one.model, "test": one.test, "figure": one.figure, "value": one.value}
            for one in experiment.published
        ],
        **part.data,
        "findings": judged,
    }
    tables = (*part.tables, _test_table(job, found), _model_table(job))
    notes = (*experiment.notes, *_restrictions(job))
    return Outcome(experiment.title, about, tables, notes, data, part.figures, tuple(judged))


def short(test: str) -> str:
    """What a test set is called on pages."""
    name = test.partition(":")[0]
    return SHORT.get(name, name)


def _hardware(job: Job) -> str:
    facts: Mapping[str, object] = job.facts()["hardware"]  # type: ignore[assignment]
    gpus = facts.get("gpus") or []
    return f"{facts['processor']}, {facts['cores']} cores" + (f", {gpus}" if gpus else ", no GPU")


# Scores


def _scores(job: Job, found: Figures) -> Part:
    tests = job.setting.tests
    table = _wide if len(tests) > _WIDE else _narrow
    tables = [table(job, found, scheme) for scheme in SCHEMES]
    contrasts = [pair for pair in job.experiment.contrasts if found.tests(pair)]
    data: list[dict[str, object]] = []
    if contrasts:
        rows = []
        for a, b in contrasts:
            for test in found.tests((a, b)):
                each = {scheme: _paired(found, a, b, test, scheme) for scheme in SCHEMES}
                facts: dict[str, object] = {s: _json(estimate, p) for s, (estimate, p) in each.items()}
                data.append({"a": a, "b": b, "test": test, **facts})
                cells = [cell for s in SCHEMES for cell in (each[s][0].points(), f"{each[s][1]:.4f}")]
                rows.append((found.names[test], job.title(a), job.title(b), *cells))
        header = ("test set", "first", "second", "strict F1", "p", "partial F1", "p")
        tables.append(Table("Differences, the second model's F1 minus the first one's", header, tuple(rows)))
    panels: dict[str, dict[str, Point]] = {found.names[test]: {} for test in tests}
    for model in job.models:
        for test in found.tests([model.name]):
            panels[found.names[test]][model.title] = _point(found.of(model.name, test))
    picture = figures.intervals(panels, label="strict F1 in percent, 95 % intervals")
    return Part(tuple(tables), {f"{job.experiment.title}: strict F1": picture}, {"contrasts": data})


def _narrow(job: Job, found: Figures, scheme: str) -> Table:
    tests = job.setting.tests
    header = ("model", *(f"{found.names[test]} {figure}" for test in tests for figure in ("P", "R", "F1")))
    rows = []
    for model in job.models:
        cells: list[str] = [model.title]
        for test in tests:
            one = next(iter(found.of(model.name, test)), None)
            if one is None:
                cells += ["", "", ""]
            else:
                cells += [f"{one.figure(scheme, f):.3f}" for f in ("precision", "recall")] + [_f1(one, scheme)]
        rows.append(tuple(cells))
    return Table(f"{scheme.capitalize()} match", header, (*rows, *_published(job, scheme, ("", ""))))


def _wide(job: Job, found: Figures, scheme: str) -> Table:
    tests = job.setting.tests
    rows = []
    for model in job.models:
        each = [found.of(model.name, test) for test in tests]
        rows.append((model.title, *(_f1(one[0], scheme) if one else "" for one in each)))
    header = ("model", *(found.names[test] for test in tests))
    return Table(f"{scheme.capitalize()} match, F1", header, (*rows, *_published(job, scheme, ())))


def _published(job: Job, scheme: str, before: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Rows of the paper's figures, those that are known."""
    known = [one for one in job.experiment.published if one.figure == f"{scheme} f1"]
    rows = []
    for model in dict.fromkeys(one.model for one in known):
        values = {one.test: f"{one.value:.3f}" for one in known if one.model == model}
        cells = [cell for test in job.setting.tests for cell in (*before, values.get(test, ""))]
        rows.append((f"*{model}, published*", *cells))
    return rows


def _f1(result: Result, scheme: str) -> str:
    low, high = (result.figure(scheme, end) for end in ("low", "high"))
    return f"**{result.figure(scheme):.3f}** ({low:.3f}–{high:.3f})"


def _point(results: Sequence[Result], x: float = 0.0, scheme: str = "strict") -> Point:
    if len(results) == 1:
        one = results[0]
        return Point(x, one.figure(scheme), one.figure(scheme, "low"), one.figure(scheme, "high"))
    estimate = f1_of(results, scheme)
    return Point(x, estimate.value, estimate.low, estimate.high)


def _paired(found: Figures, a: str, b: str, test: str, scheme: str) -> tuple[Estimate, float]:
    one, other = found.of(a, test), found.of(b, test)
    return difference(one, other, scheme), p_values(one[0], other[0])[scheme]


def _json(estimate: Estimate, p: float) -> dict[str, float]:
    return {**estimate.as_json(), "p": round(p, 6)}


# Errors


def _errors(job: Job, found: Figures) -> Part:
    kinds = [str(kind) for kind in evaluation.Kind if kind is not evaluation.Kind.TYPE]
    rows, sampled, tables, listed = [], {}, [], []
    for model in job.models:
        mistakes: list[tuple[str, Mistake]] = []
        for test in job.setting.tests:
            for one in found.of(model.name, test)[:1]:
                errors = one.facts["errors"]
                total = sum(errors.values())
                shares = (f"{errors[kind]} ({errors[kind] / max(total, 1):.0%})" for kind in kinds)
                rows.append((model.title, found.names[test], str(total), *shares))
                mistakes += [(test, mistake) for mistake in mistakes_of(one)]
        sample = sample_of(mistakes)
        sampled[model.title] = {kind: sum(m.kind == kind for _, m in sample) for kind in kinds}
        listed += [{"model": model.name, **_listed(test, mistake)} for test, mistake in sample]
        tables.append(_sample_table(model, sample, found.names))
    counted = Table("All errors", ("model", "test set", "errors", *kinds), tuple(rows))
    drawn = tuple((name, *(str(row[kind]) for kind in kinds)) for name, row in sampled.items())
    first = Table(f"Samples of {SAMPLE} errors of each model", ("model", *kinds), drawn)
    picture = figures.stacks(sampled, label=f"Errors by class, a sample of {SAMPLE} of each model")
    return Part((first, counted, *tables), {"Errors by class": picture}, {"sample": listed})


def mistakes_of(result: Result) -> tuple[Mistake, ...]:
    """All errors of a model on a test set, in the order of the documents."""
    gold = test_documents(result.reading.test, result.reading.sentences)
    return evaluation.evaluate(gold, result.predictions(), types=tuple(result.facts["types"])).mistakes


def sample_of(mistakes: Sequence[tuple[str, Mistake]]) -> list[tuple[str, Mistake]]:
    """Errors drawn with a fixed seed, in their order."""
    places = random.Random(0).sample(range(len(mistakes)), min(SAMPLE, len(mistakes)))
    return [mistakes[place] for place in sorted(places)]


def sampled_errors(results: Iterable[Result]) -> list[dict[str, object]]:
    """The samples of errors with their sentences, for a folder of the user's: the text is the corpora's."""
    by_model: dict[str, list[tuple[str, Mistake]]] = {}
    for result in results:
        mistakes = [(result.reading.test, mistake) for mistake in mistakes_of(result)]
        by_model.setdefault(result.reading.build.model.name, []).extend(mistakes)
    rows: list[dict[str, object]] = []
    for model, every in by_model.items():
        for test, mistake in sample_of(every):
            text = mistake.document.text
            sentence = sentence_of(mistake, with_sentences(mistake.document)).of(text)
            mentions = {
                side: mention.mention(text) if mention else None
                for side, mention in (("gold_text", mistake.gold), ("predicted_text", mistake.predicted))
            }
            rows.append({"model": model, **_listed(test, mistake), **mentions, "sentence": sentence})
    return rows


def _sample_table(model: Model, sample: Sequence[tuple[str, Mistake]], names: Mapping[str, str]) -> Table:
    rows = tuple(
        (names[test], m.document.id, str(m.kind), _offsets(m.gold), _offsets(m.predicted)) for test, m in sample
    )
    return Table(f"Sample of {model.title}", ("test set", "document", "class", "gold", "predicted"), rows)


def _listed(test: str, mistake: Mistake) -> dict[str, object]:
    return {
        "test": test,
        "document": mistake.document.id,
        "kind": str(mistake.kind),
        "gold": _offsets(mistake.gold),
        "predicted": _offsets(mistake.predicted),
    }


def _offsets(entity: Entity | None) -> str:
    return ", ".join(f"{span.start}–{span.end}" for span in entity.spans) if entity else ""


# The curve of data


def _curve(job: Job, found: Figures) -> Part:
    fractions, tests = job.setting.fractions, job.setting.tests
    tables, data = [], []
    panels: dict[str, dict[str, list[Point]]] = {found.names[test]: {} for test in tests}
    for scheme in SCHEMES:
        rows = []
        for model in job.models:
            for test in found.tests([model.name]):
                points = [_point(r, f, scheme) for f in fractions if (r := found.of(model.name, test, f))]
                cells = [f"**{p.y:.3f}** ({p.low:.3f}–{p.high:.3f})" for p in points]
                part, whole = (found.of(model.name, test, fraction) for fraction in (fractions[0], fractions[-1]))
                cost = difference(part, whole, scheme)
                rows.append((model.title, found.names[test], *cells, cost.points()))
                each = {
                    f"{p.x:g}": {"f1": round(p.y, 6), "low": round(p.low, 6), "high": round(p.high, 6)} for p in points
                }
                data.append(
                    {"model": model.name, "test": test, "scheme": scheme, "fractions": each, "cost": cost.as_json()}
                )
                if scheme == "strict":
                    panels[found.names[test]][model.title] = points
        header = ("model", "test set", *(f"{fraction:.0%}" for fraction in fractions), f"cost of {fractions[0]:.0%}")
        tables.append(
            Table(f"{scheme.capitalize()} F1, the mean of {len(job.setting.seeds)} seeds", header, tuple(rows))
        )
    picture = figures.lines(panels, x_label="percent of the training sentences", y_label="strict F1 in percent")
    return Part(tuple(tables), {"F1 by the share of the training sentences": picture}, {"curve": data})


# Pairs


def _pairs(job: Job, found: Figures) -> Part:
    tables, data = [], []
    for test in job.setting.tests:
        names = [model.name for model in job.models if found.of(model.name, test)]
        pairs = list(combinations(names, 2))
        tested = [p_values(found.of(a, test)[0], found.of(b, test)[0]) for a, b in pairs]
        adjusted = {scheme: holm([each[scheme] for each in tested]) for scheme in SCHEMES}
        rows = []
        for number, (a, b) in enumerate(pairs):
            cells: list[str] = []
            facts: dict[str, object] = {"a": a, "b": b, "test": test}
            for scheme in SCHEMES:
                estimate = difference(found.of(a, test), found.of(b, test), scheme)
                p, q = tested[number][scheme], adjusted[scheme][number]
                cells += [estimate.points(), f"{p:.4f}", f"{q:.4f}"]
                facts[scheme] = {**_json(estimate, p), "adjusted": round(q, 6)}
            rows.append((job.title(a), job.title(b), *cells))
            data.append(facts)
        header = ("first", "second", "strict F1", "p", "adjusted", "partial F1", "p", "adjusted")
        title = f"{found.names[test]}: the second model's F1 minus the first one's"
        tables.append(Table(title, header, tuple(rows)))
    return Part(tuple(tables), {}, {"pairs": data})


def _scores_and_pairs(job: Job, found: Figures) -> Part:
    scores, pairs = _scores(job, found), _pairs(job, found)
    return Part(scores.tables + pairs.tables, scores.figures, {**scores.data, **pairs.data})


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment of p-values that belong together."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = least
    return adjusted


# What was run


def _test_table(job: Job, found: Figures) -> Table:
    rows = []
    for test in job.setting.tests:
        one = next(
            (found.of(m.name, test, f) for m in job.models for f in job.setting.fractions if found.of(m.name, test, f)),
            [],
        )
        if one:
            facts = one[0].facts
            numbers = (f"{facts[name]:,}" for name in ("documents", "sentences", "mentions"))
            rows.append((found.names[test], ", ".join(facts["types"]), *numbers))
    return Table("Test sets", ("test set", "type", "documents", "sentences", "mentions"), tuple(rows))


def _model_table(job: Job) -> Table:
    rows = []
    for model in job.models:
        builds = dict.fromkeys(r.build for r in job.readings if r.build.model.name == model.name)
        minutes = sum(job.place.build_facts(build).get("seconds", 0.0) for build in builds) / 60
        speed = [
            r.facts["sentences"] / max(r.facts["seconds"], 1e-3)
            for r in job.results()
            if r.reading.build.model == model
        ]
        trained = model.method in TRAINED
        taught = _taught(model, job) if trained else model.model
        passes = job.place.passes(max(builds, key=lambda build: build.fraction))
        made = f"{len(builds)}, {minutes:.0f} min" if trained else ""
        rows.append(
            (
                model.title,
                model.recipe or model.method,
                taught,
                str(passes) if passes > 1 else "",
                made,
                _rate(sum(speed) / max(len(speed), 1)),
            )
        )
    header = ("model", "recipe or kind", "tuned on, or weights", "passes", "models, their training", "sentences/s read")
    return Table("Models", header, tuple(rows))


def _rate(sentences: float) -> str:
    """Sentences a second, as far as they were measured."""
    return f"{sentences:.0f}" if sentences >= 10 else f"{sentences:.1f}"


def _taught(model: Model, job: Job) -> str:
    builds = [reading.build for reading in job.readings if reading.build.model.name == model.name]
    names = dict.fromkeys(name for build in builds for name in job.place.train_names(build))
    each = f"{model.sentences:,} sentences of each of " if model.sentences else ""
    return ("one of " if model.single else "") + each + ", ".join(names)


def _drawn(models: Iterable[Model]) -> str:
    """How many sentences some models have of each corpus, where they have not all."""
    return " or ".join(f"{count:,}" for count in sorted({model.sentences for model in models if model.sentences}))


def _restrictions(job: Job) -> list[str]:
    setting, said = job.setting, []
    if setting.test_sentences:
        said.append(
            f"Of each test set whole documents were drawn (seed 0) until they had {setting.test_sentences:,} sentences "
            "or all were drawn."
        )
    if counts := _drawn(model for model in job.models if model.method in TRAINED):
        said.append(
            f"Models that were tuned for this page learnt from {counts} sentences of each corpus, drawn at random; the "
            "epoch was chosen on sentences drawn of the development splits."
        )
    if counts := _drawn(model for model in job.models if model.method not in TRAINED):
        said.append(f"Demonstrations were chosen among {counts} sentences of each corpus, drawn at random.")
    if setting.repeats:
        each = ", ".join(f"{fraction:.0%}: {times}" for fraction, times in setting.shares())
        said.append(f"So often a pass has the sentences of each share, for steps enough: {each}.")
    seeds = ", ".join(map(str, setting.seeds))
    said.append(
        f"Seeds of drawing and training: {seeds}. Intervals are 95 %, by bootstrap over documents"
        + (" and seeds." if len(setting.seeds) > 1 else ".")
    )
    return said


LAYOUTS: Mapping[str, Callable[[Job, Figures], Part]] = {
    "scores": _scores,
    "errors": _errors,
    "curve": _curve,
    "pairs": _pairs,
    "scores and pairs": _scores_and_pairs,
}
"""What makes the tables of each layout of `experiments.toml`."""
