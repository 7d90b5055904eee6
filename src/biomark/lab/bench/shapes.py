"""Llamas of well-known shapes with random weights, for timing without a download."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from biomark.errors import UsageError
from biomark.generative.decoding.vocabulary import Vocabulary

END = "</s>"

SHAPES: Mapping[str, Mapping[str, int]] = {
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4},
    "1b": {  # Llama 3.2 1B
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    },
    "7b": {  # Llama 2 7B
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
    },
}
VOCABULARY = 32_000  # Llama 2's


def random_llama(shape: str, texts: Iterable[str]) -> tuple[PreTrainedModel, Vocabulary]:
    """Make a Llama with random weights, in bfloat16 on the GPU if there is one, else in float32.

    Its head has as many rows as Llama 2's; its tokenizer is a byte-level BPE trained on `texts`.

    Raises:
        UsageError: if there is no such shape.
    """
    if shape not in SHAPES:
        raise UsageError(f"unknown shape {shape!r}; choose from {', '.join(SHAPES)}")
    vocabulary = Vocabulary(*_tokenizer(texts))
    config = LlamaConfig.from_dict({"vocab_size": VOCABULARY, "max_position_embeddings": 4096, **SHAPES[shape]})
    cuda = torch.cuda.is_available()
    torch.manual_seed(1)
    with torch.device("cuda" if cuda else "cpu"):
        dtype = torch.bfloat16 if cuda else torch.float32
        model: PreTrainedModel = LlamaForCausalLM._from_config(config, dtype=dtype)  # type: ignore[no-untyped-call]
    return model, vocabulary


def _tokenizer(texts: Iterable[str]) -> tuple[Tokenizer, int]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer, 0  # the special tokens come first
