"""Language models as taggers (VANER), lists of ontology terms (DBR), and swapped mentions, on small random models."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from vaner_cases import ARCHITECTURES, best_f1, documents, logits_of, train

from biomark import models
from biomark.errors import ModelError, UsageError
from biomark.spans import Document
from biomark.tagging.recognizer import TaggingRecognizer
from biomark.tagging.text import Batch
from biomark.tagging.training.checks import check
from biomark.tagging.words import WordReader, instruction
from biomark.training.recipe import TaggingRecipe, load_recipe, saved_recipe
from conftest import Outcome
from toy_recipe import fail

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

from biomark.generative.training.merging import merge  # noqa: E402
from biomark.tagging.training import trainer  # noqa: E402
from biomark.tagging.training.examples import read_passages  # noqa: E402
from biomark.tagging.training.export import export  # noqa: E402
from biomark.tagging.training.network import is_decoder, load_encoder, make_network, sees_what_follows  # noqa: E402

torch.set_num_threads(1)  # networks this small only wait for each other's threads

pytest_plugins = ("vaner_fixtures",)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_word_sees_every_other_one(vaner_home: Path, vaner_recipe: TaggingRecipe, name: str) -> None:
    network, tokenizer = make_network(replace(vaner_recipe, encoder=str(vaner_home / name)))
    reader = WordReader(tokenizer, wording="biomark")
    words = "fever and cough returned after two days".split()
    before = logits_of(network, reader, [" ".join(words)])
    for place in range(len(words)):
        after = logits_of(network, reader, [" ".join([*words[:place], "aspirin", *words[place + 1 :]])])
        assert (np.abs(after - before).max(axis=(1, 2)) > 1e-6).all()
    # With its mask the same model does not: what stands before the change stays as it was.
    network.encoder.config.is_causal = True
    before = logits_of(network, reader, [" ".join(words)])
    after = logits_of(network, reader, [" ".join([*words[:-1], "aspirin"])])
    assert np.abs(after - before)[:-1].max() == 0
    assert not sees_what_follows(network.encoder)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_padding_changes_no_logit(vaner_home: Path, vaner_recipe: TaggingRecipe, name: str) -> None:
    network, tokenizer = make_network(replace(vaner_recipe, encoder=str(vaner_home / name)))
    reader = WordReader(tokenizer, wording="biomark")
    texts = ["No fever", "Fever and cough returned after two days " * 3, "Aspirin helped"]
    alone = np.concatenate([logits_of(network, reader, [text]) for text in texts])
    assert np.abs(alone - logits_of(network, reader, texts)).max() < 1e-5


def test_a_mask_may_be_kept_to_compare(vaner_home: Path, vaner_recipe: TaggingRecipe, tmp_path: Path) -> None:
    causal = replace(vaner_recipe, mask="causal", epochs=1)
    network, tokenizer = make_network(causal)
    reader = WordReader(tokenizer, wording="biomark")
    texts = ["fever and cough returned", "fever and cough aspirin"]
    one, other = (logits_of(network, reader, [text]) for text in texts)
    assert np.abs(one - other)[:-1].max() == 0
    assert np.abs(one - other)[-1].max() > 0
    # As the model is trained, so it is read.
    for method in ("full", "lora"):
        folder = train(replace(causal, method=method), tmp_path / method)
        network, reader, _ = trainer.load_trained(folder)
        one, other = (logits_of(network, reader, [text]) for text in texts)
        assert np.abs(one - other)[:-1].max() == 0
    with pytest.raises(ModelError, match="BertModel has no causal mask; set mask"):
        make_network(replace(causal, encoder=str(vaner_home / "bert")))


def test_adapters_may_sit_on_some_layers_alone(vaner_home: Path, vaner_recipe: TaggingRecipe, tmp_path: Path) -> None:
    some = replace(vaner_recipe, method="lora", lora_modules=("q_proj", "v_proj"), rank=12, epochs=1)
    network, _ = make_network(some)
    names = [name for name in network.tuned() if "lora_" in name]
    assert names
    assert all(re.search(r"\.[qv]_proj\.lora_[AB]\.", name) for name in names)
    rows = {shape[0] for name, value in network.tuned().items() if "lora_A" in name for shape in [value.shape]}
    assert rows == {12}
    folder = train(some, tmp_path / "run")
    assert saved_recipe(folder) == some
    assert set(trainer.load_trained(folder)[0].tuned()) == set(network.tuned())
    with pytest.raises(ModelError, match="the adapter does not fit LlamaModel"):
        make_network(replace(some, lora_modules=("q_lin",)))


def test_a_model_that_keeps_its_mask_is_refused(vaner_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("biomark.tagging.training.network.sees_what_follows", lambda encoder: False)
    with pytest.raises(ModelError, match="LlamaModel keeps its causal mask; choose Llama, Qwen"):
        load_encoder(str(vaner_home / "llama"))
    load_encoder(str(vaner_home / "bert"))


@pytest.mark.parametrize("name", ["llama", "qwen3"])
def test_a_language_model_learns_to_tag_what_it_is_asked_for(
    vaner_home: Path, vaner_recipe: TaggingRecipe, tmp_path: Path, name: str, biomark: Callable[..., Outcome]
) -> None:
    plan = replace(vaner_recipe, encoder=str(vaner_home / name), corpus_name=0.5, epochs=45)
    folder = train(plan, tmp_path / "run")
    assert set(best_f1(folder, plan).values()) == {1.0}
    recognizer = models.load(str(folder))
    assert recognizer.types is None
    assert {e.type for found in recognizer.annotate(documents()) for e in found.document.entities} == set(plan.types)
    gold = documents("disease", "chemical")
    for types in (("disease",), ("chemical",), ("chemical", "disease")):
        for found, expected in zip(recognizer.annotate(gold, types), gold, strict=True):
            assert [(e.extent, e.type) for e in found.document.entities] == [
                (e.extent, e.type) for e in expected.entities if e.type in types
            ]
    # A type that it never heard of may be asked for; the answer is for it alone.
    (found,) = recognizer.annotate([gold[0]], ["cell_line"])
    assert {e.type for e in found.document.entities} <= {"cell_line"}
    for types in ("disease", "odd_thing"):
        shown = biomark(
            "annotate", vaner_home / "disease.pubtator", "--model", folder, "--types", types, "--to", "jsonl"
        )
        assert shown.status == 0, shown
        rows = [json.loads(line) for line in shown.out.splitlines()]
        assert len(rows) == 3
        assert {entity["type"].lower() for row in rows for entity in row["entities"]} <= {types}


def heard_by(recognizer: TaggingRecognizer, document: Document) -> set[tuple[int, ...]]:
    """The pieces before the words of each window that a recognizer reads of a document, asked for diseases."""
    heard: set[tuple[int, ...]] = set()
    forward = recognizer._forward

    def listen(batch: Batch) -> np.ndarray:
        for ids, row in zip(batch.input_ids, batch.word_of_piece, strict=True):
            heard.add(tuple(ids[: np.flatnonzero(row)[0]].tolist()))
        return forward(batch)

    recognizer._forward = listen
    list(recognizer.annotate([document], ["disease"]))
    return heard


@pytest.mark.parametrize("wording", ["biomark", "vaner"])
def test_a_run_is_asked_as_it_was_trained(
    vaner_home: Path, vaner_recipe: TaggingRecipe, tmp_path: Path, wording: str, biomark: Callable[..., Outcome]
) -> None:
    plan = replace(vaner_recipe, encoder=str(vaner_home / "bert"), wording=wording, corpus_name=0.5, epochs=1)
    folder = train(plan, tmp_path / "run")
    small = export(folder, tmp_path / "small", int8=False)
    asked = {
        "biomark": "Tag every mention of a disease in the {}sentence:",
        "vaner": "If any Disease entity is mentioned in the {}input, extract it. ##input:",
    }[wording]
    for model in (folder, small):
        for name in ("", "disease"):
            recognizer = models.load(f"{model}@{name}" if name else str(model))
            tokenizer = recognizer._reader.tokenizer
            said = tokenizer.encode(asked.format(f"{name} " if name else ""), add_special_tokens=False).ids
            assert heard_by(recognizer, documents()[0]) == {(tokenizer.token_to_id("[CLS]"), *said)}
        with pytest.raises(UsageError, match="unknown guideline 'ncbi'; choose from disease, chemical"):
            models.load(f"{model}@ncbi")
    shown = biomark("annotate", vaner_home / "disease.pubtator", "--model", f"{folder}@disease", "--to", "jsonl")
    assert shown.status == 0, shown
    # One that was trained without names (adapt) knows none, and a run of before is asked as it was.
    adapted = train(replace(plan, corpus_name=0.0), tmp_path / "adapted")
    with pytest.raises(UsageError, match="unknown guideline 'disease'; this model follows no guideline by name"):
        models.load(f"{adapted}@disease")
    saved = json.loads((folder / "recipe.json").read_text())
    for setting in ("wording", "mask", "lora_modules", "dbr", "dbr_others", "epoch_steps"):
        del saved[setting]
    (folder / "recipe.json").write_text(json.dumps(saved))
    assert trainer.load_trained(folder)[1].wording == "biomark"
    card = json.loads((small / "model.json").read_text())
    (small / "model.json").write_text(json.dumps({k: v for k, v in card.items() if k not in ("wording", "corpora")}))
    assert models.load(str(small))._reader.wording == "biomark"


def test_long_sentences_are_read_in_windows_that_leave_room_for_the_instruction(
    vaner_home: Path, vaner_recipe: TaggingRecipe
) -> None:
    network, tokenizer = make_network(vaner_recipe)
    reader = WordReader(tokenizer, wording="biomark")
    lengths = []
    forward = network.forward
    network.forward = lambda *batch: lengths.append((len(batch[1]), batch[1].sum(dim=1).max())) or forward(*batch)  # type: ignore[func-returns-value]
    text = "fever and cough returned after " * 40 + "two days."
    (found,) = trainer.recognizer_of(network, reader, vaner_recipe).annotate([Document("1", text)])
    assert not found.rejected
    assert sum(rows for rows, _ in lengths) >= 3
    assert max(longest for _, longest in lengths) <= vaner_recipe.max_pieces


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_adapters_are_trained_kept_and_merged(
    vaner_home: Path, vaner_recipe: TaggingRecipe, tmp_path: Path, method: str
) -> None:
    if method == "qlora":
        pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    base = shutil.copytree(vaner_home / "qwen3", tmp_path / "base")
    plan = replace(
        vaner_recipe,
        encoder=str(base),
        method=method,
        weights="bfloat16" if method == "qlora" else "float32",
        epochs=8,
        gradient_checkpointing=True,
        learning_rate=3e-3,
    )
    torch.manual_seed(plan.seed)
    fresh, _ = make_network(plan)
    assert all(re.search("lora_|^heads", name) for name in fresh.tuned())
    folder = train(plan, tmp_path / "run")
    assert sum(best_f1(folder, plan).values()) > 0.8
    network, reader, read = trainer.load_trained(folder)
    assert read == plan
    state = {name: value.clone() for name, value in fresh.state_dict().items()}
    moved = {n for n, v in network.state_dict().items() if v.shape != state[n].shape or not torch.equal(v, state[n])}
    assert moved
    assert all(re.search("lora_|^heads", name) for name in moved)
    assert (folder / "model.safetensors").stat().st_size < (base / "model.safetensors").stat().st_size
    with pytest.raises(UsageError, match="holds an adapter; merge it first"):
        export(folder, tmp_path / "small")
    merged = merge(folder, tmp_path / "merged")
    shutil.rmtree(base)
    with pytest.raises(ModelError, match=r"its adapter needs the base model .*base"):
        trainer.load_trained(folder)
    whole, again, _ = trainer.load_trained(merged)
    texts = [document.text for document in documents()]
    difference = np.abs(logits_of(whole, again, texts) - logits_of(network, reader, texts)).max()
    assert difference < (1e-4 if method == "lora" else 0.5)
    with pytest.raises(UsageError, match="is a language model without its mask"):
        export(merged, tmp_path / "small")


def test_an_encoder_that_follows_instructions_runs_without_torch(
    vaner_home: Path, vaner_recipe: TaggingRecipe, tmp_path: Path
) -> None:
    run = train(replace(vaner_recipe, encoder=str(vaner_home / "bert"), epochs=12), tmp_path / "run")
    small = models.load(str(export(run, tmp_path / "small", int8=False)))
    gold = documents()
    for types in (["disease"], ["chemical", "disease"], ["cell_line"]):
        expected, found = (list(recognizer.annotate(gold, types)) for recognizer in (models.load(str(run)), small))
        for one, other in zip(expected, found, strict=True):
            assert [(e.extent, e.type) for e in one.document.entities] == [
                (e.extent, e.type) for e in other.document.entities
            ]
    assert any(one.document.entities for one in small.annotate(gold))


def test_a_killed_run_resumes_to_the_same_weights(
    vaner_home: Path, vaner_recipe: TaggingRecipe, tmp_path: Path
) -> None:
    plan = replace(
        vaner_recipe,
        method="lora",
        epochs=3,
        lora_dropout=0.1,
        corpus_name=0.5,
        knowledge=str(vaner_home / "terms.db"),
        dbr_terms=6,
        dbr_mentions=3,
        dbr_share=0.5,
        swap=0.7,
    )

    class Killed(Exception):
        pass

    def kill(message: str) -> None:
        if message.startswith("epoch 2/3"):
            raise Killed

    whole = train(plan, tmp_path / "whole")
    with pytest.raises(Killed):
        trainer.train(plan, tmp_path / "killed", reject=fail, progress=kill)
    train(plan, tmp_path / "killed", resume=True)
    for name in (trainer.BEST, "scores.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (whole / name).read_bytes()


def test_the_epoch_with_the_lowest_loss_may_be_kept(
    vaner_home: Path, vaner_recipe: TaggingRecipe, tmp_path: Path
) -> None:
    rows = [{"a": {"f1": 0.2, "loss": 0.3}}, {"a": {"f1": 0.6, "loss": 0.5}}, {"a": {"f1": 0.1, "loss": 0.3}}]
    assert trainer.best_epoch(rows, vaner_recipe) == 1
    assert trainer.best_epoch(rows, replace(vaner_recipe, choose="loss")) == 2
    plan = replace(vaner_recipe, epochs=2, choose="loss")
    folder = train(plan, tmp_path / "run")
    scores = json.loads((folder / "scores.json").read_text())
    assert all(split["loss"] > 0 for row in scores for split in row.values())
    # The loss is that of the gold tags under the weights that were kept, by a second way.
    network, reader, _ = trainer.load_trained(folder)
    kept = scores[trainer.best_epoch(scores, plan)]
    total, count = 0.0, 0
    for document in documents("disease"):
        (passage,) = read_passages(document, plan.types, (True, False), reader)
        logits = logits_of(network, reader, [document.text])
        tags = torch.from_numpy(passage.tags[:, 0])
        total += float(torch.nn.functional.cross_entropy(torch.from_numpy(logits[:, 0]), tags, reduction="sum"))
        count += len(tags)
    assert kept[plan.devel[0]]["loss"] == pytest.approx(total / count, rel=0.05)  # scored in bfloat16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "llama-adapter"}, "unknown method 'llama-adapter'; choose from full, lora, qlora"),
        ({"choose": "accuracy"}, "unknown choose 'accuracy'; choose from f1, loss"),
        ({"swap": 1.5, "knowledge": "x"}, r"swap must be in \[0, 1\], got 1.5"),
        ({"swap": 0.5}, "swap take names from a store; set knowledge to the path"),
        ({"instruction": False, "corpus_name": 0.5}, "corpus_name needs an instruction"),
        ({"masked_words": 0.1}, "no mask token; set masked_words = 0"),
        ({"max_pieces": 40}, "max_pieces is 40, of which the instruction leaves"),
        ({"max_pieces": 300}, "max_pieces is 300, but the encoder reads 256"),
        ({"types": ("disease", "gene")}, "no corpus in train annotates gene"),
        ({"dbr_terms": -1}, "dbr_terms must be at least 0"),
        ({"wording": "polite"}, "unknown wording 'polite'; choose from biomark, vaner"),
        ({"mask": "half"}, "unknown mask 'half'; choose from full, causal"),
        ({"dbr": "far"}, "unknown dbr 'far'; choose from random, near"),
        ({"dbr": "near", "dbr_others": 5}, "take names from a store; set knowledge to the path"),
        ({"dbr": "near", "dbr_mentions": 5}, 'dbr_mentions needs dbr = "random"'),
        ({"dbr_others": 5, "knowledge": "x"}, 'dbr_others needs dbr = "near"'),
    ],
)
def test_recipes_that_cannot_work_are_refused(
    vaner_recipe: TaggingRecipe, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        train(replace(vaner_recipe, **change), tmp_path / "run")  # type: ignore[arg-type]
    assert not (tmp_path / "run" / "recipe.json").exists()


def test_recipes_of_earlier_editions_are_read(tmp_path: Path) -> None:
    body = 'name = "old"\nencoder = "x"\ntrain = ["ncbi_disease:train"]\n'
    body += 'devel = ["ncbi_disease:devel"]\ntypes = ["disease"]\n'
    expected = TaggingRecipe("old", "x", ("ncbi_disease:train",), ("ncbi_disease:devel",), ("disease",))
    for line in ("", 'method = "tagging"\n', 'task = "tagging"\nmethod = "full"\n'):
        (tmp_path / "recipe.toml").write_text(line + body)
        assert load_recipe(tmp_path / "recipe.toml") == expected
    check(expected)
    saved = {"name": "old", "encoder": "x", "train": ["ncbi_disease:train"], "devel": ["ncbi_disease:devel"]}
    (tmp_path / "recipe.json").write_text(json.dumps({**saved, "types": ["disease"], "epochs": 10}))
    assert saved_recipe(tmp_path) == expected
    (tmp_path / "recipe.toml").write_text('task = "magic"\n' + body)
    with pytest.raises(UsageError, match="unknown task 'magic'; choose from tagging, generative"):
        load_recipe(tmp_path / "recipe.toml")


def test_decoders_are_told_from_encoders(vaner_home: Path) -> None:
    kinds = {
        name: is_decoder(transformers.AutoConfig.from_pretrained(vaner_home / name))
        for name in (*ARCHITECTURES, "bert")
    }
    assert kinds == {**dict.fromkeys(ARCHITECTURES, True), "bert": False}


def test_an_instruction_names_the_type_and_perhaps_the_corpus() -> None:
    asked = "If any Disease entity is mentioned in the ncbi_disease input, extract it. ##input: "
    assert instruction("disease", "ncbi_disease", "vaner") == asked
    assert instruction("cell_line", wording="vaner").startswith("If any Cell line entity is mentioned in the input, ")
    assert "cell line" in instruction("cell_line")
    assert "odd thing" in instruction("odd_thing")
    assert "bc2gm" in instruction("gene", "bc2gm")
