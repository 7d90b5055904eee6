import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomark.marks import Aligned, align, decode, encode
from biomark.marks.alignment import placements
from biomark.spans import Entity, Rejected, Span, flat

# Small alphabets make repeated words, and tags beside marks, likely.
TEXTS = st.lists(
    st.sampled_from(
        ["<mark>", "</mark>", "<", ">", " ", "a", "İ", "β", "e\u0301", "👩‍🔬", "1,25-D3", ", ", "\u2028", "mark", "</"]
    ),
    max_size=12,
).map("".join)
WORDS = [
    "the",
    "of",
    "in",
    "and",
    "p53",
    "BRCA1",
    "breast",
    "cancer",
    "5-FU",
    "IL-2",
    "α-synuclein",
    ",",
    ".",
    "(",
    ")",
    "A",
]


@st.composite
def marked_texts(draw, texts=TEXTS):
    text = draw(texts)
    ends = st.integers(0, len(text))
    pairs = draw(st.lists(st.tuples(ends, ends), max_size=5))
    return text, [Entity((Span(min(p), max(p)),), "disease") for p in pairs if p[0] != p[1]]


def spans_of(entities):
    return [(e.start, e.end) for e in entities]


@given(marked_texts())
@settings(max_examples=400)
def test_decode_is_the_inverse_of_encode(case):
    text, entities = case
    marked = encode(text, entities)
    decoded = decode(marked.text, text, "disease")
    assert not isinstance(decoded, Rejected)
    kept = list(entities)
    for entity in marked.left_out:
        kept.remove(entity)
    assert spans_of(decoded) == sorted(spans_of(kept))
    if "mark>" not in text:
        assert decoded == flat(entities)


@given(marked_texts())
def test_an_answer_that_is_faithful_is_aligned_as_it_is_decoded(case):
    text, entities = case
    marked = encode(text, entities).text
    assert align(marked, text, "disease") == Aligned(decode(marked, text, "disease"))


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("write <mark> before it", 0, 5),
        ("write <mark> before it", 6, 12),
        ("write <mark> before it", 13, 19),
        ("in a <mark>tag</mark> here", 5, 21),
        ("in a <mark>tag</mark> here", 11, 14),
        ("a </mark> b", 0, 11),
    ],
)
def test_a_tag_in_the_source_is_source_text(text, start, end):
    entity = Entity((Span(start, end),), "gene")
    marked = encode(text, [entity])
    # Not to be told from a mention of the tagged word alone.
    inexpressible = text[start:end] == "<mark>tag</mark>"
    assert marked.left_out == ((entity,) if inexpressible else ())
    assert decode(marked.text, text, "gene") == (() if inexpressible else (entity,))


def test_what_marks_cannot_hold_is_returned():
    text = "breast and ovarian cancer"
    whole, part = Entity((Span(0, 25),), "disease"), Entity((Span(11, 25),), "disease")
    apart = Entity((Span(0, 6), Span(19, 25)), "disease")
    marked = encode(text, [part, whole, apart, whole])
    assert marked.text == "<mark>breast and ovarian cancer</mark>"
    assert marked.left_out == (part, apart, whole)


@pytest.mark.parametrize(
    "answer",
    [
        "p53 binds",
        "p53 binds DNA ",
        "<mark>p53 binds DNA",
        "p53</mark> binds DNA",
        "<mark></mark>p53 binds DNA",
        "",
        "P53 binds DNA",
    ],
)
def test_an_unfaithful_answer_is_not_decoded(answer):
    assert isinstance(decode(answer, "p53 binds DNA", "gene"), Rejected)


SOURCE = "Loss of p53 and BRCA1 causes breast cancer; p53 is lost in T-cell leukaemia."


@pytest.mark.parametrize(
    ("answer", "expected", "rejects"),
    [
        # dropped, changed, added, doubled and re-spaced words
        ("Loss of p53 and causes <mark>breast cancer</mark>; p53 is lost in leukaemia.", [(29, 42)], 0),
        (
            "Lack of p53 and BRCA1 causes <mark>breast cancer</mark>; <mark>p53</mark> is lost in T-cell leukaemia.",
            [(29, 42), (44, 47)],
            0,
        ),
        ("Here it is: loss of p53 and <mark>brca1</mark> causes breast cancer ; p53 is lost", [(16, 21)], 0),
        (
            "Loss of of <mark>p53</mark> p53 and BRCA1 causes breast cancer; p53 is lost in T-cell leukaemia.",
            [(8, 11)],
            0,
        ),
        (
            "Loss of p53 and BRCA1 causes breast cancer; p53 is lost in <mark>T - cell  leukaemia</mark> .",
            [(59, 75)],
            0,
        ),
        ("Loss of p53 andBRCA1 causes <mark>breastcancer</mark>; p53 is lost in T‑cell leukaemia.", [(29, 42)], 0),
        # marks in disorder
        (
            "Loss of <mark>p53 and BRCA1 causes <mark>breast cancer</mark>; p53 is lost in T-cell leukaemia.",
            [(29, 42)],
            1,
        ),
        (
            "Loss of p53 and BRCA1 causes <mark>breast <mark>cancer</mark></mark>; p53 is lost in T-cell leukaemia.",
            [(29, 42)],
            1,
        ),
        ("Loss of p53 and BRCA1 causes < MARK>breast cancer </ Mark>; p53 is lost in T-cell leukaemia.", [(29, 42)], 0),
        ("Loss of p53 and BRCA1 causes<mark> </mark>breast cancer; p53 is lost.", [], 1),
        # no certain place
        ("<mark>p53</mark>", [], 1),
        ("Loss of <mark>p63</mark> and BRCA1 causes breast cancer", [], 1),
        ("<mark>cell</mark>", [(61, 65)], 0),
        ("<mark>ells</mark>", [], 1),
        ("of <mark>RCA</mark> causes", [], 1),
    ],
)
def test_what_can_be_placed_is_placed_and_the_rest_rejected(answer, expected, rejects):
    aligned = align(answer, SOURCE, "x")
    assert spans_of(aligned.entities) == expected
    assert len(aligned.rejected) == rejects


