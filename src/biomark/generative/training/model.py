"""Causal language models: how they are loaded, what each method tunes of them, and how they are kept."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedConfig, PreTrainedModel

from biomark.errors import ModelError, UsageError
from biomark.generative.decoding.vocabulary import Vocabulary
from biomark.generative.training.compact import COMPACT, load_compact
from biomark.runtime.bases import weights_folder
from biomark.runtime.quiet import quietly
from biomark.tagging.training.network import ADAPTER, CONFIG
from biomark.training.adapters import four_bits, lora, prepared, require_peft, with_adapter
from biomark.training.recipe import RECIPE, GenerativeRecipe, saved_recipe

if TYPE_CHECKING:
    from peft import PeftConfig

log = logging.getLogger(__name__)

TOKENIZER, TOKENIZER_SETTINGS = "tokenizer.json", "tokenizer_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"  # as peft calls them
_ENCODERS = ("bert", "roberta", "electra")  # become decoders
_WITH_ADAPTION = ("llama", "mistral")  # where peft has LLaMA-Adapter

Notify = Callable[[str], None]


def load_base(
    name: str,
    *,
    added: bool,
    dtype: torch.dtype,
    quantised: bool = False,
    whole: bool = False,
    notify: Notify = log.info,
) -> tuple[PreTrainedModel, Vocabulary]:
    """A pretrained causal language model, its embedding large enough for its vocabulary.

    Args:
        name: see `GenerativeRecipe.model`.
        added: whether the mark tags are tokens of their own.
        dtype: of the weights that are not in four bits.
        quantised: load the weights of linear layers in four bits (see `biomark.training.adapters`).
        whole: refuse a model of which some weights are not there, such as an encoder, which has no head.
        notify: is called with a line about weights that are not there and begin at random values.

    Raises:
        ModelError: if there is no such model, biomark cannot use its tokenizer, or it is not `whole`.
        MissingExtraError: if bitsandbytes is not installed for `quantised`.
    """
    folder = weights_folder(name)
    if (Path(folder) / ADAPTER).is_file():
        raise ModelError(f"model {name}: is an adapter; merge it first: biomark models merge {name} -o FOLDER")
    settings: dict[str, Any] = {"config": read_config(name), "dtype": dtype, "output_loading_info": True}
    if quantised:
        settings |= four_bits()
    model: PreTrainedModel
    found: dict[str, set[str]]
    try:
        with quietly():
            if (Path(folder) / COMPACT).is_file():
                model, found = _from_compact(Path(folder), dtype), {"missing_keys": set()}
            else:
                model, found = AutoModelForCausalLM.from_pretrained(folder, **settings)  # type: ignore[misc]
            tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise ModelError(f"model {name}: cannot be loaded: {error}") from error
    if missing := sorted(found["missing_keys"]):
        message = f"model {name}: {len(missing)} weights are not there, such as {missing[0]}"
        if whole:
            raise ModelError(f"{message}; it is no causal language model, which only the method full can make of it")
        notify(f"{message}; they begin at random values")
    if not tokenizer.is_fast:
        raise ModelError(f"model {name}: its tokenizer is not a fast one; save it as tokenizer.json first")
    end = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id
    if end is None:
        raise ModelError(f"model {name}: its tokenizer has neither an eos_token nor a sep_token to end an answer with")
    vocabulary = Vocabulary(tokenizer.backend_tokenizer, end, added=added)
    if len(embedding_of(model).weight) < vocabulary.size:
        with quietly():
            model.resize_token_embeddings(vocabulary.size)
    return model, vocabulary


def read_config(name: str) -> PreTrainedConfig:
    """What a base model says of itself; an encoder is made a decoder.

    Raises:
        ModelError: if there is no such model.
    """
    try:
        with quietly():
            config: PreTrainedConfig = AutoConfig.from_pretrained(weights_folder(name))
    except (OSError, ValueError) as error:
        raise ModelError(f"model {name}: cannot be loaded: {error}") from error
    config.use_cache = False
    if config.model_type in _ENCODERS:
        config.is_decoder = True
        config.attention_probs_dropout_prob = 0.0
    return config


def _from_compact(folder: Path, dtype: torch.dtype | None) -> PreTrainedModel:
    """The model of a folder that keeps its weights in 8 bits."""
    config = AutoConfig.from_pretrained(folder)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    model.tie_weights()
    _fill(model, load_compact(folder / COMPACT), folder)
    return model.to(dtype) if dtype else model  # type: ignore[arg-type]


def prepare_model(recipe: GenerativeRecipe, *, notify: Notify = log.info) -> tuple[nn.Module, Vocabulary]:
    """The model of a recipe with those parameters trainable that its method tunes; all methods differ here alone.

    Trainable adapters are kept in 32 bits.

    Args:
        recipe: what to tune.
        notify: is called with a line about each thing that is not quite as the recipe says.

    Raises:
        UsageError: if the recipe does not suit the model.
        ModelError: see `load_base`.
        MissingExtraError: if a library for the method is not installed.
    """
    check_model(recipe)
    model, vocabulary = _base(recipe, notify=notify)
    return adapt(model, vocabulary, recipe, notify=notify), vocabulary


def adapt(
    model: PreTrainedModel, vocabulary: Vocabulary, recipe: GenerativeRecipe, *, notify: Notify = log.info
) -> nn.Module:
    """The model with the adapters of the recipe's method, they alone trainable; for `full` the model as it is.

    Raises:
        UsageError: if the recipe does not suit the model.
        MissingExtraError: if a library for the method is not installed.
    """
    if recipe.method == "full":
        return model
    require_peft()
    return with_adapter(model, _adapter(recipe, model, vocabulary, notify))


def check_model(recipe: GenerativeRecipe) -> None:
    """Refuse a recipe that does not suit its model, before the weights are loaded.

    Raises:
        UsageError: see above.
        ModelError: if there is no such model.
    """
    config = read_config(recipe.model)
    text = config.get_text_config()
    positions = getattr(text, "max_position_embeddings", None)
    if isinstance(positions, int) and recipe.row_tokens > positions:
        raise UsageError(
            f"recipe {recipe.name}: row_tokens is {recipe.row_tokens}, but {recipe.model} reads {positions} tokens"
        )
    if recipe.method != "llama-adapter":
        return
    if config.model_type not in _WITH_ADAPTION:
        raise UsageError(
            f"recipe {recipe.name}: llama-adapter is for {' and '.join(_WITH_ADAPTION)}, "
            f"and {recipe.model} is {config.model_type}; take lora"
        )
    if recipe.marks == "tokens":
        raise UsageError(f'recipe {recipe.name}: llama-adapter cannot learn new tokens; say marks = "text"')


def _base(
    recipe: GenerativeRecipe, *, dtype: torch.dtype | None = None, notify: Notify = log.info
) -> tuple[PreTrainedModel, Vocabulary]:
    """The model that a recipe starts from, as its method needs it."""
    quantised = recipe.method == "qlora"
    model, vocabulary = load_base(
        recipe.model,
        added=recipe.marks == "tokens",
        dtype=dtype or getattr(torch, recipe.weights),
        quantised=quantised,
        whole=recipe.method != "full",  # what begins at random values is not kept with an adapter
        notify=notify,
    )
    if quantised:
        model = prepared(model)
    return model, vocabulary


def _adapter(recipe: GenerativeRecipe, model: PreTrainedModel, vocabulary: Vocabulary, notify: Notify) -> PeftConfig:
    if recipe.method == "llama-adapter":
        import peft

        layers = int(model.config.get_text_config().num_hidden_layers)
        if recipe.adapter_layers > layers:
            notify(f"adapter_layers is {recipe.adapter_layers}, but the model has {layers}: all of them get prompts")
        return peft.AdaptionPromptConfig(
            task_type="CAUSAL_LM",
            adapter_len=recipe.adapter_tokens,
            adapter_layers=min(layers, recipe.adapter_layers),
        )
    return lora(
        "CAUSAL_LM",
        rank=recipe.rank,
        alpha=recipe.alpha,
        dropout=recipe.dropout,
        new_tokens=_new_tokens(recipe, model, vocabulary),
    )


def _new_tokens(
    recipe: GenerativeRecipe, model: PreTrainedModel, vocabulary: Vocabulary
) -> dict[str, list[int]] | None:
    """The mark tokens' rows of the embedding, and of the head if that is another matrix: all that is tuned there."""
    if vocabulary.open is None or vocabulary.close is None:
        return None
    embedding, head = embedding_of(model), head_of(model)
    if getattr(head, "bias", None) is not None:
        raise UsageError(
            f"recipe {recipe.name}: {recipe.method} cannot add tokens to {recipe.model}, whose head has a bias; "
            'say marks = "text"'
        )
    tied = head.weight is embedding.weight
    wanted = (embedding,) if tied else (embedding, head)
    names = [name for name, module in model.named_modules() if any(module is layer for layer in wanted)]
    return {name: [vocabulary.open, vocabulary.close] for name in names}


