"""Lists of ontology terms (DBR), names that replace mentions, and other case."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from vaner_cases import TERMS, documents

from biomark.errors import UsageError
from biomark.spans import Document, Entity, Passage, Span
from biomark.tagging.text import decode_tags
from biomark.tagging.training.augmentation import recased
from biomark.tagging.words import WordReader

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

from biomark.tagging.training.augmentation import SEPARATORS, Listed, Pools, as_list, mentions_of, read_pools, swapped  # noqa: E402
from biomark.tagging.training.examples import UNLABELLED, list_passage  # noqa: E402

torch.set_num_threads(1)  # networks this small only wait for each other's threads

pytest_plugins = ("vaner_fixtures",)


def pools() -> Pools:
    own = {type: tuple(Listed(name, frozenset({type})) for name in names) for type, names in TERMS.items()}
    others = {type: tuple(n for other in TERMS for n in own[other] if other != type) for type in TERMS}
    return Pools(own, others)


@pytest.mark.parametrize("seed", range(6))
def test_a_list_is_labelled_for_the_types_of_its_names(word_pieces: Tokenizer, seed: int) -> None:
    chance = random.Random(seed)
    names = pools().draw("disease", 6, chance)
    names += [Listed("ABC", frozenset({"disease", "gene"})), Listed("cough", frozenset({"disease"}), DISEASE_ALONE)]
    types = ("disease", "chemical", "gene")
    separator = chance.choice(SEPARATORS)
    passage = list_passage(names, types, WordReader(word_pieces), separator)
    text, spans = as_list(names, separator)
    assert [span.of(text) for span in spans] == [name.text for name in names]
    unknown = (passage.tags == UNLABELLED).any(axis=1)
    ((begin,), (end,)) = passage.words.starts[unknown], passage.words.ends[unknown]
    assert text[begin:end] == "cough"
    assert (passage.tags[unknown, 0] != UNLABELLED).all()
    sure = np.where(np.eye(3)[np.maximum(passage.tags, 0)] > 0, 0.0, -9.0).astype(np.float32)
    for n, type in enumerate(types):
        found = [e.mention(text) for e in decode_tags(sure[:, [n]], passage.words, [type])]
        assert found == [name.text for name in names if type in name.types]
    assert len(passage.ends) == len(names)


DISEASE_ALONE = frozenset({"disease"})


def test_half_of_a_drawn_list_is_of_the_type() -> None:
    drawn = pools().draw("gene", 4000, random.Random(1))
    assert sum("gene" in name.types for name in drawn) == pytest.approx(2000, abs=120)
    assert {name.text for name in drawn} == {name for names in TERMS.values() for name in names}
    alone = Pools({"gene": (Listed("IL6", frozenset({"gene"})),)}, {"gene": ()})
    assert [name.text for name in alone.draw("gene", 3, random.Random(1))] == ["IL6"] * 3


def test_mentions_of_a_corpus_speak_of_its_types_alone() -> None:
    found = mentions_of(documents("disease"), ["disease"])
    assert {name.text for name in found} == {"fever", "Fever", "cough", "Marfan syndrome"}
    assert {name.known for name in found} == {DISEASE_ALONE}


def test_names_of_an_epoch_depend_on_the_seed_alone(vaner_home: Path) -> None:
    path = vaner_home / "terms.db"
    once = read_pools(path, ["disease", "gene", "cell_line"], "1 2", size=3)
    assert once == read_pools(path, ["disease", "gene", "cell_line"], "1 2", size=3)
    assert any(once != read_pools(path, ["disease", "gene"], f"1 {n}", size=3) for n in range(3, 6))
    assert set(once.own) == {"disease", "gene"}
    assert {name.text for name in once.own["gene"]} == set(TERMS["gene"])
    both = [name for pool in (once.own, once.others) for names in pool.values() for name in names if name.text == "ABC"]
    assert all(name.types == {"disease", "chemical"} for name in both)
    with pytest.raises(UsageError, match="has names of chemical, disease, gene, but none of cell_line"):
        read_pools(path, ["cell_line"], "1")


NAMES = ("fever", "Fever", "IL2", "Marfan syndrome", "5-HT", "α-tocopherol 😀", "of", ". No")


@given(st.data())
def test_swapped_mentions_leave_all_else_in_its_place(data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.sampled_from((*NAMES, " ", " was seen. ", "İ ")), max_size=25))
    text, entities = "", []
    for part in parts:
        if part in NAMES and data.draw(st.booleans()):
            type = data.draw(st.sampled_from(["disease", "chemical", "species"]))
            entities.append(Entity((Span(len(text), len(text) + len(part)),), type))
        text += part
    for _ in range(data.draw(st.integers(0, 3)) if len(text) > 3 else 0):  # nested and crossing ones
        start = data.draw(st.integers(0, len(text) - 2))
        entities.append(Entity((Span(start, data.draw(st.integers(start + 1, len(text)))),), "disease"))
    cut = data.draw(st.integers(1, len(text) - 1)) if len(text) > 1 else 0
    sentences = (Span(0, cut), Span(cut, len(text))) if cut else ()
    document = Document("1", text, tuple(Passage(s, "part") for s in sentences), sentences, tuple(entities))
    found = swapped(document, pools(), random.Random(1))
    # What is not inside a mention stands in the same order, and every mention is an old one or a name of its type.
    names = {type: {name.text.lower() for name in some} for type, some in pools().own.items()}
    before = [(e.type, e.mention(text)) for e in document.entities]
    for entity in found.entities:
        mention = entity.mention(found.text)
        assert (entity.type, mention) in before or mention.lower() in names[entity.type]
    assert len(found.sentences) == len(document.sentences)
    for old, new in zip(document.sentences, found.sentences, strict=True):
        inside = [e for e in document.entities if old.contains(e.extent)]
        if not inside:
            assert new.of(found.text) == old.of(text) or any(e.extent.overlaps(old) for e in document.entities)
    if not document.entities:
        assert found == document
    if all(e.type == "species" for e in document.entities):
        assert found.text == text


def test_equal_mentions_get_equal_names_and_abbreviations_stay() -> None:
    text = "Fever, fever and AIDS; aspirin-induced fever. Dry cough."
    spans = [(0, 5), (7, 12), (17, 21), (39, 44), (46, 55)]
    assert [text[a:b] for a, b in spans] == ["Fever", "fever", "AIDS", "fever", "Dry cough"]
    entities = [Entity((Span(a, b),), "disease") for a, b in spans]
    entities += [Entity((Span(23, 30),), "chemical"), Entity((Span(50, 55),), "disease")]
    document = Document("1", text, (Passage(Span(0, len(text)), "title"),), entities=tuple(entities))
    seen = set()
    for seed in range(20):
        found = swapped(document, pools(), random.Random(seed))
        fever, again, aids, third, cough, aspirin = (e.mention(found.text) for e in found.entities)
        assert again == third
        assert again in TERMS["disease"]
        assert fever == again[:1].upper() + again[1:]
        assert cough.lower() in {name.lower() for name in TERMS["disease"]}
        assert aspirin in TERMS["chemical"]
        assert aids == "AIDS"
        assert found.text == f"{fever}, {again} and AIDS; {aspirin}-induced {third}. {cough}."
        assert found.passages[0].span == Span(0, len(found.text))
        seen.add(fever)
    assert len(seen) > 2


def test_recased_documents_keep_their_offsets() -> None:
    document = Document("1", "İ had Crohn disease ß.", entities=(Entity((Span(6, 19),), "disease"),))
    texts = {recased(document, random.Random(n)).text for n in range(20)}
    assert texts == {"İ had crohn disease ß.", "İ had Crohn Disease ß."}
