"""Whether scores are probabilities: bins, and the curve of the least score."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from evaluation_cases import document, mention
from hypothesis import given
from hypothesis import strategies as st

from biomark import formats
from biomark.errors import UsageError
from biomark.evaluation import evaluate
from biomark.evaluation.reliability import Judged, calibration
from biomark.spans import Entity
from conftest import Outcome


def scored(type: str, start: int, end: int, score: float) -> Entity:
    return replace(mention(type, start, end), score=score)


def test_bins_and_curve_by_hand() -> None:
    gold = document(mention("disease", 0, 7), mention("disease", 12, 25), mention("gene", 35, 40))
    predicted = document(scored("disease", 0, 7, 0.95), scored("disease", 19, 25, 0.45), scored("gene", 35, 40, 0.41))
    found = evaluate([gold], [predicted], calibrated=True).calibration
    assert found is not None
    assert [(one.mentions, one.score, one.right) for one in found.bins] == [
        (2, pytest.approx(0.43), 0.5),
        (1, 0.95, 1.0),
    ]
    assert found.error == pytest.approx((2 * 0.07 + 0.05) / 3)
    all_, unsure, sure = found.curve[0], found.curve[4], found.curve[5]
    assert (all_.least, all_.precision, all_.recall) == (0.0, pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert unsure.f1 == all_.f1
    assert (sure.least, sure.precision, sure.recall, sure.f1) == (0.5, 1.0, pytest.approx(1 / 3), pytest.approx(0.5))


def test_the_curve_begins_with_the_score_where_alternatives_are_accepted() -> None:
    gold = replace(document(mention("gene", 0, 16)), alternatives=(mention("gene", 0, 5), mention("gene", 0, 10)))
    predicted = document(scored("gene", 0, 5, 0.9), scored("gene", 0, 10, 0.7), scored("gene", 20, 25, 0.5))
    found = evaluate([gold], [predicted], style="bc2gm", calibrated=True)
    assert found.calibration is not None
    first, *_, last = found.calibration.curve
    strict = found.overall.strict
    assert (first.precision, first.recall, first.f1) == (strict.precision, strict.recall, pytest.approx(strict.f1))
    assert (first.precision, last.precision, last.recall) == (0.5, 1.0, 1.0)


def test_nothing_predicted_is_no_error() -> None:
    found = calibration([], 3)
    assert (found.error, found.bins) == (0.0, ())
    assert {point.f1 for point in found.curve} == {0.0}


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40), st.integers(0, 30))
def test_the_curve_is_that_of_leaving_mentions_out(mentions: list[tuple[float, bool]], more: int) -> None:
    judged = [Judged("gene", score, right) for score, right in mentions]
    gold = sum(right for _, right in mentions) + more
    found = calibration(judged, gold)
    assert sum(one.mentions for one in found.bins) == len(judged)
    assert 0 <= found.error <= 1
    for point in found.curve:
        kept = [one for one in judged if one.score >= point.least]
        hits = sum(one.right for one in kept)
        assert point.precision == pytest.approx(hits / len(kept) if kept else 0)
        assert point.recall == pytest.approx(hits / gold if gold else 0)


def test_predictions_without_scores_are_told(tmp_path: Path, biomark: Callable[..., Outcome]) -> None:
    gold = document(mention("disease", 0, 7))
    with pytest.raises(UsageError, match="mention at 0-7 has no score; write predictions in a format"):
        evaluate([gold], [gold], calibrated=True)
    formats.write([gold], tmp_path / "gold.jsonl")
    formats.write([document(scored("disease", 0, 7, 0.8))], tmp_path / "found.jsonl")
    shown = biomark("evaluate", tmp_path / "gold.jsonl", tmp_path / "found.jsonl", "--calibration")
    assert shown.status == 0, shown
    assert "expected calibration error 20.00" in " ".join(shown.out.split())
    values = json.loads(
        biomark("evaluate", tmp_path / "gold.jsonl", tmp_path / "found.jsonl", "--calibration", "--json").out
    )
    assert values["calibration"]["error"] == pytest.approx(0.2)
    assert len(values["calibration"]["curve"]) == 10
