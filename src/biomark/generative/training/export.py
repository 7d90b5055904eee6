"""Export of a tuned language model to a small folder: its weights in 8 bits, or its adapter in bfloat16."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from biomark.errors import ModelError
from biomark.generative.training.compact import COMPACT, save_compact
from biomark.generative.training.model import TOKENIZER, TOKENIZER_SETTINGS, load_trained
from biomark.tagging.training.network import ADAPTER, CONFIG
from biomark.training.recipe import ADAPTER_WEIGHTS, RECIPE, RUN, SCORES


def export(run: Path, folder: Path) -> Path:
    """Write the folder of a generative model with its weights in 8 bits, or its adapter in bfloat16.

    See `biomark.generative.training.compact` for the 8 bits. An exported adapter still needs its base model.

    Args:
        run: the folder of a training run.
        folder: the folder to write; it is created if it does not exist, and files of the same names are replaced.

    Returns:
        `folder`.

    Raises:
        ModelError: if `run` is not the folder of a finished run.
    """
    if (run / ADAPTER).is_file():
        return _export_adapter(run, folder)
    model, _, _ = load_trained(run)
    folder.mkdir(parents=True, exist_ok=True)
    save_compact(model.state_dict(), folder / COMPACT)
    _copy((CONFIG, TOKENIZER, TOKENIZER_SETTINGS, RECIPE, SCORES, RUN), run, folder)
    return folder


def _export_adapter(run: Path, folder: Path) -> Path:
    for name in (ADAPTER_WEIGHTS, RECIPE, TOKENIZER, TOKENIZER_SETTINGS):
        if not (run / name).is_file():
            raise ModelError(f"{run}: {name} is missing; is this the folder of a finished training run?")
    weights = load_file(run / ADAPTER_WEIGHTS)
    folder.mkdir(parents=True, exist_ok=True)
    small = {name: value.bfloat16() if value.is_floating_point() else value for name, value in weights.items()}
    save_file(small, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    Tokenizer.from_file(str(run / TOKENIZER)).save(str(folder / TOKENIZER), pretty=False)
    _copy((ADAPTER, TOKENIZER_SETTINGS, RECIPE, SCORES, RUN), run, folder)
    return folder


def _copy(names: Iterable[str], run: Path, folder: Path) -> None:
    for name in names:
        if (run / name).is_file():
            shutil.copyfile(run / name, folder / name)
