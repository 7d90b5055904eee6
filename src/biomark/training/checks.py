"""Recipes of which it is plain that they cannot work are refused before anything is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from biomark import corpora, prompts
from biomark.errors import UsageError
from biomark.sentences import SPLITTERS
from biomark.shapes import MARK
from biomark.training.recipe import METHODS, GenerativeRecipe, Recipe, TaggingRecipe
from biomark.words import WORDINGS

MASKS = ("full", "causal")


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
            _check_known(recipe, setting, name)
            corpus, splits = corpora.parse_split(name)
            if set(corpora.TESTS).intersection(splits):
                raise UsageError(
                    f"recipe {recipe.name}: {setting} names {name}, a test split, which no training may see; "
                    "score the finished model on it with biomark annotate and biomark evaluate"
                )
            if "held_out" in corpus.splits and any(not corpus.splits[split].tenths for split in splits):
                raise UsageError(
                    f"recipe {recipe.name}: {setting} names {name}, of which held_out is a part, a test split; "
                    f"name {corpus.name}:fit, or {corpus.name}:fit+devel"
                )


def _check_known(recipe: Recipe, setting: str, name: str) -> None:
    """Refuse data that is neither a file nor a corpus of the catalogue."""
    if not Path(name).exists() and name.partition(":")[0] not in corpora.catalogue():
        raise UsageError(
            f"recipe {recipe.name}: {setting} names {name}: neither a file nor a corpus of the catalogue "
            f"({', '.join(corpora.catalogue())})"
        )


def check(recipe: GenerativeRecipe) -> None:
    """Refuse a recipe of which it is plain that it cannot work, before anything is read.

    Raises:
        UsageError: the message names the setting, and says what it may be.
    """
    choices = {
        "method": METHODS[recipe.task],
        "prompt": tuple(prompts.FORMS),
        "shape": tuple(prompts.TUNED),
        "sentences": tuple(SPLITTERS),
        "prompt_attention": ("causal", "full"),
        "marks": ("text", "tokens"),
        "weights": ("float32", "bfloat16"),
    }
    _check_choices(recipe, choices)
    positive = ("epochs", "row_tokens", "rows", "accumulate", "rank", "alpha", "adapter_tokens", "adapter_layers")
    _check_least(recipe, positive, 1)
    _check_least(recipe, ("examples", "devel_sentences", "negatives", "save_steps", "weight_decay"), 0)
    for setting in ("warmup", "dropout"):
        if not 0 <= getattr(recipe, setting) < 1:
            raise UsageError(f"recipe {recipe.name}: {setting} is a share, from 0 to below 1")
    if not 0 <= recipe.without_mentions <= 1:
        raise UsageError(f"recipe {recipe.name}: without_mentions is a share, from 0 to 1")
    if recipe.learning_rate <= 0:
        raise UsageError(f"recipe {recipe.name}: learning_rate must be above 0")
    if recipe.negatives and (recipe.method != "full" or recipe.fsdp):
        raise UsageError(f"recipe {recipe.name}: negatives is for method full in one process; leave it out")
    if recipe.marks == "tokens" and recipe.shape != MARK.name:
        raise UsageError(f'recipe {recipe.name}: marks = "tokens" is for shape mark, not for {recipe.shape}')
    prompts.check(recipe.style, recipe.types or None)
    if recipe.fsdp and recipe.method not in ("full", "lora"):
        raise UsageError(f"recipe {recipe.name}: fsdp is for the methods full and lora, not for {recipe.method}")
    check_splits(recipe)


def _check_choices(recipe: Recipe, choices: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse values of settings that are none of their choices."""
    for setting, known in choices.items():
        if getattr(recipe, setting) not in known:
            raise UsageError(
                f"recipe {recipe.name}: {setting} is {getattr(recipe, setting)!r}; there are {', '.join(known)}"
            )


