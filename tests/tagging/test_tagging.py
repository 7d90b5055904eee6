"""Words, windows, batches and tags: every word is read once, and tags say exactly the mentions."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE

from biomark.entity_types import canonical
from biomark.errors import UsageError
from biomark.formats import read
from biomark.spans import Document, Entity, Passage, Span, flat, whole_text
from biomark.tagging.recognizer import Batching, TaggingRecognizer
from biomark.tagging.text import (
    TAGS,
    Batch,
    Output,
    Window,
    collate,
    decode_tags,
    encode_tags,
    log_softmax,
    read_document,
    span_score,
    viterbi,
)
from biomark.tagging.words import CHARACTERS, PIECES_A_WORD, Frame, WordReader, instruction

ODD_TEXT = st.text(st.sampled_from("aBé1αİ-(/). \n\t😀ß中\u0301\u2028\x00"), max_size=60)


def copied(tokenizer: Tokenizer) -> Tokenizer:
    """A reader changes how its tokenizer splits; other tests use the same one."""
    return Tokenizer.from_str(tokenizer.to_str())


def test_words_have_exact_offsets(byte_level: Tokenizer, word_pieces: Tokenizer, sentence_pieces: Tokenizer) -> None:
    text = "TNF-α (İL2)  rose\tin 😀 cells."
    metaspace = copied(sentence_pieces)
    metaspace.normalizer = None
    metaspace.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    for tokenizer in (word_pieces, byte_level, copied(sentence_pieces), metaspace):
        (words,) = WordReader(tokenizer).words(text, [Span(0, len(text))])
        found = [text[a:b] for a, b in zip(words.starts, words.ends, strict=True)]
        assert "".join(found) == "".join(text.replace("😀", "").split())  # the view has a blank for an emoji
        assert found[:4] == ["TNF", "-", "α", "("]
        assert found[-4:] == ["rose", "in", "cells", "."]


# How language models split a text before their vocabulary does: Llama 3 with up to three digits, Qwen with single ones.
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN = LLAMA_3.replace("{1,3}", "")


@pytest.fixture(scope="module")
def splitters(byte_level: Tokenizer, sentence_pieces: Tokenizer) -> dict[str, Tokenizer]:
    """Tokenizers of language models' kinds."""
    found = {"gpt_2": copied(byte_level), "llama_2": copied(sentence_pieces)}
    for name, pattern in (("llama_3", LLAMA_3), ("qwen", QWEN)):
        found[name] = copied(byte_level)
        found[name].pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(pattern), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    found["smollm"] = copied(byte_level)
    found["smollm"].pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    found["gemma"] = copied(sentence_pieces)
    found["gemma"].normalizer = normalizers.Replace(" ", "▁")
    found["gemma"].pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    for name, scheme, split in (("mistral", "first", False), ("xlm", "always", True)):
        found[name] = copied(sentence_pieces)
        found[name].normalizer = None
        found[name].pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
    return found


SPLITTERS = ("gpt_2", "llama_2", "llama_3", "qwen", "smollm", "gemma", "mistral", "xlm")
BORDERS = st.text(
    st.sampled_from("aBé19αİ-(/).'+€_· \n\r\t\u00a0😀ß½\u0301\u0300\u2028\u2019"), min_size=1, max_size=40
)


@pytest.mark.parametrize("kind", SPLITTERS)
@given(text=BORDERS)
@settings(max_examples=80)
def test_words_are_the_same_for_all_tokenizers(
    kind: str, splitters: dict[str, Tokenizer], word_pieces: Tokenizer, text: str
) -> None:
    (expected,) = WordReader(word_pieces).words(text, [Span(0, len(text))])
    (found,) = WordReader(splitters[kind]).words(text, [Span(0, len(text))])
    assert found.starts.tolist() == expected.starts.tolist()
    assert found.ends.tolist() == expected.ends.tolist()


@pytest.mark.parametrize("kind", SPLITTERS)
def test_pieces_are_those_that_the_model_knows(kind: str, splitters: dict[str, Tokenizer]) -> None:
    """White space is single blanks, which go with the words behind them; the first word of a text has one as well."""
    tokenizer = splitters[kind]
    text = "two patients: β blockers\n\n (5 HT  and\tIL6) . 12 days 😀 of fever\r\n3 two e\u0301 patients"
    plain = "two patients: beta blockers (5 HT and IL6) . 12 days of fever 3 two e patients"
    (words,) = WordReader(tokenizer).words(text, [Span(0, len(text))])
    written = plain if kind in ("llama_2", "mistral", "xlm") else f" {plain}"  # these put a blank there themselves
    assert words.pieces.tolist() == tokenizer.encode(written, add_special_tokens=False).ids
    first = [tokenizer.id_to_token(int(words.pieces[place])) for place in words.first]
    assert not {"Ġ", "▁"}.intersection(first)


