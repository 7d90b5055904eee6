"""Keys of words, and how like two names are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomark.knowledge import fuzzy
from biomark.knowledge.forms import form


class TestKeys:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("λ light chain", "lambda light chain"),
            ("ϕ29", "phi 29"),
            ("ischemic", "ischemia"),
            ("dyskinetic", "dyskinesia"),
            ("paralytic", "paralysis"),
            ("renal", "kidney"),
            ("tumours", "neoplasm"),
            ("II", "2"),
            ("nephropathy", "renal disease"),
            ("cardiotoxicity", "cardiac toxicity"),
            ("myalgia", "muscle pain"),
        ],
    )
    def test_same(self, one: str, other: str) -> None:
        assert fuzzy.keys(form(one)) == fuzzy.keys(form(other))

    @pytest.mark.parametrize(("one", "other"), [("hypertension", "hypotension"), ("fever", "fervor"), ("1", "2")])
    def test_different(self, one: str, other: str) -> None:
        assert fuzzy.keys(form(one)) != fuzzy.keys(form(other))

    @given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
    def test_likeness_is_symmetric_and_in_bounds(self, one: str, other: str) -> None:
        assert 0 <= fuzzy.likeness(one, other) == fuzzy.likeness(other, one) <= 1
        assert fuzzy.likeness(one, one) == 1

    def test_comparing_a_name_with_itself(self) -> None:
        features = dict(zip(fuzzy.FEATURES, fuzzy.compare("moss fever", "moss fever", lambda key: 1.0), strict=True))
        assert features["covered"] == features["dice"] == features["all_of_mention"] == 1
        assert features["mention_left"] == features["words_more"] == 0