def _check_least(recipe: Recipe, settings: Sequence[str], least: int) -> None:
    """Refuse values of settings below the least one."""
    for setting in settings:
        if getattr(recipe, setting) < least:
            raise UsageError(f"recipe {recipe.name}: {setting} must be at least {least}")


def check_tagging(recipe: TaggingRecipe) -> None:
    """Refuse a recipe of a tagging model of which it is plain that it cannot work, before anything is read.

    Raises:
        UsageError: the message names the setting, and says what it may be.
    """
    choices = {
        "method": METHODS[recipe.task],
        "weights": ("float32", "bfloat16"),
        "choose": ("f1", "loss"),
        "mask": MASKS,
        "wording": tuple(WORDINGS),
        "dbr": ("random", "near"),
    }
    _check_choices(recipe, choices)
    _check_least(recipe, ("epochs", "batch_pieces", "max_pieces", "rank", "alpha"), 1)
    _check_least(
        recipe,
        (
            "batch_windows",
            "dbr_terms",
            "dbr_others",
            "dbr_mentions",
            "epoch_steps",
            "weight_decay",
            "character_filters",
        ),
        0,
    )
    for setting in ("warmup", "dropout", "lora_dropout", "masked_words", "average"):
        if not 0 <= getattr(recipe, setting) < 1:
            raise UsageError(f"recipe {recipe.name}: {setting} is a share, from 0 to below 1")
    for setting in ("corpus_name", "dbr_share", "swap", "negatives", "noise", "min_score"):
        if not 0 <= getattr(recipe, setting) <= 1:
            raise UsageError(f"recipe {recipe.name}: {setting} is a share, from 0 to 1")
    if recipe.learning_rate <= 0 or recipe.head_learning_rate <= 0:
        raise UsageError(f"recipe {recipe.name}: learning_rate and head_learning_rate must be above 0")
    _check_store(recipe)
    if not all(0 <= share <= 1 for share in recipe.shares.values()):
        raise UsageError(f"recipe {recipe.name}: shares are from 0 to 1")
    _check_heads(recipe)
    if recipe.corpus_name and not recipe.instruction:
        raise UsageError(f"recipe {recipe.name}: corpus_name is for an instruction; say instruction = true, too")
    check_splits(recipe)
    for name in recipe.leave_out:
        _check_known(recipe, "leave_out", name)


def _check_heads(recipe: TaggingRecipe) -> None:
    if recipe.corpus_heads and (recipe.instruction or recipe.method != "full"):
        raise UsageError(
            f"recipe {recipe.name}: corpus_heads is for method full without an instruction, which can name the corpus"
        )
    if recipe.teach_only and not recipe.corpus_heads:
        raise UsageError(
            f"recipe {recipe.name}: teach_only is for corpora with heads of their own; set corpus_heads = true"
        )
    if unknown := [type for type in recipe.default_types if type not in recipe.types]:
        raise UsageError(f"recipe {recipe.name}: default_types has {', '.join(unknown)}, which types lacks")


def _check_store(recipe: TaggingRecipe) -> None:
    if (recipe.dbr_terms or recipe.dbr_others or recipe.swap) and not recipe.knowledge:
        raise UsageError(
            f"recipe {recipe.name}: dbr_terms, dbr_others and swap take names from a store; say knowledge = PATH "
            "(biomark knowledge build makes one), or set them to 0"
        )
    if recipe.dbr == "near" and recipe.dbr_mentions:
        raise UsageError(
            f'recipe {recipe.name}: dbr_mentions is for dbr = "random"; lists of dbr = "near" have the mentions of '
            "their sentence anyway; set dbr_mentions = 0"
        )
    if recipe.dbr == "random" and recipe.dbr_others:
        raise UsageError(
            f'recipe {recipe.name}: dbr_others is for dbr = "near"; lists of dbr = "random" take half of their '
            "dbr_terms from other types; set dbr_others = 0"
        )
