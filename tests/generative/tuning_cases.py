"""What tests of tuning call: training without messages, demonstrations of a recipe, a second process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from biomark.training.recipe import GenerativeRecipe
from conftest import HANG
from toy_recipe import fail, quiet, write_recipe

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

from biomark.generative.decoding.vocabulary import Vocabulary  # noqa: E402
from biomark.generative.training import trainer as generative  # noqa: E402
from biomark.generative.training.data import read_demonstrations  # noqa: E402
from biomark.generative.training.packing import TokenisedDemonstration, tokenise  # noqa: E402

torch.set_num_threads(1)  # networks this small only wait for each other's threads


def train(recipe: GenerativeRecipe, folder: Path, *, resume: bool = False) -> Path:
    return generative.train(recipe, folder, reject=fail, resume=resume, progress=quiet)


def examples_of(recipe: GenerativeRecipe, vocabulary: Vocabulary, count: int) -> list[TokenisedDemonstration]:
    found = []
    for demonstration in read_demonstrations("ncbi_disease:train", recipe, fail):
        example = tokenise(demonstration, vocabulary, form=recipe.prompt, longest=recipe.row_tokens)
        assert isinstance(example, TokenisedDemonstration)
        found.append(example)
    return found[:count]


def write_toml(recipe: GenerativeRecipe, path: Path) -> None:
    write_recipe(path, **{name: getattr(recipe, name) for name in recipe.__slots__})


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANG, check=False)