def test_a_word_in_the_middle_of_a_text_is_read_as_at_its_beginning(splitters: dict[str, Tokenizer]) -> None:
    for tokenizer in splitters.values():
        reader = WordReader(tokenizer)
        texts = ("fever", "No fever", "No\nfever", "No\t\t fever", "😀fever")
        read_ = [reader.words(text, [Span(0, len(text))])[0] for text in texts]
        assert len({tuple(words.pieces[words.first[-1] : words.last[-1]]) for words in read_}) == 1


def test_a_reader_leaves_its_tokenizer_as_it_splits(byte_level: Tokenizer) -> None:
    """It is saved beside a model, and read again by a reader that must split in the same way."""
    tokenizer = copied(byte_level)
    before = tokenizer.to_str()
    reader = WordReader(tokenizer, wording="vaner")
    text = "No fever (IL2)."
    reader.words(text, [Span(0, len(text))])
    assert tokenizer.to_str() == before
    asked = "If any Cell line entity is mentioned in the input, extract it. ##input:"
    assert list(reader.frame("cell_line").before[1:]) == tokenizer.encode(asked, add_special_tokens=False).ids


@pytest.mark.parametrize("kind", ["word_pieces", "byte_level", "sentence_pieces"])
@given(text=ODD_TEXT)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_can_be_read(kind: str, request: pytest.FixtureRequest, text: str) -> None:
    reader = WordReader(copied(request.getfixturevalue(kind)))
    read_ = read_document(Document("1", text), reader, 16)
    for words in read_.words:
        assert (words.starts < words.ends).all()
        assert (words.starts[1:] >= words.ends[:-1]).all()
        assert words.characters.shape == (len(words), CHARACTERS)
        assert all(text[a:b].strip(" \t\n") for a, b in zip(words.starts, words.ends, strict=True))
        assert all(window.length <= 16 or window.end - window.start == 1 for window in read_.windows)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(8, 40), st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=60)
def test_windows_read_every_word_once(word_pieces: Tokenizer, lengths: list[int], largest: int, share: float) -> None:
    from biomark.tagging.text import sentence_ends, windows

    text = " ".join("fever " * (n - 1) + "end." for n in lengths)
    ends = list(itertools.accumulate(len("fever " * (n - 1) + "end.") + 1 for n in lengths))
    sentences = tuple(Span(a, b - 1) for a, b in zip([0, *ends], ends, strict=False))
    document = Document("1", text, sentences=sentences)
    (words,) = WordReader(word_pieces).words(text, whole_text(document))
    ends = sentence_ends(document, Span(0, len(text)), words)
    found = list(windows(words, ends, largest, Frame((1,), (2,)), share=share, overlap=4))
    kept = [n for window in found for n in range(window.keep_start, window.keep_end)]
    assert kept == list(range(len(words)))
    assert all(window.start <= window.keep_start < window.keep_end <= window.end for window in found)
    assert max(window.length for window in found) <= max(largest, int(words.lengths.max()) + 2)
    if share == 0.0:
        starts = {w.start for w in found} - {w.start for w in found if w.keep_start != w.start}
        assert len(starts) >= len(lengths)


def test_a_word_without_end_does_not_overfill_a_window(byte_level: Tokenizer) -> None:
    text = "ACGT" * 2000 + " is a sequence."
    (words,) = WordReader(byte_level).words(text, [Span(0, len(text))])
    assert int(words.lengths.max()) <= PIECES_A_WORD
    assert int(words.ends[0]) == 8000


def test_a_batch_holds_what_its_windows_say(word_pieces: Tokenizer) -> None:
    reader = WordReader(word_pieces)
    texts = ["Aspirin helped.", "Fever and cough returned after two days."]
    windows = [w for t in texts for w in read_document(Document("1", t), reader, 64).windows]
    batch = collate(windows)
    pieces = batch.input_ids.reshape(-1)[batch.first_piece]
    expected = np.concatenate([w.words.pieces[w.words.first] for w in windows])
    assert (pieces == expected).all()
    assert (batch.attention_mask.sum(axis=1) == [w.length for w in windows]).all()
    row = batch.word_of_piece.reshape(-1)[batch.first_piece]
    assert (row == np.arange(1, len(row) + 1)).all()
    assert (batch.word_of_piece[batch.attention_mask == 0] == 0).all()
    assert len(batch.characters) == 1 + len(row)


