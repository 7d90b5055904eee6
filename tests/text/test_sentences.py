"""Sentences: nothing lost, boundaries where a reader would put them."""

from __future__ import annotations

import itertools
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomark.errors import MissingExtraError, UsageError
from biomark.formats import read
from biomark.spans import Document, Passage, Span
from biomark.text import sentences as module
from biomark.text.sentences import split, split_by_spacy, splitter_named, with_sentences

CASES = [
    ["Two patients had fever.", "Both recovered."],
    ["We gave 2.5 mg/kg i.v. every 12 h.", "No rash was seen."],
    ["Growth of E. coli and S. aureus was slow.", "It stopped at pH 5.0."],
    ["See Fig. 3 and Refs. 4, 5.", "Others agree (Smith et al. 1999; cf. Table 2)."],
    ["Is it vitamin K?", "We think so!", "α-Tocopherol did nothing."],
    ["The drug (given at 8 a.m. Monday. Nobody knows why) failed.", "It was stopped."],
    ["Levels rose (P < 0.01).", "5-HT fell."],
    ['They called it "benign."', "It was not."],
    ["First paragraph without a stop", "second paragraph"],
    ["p53 was up.", "mRNA of IL2 was down."],
    ["Dr. Jones, Prof. Li and J. Smith vs. the rest."],
    ["İstanbul had 3 cases.", "Ünal saw 😀. and more.", "Ok."],
]


@pytest.mark.parametrize("sentences", CASES, ids=lambda case: case[0][:20])
def test_boundaries(sentences: list[str]) -> None:
    joint = "\n\n" if sentences[0].startswith("First paragraph") else " "
    text = joint.join(sentences)
    assert [span.of(text) for span in split(text)] == sentences


LAYOUTS = [
    ["Problem list:", "Fern fever", "Moss disease", "Lichen pox type 2", "Gout"],
    [
        "Consult:",
        "-2-day history of fever",
        "-today vomiting",
        "* Fern fever",
        "• gout",
        "1. MOPD",
        "2) moss pox",
        "a) gout",
    ],
    ["Mossamine 40 mg PO BID", "Fernadol 6.25 mg PO BID", "Lichenol 2.5 mg PO daily", "Algastatin 80 mg PO QHS"],
    ["fever", "cough", "moss pain", "shortness of breath"],
    ["PAST MEDICAL HISTORY:", "FERN FEVER", "MOSS DISEASE", "CHRONIC LICHEN POX OF THE LEFT KNEE"],
    ["DISCHARGE", "Diagnosis: Fern fever", "Treatment: mossamine", "Follow-up in 2 weeks"],
    ["MEDICATIONS", "mossamine 81 mg daily\t", "HISTORY", "The woman had moss fever."],
    [
        "CC: moss pain",
        "HPI: 34 yo F c/o fern fever x 12h, N/V x3, no lichen.",
        "PMH: gout, moss pox",
        "MEDS: fernadol prn",
    ],
    ["Introduction", "Fern fever is a chronic disease of the knees.", "It affects many.", "Methods", "We saw mice."],
    ["[1] Moss J. Fern fever in mice.", "[2] Fern L. Gout."],
    ["Fern fever", "", "moss disease", "  ", "Gout"],
]
TABLES = [
    ("Gene\tDisease\nMOS1\tfern fever\nEGF\tgout", ["Gene", "Disease", "MOS1", "fern fever", "EGF", "gout"]),
    ("Gene    Disease\nMOS1    fern fever", ["Gene", "Disease", "MOS1", "fern fever"]),
    ("| MOS1 | R175H | fern fever | — |", ["|", "MOS1 |", "R175H |", "fern fever |", "— |"]),
    ("LABS:\nNa 134   K 4.9  Cl 98\nHgb 10.9  Plt 212", ["LABS:", "Na 134", "K 4.9", "Cl 98", "Hgb 10.9  Plt 212"]),
    ("DATE: 03/14    DUE: 03/19", ["DATE: 03/14", "DUE: 03/19"]),
]
PROSE = [
    "The moss  fever was mild.",
    "The   moss    fever  was  mild   and  then  it   went.",
    "Costs ranged from  57 to  317 in fern fever (P | Q) there.",
    "Given fernadol,  Erosive moss pox healed.",
    "Hepa-\ntitis B and fern fev-\ner were seen.",
    "We used 5 mg of mossamine – a dose that was chosen because of the trial\n– and saw no adverse effects of the "
    "treatment in any of the\npatients who had been there.",
    "She had been given fernadol and mossamine for a year when she came to the\nMoss Clinic, and her fever was then "
    "found to be due to fern disease and\n12 other things that the doctors who saw her had not thought of before.",
    "IMPRESSION: CHRONIC MOSS DISEASE WITH ACUTE FERN FEVER, AND A HISTORY OF\nLICHEN POX IN A PATIENT WHO IS ON "
    "MOSSAMINE FOR GOUT AND HAS\nFERN FEVER.",
    "a trial of fernadol in\nJapanese patients with moss disease",
]


