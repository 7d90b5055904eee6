"""Training on all GPUs of this machine, in separate processes."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

from biomark.errors import ModelError
from biomark.training.recipe import GenerativeRecipe


def launch(recipe: GenerativeRecipe, folder: Path, gpus: int, *, resume: bool) -> None:
    """Train on all GPUs of this machine, with as many rows per step as on a machine with `gpus` GPUs."""
    import torch

    here = max(torch.cuda.device_count(), 1)
    shared = replace(recipe, fsdp=here > 1, accumulate=max(1, recipe.accumulate * gpus // here))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "recipe.toml"
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in asdict(shared).items()]
    path.write_text("".join(lines), "utf-8")
    torchrun = ("-m", "torch.distributed.run", "--nproc-per-node", str(here)) if here > 1 else ()
    command = [sys.executable, *torchrun, "-m", "biomark", "train", str(path), "-o", str(folder)]
    done = subprocess.run([*command, *(["--resume"] if resume else [])], check=False)
    if done.returncode:
        raise ModelError(
            f"{folder}: training ended with exit status {done.returncode}; run the command again to resume it"
        )
