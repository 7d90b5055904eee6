"""Lists of names near a sentence's own phrases (DBR as VANER's authors make it)."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomark.embedding.exported import Exported
from biomark.knowledge.building import build
from biomark.knowledge.entries import Entry
from biomark.knowledge.keys import Keys
from biomark.knowledge.neighbours import Neighbours
from biomark.knowledge.store import Store
from biomark.spans import Document, Entity, Span
from biomark.tagging.training.augmentation import Listed, Pools, read_pools
from biomark.tagging.training.dense import EACH, LEAST, DenseSentence, Near, phrases, sentences_of
from knowledge_cases import Terms, entry

ENTRIES: list[Entry] = [
    entry("DOID:1", "disease", "breast cancer", "cancer of the breast"),
    entry("DOID:2", "disease", "male breast cancer"),
    entry("DOID:3", "disease", "dry cough"),
    entry("DOID:4", "disease", "hay fever"),
    entry("DOID:5", "disease", "gout"),
    entry("DOID:6", "disease", "ABC deficiency"),
    entry("DOID:7", "disease", "tuberculosis"),
    entry("NCBIGene:1", "gene", "breast cancer 1", "BRCA1"),
    entry("NCBIGene:2", "gene", "breast cancer anti-estrogen resistance 3"),
    entry("NCBIGene:3", "gene", "ABC transporter 4"),
    entry("MESH:1", "chemical", "zinc"),
    entry("MESH:2", "chemical", "zileuton"),
    entry("MESH:3", "chemical", "ABC"),
    entry("MESH:4", "gene", "ABC"),
]


def built(path: Path, encoder: Exported | None = None) -> Path:
    build([Terms(ENTRIES)], path, reject=lambda rejected: pytest.fail(str(rejected)), encoder=encoder)
    return path


@pytest.fixture(scope="module")
def store_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("dense") / "terms.store")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Breast cancers were treated with β-blockers.", ["breast cancer", "treated", "beta blocker"]),
        ("No fever, dry cough (IL-2 and 5-HT): 40 %", ["fever", "dry cough", "il 2", "5 ht"]),
        ("Crohn’s disease; 1,25-dihydroxyvitamin D3", ["crohn disease", "25 dihydroxyvitamin d 3"]),
        ("one two three a b c d e f g", ["two three", "b c d e f g"]),
        ("b c d e f g h", ["c d e f g h"]),
        ("12 34. 😀 É X", ["e x"]),
        ("", []),
        ("of the", []),
    ],
)
def test_phrases_are_runs_of_words_between_stop_words_and_signs(text: str, expected: list[str]) -> None:
    assert list(phrases(text)) == expected


@given(st.text(st.sampled_from("aB é1-'’/,. \n😀of\u0301"), max_size=60))
def test_phrases_of_any_text(text: str) -> None:
    found = list(phrases(text))
    assert all(phrase.strip() for phrase in found)
    assert found == list(phrases(f"  {text} of"))


def mention(text: str, name: str, type: str) -> Entity:
    return Entity((Span(text.index(name), text.index(name) + len(name)),), type)


def test_a_sentence_has_its_own_phrases_and_mentions() -> None:
    text = "Male breast cancer was seen. Zinc helped gout."
    entities = (mention(text, "breast cancer", "disease"), mention(text, "Zinc", "chemical"))
    document = Document("1", text, sentences=(Span(0, 28), Span(29, 46)), entities=entities)
    one, other = sentences_of(document, ["disease"])
    known = frozenset({"disease"})
    assert one == DenseSentence(("male breast cancer", "seen"), (Listed("breast cancer", known, known),))
    assert other == DenseSentence(("zinc helped gout",), ())  # its corpus says nothing of chemicals


def listed(
    store_file: Path, type: str, *wanted: str, most: int = 10, others: int = 5, mentions: tuple[Listed, ...] = ()
) -> list[Listed]:
    pools = read_pools(store_file, ["disease", "gene", "chemical"], "1")
    sentence = DenseSentence(wanted, mentions)
    return Near(store_file, wanted).draw(
        sentence, type, pools, most=most, others=others, chance=random.Random(len(wanted))
    )


def test_a_list_has_names_near_the_phrases(store_file: Path) -> None:
    found = listed(store_file, "disease", "breast cancer")
    own = {name.text for name in found if "disease" in name.types}
    others = {name.text for name in found if "disease" not in name.types}
    assert own >= {"breast cancer", "cancer of the breast", "male breast cancer"}
    assert len(own) == LEAST  # filled up at random
    assert others == {"breast cancer 1", "breast cancer anti-estrogen resistance 3"}
    # Asked for genes, the same phrase has them as its own names, and diseases as hard negatives.
    found = listed(store_file, "gene", "breast cancer", most=2, others=2)
    assert {name.text for name in found if "gene" in name.types} == others
    assert [name.types for name in found if "gene" not in name.types] == [frozenset({"disease"})] * 2
    # A name has all its types, and is no negative of any of them.
    for type in ("gene", "chemical"):
        (both,) = (name for name in listed(store_file, type, "abc") if name.text == "ABC")
        assert both.types == {"gene", "chemical"}
    # What is spelled like a word is near it.
    assert "zileuton" in {name.text for name in listed(store_file, "chemical", "zileutone", others=0)}


def test_the_mentions_of_a_sentence_come_first_and_are_no_negatives(store_file: Path) -> None:
    known = frozenset({"disease"})
    mentions = (Listed("Breast cancer 1", known, known), Listed("odd illness", known, known))
    found = listed(store_file, "disease", "breast cancer", most=2, others=5, mentions=mentions)
    assert {name for name in found if "disease" in name.types} == set(mentions)
    assert {name.text for name in found if "disease" not in name.types} == {"breast cancer anti-estrogen resistance 3"}
    assert listed(store_file, "disease", most=3, others=3, mentions=mentions[:1])[0].types == known
    assert len(listed(store_file, "disease", most=3)) == 3
    # Of a type that the store lacks there are the mentions alone.
    pools = Pools({}, {})
    sentence = DenseSentence((), (Listed("mice", frozenset({"species"})),))
    assert Near(store_file, ()).draw(sentence, "species", pools, most=10, others=5, chance=random.Random(1)) == list(
        sentence.mentions
    )


def test_a_list_depends_on_chance_alone(store_file: Path) -> None:
    assert listed(store_file, "disease", "breast cancer") == listed(store_file, "disease", "breast cancer")


def test_names_near_keys_are_at_most_so_many_of_each_type(store_file: Path) -> None:
    with Store(store_file) as store:
        weights = Keys(store).of("breast cancer", 100)
        found = store.near(weights, 1)
        assert [(term.text, term.concept.type) for term in found] == [
            ("breast cancer", "disease"),
            ("breast cancer 1", "gene"),
        ]
        for type in ("disease", "gene"):
            every = store.by_keys(weights, type, limit=EACH)
            assert [term for term in store.near(weights, EACH) if term.concept.type == type] == list(every)
        assert store.near({}, 3) == ()


def test_names_are_near_by_vectors_where_the_store_has_them(tmp_path: Path, exported: Exported) -> None:
    """To the encoder `cough` is the same word as `fever`."""
    path = built(tmp_path / "terms.store", exported)
    wanted = ("hay cough", "zileuton", "dry fever")
    near = Near(path, wanted)
    assert len(near) == 3
    pools = read_pools(path, ["disease"], "1")
    found = near.draw(DenseSentence(("hay cough",), ()), "disease", pools, most=2, others=0, chance=random.Random(1))
    assert {name.text for name in found} <= {"hay fever", "dry cough"} | {name.text for name in pools.own["disease"]}
    with Store(path) as store:
        vectors = Neighbours(store)
        for type in store.types:
            for phrase, ids in zip(wanted, vectors.nearest(wanted, type, 3), strict=True):
                assert ids == [name for name, _ in vectors.near(phrase, type)][: len(ids)]
                assert 0 < len(ids) <= 3
        assert vectors.nearest(wanted, "species", 3) == [[], [], []]
    with Store(built(tmp_path / "plain.store")) as store:
        assert Neighbours(store).nearest(wanted, "disease", 3) == [[], [], []]
