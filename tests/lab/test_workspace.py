"""Models and readings of a workspace: draws, stores, ways of decoding."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from biomark import formats
from biomark.knowledge.store import Store
from biomark.lab import experiments
from biomark.lab.experiments import ExperimentOptions, data
from biomark.lab.experiments.cells import Build, Reading
from biomark.lab.experiments.specs import Book
from biomark.lab.experiments.workspace import Workspace
from biomark.spans import Span
from biomark.text.sentences import SPLITTERS
from toy_corpus import DISEASES

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("pycrfsuite")

torch.set_num_threads(1)  # networks this small only wait for each other's threads

pytest_plugins = ("reproduce_fixtures",)

pytestmark = pytest.mark.usefixtures("lab_corpora")


def test_a_share_may_be_repeated(lab_home: Path) -> None:
    place = Workspace(lab_home / "work", say=lambda line: None)
    once, thrice = (list(formats.read(place.supplies.drawn("ncbi_disease:train", 10, 0.5, 1, n))) for n in (1, 3))
    assert len(once) == 5
    assert len({document.id for document in thrice}) == 15
    assert [d.text for d in thrice] == 3 * [d.text for d in once]
    assert [len(d.entities) for d in thrice] == 3 * [len(d.entities) for d in once]


def test_a_model_is_asked_by_the_corpus_with_a_store_of_its_own_sentences(lab_home: Path, lab_book: Book) -> None:
    place = Workspace(lab_home / "work", say=lambda line: None, recipes=lab_home / "recipes")
    named, unnamed = (Build(lab_book.models[name]) for name in ("named", "unnamed"))
    folder = place.build(named)
    recipe = json.loads((folder / "recipe.json").read_text())
    assert (recipe["corpus_name"], recipe["dbr"], recipe["wording"]) == (1.0, "near", "vaner")
    learnt = {
        entity.mention(document.text)
        for file in recipe["train"]
        for document in formats.read(file)
        for entity in document.entities
    }
    with Store(recipe["knowledge"]) as store:
        assert {term.text for type in store.types for term in store.all_terms(type)} == learnt | {*DISEASES}
        assert set(store.types) == {"chemical", "disease"}
    reading = Reading(named, "ncbi_disease:test", 4)
    assert place._corpus_named(reading) == "ncbi_disease"
    assert place._recognizer(named, "ncbi_disease")._reader.corpus == "ncbi_disease"  # type: ignore[attr-defined]
    assert place.read(reading).facts["documents"] > 0
    for other in (Reading(named, "bc5cdr_disease:test", 4), Reading(unnamed, "ncbi_disease:test", 4)):
        assert place._corpus_named(other) == ""  # it has not learnt from that corpus, or is asked without names
    # Whether the corpus is named changes what is read, but not the model.
    asked_plainly = replace(named, model=replace(named.model, named=False))
    assert place.model_folder(asked_plainly) == folder
    assert place.reading_folder(replace(reading, build=asked_plainly)) != place.reading_folder(reading)


def test_smaller_draws_are_parts_of_larger_ones() -> None:
    every = {d.id for d in data.draw("ncbi_disease:train", 40, 1.0, 7)}
    some = {d.id for d in data.draw("ncbi_disease:train", 40, 0.25, 7)}
    assert (len(every), len(some)) == (40, 10)
    assert some < every
    assert {d.id for d in data.draw("ncbi_disease:train", 40, 1.0, 8)} != every
    drawn = data.test_documents("ncbi_disease:test", 5, "biomark")
    assert 5 <= sum(len(d.sentences) for d in drawn) <= 6, "whole documents"
    assert set(drawn) < set(data.test_documents("ncbi_disease:test", 0, "biomark"))


def test_test_sets_are_split_by_the_splitter_of_their_scale(
    lab_home: Path, lab_book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SPLITTERS, "spacy", lambda text: (Span(0, len(text)),))  # type: ignore[misc]
    place = Workspace(tmp_path, say=lambda line: None, recipes=lab_home / "recipes")
    own = Reading(Build(lab_book.models["crf"]), "ncbi_disease:test")
    other = replace(own, splitter="spacy")
    assert place.reading_folder(own) != place.reading_folder(other)
    several, one = ([len(d.sentences) for d in reading.documents()] for reading in (own, other))
    assert max(several) > 1
    assert set(one) == {1}
    table2 = experiments.book().experiments["table2"].scales
    assert (table2["medium"].splitter, table2["paper"].splitter) == ("biomark", "spacy")


def test_a_model_is_read_in_two_ways_of_decoding(lab_home: Path, lab_book: Book, tmp_path: Path) -> None:
    options = ExperimentOptions(tmp_path, recipes=lab_home / "recipes")
    lines = experiments.plan("decodings", "small", options, rows=lab_book)
    assert len([line for line in lines if "make " in line]) == 1, "it is trained once"
    outcome = experiments.reproduce("decodings", "small", options, rows=lab_book)
    keys = [cell["key"] for cell in outcome.data["cells"]]  # type: ignore[attr-defined]
    assert len(set(keys)) == 2
    assert len(list((tmp_path / "models").iterdir())) == 1


def test_the_weights_that_a_training_starts_with_belong_to_the_cell(
    lab_home: Path, lab_book: Book, tmp_path: Path
) -> None:
    place = Workspace(tmp_path, say=lambda line: None, recipes=lab_home / "recipes")
    (tmp_path / "start").mkdir()
    model = lab_book.models["generative"]
    build = Build(replace(model, change={**model.change, "start": str(tmp_path / "start")}))
    folders = [place.model_folder(Build(model))]
    for weights in (b"first", b"second"):
        (tmp_path / "start" / "adapter_model.safetensors").write_bytes(weights)
        data.file_sum.cache_clear()  # files do not change while experiments run
        folders.append(place.model_folder(build))
    assert len(set(folders)) == 3
    (tmp_path / "start" / "README.md").write_text("A new model card changes no answer.")
    assert place.model_folder(build) == folders[-1]