@given(st.data())
@settings(max_examples=60)
def test_tags_and_mentions_are_each_others_inverse(word_pieces: Tokenizer, data: st.DataObject) -> None:
    text = "The TNF-α gene (and IL2) in E. coli: aspirin, 5-HT and β-blockers 😀 met."
    (words,) = WordReader(word_pieces).words(text, [Span(0, len(text))])
    cuts = sorted(data.draw(st.sets(st.integers(0, len(words)), max_size=8)))
    places = [(a, b) for a, b in itertools.pairwise(cuts) if data.draw(st.booleans())]
    entities = tuple(Entity((Span(int(words.starts[a]), int(words.ends[b - 1])),), "gene") for a, b in places)
    tags = encode_tags(entities, words)
    sure = np.where(np.eye(TAGS)[tags][:, None, :] > 0, 9.0, -9.0).astype(np.float32)
    found = decode_tags(log_softmax(sure), words, ["gene"])
    assert [(e.spans, e.type) for e in found] == [(e.spans, e.type) for e in entities]
    assert all(e.score is not None and e.score > 0.99 for e in found)


def test_a_score_is_the_least_of_begin_inside_and_not_inside_for_the_word_behind() -> None:
    probabilities = np.array([[0.05, 0.9, 0.05], [0.1, 0.1, 0.8], [0.25, 0.05, 0.7], [0.6, 0.0, 0.4]])
    with np.errstate(divide="ignore"):
        logs = np.log(probabilities).astype(np.float32)
    assert span_score(logs, 0, 1) == pytest.approx(1 - 0.8)  # the second word is most likely inside
    assert span_score(logs, 0, 2) == pytest.approx(1 - 0.7)
    assert span_score(logs, 0, 3) == pytest.approx(1 - 0.4)  # less than begin (0.9), 0.8 and 0.7
    assert span_score(logs, 0, 4) == pytest.approx(0.4)  # nothing is behind; the last inside is the least
    assert span_score(logs[:3], 0, 3) == pytest.approx(0.7)
    assert span_score(logs, 1, 2) == pytest.approx(0.1)  # its begin
    sure = np.log(np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]) + 1e-9)  # rounds to a little more than 1
    assert span_score(sure, 0, 1) == pytest.approx(1.0)
    assert span_score(sure, 0, 1) <= 1.0
    assert span_score(logs, 3, 4) == 0.0  # a begin that is impossible


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_viterbi_finds_the_best_allowed_path(length: int, seed: int) -> None:
    scores = log_softmax(np.random.default_rng(seed).normal(size=(length, 2, TAGS)).astype(np.float32))
    found = viterbi(scores)
    for row in range(2):
        allowed = (
            path
            for path in itertools.product(range(TAGS), repeat=length)
            if all(not (b == 2 and a == 0) for a, b in zip((0, *path), path, strict=False))
        )
        best = max(allowed, key=lambda path: sum(scores[w, row, tag] for w, tag in enumerate(path)))
        assert np.isclose(
            sum(scores[w, row, tag] for w, tag in enumerate(best)),
            sum(scores[w, row, tag] for w, tag in enumerate(found[:, row])),
        )
        assert all(not (b == 2 and a == 0) for a, b in zip((0, *found[:, row]), found[:, row], strict=False))


def capitals(reader: WordReader) -> TaggingRecognizer:
    """Tags words of capitals as genes, by nothing but the characters that the network would see."""

    def forward(batch: Batch) -> Output:
        own = batch.characters[1:, 1]  # each word's first character
        capital = (own >= ord("A") - 32) & (own <= ord("Z") - 32)
        logits = np.zeros((len(own), 1, TAGS), dtype=np.float32)
        logits[capital, 0, 1] = 5.0
        return Output.of_one_guideline(logits, batch)

    recognizer = TaggingRecognizer(reader, forward, ["gene"], max_pieces=16, batching=Batching(64, 2))
    recognizer.characters_at_once = 100
    return recognizer


