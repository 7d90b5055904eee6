"""A model's name or folder → its Recognizer, and what is known of it.

`default` is the model that the package carries. Any other name is a folder: one that
`biomark export` made (ONNX, no torch needed), or one of a training run (needs the extra `train`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from biomark.errors import MissingExtraError, ModelError, UsageError
from biomark.recognizers import Recognizer
from biomark.recognizers.tagging import CARD, WEIGHTS, load_onnx
from biomark.training.recipe import RECIPE, SCORES

DEFAULT = "default"
RUNS = Path("runs")


def load(name: str = DEFAULT) -> Recognizer:
    """The recognizer of a model.

    Args:
        name: `default`, or a folder.

    Raises:
        UsageError: if there is no such model; the message lists those that there are.
        ModelError: if its folder is incomplete.
        MissingExtraError: if it needs a library that is not installed.
    """
    folder = folder_of(name)
    if name == DEFAULT or (folder / WEIGHTS).is_file():
        return load_onnx(folder)
    try:
        from biomark.training.tagging import load_trained, recognizer_of
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "train") from error
    return recognizer_of(*load_trained(folder))


def folder_of(name: str) -> Path:
    """The folder of a model; see `load`."""
    if name == DEFAULT:
        return Path(str(files("biomark").joinpath("default_model")))
    folder = next((f for f in (Path(name), RUNS / name) if f.is_dir()), None)
    if folder is None:
        raise UsageError(f"no model {name!r}: neither a folder nor one of {', '.join(names())}")
    return folder


def names() -> list[str]:
    """The models at hand: the package's own, and those under `runs/` of the working folder."""
    runs = sorted(p.name for p in RUNS.glob("*") if (p / WEIGHTS).is_file() or (p / RECIPE).is_file())
    return [DEFAULT, *runs]


def describe(name: str) -> Mapping[str, object]:
    """What a model's folder says of it: types, encoder, corpora, scores.

    Raises:
        UsageError: if there is no such model.
        ModelError: if its folder says nothing.
    """
    folder = folder_of(name)
    for file in (CARD, RECIPE):
        if (folder / file).is_file():
            facts: dict[str, object] = json.loads((folder / file).read_text("utf-8"))
            break
    else:
        raise ModelError(f"{folder}: holds neither {CARD} nor {RECIPE}; is it a model's folder?")
    if (folder / SCORES).is_file():
        facts["devel"] = json.loads((folder / SCORES).read_text("utf-8"))
    weights = folder / WEIGHTS
    if weights.is_file():
        facts["megabytes"] = round(weights.stat().st_size / 1e6, 1)
    return {**facts, "folder": str(folder)}
