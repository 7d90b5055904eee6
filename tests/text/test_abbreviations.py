"""Short forms and what they stand for, in texts that define them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomark.text.abbreviations import abbreviations


class TestAbbreviations:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("He had moss fever (MF).", [("MF", "moss fever")]),
            ("He had MF (moss fever).", [("MF", "moss fever")]),
            ("of red moss\nfever (RMF)", [("RMF", "red moss\nfever")]),
            ("of red moss\n\nfever (RMF)", []),
            ("Acute moss-borne fever [AMBF; see below] ended.", [("AMBF", "Acute moss-borne fever")]),
            ("a “quick” heat shock transcription factor (HSF)", [("HSF", "heat shock transcription factor")]),
            ("Given glyceryl trinitrate ('GTN'), then", [("GTN", "glyceryl trinitrate")]),
            ("Moss fever (see Fig. 2) and others (n = 5) (12)", []),
            ("moss fever (XQ)", []),
            ("(MF) alone", []),
            ("fever. Moss (fever) MF", []),
            ("MF: moss fever; RMF = red moss fever", [("MF", "moss fever"), ("RMF", "red moss fever")]),
            ("Abbreviations: MF: moss fever.\nXQ: red moss fever", [("MF", "moss fever")]),
            ("PMH: XTN, DM2.\nPlan: moss fever pills", []),
            ("MF: fever", []),
        ],
    )
    def test_examples(self, text: str, expected: list[tuple[str, str]]) -> None:
        assert [(a.short.of(text), a.long.of(text)) for a in abbreviations(text)] == expected

    @given(
        st.lists(
            st.sampled_from(
                [
                    "moss fever (MF)",
                    "(",
                    ")",
                    "[MF]",
                    "İ é",
                    "MF (moss fever)",
                    ";",
                    "ß (SS)",
                    "\n",
                    "MF: moss fever;",
                    "HSS: ss",
                ]
            )
        )
    )
    def test_offsets_hold_in_any_text(self, pieces: list[str]) -> None:
        text = " ".join(pieces)
        for found in abbreviations(text):
            short, long = found.short.of(text), found.long.of(text)
            assert short.strip() == short
            assert long.strip() == long
            assert not found.short.overlaps(found.long)
            rest = iter(long.casefold())
            assert all(c in rest for c in short.casefold() if c.isalnum())
            assert long[0].casefold() == short[0].casefold()

    def test_time_grows_with_the_text(self) -> None:
        assert len(abbreviations("moss fever (MF) and " * 5000)) == 5000
        assert abbreviations("(" * 20_000 + "a" * 20_000) == ()
        assert abbreviations("ab (cd) " * 200_000) == ()
        assert abbreviations("AB:" * 200_000) == abbreviations("AB: \t" * 100_000) == ()
