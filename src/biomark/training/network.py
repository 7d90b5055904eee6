"""The tagging network: an encoder that also sees the characters of words, and a BIO head a type."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer

from biomark.embedding import weights_folder
from biomark.errors import ModelError
from biomark.tagging import ALPHABET, TAGS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CONFIG = "config.json"  # as transformers' save_pretrained calls it


@dataclass(frozen=True, slots=True)
class Shape:
    """What a network is made of, beside its encoder."""

    types: int
    character_size: int
    character_filters: int
    dropout: float


class CharacterEncoder(nn.Module):
    """Words' characters → vectors: an embedding, a convolution of width 3, the maximum over places."""

    def __init__(self, size: int, filters: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(ALPHABET, size, padding_idx=0)
        self.convolution = nn.Linear(3 * size, filters)
        nn.init.normal_(self.embedding.weight, std=0.3)

    def forward(self, characters: Tensor) -> Tensor:
        """(W, C) ids → (W, filters)."""
        embedded = self.embedding(characters)  # (W, C, E)
        triples = torch.cat((embedded[:, :-2], embedded[:, 1:-1], embedded[:, 2:]), dim=-1)  # (W, C - 2, 3E)
        return torch.relu(self.convolution(triples)).amax(dim=1)


class Network(nn.Module):
    """The encoder reads word pieces plus their word's characters; heads read both again, for each word.

    The characters enter the encoder through a projection that begins at zero, so that training
    begins at the pretrained encoder.
    """

    def __init__(self, encoder: nn.Module, hidden: int, shape: Shape) -> None:
        super().__init__()
        self.encoder = encoder
        self.characters = CharacterEncoder(shape.character_size, shape.character_filters)
        self.into_encoder = nn.Linear(shape.character_filters, hidden)
        nn.init.zeros_(self.into_encoder.weight)
        nn.init.zeros_(self.into_encoder.bias)
        self.dropout = nn.Dropout(shape.dropout)
        self.heads = nn.Linear(hidden + shape.character_filters, shape.types * TAGS)
        self.types = shape.types

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        word_of_piece: Tensor,
        characters: Tensor,
        first_piece: Tensor,
    ) -> Tensor:
        """The arrays of `biomark.tagging.Batch` → logits (W, types, 3)."""
        described = self.characters(characters)  # (1 + W, F); row 0 stands for [CLS], [SEP] and padding
        embedded = self.encoder.get_input_embeddings()(input_ids)  # type: ignore[operator]
        embedded = embedded + self.into_encoder(described)[word_of_piece]
        hidden = self.encoder(inputs_embeds=embedded, attention_mask=attention_mask).last_hidden_state  # (B, T, H)
        words = hidden.flatten(0, 1)[first_piece]
        logits: Tensor = self.heads(self.dropout(torch.cat((words, described[1:]), dim=-1)))
        return logits.view(-1, self.types, TAGS)


def load_encoder(name: str) -> tuple[nn.Module, int, Tokenizer]:
    """A pretrained encoder, its hidden size and its tokenizer.

    Args:
        name: see `TaggingRecipe.encoder`.

    Raises:
        ModelError: if there is no such encoder, or its tokenizer is not a fast one.
    """
    folder = weights_folder(name)
    try:
        # Dropout inside attention costs a sixth of the time on a CPU.
        encoder = AutoModel.from_pretrained(folder, dtype=torch.float32, attention_probs_dropout_prob=0.0)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise ModelError(f"encoder {name}: cannot be loaded: {error}") from error
    if not tokenizer.is_fast:
        raise ModelError(f"encoder {name}: its tokenizer gives no offsets; choose one with a fast tokenizer")
    return _without_pooler(encoder), int(encoder.config.hidden_size), tokenizer.backend_tokenizer


def build_encoder(folder: Path) -> tuple[nn.Module, int]:
    """An encoder of the architecture that a folder's `config.json` describes, and its hidden size."""
    encoder = AutoModel.from_config(AutoConfig.from_pretrained(folder))  # type: ignore[no-untyped-call]
    return _without_pooler(encoder), int(encoder.config.hidden_size)


def _without_pooler(encoder: nn.Module) -> nn.Module:
    """Without the layer for the first token alone, which tagging does not use."""
    if hasattr(encoder, "pooler"):
        encoder.pooler = None  # type: ignore[assignment]
    return encoder
