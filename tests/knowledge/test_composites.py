"""Composite mentions taken apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomark.knowledge.composites import readings


class TestComposites:
    @pytest.mark.parametrize(
        ("mention", "reading"),
        [
            ("breast and ovarian cancer", ("breast cancer", "ovarian cancer")),
            ("breast, ovarian and lung cancer", ("breast cancer", "ovarian cancer", "lung cancer")),
            ("cancer of the breast or ovary", ("cancer of the breast", "cancer of the ovary")),
            ("DM1 and DM2", ("DM1", "DM2")),
            ("BRCA1/2", ("BRCA1", "BRCA2")),
            ("ocular and/or auditory toxicity", ("ocular toxicity", "auditory toxicity")),
            ("breast- and ovarian cancer", ("breast cancer", "ovarian cancer")),
            ("breast‐ and\u00a0ovarian cancer", ("breast cancer", "ovarian cancer")),
            ("BRCA1⁄2", ("BRCA1", "BRCA2")),
            ("\u2003breast，ovarian cancer", ("breast cancer", "ovarian cancer")),
        ],
    )
    def test_readings(self, mention: str, reading: tuple[str, ...]) -> None:
        assert reading in list(readings(mention))

    @pytest.mark.parametrize("mention", ["moss fever", "", "and", "/", "sand and", "a/b/c/d/e/f/g/h", "\x1f-,0"])
    def test_what_is_no_composite_mention(self, mention: str) -> None:
        assert list(readings(mention)) == []

    @given(st.text(max_size=40) | st.text("\x1f\u2003 -–,/()0a", max_size=12))
    def test_any_text(self, text: str) -> None:
        assert all(len(reading) >= 2 and all(part.strip() for part in reading) for reading in readings(text))
