"""CoNLL: all schemes by one rule, columns as others write them, exact offsets in ours."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, Entities

from biomark.formats.conll import Token, tagged_document
from biomark.spans import Document, Entity, Span
from format_cases import parsed, written

WORDS = ["a", "b", "c", "d", "e"]


def found(tags: str) -> list[tuple[str, str]]:
    tokens = [[Token(word, tag) for word, tag in zip(WORDS, tags.split(), strict=False)]]
    document = tagged_document("1", tokens)
    return [(e.type, e.mention(document.text)) for e in document.entities]


@pytest.mark.parametrize(
    ("tags", "mentions"),
    [
        ("O B-X I-X O B-X", [("X", "b c"), ("X", "e")]),  # BIO
        ("B-X B-X I-X O O", [("X", "a"), ("X", "b c")]),  # BIO, adjacent
        ("I-X I-X B-X O I-Y", [("X", "a b"), ("X", "c"), ("Y", "e")]),  # IOB1
        ("I-X I-Y O O O", [("X", "a"), ("Y", "b")]),  # IO
        ("S-X B-X I-X E-X S-X", [("X", "a"), ("X", "b c d"), ("X", "e")]),  # BIOES
        ("U-X B-X I-X L-X U-Y", [("X", "a"), ("X", "b c d"), ("Y", "e")]),  # BILOU
        ("B-X E-X I-X O O", [("X", "a b"), ("X", "c")]),
        ("B I O B O", [("entity", "a b"), ("entity", "d")]),  # without types
        ("B-cell-line I-cell-line O O O", [("cell-line", "a b")]),
        ("O O O O O", []),
    ],
)
def test_schemes(tags: str, mentions: list[tuple[str, str]]) -> None:
    assert found(tags) == mentions


@given(st.data())
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("scheme", [IOB1, IOB2, IOBES, BILOU])
def test_schemes_as_seqeval_decodes_them(scheme: type, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, 8), max_size=6)))
    parts = [(a, b, data.draw(st.sampled_from(["X", "Y", None]))) for a, b in pairwise(cuts)]
    tags = ["O"] * 8
    for before, (a, b, type) in zip([None, *(p[2] if p[1] else None for p in parts)], parts, strict=False):
        if type:
            tags[a:b] = encoded(b - a, type, scheme, adjacent=before == type)
    document = tagged_document("1", [[Token("w", tag) for tag in tags]])
    ours = [(e.type, e.start // 2, e.end // 2 + 1) for e in document.entities]
    (theirs,) = Entities([tags], scheme).entities
    assert ours == [(e.tag, e.start, e.end) for e in theirs]


def encoded(length: int, type: str, scheme: type, *, adjacent: bool) -> list[str]:
    first, last, only = {IOB1: "III", IOB2: "BIB", IOBES: "BES", BILOU: "BLU"}[scheme]
    if scheme is IOB1 and adjacent:
        first = only = "B"
    letters = only if length == 1 else first + "I" * (length - 2) + last
    return [f"{letter}-{type}" for letter in letters]


def test_columns_of_others() -> None:
    text = "EU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\nPeter\tNNP\tI-PER\nBlack\tNNP\tI-PER\n"
    (first, second), rejects = parsed(text.encode(), "conll")
    assert not rejects
    assert (first.id, first.text, first.sentences) == ("1", "EU rejects", (Span(0, 10),))
    assert first.entities == (Entity((Span(0, 2),), "ORG"),)
    assert (second.text, second.entities) == ("Peter Black", (Entity((Span(0, 11),), "PER"),))


def test_docstart_begins_a_document_of_many_sentences() -> None:
    text = "-DOCSTART- -X- O O\n\nA B-X\n\nb O\nc B-X\n\n-DOCSTART- -X- O O\n\nD O\r\n\r\nE B-Y\r\n"
    (first, second), rejects = parsed(text.encode(), "conll")
    assert not rejects
    assert (first.text, first.sentences) == ("A\nb c", (Span(0, 1), Span(2, 5)))
    assert [e.mention(first.text) for e in first.entities] == ["A", "c"]
    assert (second.id, second.text, second.entities) == ("2", "D\nE", (Entity((Span(2, 3),), "Y"),))


def test_line_ends_of_unicode_end_no_line() -> None:
    (document,), _ = parsed("a\u2028b\tB-X\nc\x85\tO\n".encode(), "conll")
    assert document.text == "a\u2028b c\x85"


DOCUMENT = Document(
    "PMID 1",
    "Non-ß  gout,\nTNF-α.",
    sentences=(Span(0, 12), Span(13, 19)),
    entities=(Entity((Span(4, 5),), "X"), Entity((Span(5, 11),), "Gout"), Entity((Span(13, 18),), "Gene")),
)
FILE = """-DOCSTART-	PMID 1	2	-	O

Non	0	3	-	O
-	3	4	-	O
ß	4	5	__	B-X
gout	7	11	-	B-Gout
,	11	12	\\n	O

TNF	13	16	-	B-Gene
-	16	17	-	I-Gene
α	17	18	-	I-Gene
.	18	19	-	O

"""


def test_what_we_write() -> None:
    data, lost = written([DOCUMENT], "conll")
    assert data.decode() == FILE
    assert lost == {"white space at the ends of mentions": 1}


def test_readers_of_first_and_last_column_read_it() -> None:
    data, _ = written([DOCUMENT], "conll")
    rows = [line.split("\t") for line in data.decode().splitlines() if line and not line.startswith("-DOCSTART-")]
    tags = [row[-1] for row in rows]
    assert [kind for kind, _, _ in get_entities(tags)] == ["X", "Gout", "Gene"]


def test_a_mention_across_sentences_is_left_out() -> None:
    document = Document("1", "a b", sentences=(Span(0, 1), Span(2, 3)), entities=(Entity((Span(0, 3),), "X"),))
    data, lost = written([document], "conll")
    assert parsed(data, "conll")[0][0].entities == ()
    assert lost == {"mentions that are nested, discontinuous or across sentences (left out)": 1}
