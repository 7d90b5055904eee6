"""Sentences, random models, training and logits for tests of taggers that follow an instruction."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from biomark.spans import Document, Entity, Passage, Span
from biomark.tagging.text import collate, read_document
from biomark.tagging.words import WordReader
from biomark.training.recipe import TaggingRecipe
from toy_recipe import fail, quiet

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

from biomark.tagging.training import trainer  # noqa: E402
from biomark.tagging.training.network import Network  # noqa: E402

torch.set_num_threads(1)  # networks this small only wait for each other's threads


ARCHITECTURES = ("llama", "qwen2", "qwen3", "mistral")
# Each sentence with its diseases and its chemicals.
SENTENCES = (
    ("Aspirin helped two patients with fever.", ["fever"], ["Aspirin"]),
    ("Fever and cough returned after zileuton.", ["Fever", "cough"], ["zileuton"]),
    ("Very high doses of 5-HT were given near the end.", [], ["5-HT"]),
    ("The IL2 gene and Marfan syndrome met.", ["Marfan syndrome"], []),
    ("No aspirin: no fever, no cough.", ["fever", "cough"], ["aspirin"]),
    ("After two days the gene returned.", [], []),
)
TERMS = {
    "disease": ("asthma", "dry cough", "Crohn disease", "hay fever", "ABC"),
    "chemical": ("zinc", "vitamin D3", "beta-carotene", "ABC"),
    "gene": ("BRCA1", "tumour necrosis factor", "IL6"),
}


def documents(*types: str) -> list[Document]:
    """The sentences in three documents, with the mentions of some types."""
    found = []
    for number in range(0, len(SENTENCES), 2):
        text, entities = "", []
        for sentence, diseases, chemicals in SENTENCES[number : number + 2]:
            for type, names in (("disease", diseases), ("chemical", chemicals)):
                for name in names if type in types else ():
                    start = len(text) + sentence.index(name)
                    entities.append(Entity((Span(start, start + len(name)),), type))
            text += sentence + " "
        passage = Passage(Span(0, len(text) - 1), "title")
        entities.sort(key=lambda e: e.start)
        found.append(Document(str(number), text.strip(), (passage,), entities=tuple(entities)))
    return found


def save(kind: str, folder: Path, tokenizer: Tokenizer, **more: object) -> None:
    """A random model of an architecture, with a tokenizer."""
    torch.manual_seed(3)
    # Weights in four bits come in blocks of 64.
    size = {"vocab_size": tokenizer.get_vocab_size(), "hidden_size": 64, "num_hidden_layers": 2}
    size |= {"num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 256}
    if kind in ARCHITECTURES:
        size |= {"num_key_value_heads": 2, "pad_token_id": None}
    config = transformers.AutoConfig.for_model(kind, **size, **more)
    decoder = kind != "bert"
    kind_of = transformers.AutoModelForCausalLM if decoder else transformers.AutoModel
    kind_of.from_config(config).save_pretrained(folder)
    names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]", "pad_token": "[PAD]"}
    special = {"eos_token": "</s>"} if decoder else names
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


def train(recipe: TaggingRecipe, folder: Path, *, resume: bool = False) -> Path:
    return trainer.train(recipe, folder, reject=fail, resume=resume, progress=quiet)


def best_f1(folder: Path, recipe: TaggingRecipe) -> dict[str, float]:
    rows = json.loads((folder / "scores.json").read_text())
    return {name: score["f1"] for name, score in rows[trainer.best_epoch(rows, recipe)].items()}


def logits_of(network: Network, reader: WordReader, texts: list[str]) -> np.ndarray:
    """(W, heads, 3) for texts that are asked about in one batch, each in one window."""
    frames = [reader.frame("disease")] if reader.instructions else None
    read = [read_document(Document(str(n), text), reader, 1000, frames) for n, text in enumerate(texts)]
    batch = collate([window for found in read for window in found.windows])
    network.eval()
    with torch.inference_mode():
        return network(*(torch.from_numpy(a) for a in batch)).numpy()
