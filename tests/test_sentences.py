"""Sentences: nothing lost, boundaries where a reader would put them."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomark.formats import read
from biomark.sentences import split, with_sentences
from biomark.spans import Document, Passage, Span

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


@given(st.text(alphabet=st.sampled_from("aB 1.?!()\n\"'é😀İ\u2028-"), max_size=80) | st.text(max_size=60))
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


@pytest.mark.parametrize("text", ["A" + "." * 100_000 + "x", "A" + " " * 100_000 + "x", "A.\n" + " \t" * 50_000 + "x"])
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
