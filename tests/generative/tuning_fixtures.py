"""Small random models with corpora, a recipe for them, and a run of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tuning_cases import train

from biomark import formats
from biomark.training.recipe import GenerativeRecipe
from toy_corpus import CHEMICALS, CLAUSES, DISEASES, documents

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")


torch.set_num_threads(1)  # networks this small only wait for each other's threads


@pytest.fixture(scope="session")
def tuning_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small random models, a byte-level tokenizer, and corpora under their catalogue names."""
    folder = tmp_path_factory.mktemp("home")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [clause.format(d=d, c=c) for clause in CLAUSES for d in DISEASES for c in CHEMICALS]
    tokenizer.train_from_iterator([*texts, *["Mark disease: chemical ="] * 50], trainer)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    size = {
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
    }
    configs = {
        "llama": transformers.LlamaConfig(**size, tie_word_embeddings=False),
        "qwen3": transformers.Qwen3Config(**size, head_dim=16, tie_word_embeddings=True),
    }
    for name, config in configs.items():
        torch.manual_seed(3)
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder / name)
        fast.save_pretrained(folder / name)
    bert = transformers.BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    transformers.BertModel(bert).save_pretrained(folder / "bert")
    fast.save_pretrained(folder / "bert")
    for split, count, seed in (("train", 40, 1), ("devel", 8, 2), ("test", 8, 3)):
        for corpus, type, mentions in (
            ("ncbi_disease", "SpecificDisease", DISEASES),
            ("bc5cdr", "Chemical", CHEMICALS),
        ):
            path = folder / "corpora" / corpus / f"{split}.pubtator"
            path.parent.mkdir(parents=True, exist_ok=True)
            formats.write(documents(type, mentions, count, seed + len(type)), path)
    return folder


@pytest.fixture
def tuning_corpora(tuning_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIOMARK_CORPORA", str(tuning_home / "corpora"))


@pytest.fixture(scope="session")
def tuning_recipe(tuning_home: Path) -> GenerativeRecipe:
    return GenerativeRecipe(
        name="small",
        model=str(tuning_home / "llama"),
        train=("ncbi_disease:train", "bc5cdr_chemical:train"),
        devel=("ncbi_disease:devel", "bc5cdr_chemical:devel"),
        types=("disease", "chemical"),
        prompt="short",
        epochs=2,
        row_tokens=256,
        learning_rate=3e-3,
        devel_sentences=3,
    )


@pytest.fixture(scope="session")
def tuned_run(tuning_home: Path, tuning_recipe: GenerativeRecipe) -> Path:
    """A run that nobody disturbed, with checkpoints inside epochs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIOMARK_CORPORA", str(tuning_home / "corpora"))
        return train(replace(tuning_recipe, save_steps=3), tuning_home / "whole")
