"""Loading, adapting and saving of causal language models."""

from __future__ import annotations

import json
import logging
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
from biomark.runtime.bases import Notify, weights_folder
from biomark.runtime.quiet import quietly
from biomark.tagging.training.network import ADAPTER, CONFIG
from biomark.training.adapters import four_bits, lora, prepared, require_peft, with_adapter
from biomark.training.recipe import RECIPE, GenerativeRecipe, saved_recipe

if TYPE_CHECKING:
    from peft import PeftConfig

log = logging.getLogger(__name__)

TOKENIZER, TOKENIZER_SETTINGS = "tokenizer.json", "tokenizer_config.json"
_ENCODERS = ("bert", "roberta", "electra")  # the model types of encoders that can become decoders
_OF_ADAPTERS = ("model", "marks", "rank", "alpha")  # the settings that two adapters must share to fit each other
_WITH_ADAPTION = ("llama", "mistral")  # the model types for which peft implements LLaMA-Adapter


def load_base(
    name: str,
    *,
    added: bool,
    dtype: torch.dtype,
    quantised: bool = False,
    whole: bool = False,
    notify: Notify = log.info,
) -> tuple[PreTrainedModel, Vocabulary]:
    """Load a pretrained causal language model, with an embedding that is large enough for its vocabulary.

    Args:
        name: see `GenerativeRecipe.model`.
        added: whether `<mark>` and `</mark>` are tokens of their own.
        dtype: the dtype of the weights that are not in 4 bits.
        quantised: whether to load the weights of linear layers in 4 bits (see `biomark.training.adapters`).
        whole: whether to refuse a model that lacks some weights, such as an encoder, which has no head.
        notify: is called with a line of text about missing weights, which are initialised at random.

    Raises:
        ModelError: if there is no such model, if biomark cannot use its tokenizer, or if it is not `whole`.
        MissingExtraError: if `quantised` is true and bitsandbytes is not installed.
    """
    folder = weights_folder(name)
    if (Path(folder) / ADAPTER).is_file():
        raise ModelError(f"model {name}: is an adapter; merge it first: biomark models merge {name} -o FOLDER")
    settings: dict[str, Any] = {"config": read_config(name), "dtype": dtype, "output_loading_info": True}
    if quantised:
        settings |= four_bits()
    model: PreTrainedModel
    info: dict[str, set[str]]
    try:
        with quietly():
            if (Path(folder) / COMPACT).is_file():
                model, info = _from_compact(Path(folder), dtype), {"missing_keys": set()}
            else:
                model, info = AutoModelForCausalLM.from_pretrained(folder, **settings)  # type: ignore[misc]
            tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise ModelError(f"model {name}: cannot be loaded: {error}") from error
    if missing := sorted(info["missing_keys"]):
        message = f"model {name}: {len(missing)} weights are missing, such as {missing[0]}"
        if whole:
            raise ModelError(f'{message}; only method = "full" can turn it into a causal language model')
        notify(f"{message}; they are initialised at random")
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
    """Read the configuration of a base model; that of an encoder is changed to a decoder's.

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
    """Load the model of a folder with weights in 8 bits."""
    config = AutoConfig.from_pretrained(folder)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    model.tie_weights()
    _fill(model, load_compact(folder / COMPACT), folder)
    return model.to(dtype) if dtype else model  # type: ignore[arg-type]


def prepare_model(recipe: GenerativeRecipe, *, notify: Notify = log.info) -> tuple[nn.Module, Vocabulary]:
    """Load the model of a recipe, with the parameters of its method trainable; the methods differ only here.

    Trainable adapters have 32 bits.

    Args:
        recipe: the recipe of the model.
        notify: is called with a line of text about each deviation from the recipe.

    Raises:
        UsageError: if the recipe does not suit the model.
        ModelError: see `load_base`.
        MissingExtraError: if a library for the method is not installed.
    """
    check_model(recipe)
    start = _start(recipe)
    base, vocabulary = _base(recipe, notify=notify)
    model = adapt(base, vocabulary, recipe, notify=notify)
    if start is not None:
        set_weights(model, start)
    return model, vocabulary


def adapt(
    model: PreTrainedModel, vocabulary: Vocabulary, recipe: GenerativeRecipe, *, notify: Notify = log.info
) -> nn.Module:
    """Add the adapters of the recipe's method, the only trainable parameters; return the model as it is for `full`.

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
        UsageError: if a setting does not suit the model.
        ModelError: if there is no such model.
    """
    config = read_config(recipe.model)
    text = config.get_text_config()
    positions = getattr(text, "max_position_embeddings", None)
    if isinstance(positions, int) and recipe.row_tokens > positions:
        raise UsageError(
            f"recipe {recipe.name}: row_tokens is {recipe.row_tokens}, but {recipe.model} reads at most {positions} "
            "tokens; set a lower value"
        )
    if recipe.method != "llama-adapter":
        return
    if config.model_type not in _WITH_ADAPTION:
        raise UsageError(
            f"recipe {recipe.name}: llama-adapter supports {' and '.join(_WITH_ADAPTION)}, "
            f'but {recipe.model} is {config.model_type}; set method = "lora"'
        )
    if recipe.marks == "tokens":
        raise UsageError(f'recipe {recipe.name}: llama-adapter cannot learn new tokens; set marks = "text"')


def _start(recipe: GenerativeRecipe) -> Path | None:
    """Return the folder of the adapter with which the training starts; None if it starts with a new one.

    Raises:
        UsageError: if that adapter does not fit the recipe.
        ModelError: if there is no such adapter.
    """
    if not recipe.start:
        return None
    folder = Path(weights_folder(recipe.start))
    if not (folder / ADAPTER).is_file():
        raise ModelError(f"start {recipe.start}: {ADAPTER} is missing; name the folder of a run with an adapter")
    other = saved_recipe(folder)
    for setting in _OF_ADAPTERS:
        if (value := getattr(other, setting, None)) != getattr(recipe, setting):
            raise UsageError(
                f"recipe {recipe.name}: its {setting} is {getattr(recipe, setting)!r}, but the adapter of "
                f"{recipe.start} has {value!r}; set {setting} = {json.dumps(value)}"
            )
    return folder


def _base(
    recipe: GenerativeRecipe, *, dtype: torch.dtype | None = None, notify: Notify = log.info
) -> tuple[PreTrainedModel, Vocabulary]:
    """Load the base model of a recipe, in the form that its method needs."""
    quantised = recipe.method == "qlora"
    model, vocabulary = load_base(
        recipe.model,
        added=recipe.marks == "tokens",
        dtype=dtype or getattr(torch, recipe.weights),
        quantised=quantised,
        whole=recipe.method != "full",  # an adapter's folder would not hold weights that were initialised at random
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
            notify(f"adapter_layers is {recipe.adapter_layers}, but the model has {layers} layers: all get prompts")
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
    """Return the rows to train for the mark tokens, in the embedding and, if it is another matrix, in the head."""
    if vocabulary.open is None or vocabulary.close is None:
        return None
    embedding, head = embedding_of(model), head_of(model)
    if getattr(head, "bias", None) is not None:
        raise UsageError(
            f"recipe {recipe.name}: {recipe.method} cannot add tokens to {recipe.model}, whose head has a bias; "
            'set marks = "text"'
        )
    tied = head.weight is embedding.weight
    wanted = (embedding,) if tied else (embedding, head)
    names = [name for name, module in model.named_modules() if any(module is layer for layer in wanted)]
    return {name: [vocabulary.open, vocabulary.close] for name in names}


def embedding_of(model: nn.Module) -> nn.Embedding:
    """Return the input layer of a model."""
    embedding: nn.Embedding = model.get_input_embeddings()  # type: ignore[operator]
    return embedding


def head_of(model: nn.Module) -> nn.Linear:
    """Return the output layer of a model; with adapters it may be a wrapper around a linear layer."""
    head: nn.Linear = model.get_output_embeddings()  # type: ignore[operator]
    return head


def plain(model: nn.Module) -> PreTrainedModel:
    """Return the transformers model, including its adapters, inside the model that `prepare_model` returned."""
    inner = model if isinstance(model, PreTrainedModel) else model.get_base_model()  # type: ignore[operator]
    if not isinstance(inner, PreTrainedModel):
        raise TypeError(f"{type(inner).__name__} is not a model of transformers")
    return inner


def set_weights(model: nn.Module, checkpoint: Path) -> None:
    """Load the weights, or the adapter, of a checkpoint into the model that `prepare_model` returned.

    Raises:
        ModelError: if some weights are missing.
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
    """Load weights into a model; of tied weights one is enough.

    Raises:
        ModelError: if some weights are missing.
    """
    model.load_state_dict(weights, strict=False)
    state = model.state_dict()
    loaded = {state[name].data_ptr() for name in weights if name in state}
    if missing := [name for name, value in state.items() if name not in weights and value.data_ptr() not in loaded]:
        raise ModelError(f"{folder}: {len(missing)} weights are missing, such as {missing[0]}")


