"""Training, export and loading on a small encoder and small corpora that the tests make."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from biomark import models
from biomark.errors import ModelError, UsageError
from biomark.runtime import machine
from biomark.spans import Document, Span
from biomark.tagging.text import collate, read_document
from biomark.tagging.words import WordReader
from biomark.training.recipe import TaggingRecipe, load_recipe
from toy_recipe import fail

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from biomark.tagging.training import trainer  # noqa: E402
from biomark.tagging.training.examples import Examples  # noqa: E402
from biomark.tagging.training.network import make_network  # noqa: E402
from biomark.tagging.training.start import BEST  # noqa: E402
from biomark.tagging.training.trainer import CHECKPOINT  # noqa: E402

torch.set_num_threads(1)  # networks this small only wait for each other's threads

pytest_plugins = ("training_fixtures",)

pytestmark = pytest.mark.usefixtures("training_corpora")


def test_training_learns_both_types_from_corpora_of_one_each(trained_run: Path) -> None:
    scores = json.loads((trained_run / "scores.json").read_text())
    assert len(scores) == 3
    assert scores[-1]["ncbi_disease:devel"]["f1"] > 0.95
    assert scores[-1]["bc5cdr_chemical:devel"]["f1"] > 0.95
    recognizer = models.load(str(trained_run))
    (found,) = recognizer.annotate([Document("1", "Zinc may cause dry cough.")])
    assert {(e.mention(found.document.text), e.type) for e in found.document.entities} == {
        ("Zinc", "chemical"),
        ("dry cough", "disease"),
    }


def test_a_killed_run_resumes_to_the_same_weights(
    training_home: Path, training_recipe: TaggingRecipe, trained_run: Path
) -> None:
    class Killed(Exception):
        pass

    def kill(message: str) -> None:
        if message.startswith("epoch 2/3"):
            raise Killed

    with pytest.raises(Killed):
        trainer.train(training_recipe, training_home / "killed", reject=fail, progress=kill)
    trainer.train(training_recipe, training_home / "killed", reject=fail, resume=True, progress=lambda _: None)
    assert (training_home / "killed" / BEST).read_bytes() == (trained_run / BEST).read_bytes()
    assert (training_home / "killed" / "scores.json").read_bytes() == (trained_run / "scores.json").read_bytes()


def test_a_run_is_not_overwritten_and_not_resumed_by_another_recipe(
    training_home: Path, training_recipe: TaggingRecipe, trained_run: Path
) -> None:
    with pytest.raises(UsageError, match=r"resume it \(`resume`\)"):
        trainer.train(training_recipe, trained_run, reject=fail)
    with pytest.raises(UsageError, match="differs from the recipe"):
        trainer.train(replace(training_recipe, seed=2), trained_run, reject=fail, resume=True)
    with pytest.raises(UsageError, match=CHECKPOINT):
        trainer.train(training_recipe, training_home / "nothing", reject=fail, resume=True)


def test_padding_changes_nothing(trained_run: Path) -> None:
    network, reader, recipe = trainer.load_trained(trained_run)
    documents = [Document("1", "Aspirin."), Document("2", "No fever was seen after zinc, but " + "pain " * 20 + "was.")]
    windows = [read_document(d, reader, recipe.max_pieces).windows[0] for d in documents]

    def logits(chosen: list[int]) -> np.ndarray:
        batch = collate([windows[n] for n in chosen])
        with torch.inference_mode():
            return network(*(torch.from_numpy(a) for a in batch)).numpy()

    alone = np.concatenate([logits([0]), logits([1])])
    assert np.abs(alone - logits([0, 1])).max() < 1e-5


def test_characters_reach_the_network(trained_run: Path) -> None:
    """The vocabulary is uncased, so only the characters can tell LSD from lsd."""
    network, reader, recipe = trainer.load_trained(trained_run)
    outputs = []
    for text in ("He took LSD.", "He took lsd."):
        batch = collate(read_document(Document("1", text), reader, recipe.max_pieces).windows)
        with torch.inference_mode():
            outputs.append(network(*(torch.from_numpy(a) for a in batch)).numpy())
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("epoch=3", "unknown setting 'epoch'; did you mean 'epochs'"),
        ("epochs=many", "epochs must be a whole number, got 'many'"),
        ("types=[1]", r"types\[0\] must be a text in quotes, got 1"),
        ("epochs", "KEY=VALUE"),
        ("method=magic", "unknown method 'magic'; for tagging choose from full, lora, qlora"),
    ],
)
def test_wrong_settings_are_named(training_home: Path, change: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_recipe(training_home / "recipe.toml", [change])


def test_recipes_are_checked_before_training(
    training_home: Path, training_recipe: TaggingRecipe, tmp_path: Path
) -> None:
    assert load_recipe(training_home / "recipe.toml", ["learning_rate=1", "name=other"]).learning_rate == 1.0
    with pytest.raises(UsageError, match="no corpus in train annotates gene"):
        trainer.train(replace(training_recipe, types=("disease", "gene")), tmp_path, reject=fail)
    with pytest.raises(UsageError, match="epochs must be at least 1"):
        trainer.train(replace(training_recipe, epochs=0), tmp_path, reject=fail)
    with pytest.raises(UsageError, match="max_pieces is 100, but the encoder reads 80"):
        trainer.train(replace(training_recipe, max_pieces=100), tmp_path, reject=fail)
    with pytest.raises(UsageError, match="devel is empty"):
        trainer.train(replace(training_recipe, devel=()), tmp_path, reject=fail)
    with pytest.raises(ModelError, match="not installed"):
        trainer.train(replace(training_recipe, encoder="package:nothing_of_this_name"), tmp_path, reject=fail)
    (tmp_path / "odd.toml").write_text('name = "odd"')
    with pytest.raises(UsageError, match=r"odd\.toml: lacks encoder, train, devel, types"):
        load_recipe(tmp_path / "odd.toml")


def test_an_encoder_with_a_byte_level_tokenizer_can_be_trained(
    training_home: Path, training_recipe: TaggingRecipe, byte_level: Tokenizer, tmp_path: Path
) -> None:
    config = transformers.RobertaConfig(
        vocab_size=byte_level.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=80,
        pad_token_id=1,
    )
    transformers.RobertaModel(config).save_pretrained(tmp_path / "encoder")
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=byte_level,
        cls_token="<s>",
        sep_token="</s>",
        mask_token="<mask>",
        pad_token="<pad>",
        unk_token="<unk>",
    ).save_pretrained(tmp_path / "encoder")
    plan = replace(training_recipe, encoder=str(tmp_path / "encoder"), epochs=2)
    folder = trainer.train(plan, tmp_path / "run", reject=fail, progress=lambda _: None)
    recognizer = models.load(str(folder))
    assert recognizer.types == ("disease", "chemical")
    assert len(list(recognizer.annotate([Document("1", "Aspirin may cause dry cough in mice.")]))) == 1


def test_a_batchs_loss_is_the_mean_of_its_words(training_recipe: TaggingRecipe, tmp_path: Path) -> None:
    network, tokenizer = make_network(replace(training_recipe, dropout=0.0, masked_words=0.0))
    plan = replace(training_recipe, masked_words=0.0)
    run = trainer.TrainingRun(plan, network.eval(), WordReader(tokenizer), tmp_path, print)
    batch = Examples(plan, WordReader(tokenizer), fail).epoch(0)[0][:2]
    alone = [float(run._loss([example]).detach()) for example in batch]
    words = [int((example.labels >= 0).sum()) for example in batch]
    together = float(run._loss(batch).detach())
    assert together == pytest.approx(np.dot(words, alone) / sum(words), rel=1e-2)


@pytest.mark.parametrize(
    ("capabilities", "weights", "expected"),
    [
        ({"avx512_bf16": True, "amx_bf16": True}, "float32", True),
        ({"avx512_bf16": True, "amx_bf16": False}, "float32", False),
        ({"avx512_bf16": False, "amx_bf16": False, "avx512_f": True}, "float32", False),
        ({}, "float32", False),
        ({}, "bfloat16", True),
    ],
)
def test_matrices_are_multiplied_in_what_the_processor_is_fast_with(
    training_recipe: TaggingRecipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capabilities: dict[str, bool],
    weights: str,
    expected: bool,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    machine.multiplies_bf16.cache_clear()
    training_recipe = replace(training_recipe, weights=weights)
    network, tokenizer = make_network(training_recipe)
    reader = WordReader(tokenizer)
    seen = []
    network.register_forward_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    trainer.TrainingRun(training_recipe, network, reader, tmp_path, print)._loss(
        Examples(training_recipe, reader, fail).epoch(0)[0][:2]
    )
    machine.multiplies_bf16.cache_clear()
    assert seen == [expected]


def test_types_that_are_not_looked_for_by_default(training_home: Path, training_recipe: TaggingRecipe) -> None:
    with pytest.raises(UsageError, match="default_types has problem; add it to types or remove it"):
        trainer.train(replace(training_recipe, default_types=("problem",)), training_home / "none", reject=fail)


def test_a_run_begins_with_the_weights_of_another(
    two_guidelines: TaggingRecipe, training_recipe: TaggingRecipe, trained_run: Path, tmp_path: Path
) -> None:
    still = {"epochs": 1, "learning_rate": 1e-9, "head_learning_rate": 1e-9, "start": str(trained_run)}
    folder = trainer.train(replace(training_recipe, **still), tmp_path / "same", reject=fail, progress=lambda _: None)
    before, after = (json.loads((path / "scores.json").read_text())[-1] for path in (trained_run, folder))
    assert {name: round(s["f1"], 2) for name, s in before.items()} == {
        name: round(s["f1"], 2) for name, s in after.items()
    }
    # Heads of other types do not fit and are new; the encoder is that of the run.
    other = trainer.train(replace(two_guidelines, **still), tmp_path / "other", reject=fail, progress=lambda _: None)
    networks = [trainer.load_trained(path)[0] for path in (trained_run, other)]
    names = [set(network.tuned()) for network in networks]
    assert {"own_heads.weight", "gate.weight"} <= names[1] - names[0]
    weights = [network.encoder.get_input_embeddings().weight for network in networks]
    assert torch.allclose(*weights, atol=1e-4)
    # Where types and corpora stand in another order, so do the rows of heads and gate.
    changes = (
        (training_recipe, {"types": ("chemical", "disease")}, trained_run, ("heads",)),
        (two_guidelines, {"train": two_guidelines.train[::-1]}, other, ("own_heads", "gate")),
    )
    for number, (base, change, start, parts) in enumerate(changes):
        turned = replace(base, **{**still, **change, "start": str(start)})
        again = trainer.train(turned, tmp_path / f"turned-{number}", reject=fail, progress=lambda _: None)
        one, two = (trainer.load_trained(path)[0] for path in (start, again))
        for part in parts:
            rows = [getattr(network, part).weight.view(2, -1) for network in (one, two)]
            assert torch.allclose(rows[0], rows[1].flip(0), atol=1e-4), part
    with pytest.raises(ModelError, match=r"nowhere: model\.safetensors is missing"):
        trainer.train(replace(training_recipe, start="nowhere"), tmp_path / "none", reject=fail)


def test_word_readers_of_training_and_use_agree(trained_run: Path) -> None:
    """What is saved beside the weights splits text as the encoder's own tokenizer did."""
    _, reader, _ = trainer.load_trained(trained_run)
    again = WordReader(Tokenizer.from_file(str(trained_run / "tokenizer.json")))
    text = "TNF-α (İL2) in E. coli"
    (a,), (b,) = (r.words(text, [Span(0, len(text))]) for r in (reader, again))
    assert (a.pieces == b.pieces).all()
    assert (a.starts == b.starts).all()
