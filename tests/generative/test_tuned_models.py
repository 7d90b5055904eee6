"""Folders of tuned models: shown, merged, exported, tuned again, and what they may lack."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file
from tuning_cases import train, write_toml

from biomark import formats
from biomark import models as library
from biomark.errors import ModelError, UsageError
from biomark.training.recipe import ADAPTER_WEIGHTS, GenerativeRecipe
from conftest import Outcome
from toy_corpus import DISEASES, documents
from toy_recipe import fail

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

from biomark.generative.training import merging  # noqa: E402
from biomark.generative.training import model as causal  # noqa: E402
from biomark.generative.training.data import read_demonstrations  # noqa: E402
from biomark.generative.training.export import export  # noqa: E402

torch.set_num_threads(1)  # networks this small only wait for each other's threads

pytest_plugins = ("tuning_fixtures",)

pytestmark = pytest.mark.usefixtures("tuning_corpora")


def test_models_are_shown_merged_and_loaded(
    tuning_home: Path,
    tuning_recipe: GenerativeRecipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    biomark: Callable[..., Outcome],
) -> None:
    monkeypatch.chdir(tmp_path)
    tuning_recipe = replace(tuning_recipe, name="mine", method="lora", marks="tokens", types=(), epochs=1)
    write_toml(tuning_recipe, tmp_path / "recipe.toml")
    done = biomark("train", "recipe.toml")
    assert (done.status, done.out) == (0, ""), done
    lines = done.err.splitlines()
    assert re.fullmatch(r"\d+ demonstrations, \d+ tokens, in \d+ rows", lines[0])
    assert re.fullmatch(r"epoch 1.00 step \d+: ncbi_disease:devel .* mean \d\.\d+ \(best\), scored in \d+ s", lines[1])
    assert lines[2:] == ["the model is in runs/mine"]

    facts = json.loads(biomark("models", "show", "mine").out)
    assert facts["types"] == ["disease", "chemical"]
    run = facts["run"]
    made = list(read_demonstrations("ncbi_disease:train", tuning_recipe, fail))
    assert run["train"]["ncbi_disease:train"]["demonstrations"] == len(made)
    assert re.fullmatch(r"[0-9a-f]{64}", run["train"]["bc5cdr_chemical:train"]["sha256"])
    assert run["devel"]["ncbi_disease:devel"]["documents"] == 3
    assert {"biomark", "torch", "transformers", "peft", "python"} <= set(run["versions"])
    assert run["tuned_parameters"] < run["parameters"] / 2
    assert facts["scores"][0]["epoch"] == 1.0
    assert "mine: disease, chemical" in biomark("models", "list").out

    merged = biomark("models", "merge", "mine", "-o", "runs/merged")
    assert merged.status == 0, merged
    assert merged.err.startswith("runs/merged: the merged model")
    before, vocabulary, _ = causal.load_trained(Path("runs/mine"))
    after, _, _ = causal.load_trained(Path("runs/merged"))
    assert isinstance(after.get_output_embeddings(), torch.nn.Linear)
    ids = torch.tensor([vocabulary.prompt("Mark disease: No fever was seen. =")])
    with torch.inference_mode():
        assert torch.allclose(before(ids).logits, after(ids).logits, atol=1e-4)
    assert json.loads(Path("runs/merged/run.json").read_text())["merged"]["from"] == "runs/mine"
    for again, message in (("mine", "already exists and is not empty"), ("merged", "no adapter")):
        refused = biomark("models", "merge", again, "-o", "runs/merged" if again == "mine" else "other")
        assert refused.status == 2
        assert message in refused.err

    text = b"No fever was seen after zinc.\n"
    annotated = [biomark("annotate", "--model", name, "--to", "terminal", stdin=text) for name in ("mine", "merged")]
    assert annotated[0].status == 0, annotated[0]
    assert annotated[0].out == annotated[1].out

    shutil.move(tmp_path / "runs" / "mine" / "run.json", tmp_path / "aside.json")
    settings = json.loads((tmp_path / "runs" / "mine" / "recipe.json").read_text())
    (tmp_path / "runs" / "mine" / "recipe.json").write_text(json.dumps({**settings, "model": "package:not_there"}))
    with pytest.raises(ModelError, match="its adapter needs the base model package:not_there"):
        causal.load_trained(tmp_path / "runs" / "mine")


@pytest.mark.parametrize("method", ["lora", "llama-adapter"])
def test_an_exported_adapter_is_small(
    tuning_recipe: GenerativeRecipe, tmp_path: Path, biomark: Callable[..., Outcome], method: str
) -> None:
    marks = "tokens" if method == "lora" else "text"
    run, folder = (
        train(replace(tuning_recipe, method=method, marks=marks, epochs=1), tmp_path / "run"),
        tmp_path / "small",
    )
    done = biomark("export", run, "-o", folder)
    assert done.status == 0, done
    whole, weights = (load_file(path / ADAPTER_WEIGHTS) for path in (run, folder))
    assert {value.dtype for value in weights.values()} == {torch.bfloat16}
    assert weights.keys() == whole.keys()
    assert all(torch.allclose(value.float(), whole[name], rtol=2**-8) for name, value in weights.items())
    rows = [tuple(value.shape) for name, value in weights.items() if "trainable_tokens" in name]
    assert rows == ([(2, 64)] * 2 if method == "lora" else [])  # of the embedding, and of the head
    assert json.loads((folder / causal.ADAPTER).read_text())["base_model_name_or_path"] == tuning_recipe.model
    size = round((folder / ADAPTER_WEIGHTS).stat().st_size / 1e6, 1)
    assert done.err == f"{folder}: {size} MB of weights\n"
    assert library.describe(str(folder)) == {**library.describe(str(run)), "folder": str(folder), "megabytes": size}
    loaded, vocabulary, _ = causal.load_trained(folder)
    before, same, _ = causal.load_trained(run)
    assert vocabulary.full.to_str() == same.full.to_str()
    ids = torch.tensor([vocabulary.prompt("Mark disease: No fever was seen. =")])
    with torch.inference_mode():
        assert torch.allclose(loaded(ids).logits, before(ids).logits, atol=0.02)
    (folder / ADAPTER_WEIGHTS).unlink()
    refused = biomark("export", folder, "-o", tmp_path / "again")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "adapter_model.safetensors is missing" in refused.err


def test_an_exported_adapter_answers_as_before(
    tuning_home: Path, tuning_recipe: GenerativeRecipe, tmp_path: Path
) -> None:
    """On a base that is sure of its answers, and whose head is its embedding."""
    gold = documents("disease", DISEASES, 5, 5)
    formats.write(gold, tmp_path / "gold.pubtator")
    sure = replace(
        tuning_recipe,
        model=str(tuning_home / "qwen3"),
        train=(str(tmp_path / "gold.pubtator"),),
        devel=(str(tmp_path / "gold.pubtator"),),
        types=("disease",),
        marks="tokens",
        epochs=60,
        save_steps=60,
        learning_rate=1e-2,
    )
    train(sure, tmp_path / "base")
    tuned = replace(sure, model=str(tmp_path / "base"), method="lora", epochs=4, save_steps=0, learning_rate=1e-3)
    folders = (train(tuned, tmp_path / "run"), export(tmp_path / "run", tmp_path / "small"))
    assert {value.ndim for value in load_file(tmp_path / "small" / ADAPTER_WEIGHTS).values()} == {2}
    answers = [[a.document.entities for a in library.load(str(folder)).annotate(gold)] for folder in folders]
    found = [[[entity.extent for entity in entities] for entities in documents] for documents in answers]
    assert found[0] == found[1] == [[entity.extent for entity in document.entities] for document in gold]
    scores = [[entity.score or 0 for entities in documents for entity in entities] for documents in answers]
    assert scores[0] == pytest.approx(scores[1], abs=0.02)


def test_an_adapter_learns_more(tuning_recipe: GenerativeRecipe, tmp_path: Path) -> None:
    first = replace(tuning_recipe, method="lora", marks="tokens", epochs=1)
    run = train(first, tmp_path / "run")
    small = export(run, tmp_path / "small")
    again = replace(first, start=str(small), learning_rate=1e-9, warmup=0.0)
    learnt, rounded = (load_file(folder / ADAPTER_WEIGHTS) for folder in (train(again, tmp_path / "again"), small))
    assert learnt.keys() == rounded.keys()
    assert all(torch.allclose(value, rounded[name].float(), atol=1e-6) for name, value in learnt.items())
    assert any(value.abs().max() > 0 for name, value in learnt.items() if "lora_B" in name)
    for change, error, message in (
        ({"rank": 4}, UsageError, r"its rank is 4, but the adapter of .* has 16; set rank = 16"),
        ({"marks": "text"}, UsageError, "its marks is 'text', but .* set marks = \"tokens\""),
        ({"method": "full"}, UsageError, 'start needs method = "lora" or "qlora", got .full'),
        ({"start": str(tmp_path)}, ModelError, "adapter_config.json is missing; name the folder of a run"),
    ):
        with pytest.raises(error, match=message):
            train(replace(again, **change), tmp_path / "refused")


def test_a_tuned_model_is_a_base_for_the_next_one(
    tuning_recipe: GenerativeRecipe, tuned_run: Path, tmp_path: Path
) -> None:
    export(tuned_run, tmp_path / "small")
    ids = torch.tensor([[5, 6, 7, 8]])
    logits = []
    for folder, precise in ((tuned_run, True), (tmp_path / "small", False)):
        model, vocabulary = causal.prepare_model(replace(tuning_recipe, model=str(folder)))
        tuned, same, _ = causal.load_trained(folder)
        assert vocabulary.full.to_str() == same.full.to_str()
        assert vocabulary.end == same.end
        with torch.inference_mode():
            logits += [model.eval()(ids, use_cache=False).logits, tuned(ids, use_cache=False).logits]
        assert torch.equal(logits[-1], logits[-2])
        assert torch.allclose(logits[-1], logits[0], atol=1e-6 if precise else 0.3)
    (tmp_path / "small" / causal.ADAPTER).write_text("{}")
    with pytest.raises(ModelError, match="is an adapter; merge it first"):
        causal.prepare_model(replace(tuning_recipe, model=str(tmp_path / "small")))


def test_a_model_folder_that_lacks_something_says_what(tuned_run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tuned_run, tmp_path / "copy")
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"config\.json is missing; has the run saved a model"):
        causal.load_trained(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"tokenizer\.json is missing"):
        causal.load_trained(folder)
    with pytest.raises(UsageError, match="no adapter"):
        merging.merge(folder, tmp_path / "merged")


def test_a_finished_run_without_its_checkpoints(
    tuning_recipe: GenerativeRecipe, tuned_run: Path, tmp_path: Path, biomark: Callable[..., Outcome]
) -> None:
    folder = shutil.copytree(tuned_run, tmp_path / "done")
    shutil.rmtree(folder / "checkpoints")
    with pytest.raises(UsageError, match="no checkpoint to resume from"):
        train(replace(tuning_recipe, save_steps=3), folder, resume=True)
    (folder / "recipe.json").write_text('{"task": "generative", "model": "x", "flux": 1}')
    with pytest.raises(ModelError, match=r"recipe\.json: unknown setting .flux.+ saved by another version of biomark"):
        causal.load_trained(folder)
    (folder / "recipe.json").write_text("{")
    with pytest.raises(ModelError, match=r"recipe\.json: cannot be read"):
        library.load(str(folder))
    with pytest.raises(ModelError, match=r"recipe\.json: cannot be read"):
        library.describe(str(folder))
    assert "is both input and output" in biomark("export", folder, "-o", folder).err
