"""Checks of recipes of every kind, before anything is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from biomark import corpora
from biomark.errors import UsageError
from biomark.training.recipe import Recipe


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
            check_known(recipe, setting, name)
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


def check_known(recipe: Recipe, setting: str, name: str) -> None:
    """Refuse data that is neither a file nor a corpus of the catalogue."""
    if not Path(name).exists() and name.partition(":")[0] not in corpora.catalogue():
        raise UsageError(
            f"recipe {recipe.name}: {setting} names {name}: neither a file nor a corpus of the catalogue "
            f"({', '.join(corpora.catalogue())})"
        )


def check_choices(recipe: Recipe, choices: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse values of settings that are none of their choices."""
    for setting, known in choices.items():
        if getattr(recipe, setting) not in known:
            raise UsageError(
                f"recipe {recipe.name}: {setting} is {getattr(recipe, setting)!r}; there are {', '.join(known)}"
            )


def check_least(recipe: Recipe, settings: Sequence[str], least: int) -> None:
    """Refuse values of settings below the least one."""
    for setting in settings:
        if getattr(recipe, setting) < least:
            raise UsageError(f"recipe {recipe.name}: {setting} must be at least {least}")