def embedding_of(model: nn.Module) -> nn.Embedding:
    """A model's input layer."""
    embedding: nn.Embedding = model.get_input_embeddings()  # type: ignore[operator]
    return embedding


def head_of(model: nn.Module) -> nn.Linear:
    """A model's output layer; with adapters it may be something that acts like a linear layer."""
    head: nn.Linear = model.get_output_embeddings()  # type: ignore[operator]
    return head


def plain(model: nn.Module) -> PreTrainedModel:
    """The transformers model, with its adapters in it, of what `prepare_model` gave."""
    inner = model if isinstance(model, PreTrainedModel) else model.get_base_model()  # type: ignore[operator]
    if not isinstance(inner, PreTrainedModel):
        raise TypeError(f"{type(inner).__name__} is no model of transformers")
    return inner


def set_weights(model: nn.Module, checkpoint: Path) -> None:
    """Give the model of `prepare_model` the weights, or the adapter, of a checkpoint.

    Raises:
        ModelError: if some are not there.
    """
    if not isinstance(model, PreTrainedModel):
        import peft

        with quietly():
            peft.set_peft_model_state_dict(model, peft.load_peft_weights(str(checkpoint), device="cpu"))
        return
    index = checkpoint / "model.safetensors.index.json"
    files = {"model.safetensors"}
    if index.is_file():
        files = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
    weights = {name: value for file in sorted(files) for name, value in load_file(checkpoint / file).items()}
    _fill(model, weights, checkpoint)


