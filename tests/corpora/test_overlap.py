"""What corpora share, and what is left of them without it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomark import formats
from biomark.corpora.overlap import DEFAULTS, Index, letters_of, pubmed_id
from biomark.corpora.settings import OverlapOptions
from biomark.errors import UsageError
from biomark.spans import Document, Entity, Span
from conftest import Outcome

SHARED = "We gave the α-blocker to 12 patients with refractory hypertension of unknown origin."
COPY = "We gave the alpha - blocker to 12 patients with refractory hypertension of unknown origin ."
EDITED = "We gave the alpha-blockers to 12 patients with refractory hypertension of unknown origin."
OTHER = "Nothing in the corpora that are scored is like the sentence that stands here."
MORE = "And neither is what follows, which has enough letters to be compared as well."


def found(text: str, *others: str, options: OverlapOptions = DEFAULTS) -> list[float]:
    index = Index({"test": [Document(str(n), other) for n, other in enumerate(others)]}, options)
    overlaps = index.compare([Document("a", text)], "train").overlaps
    return [shared.similarity for overlap in overlaps for shared in overlap.sentences]


@pytest.mark.parametrize("copy", [SHARED, COPY, SHARED.upper(), SHARED.replace(" ", "\u2009\n")])
def test_sentences_of_the_same_letters_are_shared(copy: str) -> None:
    assert found(copy, OTHER, SHARED) == [1.0]


def test_edited_copies_are_shared_up_to_the_similarity() -> None:
    assert found(EDITED, SHARED) == [0.8]
    assert found(EDITED, SHARED, options=OverlapOptions(similarity=0.95)) == []
    assert found(OTHER, SHARED, MORE) == []


def test_a_long_sentence_is_found_where_it_was_joined_to_another_one() -> None:
    long = SHARED.removesuffix(".") + " and of a duration of several years or even decades"
    assert found(f"Methods and patients {long} {MORE}", long + ".") == [1.0]
    short = "The rats were randomly divided into four groups"
    assert found(f"In the winter of the second year {short.lower()} of equal size.", short + ".") == []


def test_short_sentences_are_shared_by_chance() -> None:
    assert found("There was no difference.", "There was no difference.") == []
    assert found("There was no difference.", "There was no difference.", options=OverlapOptions(letters=20)) == [1.0]


def test_a_sentence_that_many_have_is_found_if_it_is_equal() -> None:
    assert found(COPY, *[SHARED] * 200) == [1.0] * 200


@pytest.mark.parametrize(
    "options", [OverlapOptions(letters=7), OverlapOptions(similarity=0), OverlapOptions(similarity=2)]
)
def test_options_have_ranges(options: OverlapOptions) -> None:
    with pytest.raises(UsageError, match=r"must be at least 8|similarity must be in"):
        Index({}, options)


WORDS = st.lists(st.sampled_from("alpha beta of in asthma TNF-α 12 mice, (IL-2) é ﬁ".split()), max_size=30)


@given(st.lists(WORDS, max_size=4), st.lists(WORDS, max_size=4), st.floats(0.3, 1))
def test_the_index_finds_what_a_comparison_of_all_pairs_finds(
    one: list[list[str]], other: list[list[str]], share: float
) -> None:
    options = OverlapOptions(letters=10, similarity=share)

    def runs(text: str) -> set[str]:
        letters = letters_of(text)
        return {letters[n : n + 8] for n in range(len(letters) - 7)} if len(letters) >= 10 else set()

    def alike(a: set[str], b: set[str]) -> bool:
        less = min(len(a), len(b))
        return bool(less) and len(a & b) / (less if less >= 12 else len(a | b)) >= share

    texts, others = [" ".join(words) for words in one], [" ".join(words) for words in other]
    index = Index({"test": [Document(str(n), text) for n, text in enumerate(others)]}, options)
    overlaps = index.compare([Document(str(n), text) for n, text in enumerate(texts)]).overlaps
    pairs = {(int(s.document), int(s.other_document)) for overlap in overlaps for s in overlap.sentences}
    expected = {
        (n, m)
        for n, a in enumerate(texts)
        for m, b in enumerate(others)
        if alike(runs(a), runs(b)) or (letters_of(a) == letters_of(b) and len(letters_of(a)) >= 10)
    }
    assert pairs == expected


@pytest.mark.parametrize(
    ("id", "expected"),
    [("8701013", "8701013"), ("biored-10788334", "10788334"), ("P00001606T0076", "1606"), ("17", "")],
)
def test_ids_that_are_pubmeds(id: str, expected: str) -> None:
    assert pubmed_id(Document(id, "")) == expected


@pytest.mark.parametrize("id", ["train1234", "PMC1234567", "jnlpba-90110496", "48019521015", "NCT03860038"])
def test_ids_that_are_of_others(id: str) -> None:
    assert pubmed_id(Document(id, "")) == ""


def test_what_is_shared_is_left_out_as_a_sentence_or_a_document() -> None:
    index = Index({"test": [Document("1234567", SHARED)]})
    mention = Entity((Span(len(COPY) + 1, len(COPY) + 8),), "x")
    documents = [
        Document("same article", COPY),
        Document("one of three", f"{COPY} {OTHER} {MORE}", entities=(mention, Entity((Span(3, 7),), "x"))),
        Document("biored-1234567", OTHER),
        Document("other", OTHER),
    ]
    kept = index.compare(documents, "train")
    assert kept.left_out == ("same article", "biored-1234567")
    assert kept.sentences == {"one of three": (Span(0, len(COPY)),)}
    rest, other = kept.documents
    assert other is documents[3]
    assert rest.text == f" {OTHER} {MORE}"
    assert [e.mention(rest.text) for e in rest.entities] == ["Nothing"]
    (overlap,) = kept.overlaps
    assert (overlap.split, overlap.other, overlap.sentence_count) == ("train", "test", 2)
    assert overlap.document_ids == ("biored-1234567", "same article", "one of three")


def test_documents_of_one_id_are_told_apart() -> None:
    index = Index({"test": [Document("x", SHARED)]})
    kept = index.compare([Document("1", OTHER), Document("1", COPY), Document("1", MORE)])
    assert [document.text for document in kept.documents] == [OTHER, MORE]


def test_many_sentences_are_compared_in_linear_time() -> None:
    chance = random.Random(0)
    words = ["".join(chance.choices("abcdefghijklmnop", k=7)) for _ in range(3000)]
    texts = [" ".join(chance.choices(words, k=20)) for _ in range(3000)]
    index = Index({"test": [Document(str(n), text) for n, text in enumerate(texts)]})
    kept = index.compare([Document(str(n), text.upper()) for n, text in enumerate(texts)])
    assert len(kept.left_out) == 3000
    assert kept.overlaps[0].sentence_count == len(kept.overlaps[0].sentences)


def test_the_command_writes_a_table_and_json(tmp_path: Path, biomark: Callable[..., Outcome]) -> None:
    train, test, out = (tmp_path / name for name in ("train.jsonl", "test.jsonl", "out.json"))
    formats.write([Document("a", COPY), Document("b", f"{OTHER} {COPY} {MORE}"), Document("c", OTHER)], train)
    formats.write([Document("d", f"Patients and methods. {SHARED}")], test)
    shown = biomark("corpora", "overlap", str(train), "--with", str(test), "-o", str(out))
    assert shown.status == 0
    assert "to leave out" in shown.out
    assert "and 1 of others" in shown.out
    found = json.loads(out.read_text())
    assert json.loads(biomark("corpora", "overlap", str(train), "--with", str(test), "--json").out) == found
    assert (found["letters"], found["similarity"]) == (40, 0.8)
    (pair,) = found["pairs"]
    assert (pair["split"], pair["other"], pair["documents"], pair["sentences"]) == (str(train), str(test), 2, 2)
    place = {"document": "b", "span": [78, 78 + len(COPY)], "other_document": "d", "other_span": [22, 22 + len(SHARED)]}
    assert {**place, "similarity": 1.0} in pair["shared_sentences"]
    assert found["leave_out"] == {str(train): {"documents": ["a"], "sentences": {"b": [[78, 78 + len(COPY)]]}}}
