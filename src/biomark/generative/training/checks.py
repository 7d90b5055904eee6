"""A recipe that cannot work is refused before anything is read."""

from __future__ import annotations

from biomark import demonstrations
from biomark.errors import UsageError
from biomark.shapes import MARK
from biomark.text.sentences import SPLITTERS
from biomark.training.checks import check_choices, check_least, check_splits
from biomark.training.recipe import METHODS, GenerativeRecipe


def check(recipe: GenerativeRecipe) -> None:
    """Refuse a recipe of which it is plain that it cannot work, before anything is read.

    Raises:
        UsageError: the message names the setting, and says what it may be.
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
            raise UsageError(f"recipe {recipe.name}: {setting} is a share, from 0 to below 1")
    if not 0 <= recipe.without_mentions <= 1:
        raise UsageError(f"recipe {recipe.name}: without_mentions is a share, from 0 to 1")
    if recipe.learning_rate <= 0:
        raise UsageError(f"recipe {recipe.name}: learning_rate must be above 0")
    if recipe.negatives and (recipe.method != "full" or recipe.fsdp):
        raise UsageError(f"recipe {recipe.name}: negatives is for method full in one process; leave it out")
    if recipe.marks == "tokens" and recipe.shape != MARK.name:
        raise UsageError(f'recipe {recipe.name}: marks = "tokens" is for shape mark, not for {recipe.shape}')
    demonstrations.check(recipe.style, recipe.types or None)
    if recipe.fsdp and recipe.method not in ("full", "lora"):
        raise UsageError(f"recipe {recipe.name}: fsdp is for the methods full and lora, not for {recipe.method}")
    check_splits(recipe)
