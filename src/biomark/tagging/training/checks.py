"""Checks of the recipes of tagging models, made before any data is read."""

from __future__ import annotations

from biomark.errors import UsageError
from biomark.tagging.words import WORDINGS
from biomark.training.checks import check_choices, check_known, check_least, check_splits
from biomark.training.recipe import METHODS, TaggingRecipe

MASKS = ("full", "causal")


def check(recipe: TaggingRecipe) -> None:
    """Refuse an invalid recipe of a tagging model.

    Raises:
        UsageError: if a setting has an invalid value; the message names the setting and its valid values.
    """
    choices = {
        "method": METHODS[recipe.task],
        "weights": ("float32", "bfloat16"),
        "choose": ("f1", "loss"),
        "mask": MASKS,
        "wording": tuple(WORDINGS),
        "dbr": ("random", "near"),
    }
    check_choices(recipe, choices)
    check_least(recipe, ("epochs", "batch_pieces", "max_pieces", "rank", "alpha"), 1)
    check_least(
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
            raise UsageError(f"recipe {recipe.name}: {setting} must be in [0, 1), got {getattr(recipe, setting)}")
    for setting in ("corpus_name", "dbr_share", "swap", "negatives", "noise", "min_score"):
        if not 0 <= getattr(recipe, setting) <= 1:
            raise UsageError(f"recipe {recipe.name}: {setting} must be in [0, 1], got {getattr(recipe, setting)}")
    if recipe.learning_rate <= 0 or recipe.head_learning_rate < 0:
        raise UsageError(f"recipe {recipe.name}: learning_rate must be greater than 0, head_learning_rate at least 0")
    _check_store(recipe)
    if not all(0 <= share <= 1 for share in recipe.shares.values()):
        raise UsageError(f"recipe {recipe.name}: all shares must be in [0, 1]")
    _check_heads(recipe)
    if recipe.corpus_name and not recipe.instruction:
        raise UsageError(f"recipe {recipe.name}: corpus_name needs an instruction; set instruction = true")
    check_splits(recipe)
    for name in recipe.leave_out:
        check_known(recipe, "leave_out", name)


def _check_heads(recipe: TaggingRecipe) -> None:
    if recipe.corpus_heads and (recipe.instruction or recipe.method != "full"):
        raise UsageError(
            f'recipe {recipe.name}: corpus_heads needs method = "full" and instruction = false, since an instruction '
            "can name the corpus itself"
        )
    if recipe.teach_only and not recipe.corpus_heads:
        raise UsageError(
            f"recipe {recipe.name}: teach_only needs corpora with their own heads; set corpus_heads = true"
        )
    if unknown := [entity_type for entity_type in recipe.default_types if entity_type not in recipe.types]:
        raise UsageError(f"recipe {recipe.name}: default_types has {', '.join(unknown)}; add it to types or remove it")


def _check_store(recipe: TaggingRecipe) -> None:
    if (recipe.dbr_terms or recipe.dbr_others or recipe.swap) and not recipe.knowledge:
        raise UsageError(
            f"recipe {recipe.name}: dbr_terms, dbr_others and swap take names from a store; set knowledge to the path "
            "of one that biomark knowledge build wrote, or set them to 0"
        )
    if recipe.dbr == "near" and recipe.dbr_mentions:
        raise UsageError(
            f'recipe {recipe.name}: dbr_mentions needs dbr = "random"; lists of dbr = "near" always contain the '
            "mentions of their sentence; set dbr_mentions = 0"
        )
    if recipe.dbr == "random" and recipe.dbr_others:
        raise UsageError(
            f'recipe {recipe.name}: dbr_others needs dbr = "near"; lists of dbr = "random" take half of their '
            "dbr_terms from other types; set dbr_others = 0"
        )
