"""Encoders as ONNX: the same vectors without torch, whatever the length of a text and those beside it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from biomark import embedding
from biomark.embedding.exported import Exported, ExportedEncoder, export
from biomark.errors import MissingExtraError, ModelError
from conftest import pooling

LONG = "Aspirin helped two patients with fever and cough. " * 20
TEXTS = ["Aspirin helped two patients.", "", "fever", "TNF-α (and IL2): aspirin", LONG]


def test_vectors_are_those_of_the_network(encoder_folder: Path, exported: Exported) -> None:
    torch.set_num_threads(1)
    mine, network = ExportedEncoder(exported).embed(TEXTS), embedding.load(str(encoder_folder)).embed(TEXTS)
    assert mine.dtype == np.float32
    assert (mine * network).sum(axis=1).min() > 0.98
    assert np.allclose(np.linalg.norm(mine, axis=1), 1, atol=1e-5)
    # ... and of no other text
    alike = mine @ network.T
    assert (alike.argmax(axis=1) == np.arange(len(TEXTS))).all()


def test_the_first_token(encoder_folder: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    folder = str(pooling(encoder_folder, tmp_path / "first", pooling_mode="cls"))
    mine, network = ExportedEncoder(export(folder)).embed(TEXTS), embedding.load(folder).embed(TEXTS)
    assert (mine * network).sum(axis=1).min() > 0.95


def test_a_vector_does_not_depend_on_the_texts_beside_it(exported: Exported) -> None:
    encoder = ExportedEncoder(exported)
    together = ExportedEncoder(exported, threads=2).embed(TEXTS)
    assert together.shape == (len(TEXTS), encoder.size)
    assert all(np.array_equal(encoder.embed([text])[0], row) for text, row in zip(TEXTS, together, strict=True))
    assert encoder.embed([]).shape == (0, encoder.size)


def test_all_of_a_long_text_is_read(exported: Exported) -> None:
    encoder = ExportedEncoder(exported)
    one, other = encoder.embed([LONG + "Fever.", LONG + "Zileuton."])
    assert not np.allclose(one, other, atol=1e-4)


def test_what_cannot_be_exported_or_run(
    exported: Exported, tmp_path: Path, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match="pip install --no-deps no-such-package"):
        export("package:no_such_package")
    with pytest.raises(ModelError, match="cannot be loaded"):
        export(str(tmp_path))
    with pytest.raises(ModelError, match="encoder mine: cannot be loaded"):
        ExportedEncoder(replace(exported, name="mine", weights=exported.weights[:1000]))
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"\.\[train\]"):
        export(str(encoder_folder))
