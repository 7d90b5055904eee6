"""Language models as taggers (VANER), lists of ontology terms (DBR), and swapped mentions, on small random models."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, processors

from biomark import formats, models
from biomark.errors import ModelError, UsageError
from biomark.knowledge.building import build
from biomark.knowledge.sources import open_source
from biomark.spans import Document, Entity, Passage, Span
from biomark.tagging.recognizer import TaggingRecognizer
from biomark.tagging.text import BEGIN, OUTSIDE, Batch, collate, decode_tags, read_document
from biomark.tagging.training.checks import check
from biomark.tagging.words import WordReader, instruction
from biomark.training.recipe import TaggingRecipe, load_recipe, saved_recipe
from biomark.training.scoring import read_devel
from conftest import Outcome

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

from biomark.generative.training.merging import merge  # noqa: E402
from biomark.tagging.training import trainer  # noqa: E402
from biomark.tagging.training.augmentation import SEPARATORS, Listed, Pools, as_list, mentions_of, read_pools, swapped  # noqa: E402
from biomark.tagging.training.examples import UNLABELLED, Examples, LabelledWindow, LeftOut, list_passage, read_passages  # noqa: E402
from biomark.tagging.training.export import export  # noqa: E402
from biomark.tagging.training.network import Network, is_decoder, load_encoder, make_network, sees_what_follows  # noqa: E402

torch.set_num_threads(1)  # networks this small only wait for each other's threads

ARCHITECTURES = ("llama", "qwen2", "qwen3", "mistral")
# Each sentence with its diseases and its chemicals.
SENTENCES = (
    ("Aspirin helped two patients with fever.", ["fever"], ["Aspirin"]),
    ("Fever and cough returned after zileuton.", ["Fever", "cough"], ["zileuton"]),
    ("Very high doses of 5-HT were given near the end.", [], ["5-HT"]),
    ("The IL2 gene and Marfan syndrome met.", ["Marfan syndrome"], []),
    ("No aspirin: no fever, no cough.", ["fever", "cough"], ["aspirin"]),
    ("After two days the gene returned.", [], []),
)
TERMS = {
    "disease": ("asthma", "dry cough", "Crohn disease", "hay fever", "ABC"),
    "chemical": ("zinc", "vitamin D3", "beta-carotene", "ABC"),
    "gene": ("BRCA1", "tumour necrosis factor", "IL6"),
}


def quiet(_: object) -> None:
    pass


def fail(rejected: object) -> None:
    raise AssertionError(rejected)


def documents(*types: str) -> list[Document]:
    """The sentences in three documents, with the mentions of some types."""
    found = []
    for number in range(0, len(SENTENCES), 2):
        text, entities = "", []
        for sentence, diseases, chemicals in SENTENCES[number : number + 2]:
            for type, names in (("disease", diseases), ("chemical", chemicals)):
                for name in names if type in types else ():
                    start = len(text) + sentence.index(name)
                    entities.append(Entity((Span(start, start + len(name)),), type))
            text += sentence + " "
        passage = Passage(Span(0, len(text) - 1), "title")
        entities.sort(key=lambda e: e.start)
        found.append(Document(str(number), text.strip(), (passage,), entities=tuple(entities)))
    return found


def save(kind: str, folder: Path, tokenizer: Tokenizer, **more: object) -> None:
    """A random model of an architecture, with a tokenizer."""
    torch.manual_seed(3)
    # Weights in four bits come in blocks of 64.
    size = {"vocab_size": tokenizer.get_vocab_size(), "hidden_size": 64, "num_hidden_layers": 2}
    size |= {"num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 256}
    if kind in ARCHITECTURES:
        size |= {"num_key_value_heads": 2, "pad_token_id": None}
    config = transformers.AutoConfig.for_model(kind, **size, **more)
    decoder = kind != "bert"
    kind_of = transformers.AutoModelForCausalLM if decoder else transformers.AutoModel
    kind_of.from_config(config).save_pretrained(folder)
    names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]", "pad_token": "[PAD]"}
    special = {"eos_token": "</s>"} if decoder else names
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


@pytest.fixture(scope="module")
def home(
    tmp_path_factory: pytest.TempPathFactory, sentence_pieces: Tokenizer, byte_level: Tokenizer, word_pieces: Tokenizer
) -> Path:
    """A folder with random models, files of documents with one type each, and a store."""
    folder = tmp_path_factory.mktemp("home")
    llama = Tokenizer.from_str(sentence_pieces.to_str())
    begin = llama.token_to_id("<s>")
    llama.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", begin)])
    for kind in ARCHITECTURES:
        more = {"head_dim": 16} if kind == "qwen3" else {}
        save(kind, folder / kind, byte_level if kind.startswith("qwen") else llama, **more)
    save("bert", folder / "bert", word_pieces)
    for type in ("disease", "chemical"):
        formats.write(documents(type), folder / f"{type}.pubtator")
    rows = [f"{name}\t{type}" for type, names in TERMS.items() for name in names]
    (folder / "terms.tsv").write_text("name\ttype\n" + "\n".join(rows) + "\n")
    build([open_source(str(folder / "terms.tsv"))], folder / "terms.db", reject=fail)
    return folder


@pytest.fixture(scope="module")
def recipe(home: Path) -> TaggingRecipe:
    files = (str(home / "disease.pubtator"), str(home / "chemical.pubtator"))
    return TaggingRecipe(
        name="small",
        encoder=str(home / "llama"),
        train=files,
        devel=files,
        types=("disease", "chemical"),
        epochs=10,
        batch_pieces=64,
        max_pieces=96,
        learning_rate=2e-3,
        head_learning_rate=1e-2,
        dropout=0.0,
        masked_words=0.0,
        average=0.5,
        character_filters=0,
        instruction=True,
    )


def train(recipe: TaggingRecipe, folder: Path, *, resume: bool = False) -> Path:
    return trainer.train(recipe, folder, reject=fail, resume=resume, progress=quiet)


def best_f1(folder: Path, recipe: TaggingRecipe) -> dict[str, float]:
    rows = json.loads((folder / "scores.json").read_text())
    return {name: score["f1"] for name, score in rows[trainer.best_epoch(rows, recipe)].items()}


def logits_of(network: Network, reader: WordReader, texts: list[str]) -> np.ndarray:
    """(W, heads, 3) for texts that are asked about in one batch, each in one window."""
    frames = [reader.frame("disease")] if reader.instructions else None
    read = [read_document(Document(str(n), text), reader, 1000, frames) for n, text in enumerate(texts)]
    batch = collate([window for found in read for window in found.windows])
    network.eval()
    with torch.inference_mode():
        return network(*(torch.from_numpy(a) for a in batch)).numpy()


# The mask


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_word_sees_every_other_one(home: Path, recipe: TaggingRecipe, name: str) -> None:
    network, tokenizer = make_network(replace(recipe, encoder=str(home / name)))
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
def test_padding_changes_no_logit(home: Path, recipe: TaggingRecipe, name: str) -> None:
    network, tokenizer = make_network(replace(recipe, encoder=str(home / name)))
    reader = WordReader(tokenizer, wording="biomark")
    texts = ["No fever", "Fever and cough returned after two days " * 3, "Aspirin helped"]
    alone = np.concatenate([logits_of(network, reader, [text]) for text in texts])
    assert np.abs(alone - logits_of(network, reader, texts)).max() < 1e-5


def test_a_mask_may_be_kept_to_compare(home: Path, recipe: TaggingRecipe, tmp_path: Path) -> None:
    causal = replace(recipe, mask="causal", epochs=1)
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
        make_network(replace(causal, encoder=str(home / "bert")))


def test_adapters_may_sit_on_some_layers_alone(home: Path, recipe: TaggingRecipe, tmp_path: Path) -> None:
    some = replace(recipe, method="lora", lora_modules=("q_proj", "v_proj"), rank=12, epochs=1)
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


def test_a_model_that_keeps_its_mask_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("biomark.tagging.training.network.sees_what_follows", lambda encoder: False)
    with pytest.raises(ModelError, match="LlamaModel keeps its causal mask; choose Llama, Qwen"):
        load_encoder(str(home / "llama"))
    load_encoder(str(home / "bert"))


# Learning


@pytest.mark.parametrize("name", ["llama", "qwen3"])
def test_a_language_model_learns_to_tag_what_it_is_asked_for(
    home: Path, recipe: TaggingRecipe, tmp_path: Path, name: str, biomark: Callable[..., Outcome]
) -> None:
    plan = replace(recipe, encoder=str(home / name), corpus_name=0.5, epochs=45)
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
        shown = biomark("annotate", home / "disease.pubtator", "--model", folder, "--types", types, "--to", "jsonl")
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
    home: Path, recipe: TaggingRecipe, tmp_path: Path, wording: str, biomark: Callable[..., Outcome]
) -> None:
    plan = replace(recipe, encoder=str(home / "bert"), wording=wording, corpus_name=0.5, epochs=1)
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
    shown = biomark("annotate", home / "disease.pubtator", "--model", f"{folder}@disease", "--to", "jsonl")
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


def test_development_splits_are_read_under_their_names_where_training_names_all(
    home: Path, recipe: TaggingRecipe
) -> None:
    tokenizer = make_network(recipe)[1]
    reader = WordReader(tokenizer, wording="biomark")
    devel = read_devel(recipe.devel, recipe.types, reject=fail)
    for share, named in ((1.0, True), (0.5, False), (0.0, False)):
        batches = Examples.of(devel, replace(recipe, corpus_name=share), reader)
        for split, its in zip(("disease", "chemical"), batches, strict=True):
            frames = {example.window.frame for batch in its for example in batch}
            assert frames == {reader.frame(split, split if named else "")}


def test_long_sentences_are_read_in_windows_that_leave_room_for_the_instruction(
    home: Path, recipe: TaggingRecipe
) -> None:
    network, tokenizer = make_network(recipe)
    reader = WordReader(tokenizer, wording="biomark")
    lengths = []
    forward = network.forward
    network.forward = lambda *batch: lengths.append((len(batch[1]), batch[1].sum(dim=1).max())) or forward(*batch)  # type: ignore[func-returns-value]
    text = "fever and cough returned after " * 40 + "two days."
    (found,) = trainer.recognizer_of(network, reader, recipe).annotate([Document("1", text)])
    assert not found.rejected
    assert sum(rows for rows, _ in lengths) >= 3
    assert max(longest for _, longest in lengths) <= recipe.max_pieces


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_adapters_are_trained_kept_and_merged(home: Path, recipe: TaggingRecipe, tmp_path: Path, method: str) -> None:
    if method == "qlora":
        pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    base = shutil.copytree(home / "qwen3", tmp_path / "base")
    plan = replace(
        recipe,
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
    home: Path, recipe: TaggingRecipe, tmp_path: Path
) -> None:
    run = train(replace(recipe, encoder=str(home / "bert"), epochs=12), tmp_path / "run")
    small = models.load(str(export(run, tmp_path / "small", int8=False)))
    gold = documents()
    for types in (["disease"], ["chemical", "disease"], ["cell_line"]):
        expected, found = (list(recognizer.annotate(gold, types)) for recognizer in (models.load(str(run)), small))
        for one, other in zip(expected, found, strict=True):
            assert [(e.extent, e.type) for e in one.document.entities] == [
                (e.extent, e.type) for e in other.document.entities
            ]
    assert any(one.document.entities for one in small.annotate(gold))


def test_a_killed_run_resumes_to_the_same_weights(home: Path, recipe: TaggingRecipe, tmp_path: Path) -> None:
    plan = replace(
        recipe,
        method="lora",
        epochs=3,
        lora_dropout=0.1,
        corpus_name=0.5,
        knowledge=str(home / "terms.db"),
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


def test_the_epoch_with_the_lowest_loss_may_be_kept(home: Path, recipe: TaggingRecipe, tmp_path: Path) -> None:
    rows = [{"a": {"f1": 0.2, "loss": 0.3}}, {"a": {"f1": 0.6, "loss": 0.5}}, {"a": {"f1": 0.1, "loss": 0.3}}]
    assert trainer.best_epoch(rows, recipe) == 1
    assert trainer.best_epoch(rows, replace(recipe, choose="loss")) == 2
    plan = replace(recipe, epochs=2, choose="loss")
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


# Lists of terms


def pools() -> Pools:
    own = {type: tuple(Listed(name, frozenset({type})) for name in names) for type, names in TERMS.items()}
    others = {type: tuple(n for other in TERMS for n in own[other] if other != type) for type in TERMS}
    return Pools(own, others)


@pytest.mark.parametrize("seed", range(6))
def test_a_list_is_labelled_for_the_types_of_its_names(word_pieces: Tokenizer, seed: int) -> None:
    chance = random.Random(seed)
    names = pools().draw("disease", 6, chance)
    names += [Listed("ABC", frozenset({"disease", "gene"})), Listed("cough", frozenset({"disease"}), DISEASE_ALONE)]
    types = ("disease", "chemical", "gene")
    separator = chance.choice(SEPARATORS)
    passage = list_passage(names, types, WordReader(word_pieces), separator)
    text, spans = as_list(names, separator)
    assert [span.of(text) for span in spans] == [name.text for name in names]
    unknown = (passage.tags == UNLABELLED).any(axis=1)
    ((begin,), (end,)) = passage.words.starts[unknown], passage.words.ends[unknown]
    assert text[begin:end] == "cough"
    assert (passage.tags[unknown, 0] != UNLABELLED).all()
    sure = np.where(np.eye(3)[np.maximum(passage.tags, 0)] > 0, 0.0, -9.0).astype(np.float32)
    for n, type in enumerate(types):
        found = [e.mention(text) for e in decode_tags(sure[:, [n]], passage.words, [type])]
        assert found == [name.text for name in names if type in name.types]
    assert len(passage.ends) == len(names)


DISEASE_ALONE = frozenset({"disease"})


def test_half_of_a_drawn_list_is_of_the_type() -> None:
    drawn = pools().draw("gene", 4000, random.Random(1))
    assert sum("gene" in name.types for name in drawn) == pytest.approx(2000, abs=120)
    assert {name.text for name in drawn} == {name for names in TERMS.values() for name in names}
    alone = Pools({"gene": (Listed("IL6", frozenset({"gene"})),)}, {"gene": ()})
    assert [name.text for name in alone.draw("gene", 3, random.Random(1))] == ["IL6"] * 3


@pytest.mark.parametrize("asked", [True, False])
def test_each_sentence_gets_a_list_more(home: Path, recipe: TaggingRecipe, asked: bool) -> None:
    encoder = str(home / ("llama" if asked else "bert"))
    plan = replace(recipe, encoder=encoder, instruction=asked, corpus_name=1.0 if asked else 0.0, max_pieces=250)
    more = replace(plan, knowledge=str(home / "terms.db"), dbr_terms=10, dbr_mentions=2)
    reader = WordReader(make_network(plan)[1], wording="biomark" if asked else "")

    def epoch(recipe: TaggingRecipe, number: int = 0) -> list[LabelledWindow]:
        return [example for batch in Examples(recipe, reader, fail).epoch(number) for example in batch]

    plain, made = epoch(plan), epoch(more)
    # Two files of six sentences, with one type each.
    assert len(made) == len(plain) + 12
    assert len(epoch(replace(more, dbr_share=0.0))) == len(plain)
    assert len(plain) < len(epoch(replace(more, dbr_share=0.5))) < len(made)
    before = Counter(key_of(example) for example in plain)
    lists = [example for example in made if not before[key_of(example)]]
    assert len(lists) == 12
    assert {example.tags.shape[1] for example in made} == ({1} if asked else {2})
    if asked:  # an example names its corpus, a list names none
        named = {reader.frame("disease", "disease"), reader.frame("chemical", "chemical")}
        assert {example.window.frame for example in plain} == named
        alone = Counter(example.window.frame for example in lists)
        assert alone == {reader.frame("disease"): 6, reader.frame("chemical"): 6}
    for example in lists:
        assert (example.labels == BEGIN).any()
        assert (example.labels == OUTSIDE).any()
    again = Counter(key_of(example) for example in epoch(more))
    assert again == Counter(key_of(example) for example in made)
    assert again != Counter(key_of(example) for example in epoch(more, 1))


@pytest.mark.parametrize("asked", [True, False])
def test_each_sentence_gets_a_list_of_names_near_it(home: Path, recipe: TaggingRecipe, asked: bool) -> None:
    encoder = str(home / ("qwen3" if asked else "bert"))
    plan = replace(recipe, encoder=encoder, instruction=asked, corpus_name=1.0 if asked else 0.0, max_pieces=250)
    more = replace(plan, knowledge=str(home / "terms.db"), dbr="near", dbr_terms=6, dbr_others=3)
    reader = WordReader(make_network(plan)[1], wording="biomark" if asked else "")

    def epoch(recipe: TaggingRecipe, number: int = 0) -> list[LabelledWindow]:
        return [example for batch in Examples(recipe, reader, fail).epoch(number) for example in batch]

    before = Counter(key_of(example) for example in epoch(plan))
    assert Counter(map(key_of, epoch(replace(plan, dbr="near")))) == before  # without lists no store is needed
    made = epoch(more)
    lists = [example for example in made if not before[key_of(example)]]
    assert len(made) == before.total() + 12
    assert len(lists) == 12
    if asked:  # a list names no corpus
        frames = Counter(example.window.frame for example in lists)
        assert frames == {reader.frame("disease", ""): 6, reader.frame("chemical", ""): 6}
        # The mentions of a sentence are in its list, and labelled.
        pieces = [[reader.tokenizer.id_to_token(int(id)) for id in e.window.words.pieces] for e in lists]
        texts = ["".join(some).replace("Ġ", " ") for some in pieces]
        for name in ("Marfan syndrome", "zileuton", "5-HT"):
            assert any(f" {name}" in f" {text}" for text in texts)
    assert all((example.labels == BEGIN).any() for example in lists)
    assert Counter(map(key_of, epoch(more))) == Counter(map(key_of, made))
    assert Counter(map(key_of, epoch(more, 1))) != Counter(map(key_of, made))


def test_an_epoch_may_have_a_fixed_number_of_steps(home: Path, recipe: TaggingRecipe) -> None:
    reader = WordReader(make_network(recipe)[1], wording="biomark")
    more = replace(recipe, knowledge=str(home / "terms.db"), dbr="near", dbr_terms=6)
    for plan in (recipe, more):
        whole = Examples(plan, reader, fail).epoch(0)
        for steps in (1, len(whole), 2 * len(whole) + 1):
            examples = Examples(replace(plan, epoch_steps=steps), reader, fail)
            found = [[key_of(example) for example in batch] for batch in examples.epoch(0)]
            assert len(found) == steps
            assert found[: len(whole)] == [[key_of(example) for example in batch] for batch in whole][:steps]
            assert found == [[key_of(example) for example in batch] for batch in examples.epoch(0)]
    assert len(Examples(recipe, reader, fail).epoch(0)) < len(Examples(more, reader, fail).epoch(0))


def key_of(example: LabelledWindow) -> tuple[object, ...]:
    return (example.window.frame, example.window.words.pieces.tobytes(), example.labels.tobytes())


def test_mentions_of_a_corpus_speak_of_its_types_alone() -> None:
    found = mentions_of(documents("disease"), ["disease"])
    assert {name.text for name in found} == {"fever", "Fever", "cough", "Marfan syndrome"}
    assert {name.known for name in found} == {DISEASE_ALONE}


def test_swapping_changes_the_share_of_documents_that_the_recipe_says(home: Path, recipe: TaggingRecipe) -> None:
    more = replace(recipe, knowledge=str(home / "terms.db"))
    reader = WordReader(make_network(recipe)[1], wording="biomark")

    def texts(swap: float) -> Counter[bytes]:
        epochs = range(1 if swap in (0, 1) else 30)
        examples = Examples(replace(more, swap=swap), reader, fail)
        found = (e.window.words.pieces.tobytes() for n in epochs for batch in examples.epoch(n) for e in batch)
        return Counter(found)

    old = texts(0.0)
    changed = sum(count for key, count in texts(1.0).items() if key not in old)
    assert changed > 0
    half = texts(0.5)
    share = sum(count for key, count in half.items() if key not in old) / half.total()
    assert share == pytest.approx(0.5 * changed / old.total(), abs=0.15)


def test_what_splits_to_leave_out_share_is_not_learnt_from(home: Path, recipe: TaggingRecipe, tmp_path: Path) -> None:
    shared = "Marfan syndrome was seen in eleven of the patients whose parents had it too."
    other = "Fever was not seen in any of the patients whose records we could find at all."
    again = "Nor was it seen in any of those whose records were found in the year after that."
    texts = {"copy": shared.upper(), "part": f"{other} {shared} {again}", "none": other}
    mentions = (Entity((Span(0, 5),), "disease"),)
    formats.write([Document(id, text, entities=mentions) for id, text in texts.items()], tmp_path / "train.jsonl")
    formats.write([Document("scored", shared)], tmp_path / "test.jsonl")
    names = (str(tmp_path / "train.jsonl"),) * 2
    more = replace(recipe, train=names, types=("disease",), leave_out=(str(tmp_path / "test.jsonl"),))
    reader = WordReader(make_network(recipe)[1], wording="biomark")
    lines: list[str] = []
    examples = Examples(more, reader, fail, lines.append)
    assert examples.left_out == {names[0]: LeftOut(3, ("copy",), 1)}
    dropped = "1 of 3 documents and 1 sentences of other documents are left out"
    assert lines == [f"{names[0]}: {dropped}; {more.leave_out[0]} has them, too"]
    assert [len(source.passages[0].words) for source in examples.sources] == [35, 17] * 2
    folder = train(replace(more, epochs=1, devel=more.train), tmp_path / "run")
    found = json.loads((folder / "left_out.json").read_text())
    assert found == {names[0]: {"of": 3, "documents": ["copy"], "sentences": 1}}
    with pytest.raises(UsageError, match="leave_out names nowhere:test, which is neither a file nor a corpus"):
        check(replace(more, leave_out=("nowhere:test",)))


def test_names_of_an_epoch_depend_on_the_seed_alone(home: Path) -> None:
    path = home / "terms.db"
    once = read_pools(path, ["disease", "gene", "cell_line"], "1 2", size=3)
    assert once == read_pools(path, ["disease", "gene", "cell_line"], "1 2", size=3)
    assert any(once != read_pools(path, ["disease", "gene"], f"1 {n}", size=3) for n in range(3, 6))
    assert set(once.own) == {"disease", "gene"}
    assert {name.text for name in once.own["gene"]} == set(TERMS["gene"])
    both = [name for pool in (once.own, once.others) for names in pool.values() for name in names if name.text == "ABC"]
    assert all(name.types == {"disease", "chemical"} for name in both)
    with pytest.raises(UsageError, match="has names of chemical, disease, gene, none of cell_line"):
        read_pools(path, ["cell_line"], "1")


# Swapped mentions

NAMES = ("fever", "Fever", "IL2", "Marfan syndrome", "5-HT", "α-tocopherol 😀", "of", ". No")


@given(st.data())
def test_swapped_mentions_leave_all_else_in_its_place(data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.sampled_from((*NAMES, " ", " was seen. ", "İ ")), max_size=25))
    text, entities = "", []
    for part in parts:
        if part in NAMES and data.draw(st.booleans()):
            type = data.draw(st.sampled_from(["disease", "chemical", "species"]))
            entities.append(Entity((Span(len(text), len(text) + len(part)),), type))
        text += part
    for _ in range(data.draw(st.integers(0, 3)) if len(text) > 3 else 0):  # nested and crossing ones
        start = data.draw(st.integers(0, len(text) - 2))
        entities.append(Entity((Span(start, data.draw(st.integers(start + 1, len(text)))),), "disease"))
    cut = data.draw(st.integers(1, len(text) - 1)) if len(text) > 1 else 0
    sentences = (Span(0, cut), Span(cut, len(text))) if cut else ()
    document = Document("1", text, tuple(Passage(s, "part") for s in sentences), sentences, tuple(entities))
    found = swapped(document, pools(), random.Random(1))
    # What is not inside a mention stands in the same order, and every mention is an old one or a name of its type.
    names = {type: {name.text.lower() for name in some} for type, some in pools().own.items()}
    before = [(e.type, e.mention(text)) for e in document.entities]
    for entity in found.entities:
        mention = entity.mention(found.text)
        assert (entity.type, mention) in before or mention.lower() in names[entity.type]
    assert len(found.sentences) == len(document.sentences)
    for old, new in zip(document.sentences, found.sentences, strict=True):
        inside = [e for e in document.entities if old.contains(e.extent)]
        if not inside:
            assert new.of(found.text) == old.of(text) or any(e.extent.overlaps(old) for e in document.entities)
    if not document.entities:
        assert found == document
    if all(e.type == "species" for e in document.entities):
        assert found.text == text


def test_equal_mentions_get_equal_names_and_abbreviations_stay() -> None:
    text = "Fever, fever and AIDS; aspirin-induced fever. Dry cough."
    spans = [(0, 5), (7, 12), (17, 21), (39, 44), (46, 55)]
    assert [text[a:b] for a, b in spans] == ["Fever", "fever", "AIDS", "fever", "Dry cough"]
    entities = [Entity((Span(a, b),), "disease") for a, b in spans]
    entities += [Entity((Span(23, 30),), "chemical"), Entity((Span(50, 55),), "disease")]
    document = Document("1", text, (Passage(Span(0, len(text)), "title"),), entities=tuple(entities))
    seen = set()
    for seed in range(20):
        found = swapped(document, pools(), random.Random(seed))
        fever, again, aids, third, cough, aspirin = (e.mention(found.text) for e in found.entities)
        assert again == third
        assert again in TERMS["disease"]
        assert fever == again[:1].upper() + again[1:]
        assert cough.lower() in {name.lower() for name in TERMS["disease"]}
        assert aspirin in TERMS["chemical"]
        assert aids == "AIDS"
        assert found.text == f"{fever}, {again} and AIDS; {aspirin}-induced {third}. {cough}."
        assert found.passages[0].span == Span(0, len(found.text))
        seen.add(fever)
    assert len(seen) > 2


# Recipes


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
    recipe: TaggingRecipe, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        train(replace(recipe, **change), tmp_path / "run")  # type: ignore[arg-type]
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


def test_decoders_are_told_from_encoders(home: Path) -> None:
    kinds = {
        name: is_decoder(transformers.AutoConfig.from_pretrained(home / name)) for name in (*ARCHITECTURES, "bert")
    }
    assert kinds == {**dict.fromkeys(ARCHITECTURES, True), "bert": False}


def test_an_instruction_names_the_type_and_perhaps_the_corpus() -> None:
    asked = "If any Disease entity is mentioned in the ncbi_disease input, extract it. ##input: "
    assert instruction("disease", "ncbi_disease", "vaner") == asked
    assert instruction("cell_line", wording="vaner").startswith("If any Cell line entity is mentioned in the input, ")
    assert "cell line" in instruction("cell_line")
    assert "odd thing" in instruction("odd_thing")
    assert "bc2gm" in instruction("gene", "bc2gm")