def save_tokenizer(vocabulary: Vocabulary, folder: Path) -> None:
    """Write the tokenizer in the form that `load_trained` and transformers read."""
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
    """Load the model of a training run, on a GPU if there is one, with its vocabulary and recipe.

    Args:
        folder: the folder of a run, or one that `merge` wrote.
        dtype: the dtype of the weights; None: bfloat16 on a GPU, else the one they are saved in.

    Raises:
        ModelError: if a file or the base model of an adapter is missing.
        MissingExtraError: if the model needs bitsandbytes, which is not installed.
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
        raise ModelError(f"{folder}: the eos_token in {TOKENIZER_SETTINGS} is not in {TOKENIZER}")
    vocabulary = Vocabulary(tokenizer, end, added=recipe.marks == "tokens")
    cuda = torch.cuda.is_available()
    model = with_weights(recipe, folder, dtype=dtype or (torch.bfloat16 if cuda else None))
    if cuda and not getattr(model, "is_quantized", False):  # a quantised model is loaded onto its device
        model.to("cuda")  # type: ignore[arg-type]
    model.eval()  # type: ignore[no-untyped-call]
    return model, vocabulary, recipe


def with_weights(recipe: GenerativeRecipe, folder: Path, *, dtype: torch.dtype | None = None) -> PreTrainedModel:
    """Load the model of a recipe for inference, with the weights or the adapter of a folder.

    A LoRA adapter is merged into weights in 32 bits, because each pass would take two to three times as long with the
    adapter beside them. It stays beside weights in bfloat16 or 4 bits, where merging would round its small values away.

    Args:
        recipe: the recipe of the run.
        folder: the folder of the run, or a checkpoint.
        dtype: the dtype of the weights; None: the one they are saved in.

    Raises:
        ModelError: if a file or the base model is missing.
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
            model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype or "auto")
        except (OSError, ValueError) as error:
            raise ModelError(f"{folder}: the model cannot be loaded: {error}") from error
    return model
