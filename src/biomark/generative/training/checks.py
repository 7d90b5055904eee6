"""Checks of the recipes of generative models, made before any data is read."""

from __future__ import annotations

from biomark import demonstrations
from biomark.errors import UsageError
from biomark.shapes import MARK
from biomark.text.sentences import SPLITTERS
from biomark.training.checks import check_choices, check_least, check_splits
from biomark.training.recipe import METHODS, GenerativeRecipe


def check(recipe: GenerativeRecipe) -> None:
    """Refuse an invalid recipe of a generative model.

    Raises:
        UsageError: if a setting has an invalid value; the message names the setting and its valid values.
    """
    choices = {
        "method": METHODS[recipe.task],
        "prompt": tuple(demonstrations.FORMS),
        "shape": tuple(demonstrations.TUNED),
        "sentences": tuple(SPLITTERS),
        "prompt_attention": ("causal", "full"),
        "marks": ("text", "tokens"),
        "weights": ("float32", "bfloat16"),
    }
    check_choices(recipe, choices)
    positive = ("epochs", "row_tokens", "rows", "accumulate", "rank", "alpha", "adapter_tokens", "adapter_layers")
    check_least(recipe, positive, 1)
    check_least(recipe, ("examples", "devel_sentences", "negatives", "save_steps", "weight_decay"), 0)
    for setting in ("warmup", "dropout"):
        if not 0 <= getattr(recipe, setting) < 1:
            raise UsageError(f"recipe {recipe.name}: {setting} must be in [0, 1), got {getattr(recipe, setting)}")
    if not 0 <= recipe.without_mentions <= 1:
        raise UsageError(f"recipe {recipe.name}: without_mentions must be in [0, 1], got {recipe.without_mentions}")
    _check_shares(recipe)
    if recipe.learning_rate <= 0:
        raise UsageError(f"recipe {recipe.name}: learning_rate must be greater than 0, got {recipe.learning_rate}")
    if recipe.negatives and (recipe.method != "full" or recipe.fsdp):
        raise UsageError(
            f'recipe {recipe.name}: negatives needs method = "full" and fsdp = false; change these or set negatives = 0'
        )
    if recipe.marks == "tokens" and recipe.shape != MARK.name:
        raise UsageError(f'recipe {recipe.name}: marks = "tokens" needs shape = "mark", got {recipe.shape!r}')
    demonstrations.check(recipe.style, recipe.types or None)
    if recipe.fsdp and recipe.method not in ("full", "lora"):
        raise UsageError(f'recipe {recipe.name}: fsdp needs the method "full" or "lora", got {recipe.method!r}')
    if recipe.start and recipe.method not in ("lora", "qlora"):
        raise UsageError(
            f'recipe {recipe.name}: start needs method = "lora" or "qlora", got {recipe.method!r}; to tune all '
            "weights of a run further, set `model` to its folder"
        )
    check_splits(recipe)


def _check_shares(recipe: GenerativeRecipe) -> None:
    for corpus, share in recipe.shares.items():
        if not 0 < share <= 1:
            raise UsageError(f"recipe {recipe.name}: the share of {corpus} must be in (0, 1], got {share}")
        if corpus not in {name.partition(":")[0] for name in recipe.train}:
            raise UsageError(f"recipe {recipe.name}: shares names {corpus}, which train does not; correct its name")
