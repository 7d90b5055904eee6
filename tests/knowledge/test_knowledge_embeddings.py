"""The last step of normalisation: names whose vectors are near, by an encoder that the store carries."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from biomark.embedding import exported as exporting
from biomark.embedding.exported import Exported, ExportedEncoder
from biomark.errors import KnowledgeError, MissingExtraError, ModelError
from biomark.knowledge import neighbours
from biomark.knowledge.building import build
from biomark.knowledge.entries import Entry, Link, Name, NameKind
from biomark.knowledge.forms import form
from biomark.knowledge.neighbours import Neighbours, probability
from biomark.knowledge.normalization import Candidate, Normalizer
from biomark.knowledge.store import Store
from biomark.spans import Document, Entity, Span
from conftest import Outcome
from knowledge_cases import Terms, entry

ENTRIES = [
    Entry("DOID:1", "disease", (Name("fever"), Name("Fevers")), links=((Link.SAME, "MESH:D1"),)),
    Entry("MESH:D2", "disease", (Name("days", NameKind.MENTION, 2), Name("cough aspirin", NameKind.RELATED))),
    entry("MESH:D3", "disease", "high aspirin", "helped patients"),
    entry("MESH:D4", "chemical", "zileuton"),
]


def built(path: Path, encoder: Exported | None, entries: list[Entry] | None = None) -> Path:
    build([Terms(entries or ENTRIES)], path, reject=lambda rejected: pytest.fail(str(rejected)), encoder=encoder)
    return path


@pytest.fixture(scope="module")
def store_file(tmp_path_factory: pytest.TempPathFactory, exported: Exported) -> Path:
    return built(tmp_path_factory.mktemp("store") / "terms.store", exported)


@pytest.fixture
def store(store_file: Path) -> Iterator[Store]:
    with Store(store_file) as opened:
        yield opened


def answer(store: Store, mention: str, threshold: float | None = 0.4) -> Entity:
    document = Document("1", mention, entities=(Entity((Span(0, len(mention)),), "disease"),))
    return Normalizer(store, threshold=threshold).normalize(document).entities[0]


def test_a_mention_that_shares_no_word_with_a_name(store: Store, tmp_path: Path) -> None:
    found = answer(store, "Cough")  # to the encoder the same word as fever
    assert (found.ids, found.infons["normalized"]) == (("MESH:D1",), "embedding")
    assert 0.4 <= float(found.infons["identifier_score"]) < 0.7
    first, *others = found.infons["candidates"].split()
    assert first == "MESH:D1"
    assert set(others) == {"MESH:D2", "MESH:D3"}
    with Store(built(tmp_path / "plain.store", None)) as plain:
        found = answer(plain, "Cough")
        assert (found.ids, dict(found.infons)) == ((), {"candidates": "MESH:D2"})  # by the step `fuzzy`, unlikely


def test_types_are_apart(store: Store, tmp_path: Path, exported: Exported) -> None:
    assert [one.identifiers for one in Normalizer(store).candidates("cough", "chemical")] == [("MESH:D4",)]
    assert Normalizer(store).candidates("cough", "device") == ()
    related = [Entry("MESH:D2", "disease", (Name("cough aspirin", NameKind.RELATED),)), entry("X:1", "tool", "widget")]
    with Store(built(tmp_path / "a.store", exported, related)) as other:  # related names give no identifier
        assert Normalizer(other).candidates("fever", "disease") == ()


@pytest.mark.parametrize("mention", ["", " ", "-", "∅", "\x00", "x" * 3000])
def test_odd_mentions(store: Store, mention: str) -> None:
    found = Normalizer(store).candidates(mention, "disease")
    assert bool(found) == mention.startswith("x")
    assert all(0 <= one.score <= 1 for one in found)


def test_other_steps_go_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise AssertionError("was asked")

    normalizer = Normalizer(store)
    monkeypatch.setattr(Neighbours, "near", fails)
    assert normalizer.candidates("fever", "disease")[0].step == "exact"
    assert normalizer.candidates("patients helped", "disease")[0].step == "order"
    with pytest.raises(AssertionError, match="was asked"):
        normalizer.candidates("cough", "disease")


def test_an_unlikely_answer_is_none(store: Store) -> None:
    for threshold in (None, 0.7, 0.999):
        found = answer(store, "Cough", threshold)
        assert found.ids == ()
        assert "normalized" not in found.infons
        assert found.infons["candidates"].split()[0] == "MESH:D1"


def test_both_last_steps_together(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    normalizer = Normalizer(store)
    likely = (Candidate(("MESH:D9",), 0.3, "fuzzy"), Candidate(("MESH:D1",), 0.2, "fuzzy"))
    alone = normalizer.candidates("cough", "disease")[0].score
    monkeypatch.setattr(normalizer, "_fuzzy", lambda *_: likely)
    found = {one.identifiers[0]: one for one in normalizer.candidates("cough", "disease")}
    assert next(iter(found)) == "MESH:D1"
    assert found["MESH:D1"].score > alone  # what both say is likelier
    assert found["MESH:D9"] == likely[0]
    assert len(found) == 4


def test_likelier_with_cosine_margin_and_likeness() -> None:
    assert probability(0.9, 0.2, 0.1) > probability(0.8, 0.2, 0.1)
    assert probability(0.9, 0.2, 0.1) > probability(0.9, 0.1, 0.1)
    assert probability(0.9, 0.2, 0.2) > probability(0.9, 0.2, 0.1)
    assert 0 < probability(-1, -1, 0) < probability(1, 1, 1) < 1


VECTORS = arrays.arrays(np.float32, (3, 8), elements=st.floats(-1, 1, width=32))


@given(VECTORS)
def test_eight_bits_keep_the_direction(vectors: np.ndarray) -> None:
    kept = neighbours._in_bytes(vectors).astype(np.float64)
    for row, vector in zip(kept, vectors.astype(np.float64), strict=True):
        if np.linalg.norm(vector) > 1e-3:
            assert row @ vector > 0.999 * np.linalg.norm(row) * np.linalg.norm(vector)


def test_the_search_is_exact_over_many_blocks(
    tmp_path: Path, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "_BLOCK", 7)
    monkeypatch.setattr(neighbours, "_STEP", 3)
    words = ["fever", "aspirin", "patients", "days", "zileuton", "high", "gene", "coli"]
    names = [f"{one} {other}" for one in words for other in words]
    told: list[int] = []
    started: list[int] = []

    def starting(names: int) -> Callable[[int], None]:
        started.append(names)
        return told.append

    entries = [entry(f"X:{n}", "thing", name) for n, name in enumerate(names)]
    path = tmp_path / "a.store"
    build([Terms(entries)], path, reject=pytest.fail, encoder=exported, encoding=starting)
    assert started == [len(names)]
    assert told == sorted(told)
    assert told[-1] == len(names)
    encoder = ExportedEncoder(exported)
    with Store(path) as store:
        assert len(list(store.vectors("thing"))) == 10
        found = Neighbours(store).near("cough in two days", "thing")
        forms = [store.same_form(id)[0].form for id, _ in found]
        expected = encoder.embed(forms) @ encoder.embed(["cough in two days"])[0]
        assert np.allclose([cosine for _, cosine in found], expected, atol=0.01)
        assert [cosine for _, cosine in found] == sorted((cosine for _, cosine in found), reverse=True)
        others = sorted({*map(form, names)} - {*forms})
        assert (len(forms), len(others)) == (50, len(names) - 50)
        assert (encoder.embed(others) @ encoder.embed(["cough in two days"])[0]).max() < expected.min() + 0.01


def test_without_torch(store_file: Path) -> None:
    script = """
        import sys
        from biomark.knowledge.normalization import Normalizer
        from biomark.knowledge.store import Store
        with Store(sys.argv[1]) as store:
            normalizer = Normalizer(store)
            assert normalizer.candidates("fever", "disease")[0].step == "exact"
            before = "onnxruntime" in sys.modules  # only where the step is reached
            print(normalizer.candidates("cough", "disease")[0].step, before)
        print([name for name in ("torch", "transformers", "onnx") if name in sys.modules])
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(store_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["embedding False", "[]"]


def test_one_file_that_says_what_it_was_built_with(
    store_file: Path, exported: Exported, biomark: Callable[..., Outcome]
) -> None:
    assert [path.name for path in store_file.parent.iterdir()] == [store_file.name]
    with Store(store_file) as store:
        assert store.encoder == exported.name
        assert store.exported_encoder() == exported
    assert json.loads(biomark("knowledge", "show", store_file, "--json").out)["encoder"] == exported.name
    assert exported.name in biomark("knowledge", "show", store_file).out


def test_an_older_store_has_no_vectors(store_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "older.store"
    path.write_bytes(store_file.read_bytes())
    with closing(sqlite3.connect(path)) as database:
        database.executescript("DROP TABLE encoder; DROP TABLE vectors; DELETE FROM about WHERE key = 'encoder'")
    with Store(path) as store:
        assert store.encoder is None
        assert answer(store, "Cough").ids == ()
        assert answer(store, "fever").ids == ("MESH:D1",)


def test_a_broken_encoder_is_told(store_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.store"
    path.write_bytes(store_file.read_bytes())
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE encoder SET weights = x'00'")
        database.commit()
    with Store(path) as store, pytest.raises(ModelError, match="cannot be loaded"):
        answer(store, "Cough")
    with closing(sqlite3.connect(path)) as database:
        database.executescript("DROP TABLE encoder")
    with Store(path) as store, pytest.raises(KnowledgeError, match="rebuild it"):
        answer(store, "Cough")


def test_a_build_that_stops_at_the_vectors_leaves_the_older_store(tmp_path: Path, exported: Exported) -> None:
    path = built(tmp_path / "a.store", None)
    before = path.read_bytes()

    def stopped(names: int) -> Callable[[int], None]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build([Terms(ENTRIES)], path, reject=pytest.fail, encoder=exported, encoding=stopped)
    with pytest.raises(ModelError, match="cannot be loaded"):
        built(path, replace(exported, tokenizer="{}"))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.store"]


def test_command_line(
    tmp_path: Path, exported: Exported, biomark: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "export", lambda name: replace(exported, name=name))
    table, store = tmp_path / "a.tsv", tmp_path / "a.store"
    table.write_text("id\ttype\tname\nMESH:D1\tdisease\tfever\nMESH:D2\tdisease\tdays\n")
    done = biomark("knowledge", "build", table, "-o", store, "--embeddings", "mine", "--progress")
    assert done.status == 0
    assert "2 names of 2 concepts, with vectors by mine" in done.err
    given = tmp_path / "in.pubtator"
    given.write_text("1|t|Cough and days.\n1|a|\n1\t0\t5\tCough\tDisease\n1\t10\t14\tdays\tDisease\n\n")
    command = ("annotate", given, "--model", "given", "--normalize", store, "--to", "jsonl")
    done = biomark(*command, "--set", "min_identifier_score=0.4")
    assert [e["ids"] for e in json.loads(done.out)["entities"]] == [["MESH:D1"], ["MESH:D2"]]
    into = (*command, "--run", tmp_path / "run")
    assert biomark(*into, "--set", "min_identifier_score=0.4").status == 0
    done = biomark(*into, "--set", "min_identifier_score=0.5")
    assert (done.status, "min_identifier_score" in done.err) == (2, True)


def test_benchmark(
    tmp_path: Path, exported: Exported, biomark: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "export", lambda name: replace(exported, name=name))
    names, gold = tmp_path / "names.tsv", tmp_path / "gold.pubtator"
    names.write_text("id\ttype\tname\nMESH:D1\tdisease\tfever\nMESH:D2\tdisease\tdays\n")
    mentions = "1\t0\t5\tCough\tDisease\tMESH:D1\n1\t10\t14\tdays\tDisease\tMESH:D2\n"
    gold.write_text(f"1|t|Cough and days.\n1|a|\n{mentions}\n")
    accuracy = {}
    for more in ((), ("--embeddings", "mine")):
        found = json.loads(biomark("bench", "normalization", gold, names, *more).out)
        accuracy[found["embeddings"]] = found["contestants"]["biomark"]["disease"]["accuracy_at_1"]
    assert accuracy == {None: 0.5, "mine": 1.0}


def test_models_that_are_not_there(
    tmp_path: Path, biomark: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    table, store = tmp_path / "a.tsv", tmp_path / "a.store"
    table.write_text("id\ttype\tname\nMESH:D1\tdisease\tfever\n")
    done = biomark("knowledge", "build", table, "-o", store, "--embeddings", tmp_path)
    assert done.status == 2
    assert f"encoder {tmp_path}: cannot be loaded" in done.err
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    done = biomark("knowledge", "build", table, "-o", store, "--embeddings", tmp_path)
    assert (done.status, str(MissingExtraError("onnxscript", "train")) in done.err) == (2, True)
    assert not store.exists()
