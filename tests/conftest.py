"""What tests share: where the corpora are, a recognizer without a model, the command line in process."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from biomark.embedding.exported import Exported
from biomark.generative.decoding.vocabulary import Vocabulary
from terms import TERMS, TermRecognizer

# Slow machines are no failures; in continuous integration the generated examples are always the same.
settings.register_profile(
    "biomark", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("biomark")

pytest.register_assert_rewrite("decoding_cases")

__all__ = ["ROOT", "TERMS", "Outcome", "TermRecognizer", "pooling"]

ROOT = Path(__file__).parent.parent
CORPORA = os.environ.get("BIOMARK_CORPORA") and Path(os.environ["BIOMARK_CORPORA"]).absolute()
"""The folder of the real corpora; None where there are none. Tests get it from the fixture `corpora` alone."""
LONG = {
    "test_augmentation", "test_bases", "test_bench", "test_corpus_heads", "test_decoding", "test_decoding_drafts",
    "test_decoding_prefix", "test_embedding", "test_grid", "test_invention", "test_knowledge_embeddings", "test_loss",
    "test_nano", "test_prompted_models", "test_recipe", "test_reproduce", "test_scoring", "test_serve_load",
    "test_serve_schema", "test_tagging_examples", "test_tagging_export", "test_training", "test_tuned_models",
    "test_tuning", "test_tuning_data", "test_tuning_runs", "test_vaner", "test_workspace",
}  # fmt: skip
"""Modules whose tests train, tune, export or serve models."""
HANG = 1800
"""Seconds after which what a test waits for is said to hang, however busy the machine is."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that read real corpora and those that are long, before `-m` chooses among all."""
    for item in items:
        if item.path.stem in LONG:
            item.add_marker(pytest.mark.long)
        if "corpora" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.corpora)


@pytest.fixture(scope="session", autouse=True)
def _nothing_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Real corpora and what the user's cache holds are out of reach, of processes that tests start as well."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("BIOMARK_CORPORA", "XDG_CACHE_HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name)))
        yield


