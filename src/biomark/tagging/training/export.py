"""Export of a trained tagging model to a small folder with its network as ONNX, which runs without torch."""

from __future__ import annotations

import json
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from biomark.embedding.exported import quantise, without_remarks
from biomark.errors import UsageError
from biomark.formats import Reject
from biomark.spans import Document
from biomark.tagging.recognizer import CARD, TOKENIZER, WEIGHTS
from biomark.tagging.text import Batch, Output, collate, read_document
from biomark.tagging.training.calibrate import calibrate
from biomark.tagging.training.examples import guidelines_of, named_corpora
from biomark.tagging.training.network import ADAPTER, Network, is_decoder
from biomark.tagging.training.trainer import best_epoch, load_trained
from biomark.tagging.words import WordReader
from biomark.training.recipe import SCORES

_OPSET = 23  # the first one with attention as one operator, which takes a tenth off a window's time

# Two documents of different lengths: the exporter traces the network on a batch of real windows.
_EXAMPLES = (
    "Aspirin (acetylsalicylic acid) inhibits COX-1.",
    "Fever, cough and β-thalassaemia were seen in two patients.",
)


def export(run: Path, folder: Path, *, int8: bool = True, calibrated: Reject | None = None) -> Path:
    """Write the folder that `biomark.tagging.recognizer.load_onnx` reads.

    Args:
        run: the folder of a training run.
        folder: the folder to write; it is created if it does not exist, and files of the same names are replaced.
        int8: whether to quantise the weights (one scale for each column) and compute matrix products in 8 bits;
            otherwise in 32 bits.
        calibrated: calibrate the scores and choose the lowest one on the development splits of the recipe; it is called
            with each part of them that cannot be read. None: the scores stay as they are.

    Returns:
        `folder`.

    Raises:
        ModelError: if `run` is not the folder of a training run.
        UsageError: if the model has an adapter or is a language model.
        CorpusError: if a development split for the calibration is missing.
    """
    if (run / ADAPTER).is_file():
        raise UsageError(
            f"{run}: is a LoRA adapter without its base model; merge them first: biomark models merge {run} -o FOLDER"
        )
    network, reader, recipe = load_trained(run)
    if is_decoder(network.encoder.config):  # type: ignore[arg-type]
        raise UsageError(
            f"{run}: is a language model without its mask ({recipe.encoder}), too large for a folder that runs without "
            f"torch; export is for encoders such as PubMedBERT. Use the run's folder as it is"
        )
    network.without_silent_corpora()
    guidelines = {corpus: types for corpus, types in guidelines_of(recipe).items() if corpus not in recipe.teach_only}
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        plain = Path(temporary) / "plain.onnx"
        _write_onnx(network, reader, plain)
        if int8:
            # The convolution over characters is small and loses more accuracy by rounding than all other layers
            # (docs/experiments.md). Without filters no weights have this shape.
            quantise(plain, folder / WEIGHTS, exact=(3 * recipe.character_size, recipe.character_filters))
        else:
            (folder / WEIGHTS).write_bytes(plain.read_bytes())
    reader.tokenizer.save(str(folder / TOKENIZER))
    scores = json.loads((run / SCORES).read_text("utf-8"))
    best = best_epoch(scores, recipe)
    card = {
        "name": recipe.name,
        "types": recipe.types,
        "default_types": recipe.default_types or recipe.types,
        "guidelines": guidelines,
        "max_pieces": recipe.max_pieces,
        "min_score": recipe.min_score,
        "instruction": recipe.instruction,
        "wording": recipe.wording,
        "corpora": named_corpora(recipe),
        "precision": "int8" if int8 else "fp32",
        "encoder": recipe.encoder,
        "train": recipe.train,
        "parameters": sum(p.numel() for p in network.parameters()),
        "epoch": best + 1,
        "devel_fp32": scores[best],
        "biomark": version("biomark"),
        "torch": torch.__version__,
    }
    (folder / CARD).write_text(json.dumps(card, indent=2) + "\n", "utf-8")
    if calibrated is not None:
        calibrate(folder, recipe, calibrated)
    return folder


class _ByGuideline(nn.Module):
    """A network whose output is that under each guideline, for the exporter, which calls `forward`."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        word_of_piece: Tensor,
        characters: Tensor,
        first_piece: Tensor,
    ) -> tuple[Tensor, Tensor]:
        return self.network.by_guideline(input_ids, attention_mask, word_of_piece, characters, first_piece)


def _write_onnx(network: Network, reader: WordReader, path: Path) -> None:
    documents = [Document(str(n), text) for n, text in enumerate(_EXAMPLES)]
    windows = [window for d in documents for window in read_document(d, reader, 64).windows]
    batch = collate(windows)
    exported = _ByGuideline(network) if network.corpora else network
    with without_remarks():
        program = torch.onnx.export(
            exported.eval(),
            tuple(torch.from_numpy(array) for array in batch),
            dynamo=True,
            opset_version=_OPSET,
            verbose=False,
            input_names=list(Batch._fields),
            output_names=list(Output._fields[: 2 if network.corpora else 1]),
            dynamic_shapes=tuple(dict.fromkeys(range(array.ndim), torch.export.Dim.AUTO) for array in _sizes(batch)),
        )
    if program is None:  # pragma: no cover - only where torch.onnx.export writes the file itself
        raise RuntimeError("torch.onnx.export returned no program")
    program.save(str(path))


def _sizes(batch: Batch) -> list[np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    """Return the arrays reduced to their axes of varying size: all words have the same number of characters."""
    return [array[:, 0] if name == "characters" else array for name, array in batch._asdict().items()]