def test_tags_of_the_source_are_told_from_marks_in_an_unfaithful_answer():
    source = "Write <mark> before p53 and </mark> after it."
    aligned = align("Write a <mark> before <mark>p53</mark> and </mark> after.", source, "gene")
    assert spans_of(aligned.entities) == [(20, 23)]
    assert not aligned.rejected


@st.composite
def perturbed(draw):
    """A source, its mentions (start, end → whether its words survive) and an answer with errors."""
    seed = draw(st.integers(0, 10**9))
    chance = random.Random(seed)
    words = [chance.choice(WORDS) for _ in range(chance.randint(8, 60))]
    source, answer, mentions, offset, index = "", "", {}, 0, 0
    while index < len(words):
        length = chance.choice([0, 0, 0, 1, 1, 2])
        chunk = words[index : index + max(length, 1)]
        text = " ".join(chunk)
        source += (" " if source else "") + text
        offset = len(source) - len(text)
        error = chance.choice(["drop", "add", "double", "case", "space"]) if chance.random() < 0.12 else ""
        copied = {"drop": "", "case": text.upper() if text.upper().lower() == text.lower() else text}.get(error, text)
        if length:
            mentions[offset, offset + len(text)] = error != "drop"
            copied = f"<mark>{copied}</mark>" if copied else ""
        copied += {"add": " indeed", "double": " " + text}.get(error, "")
        answer += ("  " if error == "space" else " ") * bool(answer) + copied
        index += max(length, 1)
    return source, answer, mentions


recovered = {"kept": 0, "survived": 0, "wrong": 0}


@given(perturbed())
@settings(max_examples=150, derandomize=True)
def test_kept_mentions_have_the_text_of_the_source(case):
    source, answer, mentions = case
    aligned = align(answer, source, "x")
    for entity in aligned.entities:
        assert f"<mark>{entity.mention(source)}</mark>".lower() in answer.lower()
    found = set(spans_of(aligned.entities))
    survived = {place for place, survives in mentions.items() if survives}
    recovered["survived"] += len(survived)
    recovered["kept"] += len(survived & found)
    recovered["wrong"] += len(found - survived)


def test_nearly_all_surviving_mentions_are_recovered():
    test_kept_mentions_have_the_text_of_the_source()
    assert recovered["survived"] > 500
    assert recovered["kept"] / recovered["survived"] >= 0.95
    # Elsewhere in the source, at a place with the same words; 0.1 to 0.25 % were seen.
    assert recovered["wrong"] / recovered["survived"] <= 0.01


def test_two_thousand_words_are_aligned():
    chance = random.Random(3)
    words = [chance.choice(WORDS) for _ in range(2000)]
    # Every mention stands in a context of its own.
    words[::20] = [f"gene{i}" for i in range(100)]
    answer = [
        f"<mark>{w}</mark>" if w.startswith("gene") and w != "gene" else w
        for w in words
        if chance.random() < 0.9 or w.startswith("gene")
    ]
    aligned = align(" ".join(answer), " ".join(words), "gene")
    assert len(aligned.entities) == 100


@given(st.text("ab", max_size=9), st.text("ab", max_size=9))
def test_placements_match_as_many_as_the_longest_common_subsequence(source, answer):
    lengths = [[0] * (len(answer) + 1) for _ in range(len(source) + 1)]
    for i, a in enumerate(source):
        for j, b in enumerate(answer):
            lengths[i + 1][j + 1] = lengths[i][j] + 1 if a == b else max(lengths[i][j + 1], lengths[i + 1][j])
    for found in placements(source, answer, [False] * len(answer)):
        assert all(answer[j] == source[i] for j, i in found.items())
        pairs = sorted(found.items())
        assert all(a[1] < b[1] for a, b in itertools.pairwise(pairs))
        # Runs count a quarter of a match, so that a longer run may outweigh one match.
        assert len(found) >= lengths[-1][-1] - 2


def test_too_long_an_answer_is_rejected_with_what_to_do():
    aligned = align("<mark>a</mark> " * 11_000, "b " * 11_000, "x")
    assert aligned.entities == ()
    assert "windows" in aligned.rejected[0].reason
