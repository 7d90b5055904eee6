"""Training, export and loading on a small encoder and small corpora that the tests make."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from biomark import formats, models
from biomark.errors import ModelError, UsageError
from biomark.runtime import machine
from biomark.spans import Document, Entity, Passage, Span
from biomark.tagging.recognizer import CARD, WEIGHTS, TaggingRecognizer, load_onnx
from biomark.tagging.text import collate, read_document
from biomark.tagging.training.augmentation import recased
from biomark.tagging.words import WordReader
from biomark.training.recipe import TaggingRecipe, load_recipe
from conftest import Outcome
from toy_bert import save_bert
from toy_corpus import CHEMICALS, DISEASES, documents

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from biomark.tagging.training import trainer  # noqa: E402
from biomark.tagging.training.examples import LENGTH_STEP, Examples, LabelledWindow, has_mention  # noqa: E402
from biomark.tagging.training.export import export  # noqa: E402
from biomark.tagging.training.network import make_network  # noqa: E402
from biomark.tagging.training.start import BEST  # noqa: E402
from biomark.tagging.training.trainer import CHECKPOINT, load_trained  # noqa: E402
from biomark.training.scoring import read_devel, strict_scores  # noqa: E402

torch.set_num_threads(1)  # networks this small only wait for each other's threads


def small_corpus(path: Path, type: str, mentions: tuple[str, ...], size: int, seed: int) -> None:
    """PubTator documents in which only the mentions of one type are annotated."""
    path.parent.mkdir(parents=True, exist_ok=True)
    formats.write(documents(type, mentions, size, seed, clauses=3), path)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, word_pieces: Tokenizer) -> Path:
    """A folder with an encoder, corpora under their catalogue names, and a recipe."""
    folder = tmp_path_factory.mktemp("home")
    save_bert(folder / "encoder", word_pieces)
    for split, size, seed in (("train", 80, 1), ("devel", 15, 2)):
        small_corpus(folder / "corpora" / "ncbi_disease" / f"{split}.pubtator", "SpecificDisease", DISEASES, size, seed)
        small_corpus(folder / "corpora" / "bc5cdr" / f"{split}.pubtator", "Chemical", CHEMICALS, size, seed + 10)
    (folder / "recipe.toml").write_text(
        f"""
