"""Encoders exported to ONNX with weights in 8 bits: `export` needs torch, `ExportedEncoder` does not."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer

from biomark.embedding import Encoder, Vectors, load
from biomark.errors import MissingExtraError, ModelError

if TYPE_CHECKING:
    import onnxruntime

# Two names of different length, for which the vectors of the exported encoder must be close to the original ones.
_PROBES = ("fever", "hereditary long QT syndrome, type 2 (of the heart)")
_FAITHFUL = 0.9  # the smallest accepted cosine; quantisation alone leaves about 0.99


@dataclass(frozen=True, slots=True)
class Exported:
    """An encoder as bytes.

    Attributes:
        name: the name of the encoder, as for `biomark.embedding.load`.
        weights: an ONNX file; token ids, int64 (1, T) → the pooled vector, float32 (1, H), not normalised.
        tokenizer: a JSON file of the library tokenizers.
        max_tokens: the largest number of tokens in a window.
    """

    name: str
    weights: bytes
    tokenizer: str
    max_tokens: int


class ExportedEncoder:
    """A `biomark.embedding.Embedder` on onnxruntime, without torch.

    It runs one text at a time. The scale of 8-bit activations depends on all texts of a batch, so batches of one text
    make the vector of a text independent of other texts.

    Args:
        exported: the encoder to run.
        threads: the number of texts to encode at the same time.

    Raises:
        ModelError: if the encoder cannot be loaded.
    """

    def __init__(self, exported: Exported, *, threads: int = 1) -> None:
        self._max_tokens = exported.max_tokens
        self._threads = threads
        try:
            self._tokenizer = Tokenizer.from_str(exported.tokenizer)
            self._session = session(exported.weights)
        except Exception as error:  # the libraries raise bare Exceptions of their own
            raise ModelError(f"encoder {exported.name}: cannot be loaded: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self._max_tokens)
        self.size = int(self._session.get_outputs()[0].shape[1])
        """H, the number of values of a vector."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See `biomark.embedding.Embedder`."""
        if self._threads == 1 or len(texts) < 2:
            return self._normalised(map(self._sum, texts))
        with ThreadPoolExecutor(self._threads) as pool:
            return self._normalised(pool.map(self._sum, texts))

    def _sum(self, text: str) -> Vectors:
        """Return the sum of the pooled vectors of a text's windows, float32 (H)."""
        first = self._tokenizer.encode(text)
        windows = [window.ids for window in (first, *first.overflowing) if window.ids]
        total = np.zeros(self.size, dtype=np.float32)
        for ids in windows:
            total += self._session.run(None, {"ids": np.array([ids], dtype=np.int64)})[0][0]
        return total

    def _normalised(self, sums: Iterable[Vectors]) -> Vectors:
        rows = np.array(list(sums), dtype=np.float32).reshape(-1, self.size)
        vectors: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-9)
        return vectors


def session(model: bytes | Path) -> onnxruntime.InferenceSession:
    """Open an ONNX model on the CPU, with one thread per call, because threads do not speed up small matrices.

    Args:
        model: the path of the file, or its content.
    """
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # of Windows; `biomark.runtime.privacy` has switched off the rest
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # The fused kernel for a sum and its layer norm takes a tenth of a model's time, eight times as long as both apart.
    apart = ["SkipLayerNormFusion"]
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"], disabled_optimizers=apart)


def export(name: str) -> Exported:
    """Export an encoder so that it runs without torch; this takes half a minute for 20 million parameters.

    Args:
        name: the name of the encoder, as for `biomark.embedding.load`.

    Raises:
        ModelError: if the encoder does not exist, or cannot be exported.
        MissingExtraError: if the libraries that write ONNX files are not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(error.name or "onnx", "train") from error
    encoder = load(name)
    tokenizer = encoder.tokenizer.backend_tokenizer.to_str()
    try:
        with tempfile.TemporaryDirectory() as folder:
            plain, small = Path(folder) / "plain.onnx", Path(folder) / "small.onnx"
            _write_onnx(encoder, plain)
            quantise(plain, small)
            exported = Exported(name, small.read_bytes(), tokenizer, encoder.max_tokens)
        alike = (encoder.embed(_PROBES) * ExportedEncoder(exported).embed(_PROBES)).sum(axis=1)
    except Exception as error:  # exporters raise errors of many kinds
        reason = error.__cause__ or error  # the exporter's own message fills a page
        raise ModelError(f"encoder {name}: cannot be exported as ONNX ({type(reason).__name__}: {reason})") from error
    if alike.min() < _FAITHFUL:
        raise ModelError(
            f"encoder {name}: 8-bit weights change the vectors too much (cosine {alike.min():.2f}, at least "
            f"{_FAITHFUL} is needed); choose another encoder"
        )
    return exported


def _write_onnx(encoder: Encoder, path: Path) -> None:
    import torch

    first_token, model = encoder.first_token, encoder.model.cpu()

    class Pooled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            hidden: torch.Tensor = self.model(input_ids=ids).last_hidden_state  # (1, T, H)
            return hidden[:, 0] if first_token else hidden.sum(dim=1)

    ids = torch.tensor([encoder.tokenizer(_PROBES[1], truncation=True, max_length=encoder.max_tokens)["input_ids"]])
    with without_remarks():
        program = torch.onnx.export(
            Pooled().eval(),
            (ids,),
            dynamo=True,
            verbose=False,
            input_names=["ids"],
            output_names=["pooled"],
            dynamic_shapes=({1: torch.export.Dim.AUTO},),
        )
    if program is None:  # pragma: no cover - only if torch.onnx.export writes the file itself
        raise RuntimeError("torch.onnx.export returned no program")
    program.save(str(path))


def quantise(source: Path, target: Path, *, exact: tuple[int, ...] | None = None) -> None:
    """Quantise weights to 8 bits with one scale per column; activations are scaled per batch. This needs onnx.

    Args:
        source: the file of the model in 32 bits, which is changed.
        target: the file to write.
        exact: the shape of weights that stay in 32 bits.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(source)
    # The exporter records shapes of intermediate values that contradict onnx's own inference.
    del model.graph.value_info[:]
    onnx.save(model, source)
    shapes = {weights.name: tuple(weights.dims) for weights in model.graph.initializer}
    kept = [n.name for n in model.graph.node if n.op_type == "MatMul" and shapes.get(n.input[1], ()) == exact]
    with without_remarks():
        quantize_dynamic(
            source,
            target,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=["MatMul", "Gather"],
            nodes_to_exclude=kept,
            extra_options={"MatMulConstBOnly": True},
        )


@contextlib.contextmanager
def without_remarks() -> Iterator[None]:
    """Suppress the exporters' warnings and log messages about their internals."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
