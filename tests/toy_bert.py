"""A small random encoder of BERT's kind with its tokenizer, in a folder that transformers reads."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

NAMES = ("cls_token", "sep_token", "mask_token", "pad_token", "unk_token")
SPECIAL = {name: f"[{name.removesuffix('_token').upper()}]" for name in NAMES}


def save_bert(folder: Path, word_pieces: Tokenizer, *, seed: int = 1, layers: int = 2, positions: int = 80) -> None:
    """Write the encoder; the same seed gives the same weights."""
    import torch
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=word_pieces.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=positions,
    )
    BertModel(config).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=word_pieces, **SPECIAL).save_pretrained(folder)