def test_documents_come_back_in_order_and_whole(word_pieces: Tokenizer) -> None:
    recognizer = capitals(WordReader(word_pieces))
    texts = ["Egfr is " + "very " * n + "near Braf." for n in (0, 40, 3, 90, 1, 7, 0)] + ["", " ", "none here."]
    documents = [Document(str(n), text) for n, text in enumerate(texts)]
    found = list(recognizer.annotate(documents))
    assert [a.document.id for a in found] == [d.id for d in documents]
    assert [[e.mention(a.document.text) for e in a.document.entities] for a in found] == [["Egfr", "Braf"]] * 7 + [
        []
    ] * 3


def test_unsure_mentions_are_left_out(word_pieces: Tokenizer) -> None:
    recognizer = capitals(WordReader(word_pieces))
    (sure,) = recognizer.annotate([Document("1", "Egfr")])
    score = sure.document.entities[0].score or 0.0
    assert 0.9 < score < 1
    for least, count in ((score, 1), (score + 1e-4, 0), (0.0, 1)):
        (found,) = recognizer.annotate([Document("1", "Egfr")], min_score=least)
        assert len(found.document.entities) == count


def two_types(reader: WordReader) -> TaggingRecognizer:
    """Says of every `Moss` that it is a species, and a little less surely a gene; of `Mossase` the contrary."""

    def forward(batch: Batch) -> Output:
        long = batch.characters[1:, 6] > 0
        named = batch.characters[1:, 1] == ord("M") - 32
        logits = np.zeros((len(named), 2, TAGS), dtype=np.float32)
        logits[~named, :, 0] = 9.0
        for row, sure in enumerate((long, ~long)):
            logits[named, row, 1] = np.where(sure, 4.0, 2.0)[named]
        return Output.of_one_guideline(logits, batch)

    return TaggingRecognizer(reader, forward, ["gene", "species"], max_pieces=64, min_score=0.5)


def test_mentions_are_repaired_and_do_not_depend_on_what_is_asked_for(word_pieces: Tokenizer) -> None:
    recognizer = two_types(WordReader(word_pieces))
    documents = [Document("1", "Moss helps Mossase.")]
    (every,) = recognizer.annotate(documents)
    assert [(e.start, e.type) for e in every.document.entities] == [(0, "species"), (11, "gene")]
    for type in ("gene", "species"):
        (found,) = recognizer.annotate(documents, [type])
        assert found.document.entities == tuple(e for e in every.document.entities if e.type == type)
    (found,) = recognizer.annotate(documents, min_score=0.99)
    assert found.document.entities == ()


def test_text_between_passages_is_not_read(word_pieces: Tokenizer) -> None:
    document = Document("1", "Egfr\nBraf", (Passage(Span(0, 4), "title"), Passage(Span(5, 9), "abstract")))
    (found,) = capitals(WordReader(word_pieces)).annotate([document])
    assert [e.extent for e in found.document.entities] == [Span(0, 4), Span(5, 9)]
    assert found.document.passages == document.passages


def test_a_document_that_cannot_be_split_is_handed_back(word_pieces: Tokenizer) -> None:
    recognizer = capitals(WordReader(word_pieces))
    broken, fine = recognizer.annotate([Document("1", "a \ud800 surrogate"), Document("2", "Egfr")])
    assert broken.rejected[0].document_id == "1"
    assert broken.document.entities == ()
    assert len(fine.document.entities) == 1


def test_unknown_types_are_refused(word_pieces: Tokenizer) -> None:
    with pytest.raises(UsageError, match="unknown type 'mood'; choose from gene"):
        capitals(WordReader(word_pieces)).annotate([], ["mood"])


def test_frames_are_what_the_tokenizer_says(sentence_pieces: Tokenizer, byte_level: Tokenizer) -> None:
    """Llama begins a text with <s>, Qwen with nothing, BERT and RoBERTa have a token at either end."""
    llama = copied(sentence_pieces)
    begin = llama.token_to_id("<s>")
    llama.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", begin)])
    reader = WordReader(llama)
    assert reader.frame() == Frame((begin,), ())
    asked = reader.frame("gene", "bc2gm")
    assert llama.decode(list(asked.before[1:])) == instruction("gene", "bc2gm").rstrip()
    assert WordReader(Tokenizer(BPE())).frame() == Frame()
    assert WordReader(copied(byte_level)).frame() == Frame((0,), (2,))
    batch = collate([w for t in ("IL2 rose.", "No.") for w in windows_of(reader, t, asked)])
    assert (batch.input_ids[:, : len(asked)] == asked.before).all()
    assert (batch.word_of_piece[:, : len(asked)] == 0).all()
    assert (batch.word_of_piece[batch.attention_mask == 0] == 0).all()


