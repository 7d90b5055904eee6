"""An encoder as ONNX with weights in 8 bits: made once, with torch (`export`), and run anywhere without it."""

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

# Two names of one's own, of different length: the exported encoder's vectors have to be near the other's.
_PROBES = ("fever", "hereditary long QT syndrome, type 2 (of the heart)")
_FAITHFUL = 0.9  # the least cosine; 8 bits alone leave 0.99


@dataclass(frozen=True, slots=True)
class Exported:
    """An encoder as bytes.

    Attributes:
        name: what `biomark.embedding.load` calls it.
        weights: an ONNX file; token ids, int64 (1, T) → the pooled vector, float32 (1, H), of any length.
        tokenizer: a JSON file of the library tokenizers.
        max_tokens: tokens a window.
    """

    name: str
    weights: bytes
    tokenizer: str
    max_tokens: int


class ExportedEncoder:
    """A `biomark.embedding.Embedder` on onnxruntime, without torch.

    It reads one text at a time: 8-bit activations get their scale from all that is computed together, and so a text's
    vector does not depend on those beside it.

    Args:
        exported: what to run.
        threads: texts read at the same time.

    Raises:
        ModelError: if it cannot be used.
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
        """H, the values of a vector."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See `biomark.embedding.Embedder`."""
        if self._threads == 1 or len(texts) < 2:
            return self._normalised(map(self._sum, texts))
        with ThreadPoolExecutor(self._threads) as pool:
            return self._normalised(pool.map(self._sum, texts))

    def _sum(self, text: str) -> Vectors:
        """The sum of the pooled vectors of a text's windows."""
        first = self._tokenizer.encode(text)
        windows = [window.ids for window in (first, *first.overflowing) if window.ids]
        found = np.zeros(self.size, dtype=np.float32)
        for ids in windows:
            found += self._session.run(None, {"ids": np.array([ids], dtype=np.int64)})[0][0]
        return found

    def _normalised(self, sums: Iterable[Vectors]) -> Vectors:
        rows = np.array(list(sums), dtype=np.float32).reshape(-1, self.size)
        vectors: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-9)
        return vectors


def session(model: bytes | Path) -> onnxruntime.InferenceSession:
    """An ONNX model on the CPU, with one thread for each call: small matrices share badly.

    Args:
        model: the file, or what is in it.
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
    """An encoder without torch; takes half a minute for 20 million parameters.

    Args:
        name: as `biomark.embedding.load` takes it.

    Raises:
        ModelError: if there is no such encoder, or it cannot be exported.
        MissingExtraError: if what makes ONNX files is not installed.
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
            found = Exported(name, small.read_bytes(), tokenizer, encoder.max_tokens)
        alike = (encoder.embed(_PROBES) * ExportedEncoder(found).embed(_PROBES)).sum(axis=1)
    except Exception as error:  # exporters raise errors of many kinds
        reason = error.__cause__ or error  # what the exporter says of it fills a page
        raise ModelError(f"encoder {name}: cannot be exported as ONNX ({type(reason).__name__}: {reason})") from error
    if alike.min() < _FAITHFUL:
        raise ModelError(f"encoder {name}: its vectors change too much in 8 bits (cosine {alike.min():.2f})")
    return found


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
    if program is None:  # pragma: no cover - only where torch.onnx.export is told to write the file itself
        raise RuntimeError("torch.onnx.export gave no program")
    program.save(str(path))


def quantise(source: Path, target: Path, *, exact: tuple[int, ...] | None = None) -> None:
    """Weights in 8 bits with one scale a column; activations are scaled batch by batch. Needs onnx.

    Args:
        source: the model in 32 bits; is changed.
        target: the file to write.
        exact: the shape of weights that stay in 32 bits.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(source)
    # The exporter notes shapes of intermediate values that onnx's own inference contradicts.
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
    """Without the exporters' remarks on their own insides."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
