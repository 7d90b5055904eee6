"""A small encoder with corpora and a recipe, a run of it and its export; corpora with different guidelines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from biomark import formats
from biomark.spans import Document, Entity, Passage, Span
from biomark.training.recipe import TaggingRecipe, load_recipe
from toy_bert import save_bert
from toy_corpus import CHEMICALS, DISEASES, documents
from toy_recipe import SMALL, fail, quiet, write_recipe

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from biomark.tagging.training import trainer  # noqa: E402
from biomark.tagging.training.export import export  # noqa: E402

torch.set_num_threads(1)  # networks this small only wait for each other's threads


def small_corpus(path: Path, type: str, mentions: tuple[str, ...], size: int, seed: int) -> None:
    """PubTator documents in which only the mentions of one type are annotated."""
    path.parent.mkdir(parents=True, exist_ok=True)
    formats.write(documents(type, mentions, size, seed, clauses=3), path)


@pytest.fixture(scope="session")
def training_home(tmp_path_factory: pytest.TempPathFactory, word_pieces: Tokenizer) -> Path:
    """A folder with an encoder, corpora under their catalogue names, and a recipe."""
    folder = tmp_path_factory.mktemp("home")
    save_bert(folder / "encoder", word_pieces)
    for split, size, seed in (("train", 80, 1), ("devel", 15, 2)):
        small_corpus(folder / "corpora" / "ncbi_disease" / f"{split}.pubtator", "SpecificDisease", DISEASES, size, seed)
        small_corpus(folder / "corpora" / "bc5cdr" / f"{split}.pubtator", "Chemical", CHEMICALS, size, seed + 10)
    write_recipe(
        folder / "recipe.toml",
        name="small",
        encoder=str(folder / "encoder"),
        train=["ncbi_disease:train", "bc5cdr_chemical:train"],
        devel=["ncbi_disease:devel", "bc5cdr_chemical:devel"],
        types=["disease", "chemical"],
        epochs=3,
        max_pieces=48,
        **SMALL,
    )
    return folder


@pytest.fixture(scope="session")
def training_recipe(training_home: Path) -> TaggingRecipe:
    return load_recipe(training_home / "recipe.toml")


@pytest.fixture
def training_corpora(training_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIOMARK_CORPORA", str(training_home / "corpora"))


@pytest.fixture(scope="session")
def trained_run(training_home: Path, training_recipe: TaggingRecipe) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIOMARK_CORPORA", str(training_home / "corpora"))
        return trainer.train(training_recipe, training_home / "run", reject=fail, progress=quiet)


@pytest.fixture(scope="session")
def int8_export(training_home: Path, trained_run: Path) -> Path:
    return export(trained_run, training_home / "int8")


@pytest.fixture(scope="session")
def two_guidelines(training_home: Path, training_recipe: TaggingRecipe) -> TaggingRecipe:
    """Of two corpora one marks `dry cough`, and the other one, which writes all words with a capital, `Cough`."""
    for name, size, seed in (("train", 80, 1), ("devel", 15, 2)):
        small_corpus(training_home / f"whole-{name}.pubtator", "Disease", DISEASES, size, seed)
        documents = []
        for document in formats.read(training_home / f"whole-{name}.pubtator"):
            text = document.text.title()
            heads = []
            for entity in document.entities:
                first = entity.start + entity.mention(text).rfind(" ") + 1
                heads.append(Entity((Span(first, entity.end),), "Disease"))
            passage = Passage(Span(0, len(text)), "title")
            documents.append(Document(document.id, text, (passage,), entities=tuple(heads)))
        formats.write(documents, training_home / f"heads-{name}.pubtator")
    train, devel = (
        [str(training_home / f"{kind}-{name}.pubtator") for kind in ("whole", "heads")] for name in ("train", "devel")
    )
    return replace(
        training_recipe, train=tuple(train), devel=tuple(devel), types=("disease",), epochs=6, corpus_heads=True
    )
