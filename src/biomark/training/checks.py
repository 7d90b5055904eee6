"""Checks that recipes of all kinds share, made before any data is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from biomark import corpora
from biomark.errors import UsageError
from biomark.training.recipe import Recipe


def check_splits(recipe: Recipe) -> None:
    """Refuse a recipe that names no data, missing data, or a test split.

    Raises:
        UsageError: if it does; the message names the setting and the split.
    """
    for setting in ("train", "devel"):
        names: tuple[str, ...] = getattr(recipe, setting)
        if not names:
            what = "there is nothing to learn from" if setting == "train" else "no checkpoint can be chosen"
            raise UsageError(f"recipe {recipe.name}: {setting} is empty, so {what}; name a split or a file")
        for name in names:
            if Path(name).exists():
                continue
            check_known(recipe, setting, name)
            corpus, splits = corpora.parse_split(name)
            if set(corpora.TESTS).intersection(splits):
                raise UsageError(
                    f"recipe {recipe.name}: {setting} names {name}, a test split, which training must not use; "
                    "score the finished model on it with biomark annotate and biomark evaluate"
                )
            if "held_out" in corpus.splits and any(not corpus.splits[split].tenths for split in splits):
                raise UsageError(
                    f"recipe {recipe.name}: {setting} names {name}, which contains the test split held_out; "
                    f"name {corpus.name}:fit, or {corpus.name}:fit+devel"
                )


def check_known(recipe: Recipe, setting: str, name: str) -> None:
    """Refuse a name that is neither a file nor a corpus of the catalogue.

    Raises:
        UsageError: if it is neither.
    """
    if not Path(name).exists() and name.partition(":")[0] not in corpora.catalogue():
        raise UsageError(
            f"recipe {recipe.name}: {setting} names {name}, which is neither a file nor a corpus of the catalogue "
            f"({', '.join(corpora.catalogue())})"
        )


def check_choices(recipe: Recipe, choices: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse settings whose value is not among their choices.

    Raises:
        UsageError: if there is one.
    """
    for setting, known in choices.items():
        if (value := getattr(recipe, setting)) not in known:
            raise UsageError(f"recipe {recipe.name}: unknown {setting} {value!r}; choose from {', '.join(known)}")


def check_least(recipe: Recipe, settings: Sequence[str], least: int) -> None:
    """Refuse settings whose value is below a lowest one.

    Raises:
        UsageError: if there is one.
    """
    for setting in settings:
        if (value := getattr(recipe, setting)) < least:
            raise UsageError(f"recipe {recipe.name}: {setting} must be at least {least}, got {value}")
