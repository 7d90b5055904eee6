"""Recipes: all that decides a training run, read from TOML and saved beside the model."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TypeVar, get_args, get_origin, get_type_hints

from biomark import corpora, prompts
from biomark.errors import UsageError

# What a run's folder calls the recipe, the scores on the development splits (a checkpoint a row), and
# what else is to be known of the run: versions, data, sizes.
RECIPE, SCORES, RUN = "recipe.json", "scores.json", "run.json"


@dataclass(frozen=True, slots=True)
class TaggingRecipe:
    """A tagging model: an encoder with a BIO head a type.

    Attributes:
        name: what the model is called; also the run's folder under `runs/`.
        encoder: a Hugging Face name, a folder, or `package:NAME` for the `model` folder inside an
            installed Python package.
        train: corpora with their split, such as `ncbi_disease:train`.
        devel: the splits on which the best epoch is chosen.
        types: entity types with a head each. Of a corpus only the types that it annotates and that
            are listed here are learnt; the other heads get no loss from it.
        epochs: passes over the training sentences.
        batch_pieces: word pieces a step, padding counted.
        min_score: mentions with a lower score are left out, in use as in scoring the epochs.
        max_pieces: word pieces a window. In training each document's windows have a random share
            of it (down to single sentences), so that the model reads both abstracts and lone sentences.
        learning_rate: peak, of the encoder; linear warm-up, then linear decay to zero.
        head_learning_rate: peak, of everything that is not pretrained.
        warmup: share of the steps.
        weight_decay: of AdamW; not on biases and norms.
        dropout: before the heads.
        masked_words: share of words whose pieces are hidden from the encoder, so that it learns
            from their characters and their context.
        average: decay a step of the moving average of the weights, which is what is saved.
        character_size, character_filters: of the convolution over a word's characters.
        seed: of everything random.
    """

    name: str
    encoder: str
    train: tuple[str, ...]
    devel: tuple[str, ...]
    types: tuple[str, ...]
    epochs: int = 10
    batch_pieces: int = 1536
    max_pieces: int = 128
    min_score: float = 0.0
    learning_rate: float = 3e-4
    head_learning_rate: float = 1e-3
    warmup: float = 0.06
    weight_decay: float = 0.01
    dropout: float = 0.1
    masked_words: float = 0.05
    average: float = 0.999
    character_size: int = 32
    character_filters: int = 128
    seed: int = 13


@dataclass(frozen=True, slots=True)
class GenerativeRecipe:
    """A causal language model that answers an instruction with the marked sentence (BioNER-LLaMA).

    Attributes:
        name: what the model is called; also the run's folder under `runs/`.
        model: a Hugging Face name, a folder (such as that of another run), `package:NAME` for the `model`
            folder inside an installed Python package, or `package:NAME/FOLDER` for another one. An encoder
            such as BERT becomes a decoder with a causal mask.
        train: corpora with their split, such as `ncbi_disease:train`, files of annotated documents, or
            files (.json, .jsonl, also .gz) that `biomark demonstrations` wrote.
        devel: splits or files of documents, on which the best checkpoint is chosen.
        method: what is tuned: `full`, all weights; `lora`, adapters of low rank; `qlora`, the same beside
            weights in 4 bits; `llama-adapter`, prompts inside the attention of the last layers.
        types: entity types to learn; empty: all that the corpora annotate.
        prompt: the wording, one of `biomark.prompts.FORMS`.
        guidelines: append to the instruction what to mark.
        prompt_attention: `causal`, or `full`: the tokens of a prompt see all of it, as in an encoder, and
            only the answer is causal (a prefix language model; VANER takes the mask off altogether).
        marks: `text`, the paper's way, writes tags with the tokens that the model has; `tokens` adds two.
        whole_words: in use as in scoring, marks neither begin nor end inside a run of letters and digits.
        examples: how many demonstrations to take, chosen at random; 0: all.
        devel_sentences: how many sentences of each development split are scored; 0: all.
        epochs: passes over the demonstrations.
        row_tokens: tokens of a row. Packed, a row holds several demonstrations that do not see each other.
        rows: rows a step and device.
        accumulate: steps whose gradients are added up before the weights change.
        packing: several demonstrations a row; else one a row, padded to the longest of its batch.
        negatives: 0: a token's probability is among the whole vocabulary. Else among the tokens of its
            batch and so many random ones, which makes small models train almost twice as fast; for `full`
            and one process.
        learning_rate: peak; linear warm-up, then a cosine to zero.
        warmup: share of the steps.
        weight_decay: of AdamW; not on biases and norms.
        weights: `float32` or `bfloat16`, what weights and optimiser state are kept in. Matrices are
            multiplied in bfloat16 either way.
        gradient_checkpointing: compute activations twice and keep few of them.
        fsdp: shard weights, gradients and optimiser state over several GPUs; for `full` and `lora`.
        rank, alpha, dropout: of LoRA, on all linear layers but the head.
        adapter_tokens, adapter_layers: of LLaMA-Adapter: prompt length, and in how many of the last layers.
        save_steps: steps between checkpoints; 0: one an epoch.
        seed: of everything random.
    """

    name: str
    model: str
    train: tuple[str, ...]
    devel: tuple[str, ...]
    method: str = "full"
    types: tuple[str, ...] = ()
    prompt: str = "alpaca"
    guidelines: bool = False
    prompt_attention: str = "causal"
    marks: str = "text"
    whole_words: bool = True
    examples: int = 0
    devel_sentences: int = 500
    epochs: int = 3
    row_tokens: int = 2048
    rows: int = 4
    accumulate: int = 1
    packing: bool = True
    negatives: int = 0
    learning_rate: float = 2e-5
    warmup: float = 0.03
    weight_decay: float = 0.0
    weights: str = "float32"
    gradient_checkpointing: bool = False
    fsdp: bool = False
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.05
    adapter_tokens: int = 10
    adapter_layers: int = 30
    save_steps: int = 0
    seed: int = 13


METHODS = ("tagging", "full", "lora", "qlora", "llama-adapter")
"""What a recipe's `method` may be; all but the first are generative."""

