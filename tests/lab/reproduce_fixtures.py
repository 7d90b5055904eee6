"""Corpora under their catalogue names, recipes and random models for experiments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from reproduce_cases import ROWS, forget, identified

from biomark import formats
from biomark.lab.experiments.specs import Book, read_book
from toy_bert import save_bert
from toy_corpus import CHEMICALS, CLAUSES, DISEASES, documents
from toy_recipe import write_recipe

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("pycrfsuite")

torch.set_num_threads(1)  # networks this small only wait for each other's threads


@pytest.fixture(scope="session")
def lab_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with corpora under their catalogue names, recipes, and random models that they begin from."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    folder = tmp_path_factory.mktemp("home")
    for split, count, seed in (("train", 40, 1), ("devel", 8, 2), ("test", 12, 3)):
        for corpus, type, mentions in (
            ("ncbi_disease", "SpecificDisease", DISEASES),
            ("bc5cdr", "Chemical", CHEMICALS),
        ):
            path = folder / "corpora" / corpus / f"{split}.pubtator"
            path.parent.mkdir(parents=True, exist_ok=True)
            made = documents(type, mentions, count, seed + len(type), hard=split == "test")
            formats.write(map(identified, made), path)
    characters = sorted({c for clause in (*CLAUSES, *DISEASES, *CHEMICALS) for c in clause.lower() if c.strip()})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *(f"##{c}" for c in characters), "<", ">", "/"]
    tokenizer = Tokenizer(models.WordPiece({p: n for n, p in enumerate(dict.fromkeys(pieces))}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    save_bert(folder / "bert", tokenizer, seed=3, layers=1, positions=512)
    corpora = ("ncbi_disease", "bc5cdr_chemical")
    splits = {split: [f"{corpus}:{split}" for corpus in corpora] for split in ("train", "devel")}
    common = {"name": "x", **splits, "types": ["disease", "chemical"]}
    encoder = {**common, "task": "tagging", "encoder": str(folder / "bert"), "epochs": 3, "batch_pieces": 256}
    encoder |= {"head_learning_rate": 1e-2, "character_filters": 16, "masked_words": 0.0}
    generative = {**common, "model": str(folder / "bert"), "prompt": "short", "marks": "tokens", "epochs": 1}
    recipes = folder / "recipes"
    recipes.mkdir()
    write_recipe(recipes / "encoder.toml", **encoder)
    write_recipe(recipes / "grid.toml", grid={"learning_rate": [1e-6, 1e-3]}, **encoder, choose="loss")
    write_recipe(recipes / "generative.toml", **generative, row_tokens=256, rows=1, learning_rate=3e-3)
    (folder / "corpora" / "knowledge").mkdir()
    names = "".join(f"D{number}\t{name}\tdisease\n" for number, name in enumerate(DISEASES))
    (folder / "corpora" / "knowledge" / "diseases.tsv").write_text(f"id\tname\ttype\n{names}")
    (folder / "rows.toml").write_text(ROWS)
    return folder


@pytest.fixture(scope="module")
def lab_corpora(lab_home: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIOMARK_CORPORA", str(lab_home / "corpora"))
        forget()
        yield
        forget()


@pytest.fixture(scope="session")
def lab_book() -> Book:
    return read_book(ROWS)