def _fill(model: PreTrainedModel, weights: dict[str, torch.Tensor], folder: Path) -> None:
    """Give a model weights; of those that share memory one is enough."""
    model.load_state_dict(weights, strict=False)
    state = model.state_dict()
    there = {state[name].data_ptr() for name in weights if name in state}
    if missing := [name for name, value in state.items() if name not in weights and value.data_ptr() not in there]:
        raise ModelError(f"{folder}: {len(missing)} weights are missing, such as {missing[0]}")


def save_tokenizer(vocabulary: Vocabulary, folder: Path) -> None:
    """Write the tokenizer as `load_trained` and transformers read it."""
    vocabulary.full.save(str(folder / TOKENIZER))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": vocabulary.full.id_to_token(vocabulary.end),
        "clean_up_tokenization_spaces": False,
    }
    (folder / TOKENIZER_SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", "utf-8")


def load_trained(
    folder: Path, *, dtype: torch.dtype | None = None
) -> tuple[PreTrainedModel, Vocabulary, GenerativeRecipe]:
    """The model of a run's folder, weights or adapter, on a GPU if there is one; its vocabulary and recipe.

    Args:
        folder: of a run, or one that `merge` wrote.
        dtype: of the weights; None: bfloat16 on a GPU, else as they are saved.

    Raises:
        ModelError: if a file is missing, or an adapter's base model is.
        MissingExtraError: if it needs bitsandbytes, and that is not installed.
    """
    for name in (RECIPE, TOKENIZER, TOKENIZER_SETTINGS):
        if not (folder / name).is_file():
            raise ModelError(f"{folder}: {name} is missing; is this the folder of a finished training run?")
    recipe = saved_recipe(folder)
    if not isinstance(recipe, GenerativeRecipe):
        raise ModelError(f"{folder}: is a tagging model, not a generative one")
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    end = tokenizer.token_to_id(json.loads((folder / TOKENIZER_SETTINGS).read_text("utf-8"))["eos_token"])
    if end is None:
        raise ModelError(f"{folder}: {TOKENIZER} does not know the eos_token of {TOKENIZER_SETTINGS}")
    vocabulary = Vocabulary(tokenizer, end, added=recipe.marks == "tokens")
    cuda = torch.cuda.is_available()
    model = with_weights(recipe, folder, dtype=dtype or (torch.bfloat16 if cuda else None))
    if cuda and not getattr(model, "is_quantized", False):  # which is where it belongs since it was loaded
        model.to("cuda")  # type: ignore[arg-type]
    model.eval()  # type: ignore[no-untyped-call]
    return model, vocabulary, recipe


def with_weights(recipe: GenerativeRecipe, folder: Path, *, dtype: torch.dtype | None = None) -> PreTrainedModel:
    """The model of a recipe, for use, with the weights or the adapter that a folder holds.

    LoRA's adapter is folded into weights in 32 bits, for beside them each pass would take two to three times as long.
    It stays beside weights in bfloat16 and in 4 bits, which would round its small numbers away.

    Args:
        recipe: of the run.
        folder: of the run, or a checkpoint.
        dtype: of the weights; None: as they are saved.

    Raises:
        ModelError: if something is missing.
    """
    if (folder / ADAPTER).is_file():
        import peft

        merges = recipe.method == "lora" and recipe.weights == "float32"
        try:
            base, _ = _base(recipe, dtype=torch.float32 if merges else dtype)
        except ModelError as error:
            raise ModelError(f"{folder}: its adapter needs the base model {recipe.model}: {error}") from error
        with quietly():
            adapted: Any = peft.PeftModel.from_pretrained(base, str(folder))
            if not merges:
                return plain(adapted)
            merged: PreTrainedModel = adapted.merge_and_unload(safe_merge=True)
            return merged.to(dtype) if dtype else merged  # type: ignore[arg-type]
    if not (folder / CONFIG).is_file():
        raise ModelError(f"{folder}: {CONFIG} is missing; has the run saved a model yet?")
    with quietly():
        if (folder / COMPACT).is_file():
            return _from_compact(folder, dtype)
        try:
            found: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype or "auto")
        except (OSError, ValueError) as error:
            raise ModelError(f"{folder}: the model cannot be loaded: {error}") from error
    return found
