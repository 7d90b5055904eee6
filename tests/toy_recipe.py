"""Recipes of small models as files, and what their training reports to: nobody, or a failure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

Setting = str | float | bool | Sequence[str] | Mapping[str, object]

SMALL = {"batch_pieces": 256, "learning_rate": 3e-3, "head_learning_rate": 1e-2, "average": 0.9}
"""Settings with which a small random encoder learns in seconds to tag sentences of a few words."""


def write_recipe(path: Path, *, grid: Mapping[str, Sequence[object]] | None = None, **settings: Setting) -> Path:
    """Write a recipe, with a table of settings to try if there is a grid."""
    lines = [f"{name} = {_toml(value)}" for name, value in settings.items()]
    if grid:
        lines += ["[grid]", *(f"{name} = {_toml(values)}" for name, values in grid.items())]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def quiet(_: object) -> None:
    """Take a message of training."""


def fail(rejected: object) -> None:
    """Take what training rejects, of which there must be nothing."""
    raise AssertionError(rejected)
