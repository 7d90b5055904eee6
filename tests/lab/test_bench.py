"""The benchmarks: that every contestant runs and is counted. What they measure is not tested."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from llguidance import LLMatcher
from tokenizers import Tokenizer

import toy_gguf
from biomark import evaluation, formats
from biomark.errors import ModelError, UsageError
from biomark.generative.answering import FreeGeneration, WindowPrompt
from biomark.generative.decoding.vocabulary import Vocabulary
from biomark.generative.training.model import load_base
from biomark.lab.bench import spacy_ner
from biomark.lab.bench.engine import grammar, tokenizer_of
from biomark.lab.bench.llama import LlamaGeneration
from biomark.lab.bench.robustness import AS_IT_IS, NOTES, RobustnessRow, baselines, facts, robustness, writings
from biomark.recognizers import Annotated
from biomark.spans import Document, Entity, Passage, Span
from biomark.text.perturbation import PERTURBATIONS
from conftest import Outcome, TermRecognizer
from serving import llama

SENTENCES = "1|t|Fever and cough were seen after aspirin\n1|a|No asthma. BRCA1 and fever, twice: fever.\n"
MENTIONS = "1\t0\t5\tFever\tDisease\n1\t10\t15\tcough\tDisease\n1\t43\t49\tasthma\tDisease\n1\t61\t66\tfever\tDisease\n"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def notes(path: Path, size: int) -> list[Document]:
    """Documents of a title and a sentence with one disease each, which a file then holds."""
    documents = []
    for number in range(size):
        title, disease = f"Note {number}", ("gout", "fever", "asthma", "dry cough")[number % 4]
        text = f"{title}\nPatients with {disease} were seen."
        start = text.index(disease)
        entities = (Entity((Span(start, start + len(disease)),), "Disease"),)
        parts = (Passage(Span(0, len(title)), "title"), Passage(Span(len(title) + 1, len(text)), "abstract"))
        documents.append(Document(str(number), text, parts, entities=entities))
    formats.write(documents, path)
    return documents


def test_spacy_learns_what_it_is_given(tmp_path: Path) -> None:
    documents = notes(tmp_path / "notes.pubtator", 24)
    corpus, told = [str(tmp_path / "notes.pubtator")], []
    trained = spacy_ner.train(corpus, ["disease"], tmp_path / "ner", reject=told.append, epochs=30)
    assert told == []
    for recognizer in (trained, spacy_ner.SpacyRecognizer(tmp_path / "ner")):
        assert recognizer.types == ("disease",)
        found = [annotated.document for annotated in recognizer.annotate(documents, ["disease"])]
        assert [d.id for d in found] == [d.id for d in documents]
        assert evaluation.evaluate(documents, found).overall.strict.f1 == 1.0
        with pytest.raises(UsageError, match="unknown type 'gene'"):
            list(recognizer.annotate(documents, ["gene"]))
    with pytest.raises(UsageError, match="annotates all of disease, gene"):
        spacy_ner.train(corpus, ["disease", "gene"], tmp_path / "none", reject=told.append)
    with pytest.raises(ModelError, match="is not a spaCy pipeline"):
        spacy_ner.SpacyRecognizer(tmp_path)


def test_annotating_is_timed_and_scored_beside_others(biomark: Callable[..., Outcome], tmp_path: Path) -> None:
    notes(tmp_path / "notes.pubtator", 8)
    spacy_ner.train([str(tmp_path / "notes.pubtator")], ["disease"], tmp_path / "ner", reject=print, epochs=1)
    shown = biomark("bench", "annotate", tmp_path / "notes.pubtator", "--rounds", "1", "--spacy", tmp_path / "ner")
    assert shown.status == 0, shown
    found = json.loads(shown.out.splitlines()[-1])
    assert found["sentences"] == 16
    assert set(found["strict_f1"]) == {"biomark", "spaCy tok2vec NER"}
    assert found["strict_f1"]["biomark"] > 0.8
    assert len(found["sentences_per_second"]) == 6
    assert all(rate > 0 for rate in found["sentences_per_second"].values())


def test_decoding_counts_what_each_way_computes(biomark: Callable[..., Outcome], tmp_path: Path) -> None:
    file = tmp_path / "gold.pubtator"
    file.write_text(f"{SENTENCES}{MENTIONS}\n", "utf-8")
    shown = biomark("bench", "decoding", file, "--shape", "tiny", "--batch", "1", "--batch", "3")
    assert shown.status == 0, shown
    found = json.loads(shown.out.splitlines()[-1])
    assert found["sentences"] == 3
    assert len(found["batch 1"]) == 5
    assert len(found["batch 3"]) == 4  # prompt lookup is for single sentences
    for rows in (found["batch 1"], found["batch 3"]):
        assert all(row["sentences_per_second"] > 0 for row in rows.values())
        assert all(row["unfaithful"] == 0 for row in rows.values())  # the script is faithful
    one = found["batch 1"]
    # Token by token, a pass each; ours, one to a few.
    assert one["a generate"]["passes"] > 3 * one["d marks"]["passes"]
    assert one["e marks, drafter"]["passes"] <= one["d marks"]["passes"]
    assert one["a generate"]["tokens_of_least"] == 1


def test_training_counts_tokens_and_padding(biomark: Callable[..., Outcome], tmp_path: Path) -> None:
    file = tmp_path / "demos.json"
    gold = tmp_path / "gold.pubtator"
    one = f"{SENTENCES}{MENTIONS}\n"
    gold.write_text("".join(one.replace("1|", f"{n}|").replace("\n1\t", f"\n{n}\t") for n in range(2, 10)), "utf-8")
    assert biomark("demonstrations", gold, "-o", file, "--types", "disease").status == 0
    settings = ("--shape", "tiny", "--steps", "2", "--row-tokens", "512", "--no-checkpointing")
    shown = biomark("bench", "training", *settings, "--corpus", file)
    assert shown.status == 0, shown
    found = json.loads(shown.out.splitlines()[-1])
    assert found["demonstrations"] == 24
    for way in ("packed", "alpaca"):
        assert found[way]["steps"] == 2
        assert found[way]["tokens_per_second"] > 0
        assert 0 <= found[way]["padding"] < 1
    assert found["packed_is_faster"] > 0


def test_the_engine_accepts_what_our_grammar_accepts(
    byte_level: Tokenizer, sentence_pieces: Tokenizer, word_pieces: Tokenizer
) -> None:
    source = "Fever in two patients, fever again."
    for tokenizer in (byte_level, sentence_pieces, word_pieces):
        end = tokenizer.token_to_id("[SEP]" if tokenizer is word_pieces else "</s>")
        vocabulary = Vocabulary(tokenizer, end, added=True)
        engine = tokenizer_of(vocabulary, vocabulary.size)
        for mentions in ([], [Span(0, 5)], [Span(0, 5), Span(23, 28)]):
            matcher = LLMatcher(engine, grammar(source, vocabulary))
            assert not matcher.is_error(), matcher.get_error()
            tokens = [*vocabulary.answer(source, mentions), vocabulary.end]
            assert all(matcher.consume_token(token) for token in tokens)
            assert matcher.is_stopped()
        matcher = LLMatcher(engine, grammar(source, vocabulary))
        assert not matcher.consume_token(vocabulary.answer("patients", [])[0])


TEXTS = (
    "Aspirin-exacerbated respiratory disease and asthma.\nZileuton, not aspirin, eased TNF-α in it.",
    "The affliction is asthma.\nALOX5 and TNF-alpha were high after zileuton.",
)
CASED = {"asthma": "disease", "affliction": "disease", "aspirin": "chemical", "zileuton": "chemical", "TNF-α": "gene"}


class Cased:
    """Marks words that are written just as it knows them."""

    types: tuple[str, ...] | None = ("disease", "chemical", "gene")

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        for document in documents:
            places = [(m, type) for word, type in CASED.items() for m in re.finditer(rf"\b{word}\b", document.text)]
            found = (Entity((Span(*m.span()),), type) for m, type in places if types is None or type in types)
            yield Annotated(replace(document, entities=tuple(found)))


def cases() -> list[Document]:
    return [a.document for a in Cased().annotate([Document(str(n), text) for n, text in enumerate(TEXTS)])]


def test_texts_are_scored_in_each_writing(tmp_path: Path) -> None:
    lines: list[str] = []
    both = {"any case": TermRecognizer(), "cased": Cased()}
    rows = robustness(cases(), ["disease", "chemical"], both, notes=cases()[:1], progress=lines.append)
    assert list(rows) == ["any case", "cased"]
    assert set(rows["cased"]) == {AS_IT_IS, NOTES, *PERTURBATIONS}
    assert rows["cased"][AS_IT_IS] == rows["cased"][NOTES] == RobustnessRow(1.0, 1.0, 1.0)
    assert rows["cased"]["upper case"] == RobustnessRow(0.0, 0.0, 0.0, changed=5, found=0.0, found_before=1.0)
    capitals = rows["any case"]["upper case"]
    assert (capitals.found, capitals.found_before) == (0.8, 0.8)  # it does not know the affliction
    assert rows["cased"]["ligatures"] == RobustnessRow(1.0, 0.8, 0.8889, changed=1, found=0.0, found_before=1.0)
    shown = facts(rows, cases(), ["disease", "chemical"], seed=0)
    assert (shown["documents"], shown["mentions"]) == (2, 5)
    assert len(lines) == 2 * (2 + len(PERTURBATIONS))
    assert "cased, upper case: F1 0.000" in lines


def test_writings_depend_on_the_seed_alone() -> None:
    assert writings(cases(), 1) == writings(cases(), 1)
    assert writings(cases(), 1) != writings(cases(), 2)


def test_what_cannot_be_scored_is_told() -> None:
    with pytest.raises(UsageError, match="no document to annotate"):
        robustness([], ["disease"], {"cased": Cased()})
    with pytest.raises(UsageError, match="cased supports none of species"):
        robustness(cases(), ["species"], {"cased": Cased()})


def test_baselines_are_trained_once(biomark: Callable[..., Outcome], tmp_path: Path) -> None:
    file = tmp_path / "notes.pubtator"
    notes(file, 24)
    with pytest.raises(UsageError, match="unknown baseline 'hmm'; choose from crf, spacy"):
        baselines(["hmm"], [str(file)], ["disease"], tmp_path, reject=print)
    settings = ("--documents", "4", "--train", file, "--folder", tmp_path / "kept", "--notes", file)
    ways = ("--baselines", "crf", "--baselines", "spacy")
    first = biomark("bench", "robustness", file, *settings, *ways)
    assert first.status == 0, first
    assert "a field over 48 sentences is trained" in first.err
    found = json.loads(first.out.splitlines()[-1])
    assert list(found["strict"]) == ["default", "crf", "spacy"]
    assert found["documents"] == 4
    assert found["strict"]["crf"]["as it is"]["f1"] == 1.0
    assert "upper case" in first.out.split("{")[0]
    again = biomark("bench", "robustness", file, *settings, *ways)
    assert "is trained" not in again.err
    assert json.loads(again.out.splitlines()[-1])["strict"] == found["strict"]


@pytest.mark.slow
def test_llama_cpp_generates_the_tokens_that_transformers_generates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gguf")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "toy.gguf"
    toy_gguf.write(file)
    model, vocabulary = load_base(str(file), added=False, dtype=torch.float32, whole=True)
    windows = [WindowPrompt("no fever", "disease", tuple(vocabulary.answer(text, ()))) for text in ("fever =", "zinc")]
    with llama(file) as url:
        theirs = LlamaGeneration(url.removesuffix("/v1"), model, vocabulary)
        ours = FreeGeneration(model.eval(), vocabulary)
        for window in windows:
            assert theirs.answer([window]) == ours.answer([window])
        assert theirs.counts["tokens"] > 20
        assert theirs.counts == ours.counts


def test_a_gguf_file_is_for_a_trained_model(biomark: Callable[..., Outcome], tmp_path: Path) -> None:
    file = tmp_path / "gold.pubtator"
    file.write_text(f"{SENTENCES}{MENTIONS}\n", "utf-8")
    shown = biomark("bench", "decoding", file, "--shape", "tiny", "--gguf", "model.gguf")
    assert shown.status == 2
    assert "llama.cpp needs a trained model" in shown.err
