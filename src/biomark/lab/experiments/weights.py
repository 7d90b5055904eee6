"""Weights that experiments use without training: their checksums, and files of llama.cpp."""

from __future__ import annotations

import shutil
from pathlib import Path

from biomark import models
from biomark.errors import ModelError
from biomark.lab.experiments.data import checksum, file_sum
from biomark.runtime import bases

MODEL_CARD = "README.md"


def packaged_sum(name: str) -> str:
    """Return the checksum of the files of a model that `biomark.models.load` accepts; "" for parts without a folder."""
    parts = [name] if Path(name).is_dir() else models.TOGETHER.split(name)
    folders = [models.folder_of(part) for part in parts if part in models.names() or Path(part).is_dir()]
    return "+".join(_folder_sum(folder) for folder in folders)


def start_sum(name: str) -> str:
    """Return the checksum of the files of a folder, which may be `package:NAME/FOLDER`; "" if there is none."""
    return _folder_sum(Path(bases.weights_folder(name)))


def local_sum(name: str) -> str:
    """Return the checksum of the files of `hf:FOLDER`; "" for other names."""
    return _folder_sum(Path(name.removeprefix(models.HUGGING_FACE)))


def gguf_sum(name: str) -> str:
    """Return the checksum of a file in a package (PACKAGE/FILE); see `gguf_file`."""
    return file_sum(gguf_file(name))


def _folder_sum(folder: Path) -> str:
    """Return the checksum of a folder's files without the model card, which changes no answer."""
    if not folder.name or not folder.is_dir():
        return ""
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name != MODEL_CARD]
    return checksum([[path.name, file_sum(path)] for path in files])


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
