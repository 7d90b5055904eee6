"""Random models, files of documents with one type each and a store; a recipe for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, processors
from vaner_cases import ARCHITECTURES, TERMS, documents, save

from biomark import formats
from biomark.knowledge.building import build
from biomark.knowledge.sources import open_source
from biomark.training.recipe import TaggingRecipe
from toy_recipe import fail

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")


torch.set_num_threads(1)  # networks this small only wait for each other's threads


@pytest.fixture(scope="session")
def vaner_home(
    tmp_path_factory: pytest.TempPathFactory, sentence_pieces: Tokenizer, byte_level: Tokenizer, word_pieces: Tokenizer
) -> Path:
    """A folder with random models, files of documents with one type each, and a store."""
    folder = tmp_path_factory.mktemp("home")
    llama = Tokenizer.from_str(sentence_pieces.to_str())
    begin = llama.token_to_id("<s>")
    llama.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", begin)])
    for kind in ARCHITECTURES:
        more = {"head_dim": 16} if kind == "qwen3" else {}
        save(kind, folder / kind, byte_level if kind.startswith("qwen") else llama, **more)
    save("bert", folder / "bert", word_pieces)
    for type in ("disease", "chemical"):
        formats.write(documents(type), folder / f"{type}.pubtator")
    rows = [f"{name}\t{type}" for type, names in TERMS.items() for name in names]
    (folder / "terms.tsv").write_text("name\ttype\n" + "\n".join(rows) + "\n")
    build([open_source(str(folder / "terms.tsv"))], folder / "terms.db", reject=fail)
    return folder


@pytest.fixture(scope="session")
def vaner_recipe(vaner_home: Path) -> TaggingRecipe:
    files = (str(vaner_home / "disease.pubtator"), str(vaner_home / "chemical.pubtator"))
    return TaggingRecipe(
        name="small",
        encoder=str(vaner_home / "llama"),
        train=files,
        devel=files,
        types=("disease", "chemical"),
        epochs=10,
        batch_pieces=64,
        max_pieces=96,
        learning_rate=2e-3,
        head_learning_rate=1e-2,
        dropout=0.0,
        masked_words=0.0,
        average=0.5,
        character_filters=0,
        instruction=True,
    )
