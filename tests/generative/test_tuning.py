"""Tuning on small random models: each method, what is learnt, and recipes that cannot work."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tuning_cases import train

from biomark import demonstrations, formats
from biomark import models as library
from biomark.errors import MissingExtraError, ModelError, UsageError
from biomark.marks import Aligned
from biomark.spans import Document
from biomark.training.recipe import GenerativeRecipe
from toy_corpus import DISEASES, documents
from toy_recipe import fail, quiet

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

from biomark.generative.answering import WindowPrompt  # noqa: E402
from biomark.generative.recognizer import GenerativeRecognizer  # noqa: E402
from biomark.generative.training import model as causal  # noqa: E402
from biomark.generative.training import trainer as generative  # noqa: E402
from biomark.generative.training.data import read_demonstrations  # noqa: E402
from biomark.training import scoring  # noqa: E402

torch.set_num_threads(1)  # networks this small only wait for each other's threads

pytest_plugins = ("tuning_fixtures",)

pytestmark = pytest.mark.usefixtures("tuning_corpora")


@pytest.mark.parametrize("fast", [True, False])
def test_matrices_are_multiplied_in_what_the_processor_is_fast_with(
    tuning_recipe: GenerativeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    monkeypatch.setattr(generative, "multiplies_bf16", lambda: fast)
    assert generative.arguments(tuning_recipe, tmp_path).bf16 is fast
    assert generative.arguments(replace(tuning_recipe, weights="bfloat16"), tmp_path).bf16


METHODS = {
    "full": {"model": "qwen3", "marks": "tokens", "negatives": 100, "prompt_attention": "full"},
    "lora": {"gradient_checkpointing": True},
    "lora-tokens": {"marks": "tokens"},
    "lora-bf16": {"marks": "tokens", "model": "qwen3", "weights": "bfloat16"},
    "qlora": {"marks": "tokens", "gradient_checkpointing": True},
    "llama-adapter": {"accumulate": 2},
}


@pytest.mark.parametrize("name", METHODS)
def test_each_method_tunes_its_own_part_and_comes_back(
    tuning_home: Path, tuning_recipe: GenerativeRecipe, name: str
) -> None:
    settings: dict[str, object] = dict(METHODS[name])
    method = re.sub("-(tokens|bf16)$", "", name)
    if method == "qlora":
        pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    folder = tuning_home / name
    changed = replace(
        tuning_recipe, method=method, **{**settings, "model": str(tuning_home / str(settings.get("model", "llama")))}
    )  # type: ignore[arg-type]
    torch.manual_seed(changed.seed)
    fresh, vocabulary = causal.prepare_model(changed, notify=quiet)
    tuned = {name for name, parameter in fresh.named_parameters() if parameter.requires_grad}
    if method != "full":
        assert all(re.search(r"lora_|trainable_tokens|adaption_", name) for name in tuned)
        assert any("head" in name for name in tuned) == (name in ("lora-tokens", "qlora"))  # the untied ones
    train(changed, folder)
    before = {key: value.clone() for key, value in fresh.state_dict().items()}
    causal.set_weights(fresh, folder)
    moved = {key for key, value in fresh.state_dict().items() if not torch.equal(value, before[key])}
    assert moved
    if method != "full":
        assert all(re.search(r"lora_|trainable_tokens|adaption_", key) for key in moved)
    # What is loaded for use computes what was trained, and finds what was scored.
    loaded, _, read = causal.load_trained(folder)
    assert read == changed
    ids = torch.tensor([vocabulary.prompt("Mark disease: No fever was seen. =")])
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=changed.weights == "bfloat16"):
        expected = causal.plain(fresh).eval()(ids, use_cache=False).logits
        found = loaded(ids, use_cache=False).logits
    assert torch.allclose(found.float(), expected.float(), atol=1e-4 if changed.weights == "float32" else 0.05)
    rows = json.loads((folder / "scores.json").read_text())
    assert [row["epoch"] for row in rows] == [1.0, 2.0]
    if changed.weights == "float32":
        devel = scoring.read_devel(
            tuning_recipe.devel, tuning_recipe.types, sentences=3, seed=tuning_recipe.seed, reject=fail
        )
        again = scoring.strict_scores(generative.recognizer_of(loaded, vocabulary, changed), devel)
        assert again in [row["scores"] for row in rows]
    kept = {path.name for path in folder.iterdir()}
    own = {"model.safetensors", "config.json"} if method == "full" else {"adapter_model.safetensors", causal.ADAPTER}
    assert own | {"recipe.json", "scores.json", "run.json", "tokenizer.json", "tokenizer_config.json"} <= kept
    assert not [name for name in kept if name.endswith(".part")]


def test_a_model_overfits_a_few_demonstrations(
    tuning_home: Path, tuning_recipe: GenerativeRecipe, tmp_path: Path
) -> None:
    gold = documents("disease", DISEASES, 5, 5)
    formats.write(gold, tmp_path / "gold.pubtator")
    made = demonstrations.write(
        demonstrations.demonstrations(gold, ["disease"], demonstrations.Style("short")), tmp_path / "demos.json"
    )
    assert made["with"] >= 8
    few = replace(
        tuning_recipe,
        train=(str(tmp_path / "demos.json"),),
        devel=(str(tmp_path / "gold.pubtator"),),
        types=("disease",),
        epochs=60,
        save_steps=60,
        learning_rate=1e-2,
        devel_sentences=0,
    )
    train(few, tmp_path / "run")
    model, vocabulary, _ = causal.load_trained(tmp_path / "run")
    found = list(generative.recognizer_of(model, vocabulary, few).annotate(gold))
    assert [[(e.extent, e.type) for e in f.document.entities] for f in found] == [
        [(e.extent, e.type) for e in document.entities] for document in gold
    ]
    (row,) = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert row["scores"][str(tmp_path / "gold.pubtator")]["f1"] == 1.0


@pytest.mark.parametrize("shape", ["tanl", "dice"])
def test_a_model_learns_to_answer_in_another_shape(
    tuning_home: Path, tuning_recipe: GenerativeRecipe, tmp_path: Path, shape: str
) -> None:
    gold = documents("disease", DISEASES, 2, 5)
    formats.write(gold, tmp_path / "gold.pubtator")
    style = demonstrations.Style("short", shape, guideline_text={"disease": "Any."})
    demonstrations.write(demonstrations.demonstrations(gold, ["disease"], style), tmp_path / "demos.json")
    few = replace(
        tuning_recipe,
        train=(str(tmp_path / "demos.json"),),
        devel=(str(tmp_path / "gold.pubtator"),),
        types=("disease",),
        shape=shape,
        guideline_text={"disease": "Any."},
        epochs=120,
        save_steps=120,
        learning_rate=1e-2,
        devel_sentences=0,
    )
    train(few, tmp_path / "run")
    (row,) = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert row["scores"][str(tmp_path / "gold.pubtator")]["f1"] == 1.0
    loaded = library.load(str(tmp_path / "run"))  # asks as the run's recipe has it, whatever the decoding
    found = [[(e.extent, e.type) for e in a.document.entities] for a in loaded.annotate(gold)]
    assert found == [[(e.extent, e.type) for e in document.entities] for document in gold]
    with pytest.raises(UsageError, match=f"answers in the shape {shape}, not in marks"):
        library.load(str(tmp_path / "run"), library.Asking(drafter="default"))


def test_the_users_own_sentence_is_learnt_saved_and_asked_with(
    tuning_home: Path, tuning_recipe: GenerativeRecipe, tmp_path: Path
) -> None:
    tuning_recipe = replace(tuning_recipe, examples=2, epochs=1, guideline_text={"disease": "Classes too."})
    made = {d.instruction for name in tuning_recipe.train for d in read_demonstrations(name, tuning_recipe, fail)}
    assert made == {"Mark disease Classes too.", "Mark chemical"}
    train(tuning_recipe, tmp_path / "run")
    _, vocabulary, saved = causal.load_trained(tmp_path / "run")
    assert saved == tuning_recipe
    asked: list[str] = []
    recognizer = library.load(str(tmp_path / "run"))
    assert isinstance(recognizer, GenerativeRecognizer)
    answer = recognizer.answering.answer

    def spy(windows: Sequence[WindowPrompt]) -> list[Aligned | None]:
        asked.extend(vocabulary.text(window.prompt) for window in windows)
        return answer(windows)

    recognizer.answering.answer = spy  # type: ignore[method-assign]
    list(recognizer.annotate([Document("1", "No fever.")]))
    assert sorted(asked) == ["Mark chemical: No fever. =", "Mark disease Classes too.: No fever. ="]


ORPHAN = {"train": ("ncbi_disease:train",), "types": ("gene",)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": "long"}, "unknown prompt 'long'; choose from alpaca, short"),
        ({"shape": "json"}, "unknown shape 'json'; choose from mark, tanl, dice"),
        ({"shape": "dice", "marks": "tokens"}, 'marks = "tokens" needs shape = "mark", got .dice'),
        ({"sentences": "nltk"}, "unknown sentences 'nltk'; choose from biomark, spacy"),
        ({"guideline_text": {"gene": "All."}}, "guideline text is for gene, but the types are disease, chemical"),
        ({"guideline_text": {"gene": "All."}, "types": ()}, "guideline text is for gene, but the types are disease"),
        ({"marks": "both"}, "unknown marks 'both'; choose from text, tokens"),
        ({"weights": "int8"}, "unknown weights 'int8'; choose from float32, bfloat16"),
        ({"prompt_attention": "none"}, "unknown prompt_attention 'none'"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"rank": 0}, "rank must be at least 1"),
        ({"warmup": 1.0}, r"warmup must be in \[0, 1\), got 1.0"),
        ({"without_mentions": 1.5}, r"without_mentions must be in \[0, 1\], got 1.5"),
        ({"shares": {"ncbi_disease": 0.0}}, r"the share of ncbi_disease must be in \(0, 1\], got 0.0"),
        ({"shares": {"bc2gm": 0.5}}, "shares names bc2gm, which train does not"),
        ({"learning_rate": 0.0}, "learning_rate must be greater than 0, got 0.0"),
        ({"negatives": 10, "method": "lora"}, 'negatives needs method = "full"'),
        ({"method": "qlora", "fsdp": True}, 'fsdp needs the method "full" or "lora"'),
        ({"fsdp": True}, "fsdp shards over several GPUs: torchrun"),
        ({"train": ()}, "train is empty, so there is nothing to learn from"),
        ({"devel": ()}, "devel is empty, so no checkpoint can be chosen"),
        ({"train": ("ncbi_disease:test",)}, "train names ncbi_disease:test, a test split"),
        ({"train": ("bioid:train",)}, "bioid:train, which contains the test split held_out; name bioid:fit"),
        ({"train": ("tmvar3:held_out",)}, "train names tmvar3:held_out, a test split"),
        ({"devel": ("bc5cdr_chemical:devel+test",)}, "devel names bc5cdr_chemical:devel.test, a test split"),
        ({"train": ("demos.json",)}, "train names demos.json, which is neither a file nor a corpus of the catalogue"),
        ({"train": ("ncbi_disease:tests",)}, "name a split of ncbi_disease"),
        (ORPHAN, "annotates disease, but none of"),
        ({"devel": ("bc2gm:devel",)}, "bc2gm:devel: annotates gene, but none of disease, chemical"),
        ({"row_tokens": 1024}, "row_tokens is 1024, but .* reads at most 512 tokens"),
        ({"model": "qwen3", "method": "llama-adapter"}, "llama-adapter supports llama and mistral, but .* is qwen3"),
        ({"method": "llama-adapter", "marks": "tokens"}, "llama-adapter cannot learn new tokens"),
    ],
)
def test_recipes_that_cannot_work_are_refused(
    tuning_home: Path, tuning_recipe: GenerativeRecipe, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    if "model" in change:
        change = {**change, "model": str(tuning_home / str(change["model"]))}
    with pytest.raises(UsageError, match=message):
        train(replace(tuning_recipe, **change), tmp_path / "run")  # type: ignore[arg-type]
    assert not (tmp_path / "run" / "recipe.json").exists()


def test_an_encoder_becomes_a_decoder_by_full_tuning_alone(tuning_home: Path, tuning_recipe: GenerativeRecipe) -> None:
    tuning_recipe = replace(tuning_recipe, model=str(tuning_home / "bert"))
    told: list[str] = []
    model, _ = causal.prepare_model(tuning_recipe, notify=told.append)
    assert model.config.is_decoder
    assert re.search(r"\d+ weights are missing, such as cls\.predictions", told[0])
    with pytest.raises(ModelError, match='only method = "full"'):
        causal.prepare_model(replace(tuning_recipe, method="lora"))


def test_libraries_that_are_not_there_are_named(
    tuning_recipe: GenerativeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MissingExtraError, match=re.escape(".[qlora]")):
        causal.prepare_model(replace(tuning_recipe, method="qlora"))
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=re.escape(".[train]")):
        causal.prepare_model(replace(tuning_recipe, method="lora"))