name = "small"
encoder = "{folder / "encoder"}"
train = ["ncbi_disease:train", "bc5cdr_chemical:train"]
devel = ["ncbi_disease:devel", "bc5cdr_chemical:devel"]
types = ["disease", "chemical"]
epochs = 3
batch_pieces = 256
max_pieces = 48
learning_rate = 3e-3
head_learning_rate = 1e-2
average = 0.9
"""
    )
    return folder


@pytest.fixture(scope="module")
def recipe(home: Path) -> TaggingRecipe:
    return load_recipe(home / "recipe.toml")


@pytest.fixture(autouse=True)
def _corpora(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIOMARK_CORPORA", str(home / "corpora"))


def fail(rejected: object) -> None:
    raise AssertionError(rejected)


@pytest.fixture(scope="module")
def run(home: Path, recipe: TaggingRecipe) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIOMARK_CORPORA", str(home / "corpora"))
        return trainer.train(recipe, home / "run", reject=fail, progress=lambda _: None)


@pytest.fixture(scope="module")
def int8(home: Path, run: Path) -> Path:
    return export(run, home / "int8")


def test_training_learns_both_types_from_corpora_of_one_each(run: Path) -> None:
    scores = json.loads((run / "scores.json").read_text())
    assert len(scores) == 3
    assert scores[-1]["ncbi_disease:devel"]["f1"] > 0.95
    assert scores[-1]["bc5cdr_chemical:devel"]["f1"] > 0.95
    recognizer = models.load(str(run))
    (found,) = recognizer.annotate([Document("1", "Zinc may cause dry cough.")])
    assert {(e.mention(found.document.text), e.type) for e in found.document.entities} == {
        ("Zinc", "chemical"),
        ("dry cough", "disease"),
    }


def test_a_killed_run_resumes_to_the_same_weights(home: Path, recipe: TaggingRecipe, run: Path) -> None:
    class Killed(Exception):
        pass

    def kill(message: str) -> None:
        if message.startswith("epoch 2/3"):
            raise Killed

    with pytest.raises(Killed):
        trainer.train(recipe, home / "killed", reject=fail, progress=kill)
    trainer.train(recipe, home / "killed", reject=fail, resume=True, progress=lambda _: None)
    assert (home / "killed" / BEST).read_bytes() == (run / BEST).read_bytes()
    assert (home / "killed" / "scores.json").read_bytes() == (run / "scores.json").read_bytes()


def test_a_run_is_not_overwritten_and_not_resumed_by_another_recipe(
    home: Path, recipe: TaggingRecipe, run: Path
) -> None:
    with pytest.raises(UsageError, match=r"resume it \(`resume`\)"):
        trainer.train(recipe, run, reject=fail)
    with pytest.raises(UsageError, match="differs from the recipe"):
        trainer.train(replace(recipe, seed=2), run, reject=fail, resume=True)
    with pytest.raises(UsageError, match=CHECKPOINT):
        trainer.train(recipe, home / "nothing", reject=fail, resume=True)


def test_padding_changes_nothing(run: Path) -> None:
    network, reader, recipe = trainer.load_trained(run)
    documents = [Document("1", "Aspirin."), Document("2", "No fever was seen after zinc, but " + "pain " * 20 + "was.")]
    windows = [read_document(d, reader, recipe.max_pieces).windows[0] for d in documents]

    def logits(chosen: list[int]) -> np.ndarray:
        batch = collate([windows[n] for n in chosen])
        with torch.inference_mode():
            return network(*(torch.from_numpy(a) for a in batch)).numpy()

    alone = np.concatenate([logits([0]), logits([1])])
    assert np.abs(alone - logits([0, 1])).max() < 1e-5


def test_characters_reach_the_network(run: Path) -> None:
    """The vocabulary is uncased, so only the characters can tell LSD from lsd."""
    network, reader, recipe = trainer.load_trained(run)
    outputs = []
    for text in ("He took LSD.", "He took lsd."):
        batch = collate(read_document(Document("1", text), reader, recipe.max_pieces).windows)
        with torch.inference_mode():
            outputs.append(network(*(torch.from_numpy(a) for a in batch)).numpy())
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3


def test_the_exported_model_says_the_same_without_torch(home: Path, run: Path, int8: Path) -> None:
    network, reader, recipe = trainer.load_trained(run)
    text = "Aspirin may cause fever in mice. Patients with Marfan syndrome were given 5-HT. " * 3
    documents = [Document(str(n), text[: 40 * n]) for n in range(1, 6)]

    def mentions(recognizer: TaggingRecognizer) -> list[list[tuple[Span, str, float]]]:
        return [
            [(e.extent, e.type, round(e.score or 0, 3)) for e in found.document.entities]
            for found in recognizer.annotate(documents)
        ]

    expected = mentions(trainer.recognizer_of(network, reader, recipe))
    assert sum(len(row) for row in expected) >= 15
    fp32 = load_onnx(export(run, home / "fp32", int8=False))
    assert mentions(fp32) == expected
    assert [[m[:2] for m in row] for row in mentions(load_onnx(int8, threads=2))] == [
        [m[:2] for m in row] for row in expected
    ]
    assert (int8 / WEIGHTS).stat().st_size < (home / "fp32" / WEIGHTS).stat().st_size


def test_models_are_listed_and_described(
    home: Path, run: Path, monkeypatch: pytest.MonkeyPatch, biomark: Callable[..., Outcome]
) -> None:
    monkeypatch.chdir(home)
    (home / "runs").mkdir(exist_ok=True)
    (home / "runs" / "mine").symlink_to(run)
    assert "mine" in models.names()
    facts = models.describe("mine")
    assert facts["types"] == ["disease", "chemical"]
    assert len(facts["scores"]) == 3  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"nothing.*mine"):
        models.load("nothing")
    (home / "empty").mkdir()
    with pytest.raises(ModelError, match="is missing"):
        models.load("empty")


def test_a_broken_export_is_told(int8: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(int8, tmp_path / "broken")
    (folder / WEIGHTS).write_bytes(b"no model")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_onnx(folder)
    (folder / CARD).unlink()
    with pytest.raises(ModelError, match=f"{CARD} is missing"):
        load_onnx(folder)


def test_the_benchmark_times_both_sides(run: Path, int8: Path, biomark: Callable[..., Outcome]) -> None:
    shown = biomark("bench", "annotate", "ncbi_disease:devel", "--model", int8, "--rounds", "1", "--weights", run)
    assert shown.status == 0, shown
    found = json.loads(shown.out.splitlines()[-1])
    assert found["documents"] == 15
    assert found["sentences"] > 30
    rates = found["sentences_per_second"]
    assert len(rates) == 5
    assert min(rates.values()) > 0
    fastest = max(rate for name, rate in rates.items() if name.startswith("transformers"))
    assert found["ratio"] == pytest.approx(rates["biomark, documents"] / fastest, abs=0.01)


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
def test_wrong_settings_are_named(home: Path, change: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_recipe(home / "recipe.toml", [change])


def test_recipes_are_checked_before_training(home: Path, recipe: TaggingRecipe, tmp_path: Path) -> None:
    assert load_recipe(home / "recipe.toml", ["learning_rate=1", "name=other"]).learning_rate == 1.0
    with pytest.raises(UsageError, match="no corpus in train annotates gene"):
        trainer.train(replace(recipe, types=("disease", "gene")), tmp_path, reject=fail)
    with pytest.raises(UsageError, match="epochs must be at least 1"):
        trainer.train(replace(recipe, epochs=0), tmp_path, reject=fail)
    with pytest.raises(UsageError, match="max_pieces is 100, but the encoder reads 80"):
        trainer.train(replace(recipe, max_pieces=100), tmp_path, reject=fail)
    with pytest.raises(UsageError, match="devel is empty"):
        trainer.train(replace(recipe, devel=()), tmp_path, reject=fail)
    with pytest.raises(ModelError, match="not installed"):
        trainer.train(replace(recipe, encoder="package:nothing_of_this_name"), tmp_path, reject=fail)
    (tmp_path / "odd.toml").write_text('name = "odd"')
    with pytest.raises(UsageError, match=r"odd\.toml: lacks encoder, train, devel, types"):
        load_recipe(tmp_path / "odd.toml")


def test_an_encoder_with_a_byte_level_tokenizer_can_be_trained(
    home: Path, recipe: TaggingRecipe, byte_level: Tokenizer, tmp_path: Path
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
    plan = replace(recipe, encoder=str(tmp_path / "encoder"), epochs=2)
    folder = trainer.train(plan, tmp_path / "run", reject=fail, progress=lambda _: None)
    recognizer = models.load(str(folder))
    assert recognizer.types == ("disease", "chemical")
    assert len(list(recognizer.annotate([Document("1", "Aspirin may cause dry cough in mice.")]))) == 1


def test_an_epoch_reads_a_share_of_the_windows_without_mentions(recipe: TaggingRecipe, tmp_path: Path) -> None:
    sentences = [Document(str(n), f"Fever was seen {n} times." if n % 4 == 0 else "None.") for n in range(2000)]
    named = [replace(d, entities=(Entity((Span(0, 5),), "Disease"),) if len(d.text) > 5 else ()) for d in sentences]
    formats.write(named, tmp_path / "some.jsonl")
    plan = replace(recipe, train=(str(tmp_path / "some.jsonl"),), types=("disease",), negatives=0.2)
    _, tokenizer = make_network(plan)
    read = [
        [e for batch in Examples(way, WordReader(tokenizer), fail).epoch(0) for e in batch]
        for way in (plan, replace(plan, negatives=1.0))
    ]
    counts = [[sum(has_mention(e) is with_ for e in examples) for with_ in (True, False)] for examples in read]
    assert counts[0][0] == counts[1][0] == 500
    assert counts[1][1] == 1500
    assert 200 < counts[0][1] < 400


def test_a_batch_may_hold_so_many_windows_whatever_their_length(recipe: TaggingRecipe) -> None:
    _, tokenizer = make_network(recipe)
    batches = Examples(replace(recipe, batch_windows=3), WordReader(tokenizer), fail).epoch(0)
    sizes = Counter(map(len, batches))
    lengths = {-(-example.window.length // LENGTH_STEP) for batch in batches for example in batch}
    assert max(sizes) == 3
    assert sum(sizes[size] for size in (1, 2)) <= len(lengths), "only the last one of each length is smaller"


def test_a_batchs_loss_is_the_mean_of_its_words(recipe: TaggingRecipe, tmp_path: Path) -> None:
    network, tokenizer = make_network(replace(recipe, dropout=0.0, masked_words=0.0))
    plan = replace(recipe, masked_words=0.0)
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
    recipe: TaggingRecipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capabilities: dict[str, bool],
    weights: str,
    expected: bool,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    machine.multiplies_bf16.cache_clear()
    recipe = replace(recipe, weights=weights)
    network, tokenizer = make_network(recipe)
    reader = WordReader(tokenizer)
    seen = []
    network.register_forward_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    trainer.TrainingRun(recipe, network, reader, tmp_path, print)._loss(Examples(recipe, reader, fail).epoch(0)[0][:2])
    machine.multiplies_bf16.cache_clear()
    assert seen == [expected]


@pytest.fixture(scope="module")
def two_guidelines(home: Path, recipe: TaggingRecipe) -> TaggingRecipe:
    """Of two corpora one marks `dry cough`, and the other one, which writes all words with a capital, `Cough`."""
    for name, size, seed in (("train", 80, 1), ("devel", 15, 2)):
        small_corpus(home / f"whole-{name}.pubtator", "Disease", DISEASES, size, seed)
        documents = []
        for document in formats.read(home / f"whole-{name}.pubtator"):
            text = document.text.title()
            heads = []
            for entity in document.entities:
                first = entity.start + entity.mention(text).rfind(" ") + 1
                heads.append(Entity((Span(first, entity.end),), "Disease"))
            passage = Passage(Span(0, len(text)), "title")
            documents.append(Document(document.id, text, (passage,), entities=tuple(heads)))
        formats.write(documents, home / f"heads-{name}.pubtator")
    train, devel = (
        [str(home / f"{kind}-{name}.pubtator") for kind in ("whole", "heads")] for name in ("train", "devel")
    )
    return replace(recipe, train=tuple(train), devel=tuple(devel), types=("disease",), epochs=10, corpus_heads=True)


def test_corpora_with_other_guidelines_do_not_blur_each_other(
    home: Path, two_guidelines: TaggingRecipe, run: Path, tmp_path: Path
) -> None:
    folder = trainer.train(two_guidelines, home / "guided", reject=fail, progress=lambda _: None)
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
    with pytest.raises(UsageError, match="only an export follows a guideline by name"):
        models.load(f"{folder}@whole-train")
    (folder / "guidelines.json").rename(tmp_path / "guidelines.json")
    with pytest.raises(ModelError, match=r"guidelines\.json is missing"):
        trainer.load_trained(folder)
    with pytest.raises(UsageError, match='corpus_heads needs method = "full" and instruction = false'):
        trainer.train(replace(two_guidelines, instruction=True), tmp_path / "none", reject=fail)


def test_a_corpus_that_only_teaches_has_no_say(home: Path, two_guidelines: TaggingRecipe) -> None:
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
        trainer.train(replace(recipe, corpus_heads=False), home / "none", reject=fail)


def test_types_that_are_not_looked_for_by_default(home: Path, recipe: TaggingRecipe) -> None:
    with pytest.raises(UsageError, match="default_types has problem; add it to types or remove it"):
        trainer.train(replace(recipe, default_types=("problem",)), home / "none", reject=fail)


def test_an_epoch_reads_a_share_of_a_corpus(two_guidelines: TaggingRecipe) -> None:
    reader = WordReader(make_network(two_guidelines)[1])
    whole = Examples(two_guidelines, reader, fail).epoch(0)
    some = Examples(replace(two_guidelines, shares={"heads-train": 0.5}), reader, fail).epoch(0)

    def count(batches: list[list[LabelledWindow]]) -> Counter[str]:
        return Counter(example.corpus for batch in batches for example in batch)

    assert count(some)["whole-train"] == count(whole)["whole-train"]
    assert 0.25 < count(some)["heads-train"] / count(whole)["heads-train"] < 0.75


def test_recased_documents_keep_their_offsets() -> None:
    document = Document("1", "İ had Crohn disease ß.", entities=(Entity((Span(6, 19),), "disease"),))
    texts = {recased(document, random.Random(n)).text for n in range(20)}
    assert texts == {"İ had crohn disease ß.", "İ had Crohn Disease ß."}


def test_a_run_begins_with_the_weights_of_another(
    two_guidelines: TaggingRecipe, recipe: TaggingRecipe, run: Path, tmp_path: Path
) -> None:
    still = {"epochs": 1, "learning_rate": 1e-9, "head_learning_rate": 1e-9, "start": str(run)}
    folder = trainer.train(replace(recipe, **still), tmp_path / "same", reject=fail, progress=lambda _: None)
    before, after = (json.loads((path / "scores.json").read_text())[-1] for path in (run, folder))
    assert {name: round(s["f1"], 2) for name, s in before.items()} == {
        name: round(s["f1"], 2) for name, s in after.items()
    }
    # Heads of other types do not fit and are new; the encoder is that of the run.
    other = trainer.train(replace(two_guidelines, **still), tmp_path / "other", reject=fail, progress=lambda _: None)
    networks = [trainer.load_trained(path)[0] for path in (run, other)]
    names = [set(network.tuned()) for network in networks]
    assert {"own_heads.weight", "gate.weight"} <= names[1] - names[0]
    weights = [network.encoder.get_input_embeddings().weight for network in networks]
    assert torch.allclose(*weights, atol=1e-4)
    # Where types and corpora stand in another order, so do the rows of heads and gate.
    changes = (
        (recipe, {"types": ("chemical", "disease")}, run, ("heads",)),
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
        trainer.train(replace(recipe, start="nowhere"), tmp_path / "none", reject=fail)


def test_the_command_line_trains_and_exports(home: Path, tmp_path: Path, biomark: Callable[..., Outcome]) -> None:
    trained = biomark("train", home / "recipe.toml", "--set", "epochs=1", "-o", tmp_path / "run")
    assert trained.status == 0, trained
    exported = biomark("export", tmp_path / "run", "-o", tmp_path / "small")
    assert exported.status == 0, exported
    shown = json.loads(biomark("models", "show", tmp_path / "small").out)
    assert shown["precision"] == "int8"
    assert set(shown["calibration"]) <= {"disease", "chemical"}  # of enough mentions
    assert len(shown["curve"]) == 10
    assert set(shown["devel"]) == set(shown["devel_fp32"])
    raw = biomark("export", tmp_path / "run", "-o", tmp_path / "raw", "--no-calibrate")
    assert raw.status == 0, raw
    assert "calibration" not in json.loads((tmp_path / "raw" / CARD).read_text("utf-8"))


def test_calibrated_scores_and_the_least_one_are_those_of_the_card(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("biomark.tagging.training.calibrate._FEWEST", 20)
    folder = export(run, tmp_path / "small", calibrated=fail)
    card = json.loads((folder / CARD).read_text("utf-8"))
    assert set(card["calibration"]) == {"disease", "chemical"}
    devel = read_devel(load_trained(run)[2].devel, card["types"], reject=fail)
    found = strict_scores(load_onnx(folder), devel)
    for name, facts in card["devel"].items():
        assert facts["f1"] == pytest.approx(found[name]["f1"], abs=1e-4)
    # Without what was learnt, scores are those of the tags.
    (folder / CARD).write_text(json.dumps({**card, "calibration": {}, "min_score": 0.0}), "utf-8")
    plain = load_onnx(folder)
    considered = dict((a.document.id, found) for a, found in plain.considered(devel[0].documents))
    for annotated in plain.annotate(devel[0].documents):
        tagged = {(c.entity.spans, c.entity.type, c.score) for c in considered[annotated.document.id] if c.tagged}
        assert {(e.spans, e.type, e.score) for e in annotated.document.entities} == tagged


def test_word_readers_of_training_and_use_agree(run: Path) -> None:
    """What is saved beside the weights splits text as the encoder's own tokenizer did."""
    _, reader, _ = trainer.load_trained(run)
    again = WordReader(Tokenizer.from_file(str(run / "tokenizer.json")))
    text = "TNF-α (İL2) in E. coli"
    (a,), (b,) = (r.words(text, [Span(0, len(text))]) for r in (reader, again))
    assert (a.pieces == b.pieces).all()
    assert (a.starts == b.starts).all()
