"""The figures of an experiment, gathered from its cells in the form of its JSON file."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from biomark import evaluation
from biomark.evaluation import Mistake
from biomark.evaluation.counts import SCHEMES
from biomark.evaluation.mistakes import sentence_of
from biomark.lab.experiments.cells import Result
from biomark.lab.experiments.findings import Findings, difference, f1_of, p_values
from biomark.lab.experiments.runner import ExperimentRun
from biomark.lab.experiments.sheet import Sheet
from biomark.lab.experiments.specs import ModelSpec
from biomark.lab.experiments.verdicts import judge
from biomark.spans import Entity
from biomark.text.sentences import with_sentences

SAMPLE = 100  # the number of listed errors of each model on each test set
_PAIRED = ("helps", "does not help", "matches")  # claims that compare two models


def gather(job: ExperimentRun, results: Sequence[Result], seconds: float) -> dict[str, Any]:
    """Gather all figures of an experiment.

    Args:
        job: the experiment.
        results: the results of its finished test cells.
        seconds: the duration of this run, in seconds.
    """
    data: dict[str, Any] = {
        **job.facts(),
        "seconds": {**job.seconds(), "this run": round(seconds, 1)},
        # Reasons may quote the texts of corpora, which must not be published with the page.
        "cells": [{k: v for k, v in result.facts.items() if k != "reasons"} for result in results],
        **_LAYOUTS[job.experiment.layout](job, Findings(results)),
    }
    for model in job.models:
        data["models"][model.name] |= _made(model, job)
    sheet = Sheet(job.experiment, data)
    findings = [finding for claim in job.experiment.claims if (finding := judge(claim, sheet))]
    return {**data, "findings": [finding.as_json() for finding in findings]}


def _made(model: ModelSpec, job: ExperimentRun) -> dict[str, object]:
    """Return the settings of a model, the number of its finished trainings, and their time in minutes."""
    readings = [reading for reading in job.readings if reading.build.model.name == model.name]
    builds = list(dict.fromkeys(reading.build for reading in readings))
    trained = model.trained
    most = max(builds, key=lambda build: build.fraction, default=None)
    trainings = [facts for build in builds if (facts := job.workspace.build_facts(build))]
    minutes = sum(facts.get("seconds", 0.0) for facts in trainings) / 60
    names = (
        dict.fromkeys(name for build in builds for name in job.workspace.supplies.train_names(build)) if trained else ()
    )
    made = {"passes": job.workspace.passes(most) if most else 0, "train": list(names)}
    return {
        "tests": list(dict.fromkeys(reading.test for reading in readings)),
        **made,
        **({"trained": len(trainings), "minutes": round(minutes)} if trained else {}),
    }


# Differences between models


def _scores(job: ExperimentRun, figures: Findings) -> dict[str, object]:
    return {"contrasts": [_contrast(figures, a, b, test) for a, b in pairs_of(job) for test in figures.tests((a, b))]}


def pairs_of(job: ExperimentRun) -> dict[tuple[str, str], None]:
    """Return the pairs of models to compare: those that the experiment lists, and those of its claims."""
    listed = dict.fromkeys(job.experiment.contrasts)
    for claim in job.experiment.claims:
        if claim.kind in _PAIRED:
            better, than = claim.models
            if (better, than) not in listed:
                listed[than, better] = None
    return listed


def _contrast(figures: Findings, a: str, b: str, test: str) -> dict[str, object]:
    one, other = figures.of(a, test), figures.of(b, test)
    p = p_values(one[0], other[0])
    each: dict[str, object] = {s: {**difference(one, other, s).as_json(), "p": round(p[s], 6)} for s in SCHEMES}
    return {"a": a, "b": b, "test": test, **each}


def _pairs(job: ExperimentRun, figures: Findings) -> dict[str, object]:
    rows: list[dict[str, Any]] = []
    for test in job.setting.tests:
        names = [model.name for model in job.models if figures.of(model.name, test)]
        rows += [_contrast(figures, a, b, test) for a, b in combinations(names, 2)]
    adjust_p_values(rows)
    return {"pairs": rows}


def adjust_p_values(rows: Iterable[dict[str, Any]]) -> None:
    """Set the adjusted p-values of pairs of models; a family has all pairs on a test set, under one scheme."""
    families: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        families.setdefault(row["test"], []).append(row)
    for family in families.values():
        for scheme in SCHEMES:
            for row, adjusted in zip(family, holm([row[scheme]["p"] for row in family]), strict=True):
                row[scheme] = {**row[scheme], "adjusted": round(adjusted, 6)}


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's step-down adjustment of the p-values of a family of tests."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = least
    return adjusted


def _scores_and_pairs(job: ExperimentRun, figures: Findings) -> dict[str, object]:
    return {**_scores(job, figures), **_pairs(job, figures)}


# The curve of data


def _curve(job: ExperimentRun, figures: Findings) -> dict[str, object]:
    fractions, curve = job.setting.fractions, []
    for scheme in SCHEMES:
        for model in job.models:
            for test in job.setting.tests:
                points = {f: f1_of(results, scheme) for f in fractions if (results := figures.of(model.name, test, f))}
                each = {
                    f"{f:g}": {"f1": round(one.value, 6), "low": round(one.low, 6), "high": round(one.high, 6)}
                    for f, one in points.items()
                }
                if each:
                    curve.append({"model": model.name, "test": test, "scheme": scheme, "fractions": each})
    return {"curve": curve, "contrasts": list(_shares(job, figures))}


def _shares(job: ExperimentRun, figures: Findings) -> Iterator[dict[str, object]]:
    """Yield the loss of each model with a share of the data, and the differences of models with the same share."""
    names = [model.name for model in job.models]
    fractions = job.setting.fractions
    costs = [(name, name, (fraction, fractions[-1])) for name in names for fraction in fractions[:-1]]
    between = [(a, b, (fraction, fraction)) for a, b in pairs_of(job) for fraction in fractions]
    for a, b, shares in costs + between:
        for test in job.setting.tests:
            one, other = figures.of(a, test, shares[0]), figures.of(b, test, shares[1])
            if one and other:
                each: dict[str, object] = {s: difference(one, other, s).as_json() for s in SCHEMES}
                yield {"a": a, "b": b, "test": test, "a_fraction": shares[0], "b_fraction": shares[1], **each}


# Errors


def _errors(job: ExperimentRun, figures: Findings) -> dict[str, object]:
    listed = [
        {"model": model.name, **_listed(test, mistake)}
        for model in job.models
        for test in job.setting.tests
        for result in figures.of(model.name, test)[:1]
        for mistake in sample_of(mistakes_of(result))
    ]
    return {"sample": listed}


def mistakes_of(result: Result) -> tuple[Mistake, ...]:
    """Return all errors of a model on a test set, in the order of the documents."""
    gold = result.reading.documents()
    return evaluation.evaluate(gold, result.predictions(), types=tuple(result.facts["types"])).mistakes


def sample_of(mistakes: Sequence[Mistake]) -> list[Mistake]:
    """Draw errors with a fixed seed; return them in their order."""
    places = random.Random(0).sample(range(len(mistakes)), min(SAMPLE, len(mistakes)))
    return [mistakes[place] for place in sorted(places)]


def sampled_errors(results: Iterable[Result]) -> Iterator[dict[str, object]]:
    """Return the sampled errors with their sentences, which contain corpus text and must not be published."""
    for result in results:
        for mistake in sample_of(mistakes_of(result)):
            text = mistake.document.text
            mentions = {
                side: mention.mention(text) if mention else None
                for side, mention in (("gold_text", mistake.gold), ("predicted_text", mistake.predicted))
            }
            sentence = sentence_of(mistake, with_sentences(mistake.document)).of(text)
            model, test = result.reading.build.model.name, result.reading.test
            yield {"model": model, **_listed(test, mistake), **mentions, "sentence": sentence}


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


_LAYOUTS: Mapping[str, Callable[[ExperimentRun, Findings], dict[str, object]]] = {
    "scores": _scores,
    "errors": _errors,
    "curve": _curve,
    "pairs": _pairs,
    "scores and pairs": _scores_and_pairs,
}
"""The functions that gather the figures of each layout of `experiments.toml` beside the scores."""
