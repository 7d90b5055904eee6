"""A tagging run as a token classifier of transformers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import tokenizers
from tokenizers import Tokenizer, pre_tokenizers, trainers

from biomark.errors import ModelError, UsageError
from biomark.spans import Document
from conftest import Outcome

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from biomark.tagging.text import collate, read_document  # noqa: E402
from biomark.tagging.training.classifier import _PROBES, export_classifier, joint, labels_of  # noqa: E402
from biomark.tagging.training.network import make_network  # noqa: E402
from biomark.tagging.training.start import BEST  # noqa: E402
from biomark.tagging.training.trainer import load_trained, recognizer_of  # noqa: E402
from biomark.training.recipe import RECIPE, TaggingRecipe  # noqa: E402

TEXTS = ("Aspirin helped two patients with fever and cough.", "The TNF gene (and IL2) in E. coli met 5-HT.", "fever")


def encoder(folder: Path, tokenizer: Tokenizer, *, byte_level: bool = False) -> Path:
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    kinds = (transformers.RobertaConfig, transformers.RobertaModel)
    kinds = kinds if byte_level else (transformers.BertConfig, transformers.BertModel)
    torch.manual_seed(3)
    names = ("<s>", "</s>", "<pad>", "<unk>") if byte_level else ("[CLS]", "[SEP]", "[PAD]", "[UNK]")
    config = kinds[0](vocab_size=tokenizer.get_vocab_size(), pad_token_id=tokenizer.token_to_id(names[2]), **sizes)
    model = kinds[1](config)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(20)  # so that words differ
    model.save_pretrained(folder)
    special = dict(zip(("cls_token", "sep_token", "pad_token", "unk_token"), names, strict=True))
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    return folder


def toy_run(folder: Path, source: Path, **settings: object) -> Path:
    """The folder of a run whose heads are random, as training would have written it."""
    from safetensors.torch import save_file

    plan = {"name": "toy", "encoder": str(source), "train": ["a:train"], "devel": ["a:devel"], "max_pieces": 48}
    plan |= {"types": ["disease", "chemical"], "character_filters": 0, **settings}
    plan = {name: tuple(value) if isinstance(value, list) else value for name, value in plan.items()}
    recipe = TaggingRecipe(**plan)  # type: ignore[arg-type]
    torch.manual_seed(5)
    network, tokenizer = make_network(recipe)
    with torch.no_grad():
        network.heads.weight.normal_(std=0.3)
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    network.encoder.config.save_pretrained(folder)
    save_file(dict(network.tuned()), folder / BEST)
    (folder / RECIPE).write_text(json.dumps(asdict(recipe)), "utf-8")
    return folder


@pytest.fixture
def byte_level() -> Tokenizer:
    """Of RoBERTa's kind, with pieces for a blank and the word behind it, as vocabularies of use have them."""
    tokenizer = Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator((f" {text}" for text in (*TEXTS, *_PROBES)), trainer)
    return tokenizer


@pytest.fixture
def run(tmp_path: Path, word_pieces: Tokenizer) -> Path:
    return toy_run(tmp_path / "run", encoder(tmp_path / "encoder", word_pieces))


def test_the_labels_have_the_likeliest_tags_and_their_probabilities() -> None:
    logits = torch.tensor([[[2.0, 0.5, -1.0], [0.0, 3.0, 1.0]], [[1.0, 0.0, 0.0], [2.0, 1.0, 0.0]]])  # (W, types, 3)
    labels = labels_of(("disease", "chemical"))
    assert labels == ["O", "B-disease", "I-disease", "B-chemical", "I-chemical"]
    assert [labels[n] for n in joint(logits).argmax(-1)] == ["B-chemical", "O"]
    tags = logits.softmax(-1)
    at_most_one = [tags[0, 0, 0] * tags[0, 1, 0]]
    at_most_one += [tags[0, 0, n] * tags[0, 1, 0] for n in (1, 2)] + [tags[0, 0, 0] * tags[0, 1, n] for n in (1, 2)]
    wanted = torch.stack(at_most_one) / sum(at_most_one)
    assert torch.allclose(joint(logits)[0].softmax(-1), wanted)
    one = logits[:, :1]
    assert torch.allclose(joint(one).softmax(-1), one[:, 0].softmax(-1))


@pytest.mark.parametrize("kind", ["word_pieces", "byte_level"])
def test_transformers_loads_it_and_says_the_same_of_every_word(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    source = encoder(tmp_path / "encoder", request.getfixturevalue(kind), byte_level=kind == "byte_level")
    run = toy_run(tmp_path / "run", source)
    folder = export_classifier(run, tmp_path / "out")
    theirs = transformers.AutoModelForTokenClassification.from_pretrained(folder).eval()
    reads = transformers.AutoTokenizer.from_pretrained(folder)
    assert reads.model_max_length == 48
    network, reader, _ = load_trained(run)
    for text in TEXTS:
        read = read_document(Document("1", text), reader, 48)
        batch = collate(read.windows)
        encoded = reads(text, return_tensors="pt", return_offsets_mapping=True)
        offsets = encoded.pop("offset_mapping")[0]
        assert encoded["input_ids"].tolist() == batch.input_ids.tolist()
        assert offsets[batch.first_piece][:, 0].tolist() == read.words[0].starts.tolist()
        with torch.no_grad():
            wanted = joint(network(*map(torch.from_numpy, batch)))
            found = theirs(**encoded).logits[0][batch.first_piece]
        assert torch.allclose(wanted, found, atol=1e-4)
        assert wanted.argmax(-1).any()  # the toy marks something


def test_the_pipeline_of_transformers_finds_our_mentions(tmp_path: Path, word_pieces: Tokenizer) -> None:
    run = toy_run(tmp_path / "run", encoder(tmp_path / "encoder", word_pieces), types=["disease"])
    export_classifier(run, tmp_path / "out")
    ner = transformers.pipeline("ner", model=str(tmp_path / "out"), aggregation_strategy="first")
    (_, candidates), *_ = recognizer_of(*load_trained(run)).considered([Document("1", TEXTS[0])])
    ours = [(c.entity.start, c.entity.end, c.entity.type) for c in candidates if c.tagged]
    theirs = [(group["start"], group["end"], group["entity_group"]) for group in ner(TEXTS[0])]
    covered = {place for start, end, _ in ours for place in range(start, end)}
    assert ours
    # A mention that has no begin is one for transformers, and none for us.
    assert [group for group in theirs if covered & set(range(group[0], group[1]))] == sorted(ours)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"character_filters": 8}, "with an encoder of characters"),
        ({"instruction": True}, "with instructions before its words"),
    ],
)
def test_what_no_classifier_has_is_named(
    tmp_path: Path, word_pieces: Tokenizer, settings: dict[str, object], message: str
) -> None:
    run = toy_run(tmp_path / "run", encoder(tmp_path / "encoder", word_pieces), **settings)
    with pytest.raises(UsageError, match=message):
        export_classifier(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_line_writes_it(run: Path, tmp_path: Path, biomark: Callable[..., Outcome]) -> None:
    found = biomark("export", run, "-o", tmp_path / "out", "--to", "transformers")
    assert (found.status, found.err) == (0, f"{tmp_path / 'out'}: a token classifier\n")
    assert "choose from biomark, transformers" in biomark("export", run, "-o", tmp_path / "out", "--to", "onnx").err
    with pytest.raises(ModelError, match="is missing"):
        export_classifier(tmp_path / "encoder", tmp_path / "out")
