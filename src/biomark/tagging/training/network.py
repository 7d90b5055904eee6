"""The tagging network: an encoder, which may also read the characters of words, with heads for BIO tags.

A decoder-only language model becomes an encoder: its causal mask is replaced by a full one (VANER, Bian et al. 2024).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_FOR_MASKED_LM_MAPPING_NAMES

from biomark.errors import ModelError
from biomark.runtime.bases import weights_folder
from biomark.runtime.quiet import quietly
from biomark.tagging.text import TAGS
from biomark.tagging.words import ALPHABET
from biomark.training.adapters import four_bits, lora, prepared, require_peft, with_adapter
from biomark.training.recipe import TaggingRecipe

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CONFIG = "config.json"  # the name that transformers' save_pretrained writes
ADAPTER = "adapter_config.json"  # the name that peft's save_pretrained writes

GuidelineTypes = Mapping[str, Sequence[str]]
"""The types that each corpus annotates, by the name of the corpus."""


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """The sizes of a network's layers beside its encoder.

    Attributes:
        heads: the number of types that one pass predicts.
        character_size, character_filters: see `TaggingRecipe`.
        dropout: the probability of dropout before the heads.
        guidelines: for each corpus with heads of its own, whether its guideline may be followed for each type in
            annotation: true for the types that it annotates, false throughout for a `teach_only` corpus. Empty: no
            corpus has heads of its own.
    """

    heads: int
    character_size: int
    character_filters: int
    dropout: float
    guidelines: tuple[tuple[bool, ...], ...] = ()


class CharacterEncoder(nn.Module):
    """An encoder of a word's characters: an embedding, a convolution of width 3, and max-pooling over positions."""

    def __init__(self, size: int, filters: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(ALPHABET, size, padding_idx=0)
        self.convolution = nn.Linear(3 * size, filters)
        nn.init.normal_(self.embedding.weight, std=0.3)

    def forward(self, characters: Tensor) -> Tensor:
        """Map character ids (W, C) int64 to vectors (W, filters)."""
        embedded = self.embedding(characters)  # (W, C, E)
        triples = torch.cat((embedded[:, :-2], embedded[:, 1:-1], embedded[:, 2:]), dim=-1)  # (W, C - 2, 3E)
        return torch.relu(self.convolution(triples)).amax(dim=1)


class Network(nn.Module):
    """An encoder of word pieces and characters, with heads that predict the tags of each word.

    The vector of a word's characters is added to the embedding of its pieces through a projection that is initialised
    with zeros, so that training starts from the pretrained encoder; the heads read it again beside the hidden state.
    Without character filters the network reads pieces alone.

    With guidelines, each corpus has heads of its own, whose logits are added to the common ones, and a gate predicts
    from the hidden state of a window's first piece which guideline the window follows. The probabilities of a type are
    then those under the guidelines of the corpora that annotate it, weighted by the gate (a mixture of experts, Jacobs
    et al. 1991).
    """

    def __init__(self, encoder: nn.Module, hidden: int, settings: NetworkSettings) -> None:
        super().__init__()
        self.encoder = encoder
        self.characters: CharacterEncoder | None = None
        self.into_encoder: nn.Linear | None = None
        if settings.character_filters:
            self.characters = CharacterEncoder(settings.character_size, settings.character_filters)
            self.into_encoder = nn.Linear(settings.character_filters, hidden)
            nn.init.zeros_(self.into_encoder.weight)
            nn.init.zeros_(self.into_encoder.bias)
        self.dropout = nn.Dropout(settings.dropout)
        self.heads = nn.Linear(hidden + settings.character_filters, settings.heads * TAGS)
        self.types = settings.heads
        self.corpora = len(settings.guidelines)
        if self.corpora:
            self.own_heads = nn.Linear(hidden + settings.character_filters, self.corpora * settings.heads * TAGS)
            nn.init.zeros_(self.own_heads.weight)
            nn.init.zeros_(self.own_heads.bias)
            self.gate = nn.Linear(hidden, self.corpora)
            annotated = torch.tensor(settings.guidelines, dtype=torch.float32)  # (C, types)
            self.register_buffer("annotated", annotated.log(), persistent=False)  # 0, or minus infinity

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        word_of_piece: Tensor,
        characters: Tensor,
        first_piece: Tensor,
    ) -> Tensor:
        """Map the arrays of `biomark.tagging.text.Batch` to logits (W, heads, 3), each window by itself.

        With guidelines these are the logarithms of the probabilities of the mixture.
        """
        batch = (input_ids, attention_mask, word_of_piece, characters, first_piece)
        if not self.corpora:
            return self._common(self._read(batch)[0])
        by_guideline, gate = self.by_guideline(*batch)
        trust = (gate[..., None] + self.get_buffer("annotated")).log_softmax(dim=1)[first_piece // input_ids.shape[1]]
        mixed: Tensor = (by_guideline + trust[..., None]).logsumexp(dim=1)
        return mixed

    def by_guideline(self, *batch: Tensor) -> tuple[Tensor, Tensor]:
        """Map the arrays of `biomark.tagging.text.Batch` to those of `biomark.tagging.text.Output`."""
        words, first = self._read(batch)
        gate: Tensor = self.gate(first.to(self.gate.weight.dtype))  # (B, C)
        return (self._common(words)[:, None] + self._own(words)).log_softmax(dim=-1), gate

    def guided(self, batch: Sequence[Tensor], corpus: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the logits under known guidelines, and those of the gate, for the training loss.

        Args:
            batch: the arrays of `biomark.tagging.text.Batch`.
            corpus: (B,) int64, the index of the corpus whose guideline each window follows, or -1 for the common heads
                alone.

        Returns:
            The logits (W, heads, 3) under these guidelines, and the gate's logits (B, corpora).
        """
        words, first = self._read(batch)
        of_word = corpus[batch[-1] // batch[0].shape[1]]  # (W,)
        own = self._own(words)[torch.arange(len(words), device=words.device), of_word.clamp(min=0)]  # (W, types, 3)
        logits = self._common(words) + own * (of_word >= 0)[:, None, None]
        return logits, self.gate(first.to(self.gate.weight.dtype))

    def _read(self, batch: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the input of the heads for each word (W, H + filters), and each window's first hidden state (B, H)."""
        input_ids, attention_mask, word_of_piece, characters, first_piece = batch
        embedded = self.encoder.get_input_embeddings()(input_ids)  # type: ignore[operator]
        described = None
        if self.characters is not None and self.into_encoder is not None:
            described = self.characters(characters)  # (1 + W, F); row 0 stands for frames and padding
            embedded = embedded + self.into_encoder(described)[word_of_piece]
        hidden = self.encoder(inputs_embeds=embedded, attention_mask=attention_mask).last_hidden_state  # (B, T, H)
        words = hidden.flatten(0, 1)[first_piece]
        if described is not None:
            words = torch.cat((words, described[1:]), dim=-1)
        return self.dropout(words.to(self.heads.weight.dtype)), hidden[:, 0]

    def _common(self, words: Tensor) -> Tensor:
        logits: Tensor = self.heads(words)
        return logits.view(-1, self.types, TAGS)

    def _own(self, words: Tensor) -> Tensor:
        """Return the logits that each corpus adds to the common ones, (W, corpora, types, 3)."""
        own: Tensor = self.own_heads(words)
        return own.view(-1, self.corpora, self.types, TAGS)

    def without_silent_corpora(self) -> None:
        """Remove the heads of `teach_only` corpora: the network's output stays the same, at a lower cost."""
        if not self.corpora:
            return
        annotated = self.get_buffer("annotated")
        kept = annotated.isfinite().any(dim=1).nonzero().flatten()
        own, size = self.own_heads, self.types * TAGS
        rows = (kept[:, None] * size + torch.arange(size)).flatten()
        self.own_heads = nn.Linear(own.in_features, len(rows))
        self.gate, gate = nn.Linear(self.gate.in_features, len(kept)), self.gate
        with torch.no_grad():
            for new, old, index in ((self.own_heads, own, rows), (self.gate, gate, kept)):
                new.weight.copy_(old.weight[index])
                new.bias.copy_(old.bias[index])
        self.register_buffer("annotated", annotated[kept], persistent=False)
        self.corpora = len(kept)

    def tuned(self) -> dict[str, nn.Parameter]:
        """Return the trainable parameters by name: all of them, or those of the adapter and of the new layers."""
        return {name: value for name, value in self.named_parameters() if value.requires_grad}

    def set_tuned(self, values: dict[str, Tensor]) -> None:
        """Overwrite all trainable parameters.

        Args:
            values: the new values by the name of the parameter; see `tuned`.

        Raises:
            KeyError: if a parameter is missing from the values.
        """
        with torch.no_grad():
            for name, parameter in self.tuned().items():
                parameter.copy_(values[name])


def make_network(recipe: TaggingRecipe, guidelines: GuidelineTypes | None = None) -> tuple[Network, Tokenizer]:
    """Make the network that training starts from, with the parameters of the recipe's method trainable.

    Args:
        recipe: the recipe of the model.
        guidelines: the types by corpus, for corpora with heads of their own; None: there are no such corpora.

    Returns:
        The network and its tokenizer.

    Raises:
        ModelError: see `load_encoder`; or if `lora_modules` names no layer of the encoder.
        MissingExtraError: if a library for the method is not installed.
    """
    quantised = recipe.method == "qlora"
    dtype = getattr(torch, recipe.weights)
    encoder, hidden, tokenizer = load_encoder(recipe.encoder, dtype=dtype, quantised=quantised, mask=recipe.mask)
    if recipe.gradient_checkpointing:
        encoder.activation_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
    if recipe.method != "full":
        require_peft()
        encoder = prepared(encoder) if quantised else encoder
        config = lora(
            "FEATURE_EXTRACTION",
            rank=recipe.rank,
            alpha=recipe.alpha,
            dropout=recipe.lora_dropout,
            new_tokens=None,
            modules=recipe.lora_modules,
        )
        encoder = with_adapter(encoder, config)
    return Network(encoder, hidden, network_settings(recipe, guidelines)), tokenizer


def network_settings(recipe: TaggingRecipe, guidelines: GuidelineTypes | None = None) -> NetworkSettings:
    """Return the settings of a recipe's network beside its encoder."""
    heads = 1 if recipe.instruction else len(recipe.types)
    known = tuple(
        tuple(entity_type in annotated and corpus not in recipe.teach_only for entity_type in recipe.types)
        for corpus, annotated in (guidelines or {}).items()
    )
    return NetworkSettings(heads, recipe.character_size, recipe.character_filters, recipe.dropout, known)


def load_encoder(
    name: str, *, dtype: torch.dtype = torch.float32, quantised: bool = False, mask: str = "full"
) -> tuple[nn.Module, int, Tokenizer]:
    """Load a pretrained encoder, its hidden size and its tokenizer.

    Args:
        name: see `TaggingRecipe.encoder`.
        dtype: the dtype of the weights.
        quantised: whether to load the weights of linear layers in 4 bits (see `biomark.training.adapters`).
        mask: see `TaggingRecipe.mask`.

    Raises:
        ModelError: if there is no such encoder, if its tokenizer is not a fast one, if it is a decoder whose causal
            mask cannot be removed, or if `mask` is `causal` and it has no such mask.
        MissingExtraError: if `quantised` is true and bitsandbytes is not installed.
    """
    folder = weights_folder(name)
    if (Path(folder) / ADAPTER).is_file():
        raise ModelError(f"encoder {name}: is an adapter; merge it first: biomark models merge {name} -o FOLDER")
    settings: dict[str, Any] = {"dtype": dtype, **(four_bits() if quantised else {})}
    try:
        with quietly():
            config = AutoConfig.from_pretrained(folder)
            decoder = _prepare(config, mask)
            encoder = AutoModel.from_pretrained(folder, config=config, **settings)
            tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise ModelError(f"encoder {name}: cannot be loaded: {error}") from error
    if not tokenizer.is_fast:
        raise ModelError(f"encoder {name}: its tokenizer gives no offsets; choose one with a fast tokenizer")
    if mask == "causal" and not decoder:
        raise ModelError(f'encoder {name}: {type(encoder).__name__} has no causal mask; set mask = "full"')
    if decoder and mask == "full" and not sees_what_follows(encoder):
        raise ModelError(
            f"encoder {name}: {type(encoder).__name__} keeps its causal mask; choose Llama, Qwen, Mistral or an encoder"
        )
    return _without_pooler(encoder), _hidden(config), tokenizer.backend_tokenizer


def build_encoder(folder: Path, *, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, int]:
    """Build an encoder with random weights from a folder's `config.json`; return it and its hidden size."""
    config = AutoConfig.from_pretrained(folder)
    encoder = AutoModel.from_config(config, dtype=dtype)  # type: ignore[no-untyped-call]
    return _without_pooler(encoder), _hidden(config)


def is_decoder(config: PreTrainedConfig) -> bool:
    """Return whether a model is a decoder, which was pretrained to read from left to right alone."""
    kind = config.model_type
    return kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES


def sees_what_follows(encoder: nn.Module) -> bool:
    """Return whether the last token influences the hidden state of the first one."""
    device = next(encoder.parameters()).device
    ids = torch.tensor([[3, 4, 5, 6], [3, 4, 5, 7]], device=device)
    training = encoder.training
    encoder.eval()
    with torch.no_grad():  # after a pass in inference mode a model in 4 bits could no longer be trained
        first = encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[:, 0]
    encoder.train(training)
    return not torch.equal(first[0], first[1])


def _prepare(config: PreTrainedConfig, mask: str) -> bool:
    """Configure a model as an encoder with a full or causal mask; return whether it is a decoder."""
    decoder = is_decoder(config)
    if decoder:
        config.is_causal = mask == "causal"
        config.use_cache = False
    elif hasattr(config, "attention_probs_dropout_prob"):
        config.attention_probs_dropout_prob = 0.0  # costs a sixth of the time on a CPU
    return decoder


def _hidden(config: PreTrainedConfig) -> int:
    return int(config.get_text_config().hidden_size)


def _without_pooler(encoder: nn.Module) -> nn.Module:
    """Remove the pooling layer on the first token, which tagging does not use."""
    if hasattr(encoder, "pooler"):
        encoder.pooler = None  # type: ignore[assignment]
    return encoder