@pytest.fixture
def corpora(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the real corpora, in which biomark looks for them during the test."""
    if not CORPORA:
        pytest.skip("BIOMARK_CORPORA names no folder of corpora; see make test-corpora")
    monkeypatch.setenv("BIOMARK_CORPORA", str(CORPORA))
    return CORPORA


def contrast(a: str, b: str) -> float:
    """The contrast of two colours such as `#fbfaf7`, as WCAG 2 defines it: from 1 to 21."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.fixture
def recognizer() -> TermRecognizer:
    return TermRecognizer()


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit status, standard output and standard error."""

    status: int
    out: str
    err: str


class Terminal(io.StringIO):
    """A standard input that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def biomark(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Outcome]:
    """Runs `biomark ARGUMENTS` in this process; `stdin` is its standard input, None a terminal."""
    from biomark import cli

    def run(*arguments: str | Path, stdin: bytes | None = b"") -> Outcome:
        monkeypatch.setattr(sys, "argv", ["biomark", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", Terminal() if stdin is None else io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as exit:
            cli.main()
        sys.stdout.flush()
        out, err = capfdbinary.readouterr()
        return Outcome(int(exit.value.code or 0), out.decode(), err.decode())

    return run


TAGGED_TEXT = (
    "The <mark>fever</mark> of the patient < 39 degrees, and > 38.",
    "A mark on the skin; the marker BRCA1 was seen in breast cancer.",
    "### Response: no fever. 1,25-dihydroxyvitamin D3 / calcium.",
)
TRAINING_TEXT = (
    "Aspirin helped two patients with fever and cough.",
    "The TNF-α gene (and IL2) in E. coli: aspirin, 5-HT and β-blockers met.",
    "Fever returned after two days; very high doses of zileuton were given near the end.",
)


@pytest.fixture(scope="session")
def word_pieces() -> Tokenizer:
    """A small uncased tokenizer of BERT's kind: frequent words, the beginnings and ends of others, characters.

    It is the same in every run, unlike what `WordPieceTrainer` makes.
    """
    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    words = Counter(
        word for text in TRAINING_TEXT for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))
    )
    frequent = [word for word, _ in sorted(words.items(), key=lambda item: (-item[1], item[0]))]
    halves = {piece for word in frequent[40:] if len(word) > 4 for piece in (word[:3], f"##{word[-3:]}")}
    characters = sorted({c for word in words for c in word})
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = dict.fromkeys((*special, *characters, *(f"##{c}" for c in characters), *frequent[:40], *sorted(halves)))
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    return tokenizer


@pytest.fixture(scope="session")
def sentence_pieces() -> Tokenizer:
    """A small tokenizer of Llama 2's kind: words begin with a mark for the blank, bytes are the fallback."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=special, max_token_length=8, show_progress=False)
    tokenizer.train_from_iterator((word for text in TRAINING_TEXT for word in text.split()), trainer)
    return tokenizer


@pytest.fixture(scope="session")
def byte_level() -> Tokenizer:
    """A small cased tokenizer of RoBERTa's kind."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TRAINING_TEXT, trainer)
    return tokenizer


@pytest.fixture(scope="session")
def vocabularies(
    sentence_pieces: Tokenizer, byte_level: Tokenizer, word_pieces: Tokenizer
) -> dict[tuple[str, bool], Vocabulary]:
    """Vocabularies of three kinds, with tags as text and as added tokens, that can spell any answer."""
    spelling = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    spelling.normalizer, spelling.pre_tokenizer = word_pieces.normalizer, word_pieces.pre_tokenizer
    special = ["[PAD]", "[UNK]", "[SEP]"]
    spelling.train_from_iterator(TAGGED_TEXT, trainers.WordPieceTrainer(special_tokens=special, show_progress=False))
    kinds = {"sentence_pieces": sentence_pieces, "byte_level": byte_level, "word_pieces": spelling}
    return {
        (kind, added): Vocabulary(
            tokenizer, tokenizer.token_to_id("[SEP]" if kind == "word_pieces" else "</s>"), added=added
        )
        for kind, tokenizer in kinds.items()
        for added in (False, True)
    }


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory, word_pieces: Tokenizer) -> Path:
    """A random encoder of BERT's kind that reads 16 tokens at a time; to it, `cough` is the same word as `fever`."""
    import torch
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = BertModel(BertConfig(vocab_size=word_pieces.get_vocab_size(), max_position_embeddings=16, **sizes))
    with torch.no_grad():
        words = model.embeddings.word_embeddings.weight
        words *= 50  # against positions, so that words tell texts apart
        words[[word_pieces.token_to_id(token) for token in ("[CLS]", "[SEP]")]] = 0
        words[word_pieces.token_to_id("cough")] = words[word_pieces.token_to_id("fever")]
    model.save_pretrained(folder)
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    written = Tokenizer.from_str(word_pieces.to_str())
    ends = [(token, written.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    written.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    PreTrainedTokenizerFast(tokenizer_object=written, **special).save_pretrained(folder)
    return folder


def pooling(folder: Path, to: Path, **ways: object) -> Path:
    """A copy of an encoder that sentence-transformers would pool in some way."""
    shutil.copytree(folder, to)
    (to / "1_Pooling").mkdir()
    (to / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 32, **ways}), "utf-8")
    parts = [{"type": "sentence_transformers.models.Transformer"}, {"type": "sentence_transformers.models.Pooling"}]
    (to / "modules.json").write_text(json.dumps(parts), "utf-8")
    return to


@pytest.fixture(scope="session")
def exported(encoder_folder: Path) -> Exported:
    """The encoder of `encoder_folder` as ONNX."""
    import torch

    from biomark.embedding.exported import export

    torch.set_num_threads(1)
    return export(str(encoder_folder))
