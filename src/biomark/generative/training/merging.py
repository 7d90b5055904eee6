"""Merging of an adapter into the weights of its base model, for generative and tagging models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from biomark.errors import ModelError, UsageError
from biomark.generative.training.model import TOKENIZER, TOKENIZER_SETTINGS, load_base
from biomark.runtime.machine import versions
from biomark.runtime.quiet import quietly
from biomark.tagging.training.network import ADAPTER
from biomark.tagging.training.start import BEST
from biomark.tagging.training.trainer import load_trained
from biomark.training.recipe import RECIPE, RUN, SCORES, TaggingRecipe, saved_recipe
from biomark.training.runs import LIBRARIES, write


def merge(run: Path, folder: Path) -> Path:
    """Write a stand-alone model that annotates like a base model with its LoRA adapter.

    An adapter that was tuned with weights in 4 bits (`qlora`) is merged into the base model's original weights, in
    bfloat16. They differ slightly from the 4-bit weights of the training, so scores may change a little.

    Args:
        run: the folder of a training run with the method `lora` or `qlora`.
        folder: the folder to write; it must be empty or not exist.

    Returns:
        `folder`, with weights, tokenizer, and the run's recipe, scores and facts.

    Raises:
        UsageError: if the run has nothing to merge, or `folder` is not empty.
        ModelError: if a file or the base model is missing.
    """
    if not (run / RECIPE).is_file():
        raise ModelError(f"{run}: {RECIPE} is missing; is this the folder of a training run?")
    recipe = saved_recipe(run)
    if not (run / ADAPTER).is_file():
        raise UsageError(f"{run}: contains no adapter, so there is nothing to merge")
    if recipe.method == "llama-adapter":
        raise UsageError(f"{run}: a model of the method llama-adapter cannot be merged; use the run's folder as it is")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: already exists and is not empty; name a new folder")
    if isinstance(recipe, TaggingRecipe):
        return _merge_tagging(run, folder)
    import peft

    dtype = torch.bfloat16 if recipe.method == "qlora" else getattr(torch, recipe.weights)
    base, _ = load_base(recipe.model, added=recipe.marks == "tokens", dtype=dtype, whole=True)
    with quietly():
        merged = peft.PeftModel.from_pretrained(base, str(run)).merge_and_unload(safe_merge=True)
        folder.mkdir(parents=True, exist_ok=True)
        merged.save_pretrained(folder)
    for name in (RECIPE, SCORES, TOKENIZER, TOKENIZER_SETTINGS):
        shutil.copyfile(run / name, folder / name)
    facts = json.loads((run / RUN).read_text("utf-8"))
    write(folder / RUN, {**facts, "merged": {"from": str(run), "dtype": str(dtype), "versions": versions(*LIBRARIES)}})
    return folder


def _merge_tagging(run: Path, folder: Path) -> Path:
    network, _, _ = load_trained(run, quantised=False)
    with quietly():
        network.encoder = network.encoder.merge_and_unload(safe_merge=True)  # type: ignore[operator]
        folder.mkdir(parents=True, exist_ok=True)
        network.encoder.config.save_pretrained(folder)  # type: ignore[operator,union-attr]
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, folder / BEST)
    for name in (RECIPE, SCORES, TOKENIZER):
        shutil.copyfile(run / name, folder / name)
    return folder
