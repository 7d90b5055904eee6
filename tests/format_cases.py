"""Documents for the tests of formats: generated ones, and reading and writing in memory."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from hypothesis import strategies as st

from biomark import formats
from biomark.spans import Document, Entity, Infons, Passage, Rejected, Relation, Span

# Texts with what breaks readers: line ends that are none, white space, Greek, a letter whose lower
# case is two, emoji, combining marks, and the marks of the formats themselves.
PIECES = ("ab", "Z", "7", " ", "\n", "\r\n", "\t", "\u2028", "\x85", "\x0b", "\xa0", "α", "İ", "😀", "e\u0301")
MARKS = ("|t|", "<mark>", "&amp;", "]]>", "_", "-", ",", ";", '"', "\\n", "\\", "#", "O", "%20", "{", "'")
TEXTS = st.lists(st.sampled_from(PIECES + MARKS), max_size=14).map("".join)
ANY_TEXT = st.one_of(TEXTS, st.text(st.characters(exclude_categories=("Cs",)), max_size=30))
NAMES = st.sampled_from(["Disease", "Cell line", "α-Type", "a|b", "x:y", "é,1"])
IDS = st.lists(st.sampled_from(["D001", "OMIM:1", "c|SUB|T|920|G", "a,b", "D001|D002", "-1", "α 2", ""]), max_size=3)
INFONS = st.dictionaries(st.sampled_from(["MESH", "note", "parts", "α"]), NAMES, max_size=2).map(Infons)


@st.composite
def spans(draw: st.DrawFn, length: int, most: int) -> tuple[Span, ...]:
    """Spans in order and apart within a text of `length` code points; touching ones too."""
    ends = sorted(draw(st.lists(st.integers(0, length), max_size=2 * most)))
    return tuple(Span(a, b) for a, b in list(pairwise(ends))[::2] if a < b)


@st.composite
def mentions(draw: st.DrawFn, length: int) -> tuple[Entity, ...]:
    found = []
    for _ in range(draw(st.integers(0, 4))):
        places = draw(spans(length, 3))
        if places:
            score = draw(st.none() | st.floats(0, 1))
            found.append(Entity(places, draw(NAMES), tuple(draw(IDS)), score, draw(INFONS)))
    return tuple(found)


@st.composite
def documents(draw: st.DrawFn, texts: st.SearchStrategy[str] = ANY_TEXT) -> Document:
    """Documents with every field filled in every way."""
    text = draw(texts)
    passages = [Passage(span, draw(NAMES), draw(INFONS)) for span in draw(spans(len(text), 3))]
    arguments = st.lists(st.tuples(NAMES | st.just(""), NAMES), min_size=1, max_size=3).map(tuple)
    relations = st.lists(st.builds(Relation, NAMES, arguments, INFONS), max_size=2)
    return Document(
        draw(st.sampled_from(["1", "PMC7-α", "a b", "x/y", "..", "%41", "doc\u2028"])),
        text,
        tuple(passages),
        draw(spans(len(text), 3)),
        draw(mentions(len(text))),
        draw(mentions(len(text))),
        tuple(draw(relations)),
        draw(INFONS),
    )


def read(path: Path, format: str | None = None) -> tuple[list[Document], list[Rejected]]:
    """The documents of a file or folder, and what was rejected."""
    rejects: list[Rejected] = []
    return list(formats.read(path, format, reject=rejects.append)), rejects


def written(documents: Sequence[Document], format: str) -> tuple[bytes, Counter[str]]:
    """The file that holds the documents, and what it lacks."""
    stream = io.BytesIO()
    lost = formats.write(documents, stream, format)
    return stream.getvalue(), lost


def parsed(data: bytes, format: str) -> tuple[list[Document], list[Rejected]]:
    """The documents of a file, and what was rejected."""
    rejects: list[Rejected] = []
    return list(formats.read(io.BytesIO(data), format, reject=rejects.append)), rejects


def through(document: Document, format: str) -> tuple[Document, Counter[str]]:
    """A document written and read again without a reject, and what was lost."""
    data, lost = written([document], format)
    (again,), rejects = parsed(data, format)
    assert not rejects
    return again, lost


MEDLINE = """<?xml version="1.0"?>
<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle, 1st January 2019//EN" "https://example.org/x.dtd">
<PubmedArticleSet>
<PubmedArticle><MedlineCitation><PMID Version="1">11</PMID><Article>
  <Journal><JournalIssue><PubDate><Year>2021</Year></PubDate></JournalIssue><Title>J Gout</Title></Journal>
  <ArticleTitle>The <i>TNF</i>-α<sup>2+</sup>
    study.</ArticleTitle>
  <Abstract><AbstractText Label="AIMS" NlmCategory="OBJECTIVE">To <b>treat</b> gout.</AbstractText>
  <AbstractText Label="RESULTS">It worked &lt;5%.</AbstractText>
  <CopyrightInformation>no</CopyrightInformation></Abstract>
</Article></MedlineCitation><PubmedData><ArticleIdList><ArticleId IdType="doi">10.1/x</ArticleId></ArticleIdList>
<ReferenceList><Reference><ArticleIdList><ArticleId IdType="doi">10.9/y</ArticleId></ArticleIdList></Reference>
</ReferenceList></PubmedData></PubmedArticle>
<PubmedArticle><MedlineCitation><Article><ArticleTitle>Lost</ArticleTitle></Article></MedlineCitation></PubmedArticle>
<PubmedArticle><MedlineCitation><PMID>12</PMID><Article><ArticleTitle>Gout.</ArticleTitle></Article></MedlineCitation>
</PubmedArticle>
</PubmedArticleSet>"""
