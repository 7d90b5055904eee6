"""The recognizer that asks a causal language model: windows, order, rejects, and both ways to answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from biomark import demonstrations, models
from biomark.demonstrations import Style
from biomark.errors import ModelError, UsageError
from biomark.generative.answering import FreeGeneration, MarkDecoding, WindowPrompt, answering_of
from biomark.generative.decoding.choice import Chance, Sampling
from biomark.generative.decoding.engine import Decoder
from biomark.generative.decoding.vocabulary import Vocabulary
from biomark.generative.recognizer import GenerativeRecognizer
from biomark.marks import Aligned
from biomark.recognizers import Annotated
from biomark.spans import Document, Entity, Rejected, Span, halves

TEXT = "Fever and İ 😀 cough. The IL2 gene, again: IL2!\nFever <mark> or ### Response: not."


@pytest.fixture(scope="module")
def vocabulary(byte_level: Tokenizer) -> Vocabulary:
    return Vocabulary(byte_level, byte_level.token_to_id("</s>"), added=True)


@pytest.fixture(scope="module")
def model(vocabulary: Vocabulary) -> PreTrainedModel:
    torch.manual_seed(3)
    torch.set_num_threads(1)
    config = LlamaConfig(
        vocab_size=vocabulary.size,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=256,
        initializer_range=0.4,
    )
    return LlamaForCausalLM(config).eval()


class Finds:
    """Answers with every occurrence of some words; says so in what order it was asked."""

    def __init__(self, words: Sequence[str], *, room: int | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self.asked: list[list[WindowPrompt]] = []
        self._words = words
        self._room = room

    def longest(self) -> int | None:
        return self._room

    def answer(self, windows: Sequence[WindowPrompt]) -> list[Aligned | None]:
        self.asked.append(list(windows))
        return [self._answer(window) for window in windows]

    def _answer(self, window: WindowPrompt) -> Aligned | None:
        if "spoils" in window.text:
            raise ValueError("spoilt")
        places = [(window.text.find(word), word) for word in self._words]
        return Aligned(tuple(Entity((Span(n, n + len(w)),), window.type, score=0.5) for n, w in places if n >= 0))


def document(id: str, text: str) -> Document:
    return Document(id, text)


def found(annotated: Annotated) -> list[tuple[str, str]]:
    return [(e.type, e.mention(annotated.document.text)) for e in annotated.document.entities]


def test_each_type_is_asked_for_in_each_sentence(vocabulary: Vocabulary) -> None:
    asked = Finds(["Fever", "cough"])
    recognizer = GenerativeRecognizer(asked, vocabulary, ["disease", "problem"], batch=3)
    documents = [document("a", "Fever came. Then a cough."), document("b", ""), document("c", "Fever.")]
    out = list(recognizer.annotate(documents))
    assert [a.document.id for a in out] == ["a", "b", "c"]
    assert found(out[0]) == [("disease", "Fever"), ("problem", "Fever"), ("disease", "cough"), ("problem", "cough")]
    assert found(out[2]) == [("disease", "Fever"), ("problem", "Fever")]
    assert sum(map(len, asked.asked)) == 6
    assert max(map(len, asked.asked)) == 3
    lengths = [len(window.prompt) for batch in asked.asked for window in batch]
    assert lengths == sorted(lengths, reverse=True)


def test_entities_that_came_along_are_replaced_and_low_scores_left_out(vocabulary: Vocabulary) -> None:
    given_ = replace(document("a", "Fever."), entities=(Entity((Span(0, 5),), "gene"),))
    recognizer = GenerativeRecognizer(Finds(["Fever"]), vocabulary, None)
    (out,) = recognizer.annotate([given_], ["disease"])
    assert found(out) == [("disease", "Fever")]
    assert not next(recognizer.annotate([given_], ["disease"], min_score=0.6)).document.entities
    with pytest.raises(UsageError, match="`types=disease,chemical`"):
        recognizer.annotate([given_])


def test_what_spoils_a_batch_is_rejected_alone(vocabulary: Vocabulary) -> None:
    documents = [document("a", "Fever. This spoils it."), document("b", "Fever.")]
    a, b = GenerativeRecognizer(Finds(["Fever"]), vocabulary, ["disease"]).annotate(documents)
    assert found(a) == found(b) == [("disease", "Fever")]
    assert [(r.document_id, r.window, "spoilt" in r.reason) for r in a.rejected] == [("a", Span(7, 22), True)]
    assert not b.rejected


def test_a_long_sentence_is_asked_in_parts_and_nothing_is_cut(vocabulary: Vocabulary) -> None:
    asked = Finds(["Fever", "cough"], room=400)
    text = "Fever " + "and so on " * 40 + "cough"
    (out,) = GenerativeRecognizer(asked, vocabulary, ["disease"]).annotate([document("a", text)])
    assert found(out) == [("disease", "Fever"), ("disease", "cough")]
    parts = [window.text for batch in asked.asked for window in batch]
    assert len(parts) > 1
    assert sorted("".join(parts)) == sorted(text)


@given(text=st.text(min_size=2, max_size=40), data=st.data())
def test_halves_are_the_whole(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 2))
    span = Span(start, data.draw(st.integers(start + 2, len(text))))
    first, second = halves(text, span)
    assert (first.start, first.end, second.end) == (span.start, second.start, span.end)


class Drafts:
    """A drafter with fixed mentions, of one type."""

    types = ("disease",)

    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = spans

    def annotate(
        self, documents: Sequence[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        assert types == ["disease"]
        for each in documents:
            inside = [s for s in self._spans if s.end <= len(each.text)]
            yield Annotated(replace(each, entities=tuple(Entity((s,), "disease") for s in inside)))


@given(batch=st.integers(1, 5), spans=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=3))
@settings(max_examples=10)
def test_mark_decoding_gives_exact_offsets_whatever_the_drafter_says(
    model: PreTrainedModel, vocabulary: Vocabulary, batch: int, spans: list[tuple[int, int]]
) -> None:
    documents = [document("a", TEXT), document("b", "Cough."), document("c", TEXT.upper())]
    answering = MarkDecoding(Decoder(model, vocabulary), vocabulary)
    plain = GenerativeRecognizer(answering, vocabulary, ["disease", "gene"], style=Style("short"))
    drafter = Drafts([Span(a, a + n) for a, n in spans])
    drafted = GenerativeRecognizer(
        answering, vocabulary, ["disease", "gene"], style=Style("short"), batch=batch, drafter=drafter
    )
    expected, out = list(plain.annotate(documents)), list(drafted.annotate(documents))
    assert any(a.document.entities for a in out)
    for one, other in zip(expected, out, strict=True):
        assert not other.rejected
        assert found(one) == found(other)
        for entity in other.document.entities:
            mention = entity.mention(other.document.text)
            assert mention.strip() == mention != ""
            assert entity.score is not None
            assert 0 < entity.score <= 1


def test_an_answer_that_outgrows_the_model_is_asked_in_parts(model: PreTrainedModel, vocabulary: Vocabulary) -> None:
    text = "x" * 400  # no white space, and a random model may mark every letter
    answering = MarkDecoding(Decoder(model, vocabulary), vocabulary)
    (out,) = GenerativeRecognizer(answering, vocabulary, ["disease"], style=Style("short")).annotate(
        [document("a", text)]
    )
    assert not out.rejected
    assert answering.counts["answers"] > 1


def test_free_generation_counts_what_is_not_faithful(model: PreTrainedModel, vocabulary: Vocabulary) -> None:
    window = _window(vocabulary, "Fever and cough.")
    free = FreeGeneration(model, vocabulary)
    (answer,) = free.answer([window])
    assert answer is not None
    assert free.counts["answers"] == free.counts["unfaithful"] == 1
    assert all(0 <= e.start < e.end <= len(window.text) for e in answer.entities)


@pytest.mark.parametrize("full_prompts", [False, True])
def test_free_generation_is_the_same_in_batches_and_with_lookup(
    model: PreTrainedModel, vocabulary: Vocabulary, full_prompts: bool
) -> None:
    windows = [_window(vocabulary, text) for text in ("Fever and cough.", "IL2 again, and again IL2.", "No.")]
    said: list[list[str]] = []

    class Spy(FreeGeneration):
        def _read(self, window: WindowPrompt, tokens: list[int]) -> Aligned:
            said[-1].append(" ".join(map(str, tokens)))
            return super()._read(window, tokens)

    for lookup, batches in ((0, [windows]), (0, [[w] for w in windows]), (4, [windows])):
        said.append([])
        spy = Spy(model, vocabulary, full_prompts=full_prompts, lookup=lookup)
        for batch in batches:
            spy.answer(batch)
    shortest = [min(len(row[n]) for row in said) for n in range(len(windows))]
    for n, size in enumerate(shortest):
        assert len({row[n][:size] for row in said}) == 1


class Writes(FreeGeneration):
    """Reads a text as if the model had written it."""

    def read(self, window: WindowPrompt, answer: str, *, ended: bool = True) -> Aligned:
        return self._read(window, [*self._vocabulary.answer(answer, ()), *[self._vocabulary.end] * ended])


@pytest.fixture(scope="module")
def readable(byte_level: Tokenizer) -> Vocabulary:
    """A vocabulary whose tokens are read as what they spell."""
    tokenizer = Tokenizer.from_str(byte_level.to_str())
    tokenizer.decoder = decoders.ByteLevel()
    return Vocabulary(tokenizer, tokenizer.token_to_id("</s>"), added=True)


@pytest.mark.parametrize(
    ("shape", "answer"),
    [
        ("tanl", "[ Fever | disease ] and dry [ cough | disease ]."),
        ("dice", "Entity type is Disease. Entity is Fever [SEP] cough."),
    ],
)
def test_answers_of_other_shapes_are_read_by_the_shape(
    model: PreTrainedModel, readable: Vocabulary, shape: str, answer: str
) -> None:
    window = _window(readable, "Fever and dry cough.")
    writes = Writes(model, readable, shape=shape)
    found = writes.read(window, answer)
    assert [(e.type, e.mention(window.text)) for e in found.entities] == [("disease", "Fever"), ("disease", "cough")]
    assert not found.rejected
    assert writes.counts["unfaithful"] == 0
    cut = writes.read(window, answer[:-1], ended=False)
    assert [r.reason.startswith("the answer was cut off at") for r in cut.rejected] == [True]
    assert writes.counts["unfaithful"] == 1
    (odd,) = writes.answer([window])  # of a random model
    assert odd is not None
    assert all(0 <= e.start < e.end <= len(window.text) for e in odd.entities)


def test_the_model_is_asked_in_the_style_that_it_was_tuned_on(readable: Vocabulary) -> None:
    asked = Finds(["Fever"])
    style = Style("short", "tanl", guideline_text={"disease": "Classes too."})
    list(GenerativeRecognizer(asked, readable, ["disease", "gene"], style=style).annotate([document("a", "Fever.")]))
    prompts = {w.type: readable.text(w.prompt) for batch in asked.asked for w in batch}
    assert prompts == {
        "disease": "Bracket disease Classes too.: Fever. =",
        "gene": "Bracket gene: Fever. =",
    }


def _window(vocabulary: Vocabulary, text: str) -> WindowPrompt:
    return WindowPrompt(text, "disease", tuple(vocabulary.prompt(f"Mark disease: {text} =")))


def test_a_prompt_that_leaves_no_room_is_told(model: PreTrainedModel, vocabulary: Vocabulary) -> None:
    free = FreeGeneration(model, vocabulary)
    assert free.answer([_window(vocabulary, "x " * 300)]) == [None]
    recognizer = GenerativeRecognizer(Finds([], room=30), vocabulary, ["disease"])  # less than the instruction has
    (out,) = recognizer.annotate([document("a", "Fever.")])
    assert out.document.text == "Fever."


def test_errors_of_the_model_are_rejects(vocabulary: Vocabulary) -> None:
    class Fails(Finds):
        def answer(self, windows: Sequence[WindowPrompt]) -> list[Aligned | None]:
            raise ModelError("not finite")

    (out,) = GenerativeRecognizer(Fails([]), vocabulary, ["disease"]).annotate([document("a", "Fever.")])
    assert [r.reason for r in out.rejected] == ["disease: no answer: not finite"]
    assert isinstance(out.rejected[0], Rejected)


def test_asking_a_tagging_model_like_a_generative_one_is_refused() -> None:
    with pytest.raises(UsageError, match="generative"):
        models.load("default", models.Asking(drafter="default"))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"decoding": "marcs"}, "unknown `decoding` 'marcs'; choose from marks, generate"),
        ({"decoding": ""}, "unknown `decoding` ''; choose from marks, generate"),
        ({"batch": 0}, "`batch` must be at least 1 window, got 0"),
    ],
)
def test_odd_settings_of_asking_are_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        models.Asking(**values)


# Several answers

SHORT = Style("short")
NOTES = ["Fever and cough again.", "The IL2 gene, again: IL2!"]


def votes(
    answering: MarkDecoding | FreeGeneration, vocabulary: Vocabulary, **settings: object
) -> list[tuple[Entity, ...]]:
    recognizer = GenerativeRecognizer(answering, vocabulary, ["disease"], style=SHORT, **settings)  # type: ignore[arg-type]
    found = list(recognizer.annotate([Document(str(n), text) for n, text in enumerate(NOTES)]))
    return [annotated.document.entities for annotated in found]


def test_a_mention_has_the_share_of_the_drawn_answers_that_have_it(
    vocabulary: Vocabulary, model: PreTrainedModel
) -> None:
    sampling = Sampling(4, 1.0, seed=3)
    decoder = Decoder(model, vocabulary)
    answering = MarkDecoding(decoder, vocabulary, sampling=sampling)
    found = votes(answering, vocabulary)
    assert answering.counts["answers"] == 4 * len(NOTES)
    single = MarkDecoding(decoder, vocabulary)
    for text, entities in zip(NOTES, found, strict=True):
        prompt = tuple(
            vocabulary.prompt(demonstrations.prompt(demonstrations.instruction("disease", SHORT), text, form="short"))
        )
        window = WindowPrompt(text, "disease", prompt)
        (answers,) = single.drawn([window], [sampling.chances(text, "disease")])
        counts = Counter(entity.spans for answer in answers if answer for entity in answer.entities)
        assert {entity.spans: entity.score for entity in entities} == {
            spans: count / 4 for spans, count in counts.items()
        }
    scores = {entity.score for entities in found for entity in entities}
    assert {0.25, 0.5} & scores  # not all answers are the same
    assert votes(answering, vocabulary) == found
    assert votes(MarkDecoding(decoder, vocabulary, sampling=Sampling(4, 1.0, seed=4)), vocabulary) != found
    for batch in (1, 2):
        assert votes(answering, vocabulary, batch=batch) == found
    kept = votes(answering, vocabulary, sure=0.5)
    assert kept == [tuple(e for e in entities if e.score and e.score >= 0.5) for entities in found]


def test_free_answers_are_drawn_by_their_window_and_the_seed(vocabulary: Vocabulary, model: PreTrainedModel) -> None:
    sampling = Sampling(3, 1.0, seed=3)
    state = torch.random.get_rng_state()
    answering = FreeGeneration(model, vocabulary, sampling=sampling)
    windows = [WindowPrompt(text, "disease", tuple(vocabulary.prompt(text))) for text in NOTES]
    found = answering.answer(windows)
    assert answering.counts["answers"] == 6
    assert found == answering.answer(windows)
    assert found[1:] == answering.answer(windows[1:])
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(e.score in (1 / 3, 2 / 3, 1) for answer in found if answer for e in answer.entities)


@pytest.mark.parametrize(("samples", "temperature"), [(1, 1.0), (2, 0.0), (2, -1.0), (2, float("nan")), (0, 1.0)])
def test_several_answers_need_a_temperature(samples: int, temperature: float) -> None:
    with pytest.raises(UsageError, match="`temperature` above 0"):
        Sampling(samples, temperature)


def test_each_draw_has_a_chance_of_its_own() -> None:
    keys = {
        chance.key
        for seed in (0, 1)
        for text in ("a", "b")
        for type in ("x", "y")
        for chance in Sampling(3, 1.0, seed).chances(text, type)
    }
    assert len(keys) == 24
    assert Chance.of(1.0, 1, "\ud800").noise(2, 3).shape == (3,)


@pytest.mark.parametrize("shape", ["mark", "tanl", "dice"])
def test_several_answers_of_a_tuned_model_have_its_shape(
    vocabulary: Vocabulary, model: PreTrainedModel, shape: str
) -> None:
    answering = answering_of(model, vocabulary, Style("short", shape), sampling=Sampling(3, 1.0, seed=3))
    windows = [WindowPrompt(text, "disease", tuple(vocabulary.prompt(text))) for text in NOTES]
    found = answering.answer(windows)
    assert isinstance(answering, MarkDecoding) == (shape == "mark")
    assert answering.counts["answers"] == 6
    assert all(e.score in (1 / 3, 2 / 3, 1) for answer in found if answer for e in answer.entities)
    assert found == answering.answer(windows)