Recipe = TaggingRecipe | GenerativeRecipe
AnyRecipe = TypeVar("AnyRecipe", TaggingRecipe, GenerativeRecipe)


def recipe_from(values: Mapping[str, object]) -> Recipe:
    """The recipe that was saved as JSON beside a model."""
    saved = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    kind = GenerativeRecipe if "method" in saved else TaggingRecipe
    return kind(**saved)  # type: ignore[arg-type]


def check_splits(recipe: Recipe) -> None:
    """Refuse a recipe that names no data, data that is not there, or a test split.

    Raises:
        UsageError: see above.
    """
    for setting in ("train", "devel"):
        names: tuple[str, ...] = getattr(recipe, setting)
        if not names:
            what = "there is nothing to learn from" if setting == "train" else "no checkpoint can be chosen"
            raise UsageError(f"recipe {recipe.name}: {setting} is empty, so {what}")
        for name in names:
            if Path(name).exists():
                continue
            if name.partition(":")[0] not in corpora.catalogue():
                raise UsageError(
                    f"recipe {recipe.name}: {setting} names {name}: neither a file nor a corpus of the catalogue "
                    f"({', '.join(corpora.catalogue())})"
                )
            if {"test", "held_out"}.intersection(corpora.parse_split(name)[1]):
                raise UsageError(
                    f"recipe {recipe.name}: {setting} names {name}, a test split, which no training may see; "
                    "score the finished model on it with biomark annotate and biomark evaluate"
                )


def check(recipe: GenerativeRecipe) -> None:
    """Refuse a recipe of which it is plain that it cannot work, before anything is read.

    Raises:
        UsageError: the message names the setting, and says what it may be.
    """
    choices = {
        "method": METHODS[1:],
        "prompt": tuple(prompts.FORMS),
        "prompt_attention": ("causal", "full"),
        "marks": ("text", "tokens"),
        "weights": ("float32", "bfloat16"),
    }
    for setting, known in choices.items():
        if getattr(recipe, setting) not in known:
            raise UsageError(
                f"recipe {recipe.name}: {setting} is {getattr(recipe, setting)!r}; there are {', '.join(known)}"
            )
    positive = ("epochs", "row_tokens", "rows", "accumulate", "rank", "alpha", "adapter_tokens", "adapter_layers")
    at_least = dict.fromkeys(positive, 1)
    at_least |= dict.fromkeys(("examples", "devel_sentences", "negatives", "save_steps", "weight_decay"), 0)
    for setting, least in at_least.items():
        if getattr(recipe, setting) < least:
            raise UsageError(f"recipe {recipe.name}: {setting} must be at least {least}")
    for setting in ("warmup", "dropout"):
        if not 0 <= getattr(recipe, setting) < 1:
            raise UsageError(f"recipe {recipe.name}: {setting} is a share, from 0 to below 1")
    if recipe.learning_rate <= 0:
        raise UsageError(f"recipe {recipe.name}: learning_rate must be above 0")
    if recipe.negatives and (recipe.method != "full" or recipe.fsdp):
        raise UsageError(f"recipe {recipe.name}: negatives is for method full in one process; leave it out")
    if recipe.fsdp and recipe.method not in ("full", "lora"):
        raise UsageError(f"recipe {recipe.name}: fsdp is for the methods full and lora, not for {recipe.method}")
    check_splits(recipe)


def load_recipe(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """A recipe's file with `key=value` changes applied.

    Raises:
        UsageError: if the file cannot be read, or a key or a value is wrong; the message names it.
    """
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: is not TOML: {error}") from error
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise UsageError(f"--set takes KEY=VALUE, not {change!r}")
        try:
            values[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            values[key] = value  # a bare word is a string
    method = values.get("method", "tagging")
    if method not in METHODS:
        raise UsageError(f"{path}: method is {method!r}; there are {', '.join(METHODS)}")
    if method == "tagging":
        values.pop("method", None)
        return _recipe(TaggingRecipe, path, values)
    return _recipe(GenerativeRecipe, path, values)


def _recipe(kind: type[AnyRecipe], path: Path, values: dict[str, object]) -> AnyRecipe:
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}
    for key, value in values.items():
        if key not in known:
            raise UsageError(f"{path}: there is no setting {key!r}; there are {', '.join(known)}")
        hint = hints[key]
        if get_origin(hint) is tuple:
            wrong = not isinstance(value, list) or not all(isinstance(v, get_args(hint)[0]) for v in value)
            values[key] = tuple(value) if isinstance(value, list) else value
        else:
            values[key] = float(value) if hint is float and type(value) is int else value
            wrong = type(values[key]) is not hint
        if wrong:
            raise UsageError(f"{path}: {key} = {value!r} is not of the type {hint}")
    missing = [f.name for f in known.values() if f.default is MISSING and f.name not in values]
    if missing:
        raise UsageError(f"{path}: the recipe does not say {', '.join(missing)}")
    return kind(**values)  # type: ignore[arg-type]
