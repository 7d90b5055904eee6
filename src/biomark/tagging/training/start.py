"""A training that begins with the weights of another run, as far as they fit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file

from biomark.errors import ModelError
from biomark.tagging.recognizer import TOKENIZER
from biomark.tagging.training.network import CONFIG, Network
from biomark.training.recipe import RECIPE, TaggingRecipe, saved_recipe

BEST, GUIDELINES = "model.safetensors", "guidelines.json"

# The label of a row of the heads or of the gate: its type and its corpus; an empty string stands for all.
HeadRow = tuple[str, str]


def begin_with(network: Network, recipe: TaggingRecipe, corpora: Sequence[str], folder: Path) -> None:
    """Initialise a network with the weights of another run that fit; rows of heads are matched by type and corpus.

    Args:
        network: the network to initialise.
        recipe: the recipe of the network.
        corpora: the corpora whose guidelines the network learns.
        folder: the folder of the other run.

    Raises:
        ModelError: if the folder has no weights, or none that fit.
    """
    before = recipe_of(folder)
    path = folder / GUIDELINES
    old_rows = _rows(before, tuple(json.loads(path.read_text("utf-8"))) if before.corpus_heads else ())
    new_rows = _rows(recipe, tuple(corpora))
    old, own = load_file(folder / BEST), network.tuned()
    fitting = {}
    for name in own.keys() & old.keys():
        part = name.partition(".")[0]
        if part in new_rows:
            fitted = _with_rows(own[name], new_rows[part], old[name], old_rows[part])
        else:
            fitted = old[name] if own[name].shape == old[name].shape else None
        if fitted is not None:
            fitting[name] = fitted
    if not fitting:
        raise ModelError(f"start {folder}: none of its weights fit this network; choose a model with the same encoder")
    network.set_tuned({**own, **fitting})


def _with_rows(
    own: torch.Tensor, labels: Sequence[HeadRow], other: torch.Tensor, other_labels: Sequence[HeadRow]
) -> torch.Tensor | None:
    """Return a copy of a tensor with another tensor's rows of the same labels, or None if the row sizes differ."""
    result = own.detach().clone()
    rows, other_rows = result.view(len(labels), -1), other.view(len(other_labels), -1)
    if rows.shape[1] != other_rows.shape[1]:
        return None
    for label in set(labels).intersection(other_labels):
        rows[labels.index(label)] = other_rows[other_labels.index(label)]
    return result


def _rows(recipe: TaggingRecipe, corpora: Sequence[str]) -> dict[str, list[HeadRow]]:
    """Return the labels of the rows of a network's heads and gate."""
    types = [""] if recipe.instruction else recipe.types
    return {
        "heads": [(entity_type, "") for entity_type in types],
        "own_heads": [(entity_type, corpus) for corpus in corpora for entity_type in types],
        "gate": [("", corpus) for corpus in corpora],
    }


def recipe_of(folder: Path) -> TaggingRecipe:
    """Return the recipe of a training run of a tagging model.

    Raises:
        ModelError: if a file of the run is missing, or its model is not a tagging model.
    """
    for name in (BEST, RECIPE, TOKENIZER, CONFIG):
        if not (folder / name).is_file():
            raise ModelError(f"{folder}: {name} is missing; is this the folder of a training run?")
    recipe = saved_recipe(folder)
    if not isinstance(recipe, TaggingRecipe):
        raise ModelError(f"{folder}: is a generative model, not a tagging one")
    if recipe.corpus_heads and not (folder / GUIDELINES).is_file():
        raise ModelError(f"{folder}: {GUIDELINES} is missing; is this the folder of a training run?")
    return recipe