def windows_of(reader: WordReader, text: str, frame: Frame) -> tuple[Window, ...]:
    return read_document(Document("1", text), reader, 64, [frame]).windows


def test_an_instruction_takes_its_room_from_a_window(word_pieces: Tokenizer) -> None:
    """Whatever room is left, every word is read once, and the recognizer puts the pieces together."""
    reader = WordReader(word_pieces)
    text = "fever and cough " * 30
    for pieces in (3, 12, 40, 200):
        frame = reader.frame("disease")
        read_ = read_document(Document("1", text), reader, pieces, [frame, reader.frame()])
        for asked in (frame, reader.frame()):
            kept = [n for w in read_.windows if w.frame == asked for n in range(w.keep_start, w.keep_end)]
            assert kept == list(range(len(read_.words[0])))
        assert all(w.length <= max(pieces, len(w.frame) + int(w.words.lengths.max())) for w in read_.windows)


def test_a_run_that_ends_early_does_not_compute_what_is_waiting(
    word_pieces: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []
    waiting_is_dropped = threading.Event()
    shutdown = ThreadPoolExecutor.shutdown

    def stopped(self: ThreadPoolExecutor, wait: bool = True, *, cancel_futures: bool = False) -> None:
        shutdown(self, False, cancel_futures=cancel_futures)
        waiting_is_dropped.set()
        shutdown(self, wait)

    def forward(batch: Batch) -> Output:
        computed.append(len(computed))
        if len(computed) == 1:
            raise RuntimeError("as an interrupt")
        waiting_is_dropped.wait()
        return Output.of_one_guideline(np.zeros((len(batch.characters) - 1, 1, TAGS), dtype=np.float32), batch)

    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", stopped)
    recognizer = TaggingRecognizer(WordReader(word_pieces), forward, ["gene"], max_pieces=16, batching=Batching(1))
    with pytest.raises(RuntimeError):
        list(recognizer.annotate([Document("1", "Fever helped cough . " * 200)]))
    assert len(computed) <= 2


def test_a_recognizer_asks_once_a_type(word_pieces: Tokenizer) -> None:
    """A network that marks every word which the instruction names finds each type where it is asked for it."""
    reader = WordReader(word_pieces, wording="biomark")

    def forward(batch: Batch) -> Output:
        rows = batch.first_piece // batch.input_ids.shape[1]
        said = [set(row[word == 0].tolist()) for row, word in zip(batch.input_ids, batch.word_of_piece, strict=True)]
        pieces = batch.input_ids.reshape(-1)[batch.first_piece]
        named = [int(piece) in said[row] for row, piece in zip(rows, pieces, strict=True)]
        logits = np.where(np.array(named)[:, None, None], [[0.0, 9.0, 0.0]], [[9.0, 0.0, 0.0]]).astype(np.float32)
        return Output.of_one_guideline(logits, batch)

    recognizer = TaggingRecognizer(reader, forward, ["fever"], max_pieces=90, batching=Batching(300))
    documents = [Document(str(n), "Fever helped cough . " * (n + 1)) for n in range(8)]
    for types, count in ((("fever",), 1), (("fever", "cough"), 2), ((), 0), (None, 1)):
        for n, found in enumerate(recognizer.annotate(documents, types)):
            mentions = [(e.mention(found.document.text).lower(), e.type) for e in found.document.entities]
            assert len(mentions) == count * (n + 1)
            assert all(mention == type for mention, type in mentions)


def test_words_can_hold_the_corpora(corpora: Path, word_pieces: Tokenizer) -> None:
    """Few mentions begin or end inside a word: 2 of 5,134 in NCBI's training split."""
    reader = WordReader(word_pieces)
    cut = total = 0
    for document in read(corpora / "ncbi_disease" / "train.pubtator", reject=lambda _: None):
        (words,) = reader.words(document.text, [Span(0, len(document.text))])
        for entity in flat(document.entities):
            total += 1
            cut += entity.start not in words.starts or entity.end not in words.ends
            assert canonical(entity.type) == "disease"
    assert (cut, total) == (2, 5134)
