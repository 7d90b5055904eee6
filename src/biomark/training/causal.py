"""Causal language models: how they are loaded, and what each method tunes of them."""

from __future__ import annotations

import warnings

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from biomark.decoding.vocabulary import Vocabulary
from biomark.errors import ModelError
from biomark.training.network import encoder_folder
from biomark.training.recipe import GenerativeRecipe


def load_base(name: str, *, added: bool, dtype: torch.dtype) -> tuple[PreTrainedModel, Vocabulary]:
    """A pretrained causal language model, its embedding large enough for its vocabulary.

    Args:
        name: see `GenerativeRecipe.model`.
        added: whether the mark tags are tokens of their own.
        dtype: of the weights.

    Raises:
        ModelError: if there is no such model, or biomark cannot use its tokenizer.
    """
    folder = encoder_folder(name)
    try:
        config = AutoConfig.from_pretrained(folder)
        config.use_cache = False
        if config.model_type in ("bert", "roberta", "electra"):
            config.is_decoder = True  # an encoder becomes a decoder
            config.attention_probs_dropout_prob = 0.0
        model = AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=dtype)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise ModelError(f"model {name}: cannot be loaded: {error}") from error
    if not tokenizer.is_fast:
        raise ModelError(f"model {name}: its tokenizer is not a fast one; save it as tokenizer.json first")
    end = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id
    if end is None:
        raise ModelError(f"model {name}: its tokenizer has neither an eos_token nor a sep_token to end an answer with")
    vocabulary = Vocabulary(tokenizer.backend_tokenizer, end, added=added)
    if model.get_input_embeddings().num_embeddings < vocabulary.size:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.resize_token_embeddings(vocabulary.size)
    return model, vocabulary


def prepare_model(recipe: GenerativeRecipe) -> tuple[nn.Module, Vocabulary]:
    """The model of a recipe with those parameters trainable that its method tunes; all methods differ here alone.

    Raises:
        ModelError: see `load_base`.
    """
    dtype = getattr(torch, recipe.weights)
    model, vocabulary = load_base(recipe.model, added=recipe.marks == "tokens", dtype=dtype)
    return model, vocabulary
