"""The conditional random field."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from experiment_cases import SENTENCES, annotated
from hypothesis import given
from hypothesis import strategies as st

from biomark.errors import ModelError, UsageError
from biomark.lab.bench import crf
from biomark.spans import Document


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> crf.CrfRecognizer:
    pytest.importorskip("pycrfsuite")
    documents = [annotated(" ".join(SENTENCES), str(number)) for number in range(4)]
    folder = tmp_path_factory.mktemp("field")
    return crf.CrfRecognizer(crf.train(documents, ("disease", "chemical"), folder))


def test_a_field_learns_its_sentences(field: crf.CrfRecognizer) -> None:
    text = f"{SENTENCES[2]} {SENTENCES[1]}"
    (found,) = field.annotate([replace(annotated(text), entities=())])
    assert [(e.type, e.mention(text)) for e in found.document.entities] == [
        ("chemical", "Zinc"),
        ("disease", "fever"),
        ("disease", "dry cough"),
        ("disease", "fever"),
        ("chemical", "β-carotene"),
        ("chemical", "zinc"),
    ]
    assert all(0 < (e.score or 0) <= 1 for e in found.document.entities)
    (one,) = field.annotate([annotated(text)], ["disease"])
    assert {e.type for e in one.document.entities} == {"disease"}
    (sure,) = field.annotate([annotated(text)], min_score=1.0)
    assert all(e.score == 1.0 for e in sure.document.entities)


@given(st.lists(st.sampled_from([*SENTENCES, "İstanbul 😀 zinc\u0301.", "<mark> α", ""]), max_size=5))
def test_mentions_of_a_field_begin_and_end_at_words(field: crf.CrfRecognizer, sentences: list[str]) -> None:
    text = " ".join(sentences)
    (found,) = field.annotate([Document("1", text)])
    for entity in found.document.entities:
        mention = entity.mention(text)
        assert mention == mention.strip() != ""
        assert not re.match(r"[a-z]{2}", text[entity.start - 1 : entity.start + 1] if entity.start else "")


def test_a_field_says_what_it_cannot_do(field: crf.CrfRecognizer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown type 'gene'; choose from disease, chemical"):
        list(field.annotate([Document("1", "x")], ["gene"]))
    with pytest.raises(ModelError, match="is this the folder of a conditional random field"):
        crf.CrfRecognizer(tmp_path)
