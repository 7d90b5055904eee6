"""Findings by rule: verdicts that claim no more than the figures show."""

from __future__ import annotations

import pytest

from biomark.lab.experiments.findings import Estimate
from biomark.lab.experiments.sheet import Sheet, short
from biomark.lab.experiments.specs import Claim, Experiment, Setting
from biomark.lab.experiments.verdicts import judge

TESTS = ("ncbi_disease:test", "bc5cdr_chemical:test", "bc2gm:test")
TYPE = dict(zip(TESTS, ("disease", "chemical", "gene"), strict=True))


def sheet(
    estimates: dict[tuple[str, float], tuple[float, float]] | None = None,
    errors: list[dict[str, int]] | None = None,
    f1: float = 0.5,
    documents: tuple[int, int, int] = (6, 100, 100),
) -> Sheet:
    """Figures of models a and b: how much better b is, with its interval's half width, by test set and share."""
    shares = tuple(dict.fromkeys([*(share for _, share in estimates or {}), 1.0]))
    setting = Setting(("a", "b", "later"), TESTS, fractions=shares)
    experiment = Experiment("table1", "T", "P", "scores", "A.", {"small": setting})
    cells = [
        {
            "model": model, "test": test, "types": [TYPE[test]], "fraction": share, "strict": {"f1": f1},
            "errors": kinds, "documents": count,
        }
        for model in ("a", "b")
        for test, kinds, count in zip(TESTS, errors or [{}] * 3, documents, strict=True)
        for share in shares
    ]  # fmt: skip
    rows = [
        {"a": "a", "b": "b", "test": test, "a_fraction": share, "b_fraction": share,
         "strict": {"value": value, "low": value - half, "high": value + half}}
        for (test, share), (value, half) in (estimates or {}).items()
    ]  # fmt: skip
    models = {name: {"title": name.upper(), "tests": list(TESTS)} for name in ("a", "b")}
    data = {"scale": "small", "tests": TESTS, "fractions": shares, "models": models, "cells": cells, "contrasts": rows}
    return Sheet(experiment, data)


@pytest.mark.parametrize(
    ("kind", "values", "half", "verdict"),
    [
        ("helps", (0.05, 0.02, 0.03), 0.01, "found here too"),
        ("helps", (0.05, 0.0, 0.005), 0.01, "found here in some comparisons, not shown in the others"),
        ("helps", (0.05, 0.04, -0.05), 0.01, "found here in some comparisons, the opposite in others"),
        (
            "helps",
            (-0.05, 0.0, 0.005),
            0.01,
            "the opposite was found here in some comparisons, the others show neither",
        ),
        ("helps", (-0.05, -0.02, -0.03), 0.01, "the opposite was found here"),
        ("helps", (0.009, 0.0, 0.005), 0.01, "not shown here"),
        ("does not help", (-0.05, 0.0, 0.005), 0.01, "found here too"),
        ("does not help", (-0.05, 0.0, 0.005), 0.1, "not shown here"),
        ("does not help", (0.05, 0.0, 0.005), 0.01, "found here in some comparisons, the opposite in others"),
        ("does not help", (0.05, 0.02, 0.03), 0.01, "the opposite was found here"),
        ("matches", (0.0, 0.01, -0.005), 0.01, "found here too"),
        ("matches", (0.05, 0.0, 0.005), 0.1, "not shown here"),
        ("matches", (0.05, 0.0, 0.0), 0.03, "the opposite was found here in some comparisons, the others show neither"),
        ("matches", (-0.05, -0.04, 0.05), 0.01, "the opposite was found here"),
    ],
)
def test_verdicts_claim_no_more_than_intervals_show(
    kind: str, values: tuple[float, ...], half: float, verdict: str
) -> None:
    estimates = {(test, 1.0): (value, half) for test, value in zip(TESTS, values, strict=True)}
    found = judge(Claim("It helps", kind, "+3 points", ("b", "a")), sheet(estimates))
    assert found is not None
    assert found.verdict == verdict
    assert found.sentence().startswith(
        f"**It helps: {verdict}.** Published: +3 points. Strict F1 of *B* minus that of *A*: "
        f"NCBI-disease {100 * values[0]:+.1f} points ["
    )
    assert found.detail.count("points [") == 3
    turned = judge(Claim("It helps", "helps", models=("a", "b")), sheet(estimates))
    assert turned is not None
    assert f"NCBI-disease {-100 * values[0]:+.1f} points [{100 * (-values[0] - half):+.1f}" in turned.detail


def test_a_difference_that_is_not_significant_is_no_equality() -> None:
    wide = sheet({(test, 1.0): (0.0, 0.08) for test in TESTS})
    for kind in ("matches", "does not help"):
        found = judge(Claim("They are equal", kind, models=("b", "a")), wide)
        assert found is not None
        assert found.verdict == "not shown here"
        assert "not shown" in found.detail


