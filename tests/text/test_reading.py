"""The view of a text that a tagging network reads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomark.text.reading import View, view

COMMON = frozenset(
    "the patient has asthma and was given with chest pain history of present illness induced dependent carcinoma over "
    "expression service medicine car".split()
)


def known(word: str) -> bool:
    return word in COMMON


def read(text: str) -> str:
    return view(text, known).text


def slices(text: str, part: str) -> str:
    """The original words behind a part of the view."""
    seen = view(text, known)
    start = seen.text.index(part)
    ((first, last),) = seen.original(np.array([[start, start + len(part)]]))
    return text[first:last]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Graves’ disease", "Graves' disease"),
        ("SARS‐CoV‐2 and beta–blocker", "SARS-CoV-2 and beta-blocker"),
        ("type\u00a02\u2009diabetes", "type 2 diabetes"),
        ("ﬁbrosis, ＡＬＴ", "fibrosis, ALT"),
        ("NF-κB, PPARγ, Δ9-THC", "NF-kappaB, PPARgamma, Delta9-THC"),
        ("TGF-ß1 and Weiß", "TGF-beta1 and Weiss"),
        ("5 µg of a μ-opioid", "5 ug of a mu-opioid"),
        ("Na⁺, H₂O₂, β₂", "Na+, H2O2, beta2"),
        ("thalassémie, thalasse\u0301mie", "thalassemie, thalassemie"),
        ("😀fever, drug™", " fever, drug "),
        ("IL-6↑", "IL-6 ↑ "),
        ("Crohn&apos;s &lt;5%; TNF-&alpha; &nosuch;", "Crohn's <5%; TNF-alpha &nosuch;"),
        ("<i>TP53</i>, vitamin D<sub>3</sub>, a < b", "TP53, vitamin D3, a < b"),
        ("soft\u00adhyphen, zero\u200bwidth", "softhyphen, zerowidth"),
        ("astrocy-\ntes", "astrocytes"),
        ("astrocy\u00ad\n  tes", "astrocytes"),
        ("car-\ncinoma", "carcinoma"),
        ("nickel-\ninduced", "nickel-induced"),
        ("xeno-graft; a xeno-\ngraft", "xeno-graft; a xeno-graft"),
        ("PMH: HTN", "Past medical history: HTN"),
        ("He came. Pshx : none; Dx: gout", "He came. Past surgical history : none; Diagnosis: gout"),
        ("PMH, HTN; the PMHX; XPMH: no; CDx: no", "PMH, HTN; the PMHX; XPMH: no; CDx: no"),
        ("plain text stays", "plain text stays"),
        ("", ""),
    ],
)
def test_signs_are_plain(text: str, expected: str) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("THE PATIENT HAS ASTHMA.", "the patient has asthma."),
        ("SERVICE: MEDICINE\nAsthma", "service: medicine\nAsthma"),
        ("THE PATIENT\nHAS COPD AND\nWAS GIVEN IL-2", "the patient\nhas copd and\nwas given il-2"),
        ("KRAS, BRAF, EGFR", "KRAS, BRAF, EGFR"),
        ("COPD", "COPD"),
        ("The PATIENT has ASTHMA.", "The PATIENT has ASTHMA."),
        ("CHEST PAIN İ", "chest pain İ".replace("İ", "I")),
    ],
)
def test_lines_in_capitals_are_in_lower_case(text: str, expected: str) -> None:
    assert read(text).replace("i̇", "i").casefold() == expected.casefold()
    assert read(text)[:4] == expected[:4]


@pytest.mark.parametrize(
    ("text", "part", "original"),
    [
        ("mild thalasse\u0301mie.", "thalassemie", "thalasse\u0301mie"),
        ("in astrocy-\ntes and", "astrocytes", "astrocy-\ntes"),
        ("of D<sub>3</sub> or", "D3", "D<sub>3</sub>"),
        ("with <b>gout</b> now", "gout", "gout"),
        ("IFN-&gamma; rose", "IFN-gamma;"[:-1], "IFN-&gamma;"),
        ("a 😀fever", "fever", "fever"),
        ("PMH: gout", "gout", "gout"),
        ("PMH: gout", "history", "PMH"),
    ],
)
def test_offsets_are_the_originals(text: str, part: str, original: str) -> None:
    assert slices(text, part) == original


ODD = st.text(st.sampled_from("aBcXY é\u0301αΣß½ﬁ\u00ad\u200b😀-\n\t&;<>sub/#4µ↑İ\u2028\x85."), max_size=80)


@given(ODD)
def test_every_character_has_its_place(text: str) -> None:
    seen = view(text, known)
    if seen.starts is None or seen.ends is None:
        assert len(seen.text) == len(text)
        return
    assert len(seen.starts) == len(seen.ends) == len(seen.text)
    assert (seen.starts < seen.ends).all()
    assert (np.diff(seen.starts) >= 0).all()
    assert (np.diff(seen.ends) >= 0).all()
    assert not len(seen.ends) or seen.ends[-1] <= len(text)
    for place, character in enumerate(seen.text):
        if character.isascii() and character.islower() and seen.ends[place] - seen.starts[place] == 1:
            behind = text[seen.starts[place]]
            assert behind.lower() == character or not behind.isascii()


@given(st.text(st.characters(max_codepoint=127, exclude_characters="-&<\n", exclude_categories=["Lu"]), max_size=60))
def test_a_plain_text_is_its_own_view(text: str) -> None:
    assert view(text, known) == View(text)
