"""The gate between annotation guidelines: windows of a document decide together, and tags are mixed by it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tokenizers import Tokenizer

from biomark.errors import UsageError
from biomark.spans import Document, Span
from biomark.tagging.guidelines import Guidelines, check_guideline
from biomark.tagging.recognizer import TaggingRecognizer
from biomark.tagging.text import TAGS, Batch, Output, log_softmax
from biomark.tagging.words import WordReader

TYPES = ("disease", "chemical")
BOTH = Guidelines.of({"one": ["disease"], "two": ["disease", "chemical"]}, TYPES)

gates = st.integers(1, 6).flatmap(lambda windows: arrays(np.float32, (windows, 2), elements=st.floats(-8, 8, width=32)))


def test_a_window_alone_decides_for_itself() -> None:
    assert np.allclose(np.exp(BOTH.gates([[np.log(3), 0.0]])), [[0.75, 0.25]])


def test_the_other_windows_count_as_much_as_the_window_itself() -> None:
    """Odds of 3 to 1 against, and others with odds of 4 and 9 for, whose geometric mean is 6: 2 to 1 for."""
    log = np.log
    decided = BOTH.gates([[0.0, log(3)], [log(4), 0.0], [log(9), 0.0]])
    assert np.allclose(np.exp(decided[0]), [2 / 3, 1 / 3], atol=1e-6)


@given(gates)
def test_gates_are_probabilities_and_equal_windows_agree(values: np.ndarray) -> None:
    assert np.allclose(np.exp(BOTH.gates(values)).sum(axis=1), 1, atol=1e-4)
    same = np.repeat(values[:1], 3, axis=0)
    decided = BOTH.gates(same)
    assert np.allclose(decided, decided[:1], atol=1e-5)


def test_a_type_is_weighed_among_the_corpora_that_annotate_it() -> None:
    generator = np.random.default_rng(1)
    by_guideline = log_softmax(generator.normal(size=(4, 2, 2, TAGS)).astype(np.float32))
    gate = np.log(np.array([0.75, 0.25], dtype=np.float32))
    mixed = np.exp(BOTH.mixed(by_guideline, gate))
    each = np.exp(by_guideline)
    assert np.allclose(mixed[:, 0], 0.75 * each[:, 0, 0] + 0.25 * each[:, 1, 0], atol=1e-6)
    assert np.allclose(mixed[:, 1], each[:, 1, 1], atol=1e-6)  # corpus "one" annotates no chemicals


def test_a_preferred_guideline_decides_for_its_types_alone() -> None:
    asked = Guidelines.of({"one": ["disease"], "two": ["disease", "chemical"]}, TYPES, "one")
    generator = np.random.default_rng(2)
    by_guideline = log_softmax(generator.normal(size=(3, 2, 2, TAGS)).astype(np.float32))
    (gate,) = asked.gates([[-9.0, 9.0]])
    mixed = asked.mixed(by_guideline, gate)
    assert np.allclose(mixed[:, 0], by_guideline[:, 0, 0], atol=1e-5)
    assert np.allclose(mixed[:, 1], by_guideline[:, 1, 1], atol=1e-5)


def test_an_unknown_guideline_is_refused() -> None:
    check_guideline(Path("model"), "", [])
    check_guideline(Path("model"), "one", ["one"])
    with pytest.raises(UsageError, match="model: unknown guideline 'three'; choose from one, two"):
        check_guideline(Path("model"), "three", ["one", "two"])
    with pytest.raises(UsageError, match="this model follows no guideline by name"):
        check_guideline(Path("model"), "one", [])


def test_a_window_follows_its_document_and_no_other_one(word_pieces: Tokenizer) -> None:
    """Under the first guideline every word is a gene, under the second none; only `fever` tells them apart."""
    reader = WordReader(word_pieces)
    (word,) = reader.words("fever", [Span(0, 5)])
    fever = word.pieces.tolist()

    def forward(batch: Batch) -> Output:
        logits = np.full((len(batch.first_piece), 2, 1, TAGS), -9.0, dtype=np.float32)
        logits[:, 0, 0, 1] = logits[:, 1, 0, 0] = 0.0
        first = np.isin(batch.input_ids, fever).any(axis=1)
        return Output(logits, np.where(first[:, None], [4.0, 0.0], [0.0, 0.1]).astype(np.float32))

    guidelines = Guidelines.of({"one": ["gene"], "two": ["gene"]}, ["gene"])
    recognizer = TaggingRecognizer(reader, forward, ["gene"], guidelines=guidelines, max_pieces=16, min_score=0.5)
    unclear = "Nothing was seen there by any of them at that time . " * 2
    texts = {"alone": unclear, "beside": "A fever was seen . " * 3 + unclear}
    documents = [Document(name, text) for name, text in texts.items()]
    marked = {a.document.id: len(a.document.entities) for a in recognizer.annotate(documents)}
    assert marked["alone"] == 0
    assert marked["beside"] > 20
