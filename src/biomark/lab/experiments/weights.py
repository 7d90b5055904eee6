"""Weights that experiments use without training: their checksums, and conversion from llama.cpp's format."""

from __future__ import annotations

import shutil
from pathlib import Path

from biomark import models
from biomark.errors import ModelError
from biomark.lab.experiments.data import checksum, file_sum
from biomark.lab.experiments.specs import Model
from biomark.runtime import bases


def weights_sum(model: Model) -> str:
    """Return the checksum of the files of a model in a folder, or "" for other models, which their name identifies."""
    if model.method == "gguf":
        return file_sum(gguf_file(model.model))
    if model.method == "prompted":
        return _folder_sum(Path(model.model.removeprefix(models.HUGGING_FACE)))
    parts = [model.model] if Path(model.model).is_dir() else models.TOGETHER.split(model.model)
    folders = [models.folder_of(name) for name in parts if name in models.names() or Path(name).is_dir()]
    return "+".join(_folder_sum(folder) for folder in folders)


def _folder_sum(folder: Path) -> str:
    if not folder.name or not folder.is_dir():
        return ""
    return checksum([[path.name, file_sum(path)] for path in sorted(folder.iterdir()) if path.is_file()])


def gguf_file(name: str) -> Path:
    """Return the path of a file inside an installed package (PACKAGE/FILE).

    Raises:
        ModelError: if the package is not installed, or has no such file.
    """
    path = bases.in_package(name)
    if not path.is_file():
        raise ModelError(f"{path}: is missing; install a version of the package that has it")
    return path


def unpack_gguf(name: str, folder: Path) -> None:
    """Convert a file in the format of llama.cpp to a folder of transformers, in 32 bits.

    Raises:
        ModelError, MissingExtraError: see `gguf_file` and `biomark.runtime.bases.unpacked`.
    """
    shutil.copytree(bases.unpacked(gguf_file(name)), folder, dirs_exist_ok=True)
