"""Corpora with heads of their own: guidelines that differ, and corpora that only teach."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from biomark import models
from biomark.errors import ModelError, UsageError
from biomark.spans import Document
from biomark.tagging.recognizer import load_onnx
from biomark.tagging.text import collate, read_document
from biomark.tagging.words import WordReader
from biomark.training.recipe import TaggingRecipe
from toy_recipe import fail

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from biomark.tagging.training import trainer  # noqa: E402
from biomark.tagging.training.export import export  # noqa: E402
from biomark.tagging.training.network import make_network  # noqa: E402

torch.set_num_threads(1)  # networks this small only wait for each other's threads

pytest_plugins = ("training_fixtures",)

pytestmark = pytest.mark.usefixtures("training_corpora")


def test_corpora_with_other_guidelines_do_not_blur_each_other(
    training_home: Path, two_guidelines: TaggingRecipe, tmp_path: Path
) -> None:
    folder = trainer.train(two_guidelines, training_home / "guided", reject=fail, progress=lambda _: None)
    found = json.loads((folder / "scores.json").read_text())[-1]
    assert all(split["f1"] > 0.95 for split in found.values()), found
    network, reader, recipe = trainer.load_trained(folder)
    windows = read_document(Document("1", "No dry cough was seen after zinc."), reader, recipe.max_pieces).windows
    arrays = [torch.from_numpy(a) for a in collate(windows)]
    with torch.inference_mode():
        mixed = network(*arrays)
        by_each = [network.guided(arrays, torch.tensor([n]))[0].softmax(-1) for n in (0, 1)]
        trust = network.guided(arrays, torch.tensor([0]))[1].softmax(-1)[0]
    assert torch.allclose(mixed.exp().sum(-1), torch.ones(mixed.shape[:2]), atol=1e-5)
    assert torch.allclose(mixed.exp(), trust[0] * by_each[0] + trust[1] * by_each[1], atol=1e-5)
    # Exported, it says the same.
    small = load_onnx(export(folder, tmp_path / "fp32", int8=False))
    document = Document("1", "Patients with dry cough were given zinc. Subjects with dry cough were given zinc.")
    expected, said = (
        [(e.extent, round(e.score, 3)) for e in next(m.annotate([document])).document.entities]
        for m in (models.load(str(folder)), small)
    )
    assert said == expected
    # A guideline can be asked for by the corpus' name.
    for corpus, mention, other in (("whole-train", "dry cough", "cough"), ("heads-train", "cough", "dry cough")):
        asked = models.load(f"{tmp_path / 'fp32'}@{corpus}")
        mentions = {e.mention(document.text) for e in next(asked.annotate([document])).document.entities}
        assert mention in mentions
        assert other not in mentions
    with pytest.raises(UsageError, match="unknown guideline 'none'; choose from whole-train, heads-train"):
        models.load(f"{tmp_path / 'fp32'}@none")
    with pytest.raises(UsageError, match="only an exported model has guidelines"):
        models.load(f"{folder}@whole-train")
    (folder / "guidelines.json").rename(tmp_path / "guidelines.json")
    with pytest.raises(ModelError, match=r"guidelines\.json is missing"):
        trainer.load_trained(folder)
    with pytest.raises(UsageError, match='corpus_heads needs method = "full" and instruction = false'):
        trainer.train(replace(two_guidelines, instruction=True), tmp_path / "none", reject=fail)


def test_a_corpus_that_only_teaches_has_no_say(training_home: Path, two_guidelines: TaggingRecipe) -> None:
    recipe = replace(two_guidelines, teach_only=("heads-train",))
    guidelines = {"whole-train": ("disease",), "heads-train": ("disease",)}
    torch.manual_seed(1)
    network, tokenizer = make_network(recipe, guidelines)
    torch.nn.init.normal_(network.own_heads.weight)
    network.eval()
    (window,) = read_document(Document("1", "No dry cough was seen."), WordReader(tokenizer), 64).windows
    arrays = [torch.from_numpy(a) for a in collate([window])]
    with torch.inference_mode():
        mixed = network(*arrays)
        by_the_other = network.guided(arrays, torch.tensor([0]))[0].log_softmax(-1)
        network.without_silent_corpora()
        pruned = network(*arrays)
    assert torch.allclose(mixed, by_the_other, atol=1e-5)
    assert torch.allclose(mixed, pruned, atol=1e-5)
    assert network.own_heads.out_features == 3
    with pytest.raises(UsageError, match="teach_only needs corpora with their own heads"):
        trainer.train(replace(recipe, corpus_heads=False), training_home / "none", reject=fail)