def test_a_finding_may_be_about_some_types_and_shares() -> None:
    estimates = {("ncbi_disease:test", 0.1): (0.04, 0.01), ("ncbi_disease:test", 0.5): (0.0, 0.01)}
    found = judge(Claim("Less", "helps", models=("b", "a"), types=("disease",), fractions=(0.1, 0.5)), sheet(estimates))
    assert found is not None
    assert found.answers == (True, None)
    assert "NCBI-disease, 10% of the data +4.0 points" in found.detail


@pytest.mark.parametrize(
    ("cost", "verdict"),
    [
        ((0.12, 0.02), "found here too"),
        ((0.12, 0.05), "not shown here"),
        ((0.2, 0.1), "not shown here"),
        ((0.2, 0.05), "the opposite was found here"),
    ],
)
def test_what_less_data_costs_is_compared_with_the_paper_s_range(cost: tuple[float, float], verdict: str) -> None:
    figures = sheet()
    value, half = cost
    strict = {"value": value, "low": value - half, "high": value + half}
    row = {"a": "a", "b": "a", "test": TESTS[0], "a_fraction": 0.1, "b_fraction": 1.0, "strict": strict}
    figures = Sheet(figures.experiment, {**figures.data, "contrasts": [row]})
    found = judge(Claim("It costs", "costs", models=("a",), range=(11.3, 13.8), fractions=(0.1,)), figures)
    assert found is not None
    assert found.verdict == verdict
    assert (
        f"Loss of strict F1 of *A* with 10% of the data instead of all: NCBI-disease {100 * value:.1f} points ["
        in found.detail
    )


def test_findings_without_figures_are_not_run() -> None:
    figures = sheet()
    assert judge(Claim("It helps", "helps", models=("nobody", "a")), figures) is None
    waits = judge(Claim("It helps", "helps", models=("later", "a")), figures)
    assert waits is not None
    assert waits.sentence() == (
        "**It helps: not run.** These rows have no figures yet: later. "
        "Rows of prompted models need `--model openai:NAME` or `--model hf:NAME`."
    )
    empty = Sheet(figures.experiment, {**figures.data, "cells": []})
    nothing = judge(Claim("It helps", "helps", models=("b", "a")), empty)
    assert nothing is not None
    assert nothing.detail == "These models have no figures yet: *B*, *A*."


def test_models_that_find_next_to_nothing_are_not_judged() -> None:
    found = judge(Claim("It helps", "helps", models=("b", "a")), sheet({(TESTS[0], 1.0): (0.05, 0.01)}, f1=0.01))
    assert found is not None
    assert found.sentence() == (
        "**It helps: cannot be judged here.** Not judged, because both models have a strict F1 below 0.1: NCBI-disease."
    )


def test_one_document_has_no_interval() -> None:
    same = Estimate(0.05, 0.05, 0.05)
    assert (same.points(1), same.points(2)) == ("+5.0 points", "+5.0 points [+5.0, +5.0]")


def test_a_few_documents_are_not_judged() -> None:
    estimates = {(TESTS[0], 1.0): (0.05, 0.0), (TESTS[1], 1.0): (0.05, 0.01)}
    found = judge(Claim("It helps", "helps", models=("b", "a")), sheet(estimates, documents=(1, 6, 5)))
    assert found is not None
    assert found.verdict == "found here too"
    assert "NCBI-disease +5.0" not in found.detail
    few = [f"{short(test)} ({count})" for test, count in ((TESTS[0], 1), (TESTS[2], 5))]
    assert found.detail.endswith(f"fewer than 6 documents cannot show a difference: {', '.join(few)}.")
    none = judge(Claim("It helps", "helps", models=("b", "a")), sheet(estimates, documents=(1, 2, 3)))
    assert none is not None
    assert none.verdict == "cannot be judged here"


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ([{"boundary": 50, "missing": 10}] * 3, "found here too"),
        ([{"boundary": 30, "missing": 29}] * 3, "not shown here"),
        ([{"boundary": 0, "missing": 10}, *[{"boundary": 10, "missing": 100}] * 2], "the opposite was found here"),
        # Each test set has the same weight, as in a sample of 100 of each.
        ([{"boundary": 90, "missing": 10}, {"boundary": 90, "missing": 10}, {"boundary": 0, "missing": 900}],
         "found here too"),
        ([{}] * 3, "cannot be judged here"),
    ],
)  # fmt: skip
def test_the_largest_class_of_errors_is_that_of_all_test_sets_together(
    errors: list[dict[str, int]], verdict: str
) -> None:
    found = judge(Claim("Boundaries dominate", "most frequent", models=("a",), errors="boundary"), sheet(errors=errors))
    assert found is not None
    assert found.verdict == verdict


def test_the_largest_class_of_errors_with_one_type() -> None:
    errors = [{"boundary": 90, "missing": 10}, {"boundary": 10, "missing": 90}, {"boundary": 90, "missing": 10}]
    claim = Claim("Missing", "most frequent", models=("a",), errors="missing", types=("chemical",))
    found = judge(claim, sheet(errors=errors))
    assert found is not None
    assert found.sentence() == (
        "**Missing: found here too.** Shares of the errors of *A* (BC5CDR-chemical): missing 90%, boundary 10%."
    )