@pytest.mark.parametrize("lines", LAYOUTS, ids=lambda lines: lines[0][:20])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", "\n  "])
def test_lines_of_their_own(lines: list[str], end: str) -> None:
    text = end.join(lines)
    assert [span.of(text) for span in split(text)] == [line.strip() for line in lines if line.strip()]


@pytest.mark.parametrize(("text", "cells"), TABLES, ids=lambda value: value[0][:20])
def test_cells_of_their_own(text: str, cells: list[str]) -> None:
    assert [span.of(text) for span in split(text)] == cells


@pytest.mark.parametrize("text", PROSE, ids=lambda text: text[:20])
def test_running_prose_stays_together(text: str) -> None:
    assert [span.of(text) for span in split(text)] == [text]


def test_an_item_of_several_lines() -> None:
    text = "1. Fern fever, stable on mossamine\n   and on fernadol.\n2. Gout. No pain.\n3. Moss pox"
    found = ["1. Fern fever, stable on mossamine\n   and on fernadol.", "2. Gout.", "No pain.", "3. Moss pox"]
    assert [span.of(text) for span in split(text)] == found


@given(
    st.lists(
        st.sampled_from(["a", "Fern fever", "of the", "1.", "- ", "(", ".", " ", "  ", "\n", "\t", "|", ":", "\r\n"])
    )
)
def test_no_sentence_lies_over_an_empty_line(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert not any(re.search(r"\n[^\S\n]*\n", span.of(text)) for span in split(text))


@given(st.text(alphabet=st.sampled_from("aB 1.?!()|\t:;\n\"'é😀İ\u2028-"), max_size=80) | st.text(max_size=60))
def test_only_white_space_lies_between_sentences(text: str) -> None:
    spans = split(text)
    assert all(a.end <= b.start for a, b in itertools.pairwise(spans))
    rest = list(text)
    for span in spans:
        assert not span.of(text)[0].isspace()
        assert not span.of(text)[-1].isspace()
        rest[span.start : span.end] = " " * len(span)
    assert not "".join(rest).strip()


def test_sentences_stay_inside_passages() -> None:
    text = "A title without stop\nAn abstract. Two sentences."
    document = Document("1", text, (Passage(Span(0, 20), "title"), Passage(Span(21, len(text)), "abstract")))
    found = with_sentences(document)
    assert [s.of(text) for s in found.sentences] == ["A title without stop", "An abstract.", "Two sentences."]
    assert with_sentences(found) is found


@pytest.mark.parametrize(
    "text",
    [
        "A" + "." * 100_000 + "x",
        "A" + " " * 100_000 + "x",
        "A.\n" + " \t" * 50_000 + "x",
        "\n" * 1_000_000,
        "a\n" * 100_000,
        "a\t" * 100_000,
        "|" * 100_000,
        "a  B" * 100_000 + "\n" + "a" * 100_000,
    ],
    ids=lambda text: repr(text[:5]),
)
def test_long_runs_of_stops_and_blanks_are_quick(text: str) -> None:
    assert "".join("".join(span.of(text).split()) for span in split(text)) == "".join(text.split())


def test_a_long_list_of_numbers_in_brackets_is_quick() -> None:
    text = "As shown " + " ".join(f"[{n}]." for n in range(5000)) + " End."
    assert "".join(s.of(text) for s in split(text)).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    ("original", "tokenised"),
    [("ncbi_disease/train.pubtator", "ncbi_disease"), ("bc5cdr/train.pubtator", "bc5cdr_disease")],
)
def test_agrees_with_the_tokenised_corpora(corpora: Path, original: str, tokenised: str) -> None:
    lines = (corpora / "iob" / tokenised / "train.tsv").read_text("utf-8").split("\n\n")
    gold = {"".join(row.split("\t")[0] for row in block.split("\n")) for block in lines}
    ours = [
        re.sub(r"\s", "", sentence.of(document.text))
        for document in read(corpora / original, reject=lambda _: None)
        for sentence in with_sentences(document).sentences
    ]
    assert sum(sentence in gold for sentence in ours) / len(ours) > 0.995


@pytest.mark.parametrize("shape", [str, str.upper])
def test_wrapped_abstracts_have_the_sentences_that_they_had(corpora: Path, shape: Callable[[str], str]) -> None:
    """Wrapped at 60 to 100 columns, as if by hand, or with a ragged edge."""
    same = total = 0
    rng = random.Random(1)
    for document in itertools.islice(read(corpora / "bc5cdr" / "train.pubtator", reject=lambda _: None), 100):
        text = shape(document.passages[1].span.of(document.text))
        width = rng.randint(60, 100)
        wrapped, column = [], 0
        for word in text.split():
            full = column + len(word) > width + rng.randint(-4, 4)
            wrapped.append(("\n" if full else " ") * bool(wrapped) + word)
            column = (0 if full else column) + len(word) + 1
        again = "".join(wrapped)
        before = {" ".join(span.of(text).split()) for span in split(text)}
        after = [" ".join(span.of(again).split()) for span in split(again)]
        same += sum(sentence in before for sentence in after)
        total += len(after)
    assert same / total > (0.99 if shape is str else 0.93)


# spaCy's sentencizer


PIECES = ("Fever. ", "E. coli", " \n\n", "\t", "İ 😀!", "e\u0301? ", "Dr. Li", "\u00a0", "(yes.) ", "...", "α")


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_spacys_sentences_cover_all_text_but_white_space(text: str) -> None:
    pytest.importorskip("spacy")
    found = split_by_spacy(text)
    assert "".join("".join(span.of(text).split()) for span in found) == "".join(text.split())
    assert all(span.of(text) == span.of(text).strip() != "" for span in found)
    assert all(first.end <= second.start for first, second in itertools.pairwise(found))


def test_spacy_splits_each_passage_and_leaves_what_is_split() -> None:
    pytest.importorskip("spacy")
    text = "A title\nFever came. It went!"
    document = Document("1", text, (Passage(Span(0, 7), "title"), Passage(Span(8, len(text)), "abstract")))
    found = with_sentences(document, "spacy")
    assert [span.of(text) for span in found.sentences] == ["A title", "Fever came.", "It went!"]
    assert with_sentences(found, "biomark") is with_sentences(found, "spacy") is found


def test_what_cannot_split_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="sentences must be one of biomark, spacy, got 'nltk'"):
        splitter_named("nltk")
    monkeypatch.setitem(sys.modules, "spacy", None)
    module._sentencizer.cache_clear()
    with pytest.raises(MissingExtraError, match=re.escape(".[spacy]")):
        splitter_named("spacy")
