"""Draft and verify against the plain loop of constrained greedy steps, for models of several kinds, and limits."""

from __future__ import annotations

import logging
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from decoding_cases import KINDS, in_batches, network, question, same, sentence, some_questions

from biomark import marks
from biomark.errors import ModelError
from biomark.spans import Span

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from biomark.generative.decoding.choice import Chance, choose  # noqa: E402
from biomark.generative.decoding.engine import Decoder, greedy  # noqa: E402

torch.set_num_threads(1)  # networks this small only wait for each other's threads


@pytest.fixture
def vocabulary(vocabularies):
    return vocabularies["byte_level", False]


# Exactness: for each kind of tokenizer 2 × (50 + 80) sentences, 16 at a time. Some of them are asked one by one
# as well; in the slow tests there are 2 × (50 + 200) sentences, all of which are asked one by one.


WILD = ("LlamaForCausalLM", "Qwen3ForCausalLM", "BertLMHead")


@pytest.mark.parametrize("alone", [10, pytest.param(50, marks=pytest.mark.slow)])
@pytest.mark.parametrize("added", [False, True], ids=["text", "added"])
@pytest.mark.parametrize("kind", KINDS)
def test_random_models_that_mark_everywhere(vocabularies, kind, added, alone):
    vocabulary = vocabularies[kind, added]
    seed = KINDS.index(kind) * 2 + added
    model = network(WILD[seed % 3], vocabulary, seed=seed)
    questions = some_questions(vocabulary, 50, longest=2, seed=seed)
    expected = [greedy(model, q) for q in questions]
    decoder = Decoder(model, vocabulary)
    same(in_batches(decoder, questions, 16), expected)
    same(in_batches(decoder, questions[:alone], 1), expected[:alone])
    assert sum(len(answer.marks) for answer in expected) > 0


@pytest.mark.parametrize(("count", "alone"), [(80, 15), pytest.param(200, 200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("added", [False, True], ids=["text", "added"])
@pytest.mark.parametrize("kind", KINDS)
def test_models_that_mark_rarely(vocabularies, kind, added, count, alone):
    vocabulary = vocabularies[kind, added]
    seed = KINDS.index(kind) * 2 + added
    model = network(
        WILD[(seed + 1) % 3], vocabulary, seed=seed, rare=1.5 if added else 3.0, num_hidden_layers=1 + added
    )
    full = seed % 2 == 0
    questions = some_questions(vocabulary, count, longest=6, seed=seed + 100)
    expected = [greedy(model, q, full_prompts=full) for q in questions]
    decoder = Decoder(model, vocabulary, full_prompts=full)
    found = in_batches(decoder, questions, 16)
    same(found, expected)
    same(in_batches(decoder, questions[:alone], 1), expected[:alone])
    assert sum(a.passes for a in found) < sum(a.passes for a in expected) / 2
    assert sum(len(a.marks) for a in found) > 0


def test_equally_likely_tokens_the_lowest_id_wins(vocabulary):
    model = network("LlamaForCausalLM", vocabulary)
    model.get_output_embeddings().weight.data.zero_()
    questions = some_questions(vocabulary, 8, longest=2, seed=1)
    found = Decoder(model, vocabulary).answer(questions)
    same(found, [greedy(model, q) for q in questions])
    for q, answer in zip(questions, found, strict=True):
        state = q.grammar.start
        for token, probability in zip(answer.tokens, answer.probabilities, strict=True):
            allowed = q.grammar.allowed(state)
            assert token == allowed[0]
            assert probability == pytest.approx(1 / len(allowed))
            state = q.grammar.advance(state, token)


@pytest.mark.parametrize("stretch", [0, 1, 2, 1000])
def test_how_far_drafts_are_verified_changes_nothing(vocabulary, stretch):
    model = network("LlamaForCausalLM", vocabulary, rare=1.0)
    questions = some_questions(vocabulary, 12, longest=8, seed=2)
    same(Decoder(model, vocabulary, stretch=stretch).answer(questions), [greedy(model, q) for q in questions])


def test_drawn_answers_are_the_same_however_they_are_drafted_and_batched(vocabulary):
    model = network("LlamaForCausalLM", vocabulary, rare=1.0)
    drawn = [
        replace(q, chance=Chance.of(temperature, 7, n) if temperature else None)
        for n, q in enumerate(some_questions(vocabulary, 12, longest=6, seed=3))
        for temperature in (0.0, 0.5, 2.0)
    ]
    expected = [greedy(model, q) for q in drawn]
    for stretch in (0, 1, None):
        same(Decoder(model, vocabulary, stretch=stretch).answer(drawn), expected)
    decoder = Decoder(model, vocabulary)
    same(in_batches(decoder, drawn, 1), expected)
    same(decoder.answer([replace(q, draft=()) for q in drawn]), expected)
    likeliest = [greedy(model, replace(q, chance=None)) for q in drawn]
    assert sum(a.tokens != b.tokens for a, b in zip(expected, likeliest, strict=True)) > 6


def test_tokens_are_drawn_as_often_as_they_are_likely():
    logits, ids = np.array([0.0, 1.0, 2.0, -1.0, 0.0]), np.array([4, 7, 9, 1, 2])
    sizes, owners = np.array([3, 2]), np.array([0, 0, 0, 1, 1])
    drawn = Counter()
    for n in range(4000):
        chance = Chance.of(0.5, n)
        noise = np.concatenate([chance.noise(0, 3), chance.noise(1, 2)])
        found = choose(logits, ids, sizes, owners, noise)
        drawn.update(enumerate(found.tokens))
        shares = np.exp(logits[:3]) / np.exp(logits[:3]).sum()
        assert found.probabilities[0] == pytest.approx(dict(zip((4, 7, 9), shares, strict=True))[found.tokens[0]])
    colder = np.exp(logits / 0.5)
    for place, row in ((0, slice(0, 3)), (1, slice(3, 5))):
        for id, share in zip(ids[row], colder[row] / colder[row].sum(), strict=True):
            assert drawn[place, int(id)] / 4000 == pytest.approx(share, abs=0.03)
    assert choose(logits, ids, sizes, owners).tokens == [9, 2]


ARCHITECTURES = {
    "Qwen2ForCausalLM": {},
    "MistralForCausalLM": {"sliding_window": None},
    "GPT2LMHead": {},
    "Gemma2ForCausalLM": {"head_dim": 8, "final_logit_softcapping": 3.0, "attn_implementation": "eager"},
    "GraniteForCausalLM": {"logits_scaling": 7.0},
    "CohereForCausalLM": {"logit_scale": 0.3},
    "LlamaForCausalLM": {"attn_implementation": "eager", "tie_word_embeddings": True},
    "Phi3ForCausalLM": {},
}


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_architectures(vocabulary, kind, caplog):
    settings = dict(ARCHITECTURES[kind])
    attention = settings.pop("attn_implementation", "sdpa")
    model = network(kind, vocabulary, **settings)
    model.set_attn_implementation(attention)
    questions = some_questions(vocabulary, 8, longest=2, seed=3)
    with caplog.at_level(logging.WARNING):
        decoder = Decoder(model, vocabulary)
    assert "not a single matrix" not in caplog.text
    same(decoder.answer(questions), [greedy(model, q) for q in questions])


def test_a_head_that_is_more_than_a_matrix(vocabulary, caplog):
    model = network("LlamaForCausalLM", vocabulary)
    torch.manual_seed(5)
    change = torch.randn(32, vocabulary.size, dtype=torch.float64)
    model.lm_head.register_forward_hook(lambda _, args, logits: logits + torch.tanh(args[0]) @ change)
    questions = some_questions(vocabulary, 8, longest=2, seed=4)
    with caplog.at_level(logging.WARNING):
        decoder = Decoder(model, vocabulary)
    assert "not a single matrix" in caplog.text
    same(decoder.answer(questions), [greedy(model, q) for q in questions])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_precisions_give_faithful_answers(vocabulary, dtype):
    model = network("LlamaForCausalLM", vocabulary).to(dtype)
    questions = some_questions(vocabulary, 16, longest=4, seed=5)
    for q, answer in zip(questions, Decoder(model, vocabulary).answer(questions), strict=True):
        assert q.grammar.accepts(answer.tokens)


# Marks


def test_marks_are_what_the_answers_text_says(vocabulary):
    model = network("LlamaForCausalLM", vocabulary, seed=9)
    questions = some_questions(vocabulary, 40, longest=4, seed=6)
    marked = 0
    for q, answer in zip(questions, Decoder(model, vocabulary).answer(questions), strict=True):
        symbols = "".join(vocabulary.symbols[token] for token in answer.tokens[:-1])
        found = marks.decode(symbols.encode("latin-1").decode(), q.grammar.source, "")
        assert [entity.extent for entity in found] == [mark.span for mark in answer.marks]
        marked += len(found)
    assert marked > 20


# Limits


def test_answers_without_room_are_none(vocabulary):
    model = network("LlamaForCausalLM", vocabulary, max_position_embeddings=64)
    decoder = Decoder(model, vocabulary)
    assert decoder.longest == 64
    questions = some_questions(vocabulary, 24, longest=4, seed=8)
    expected = [greedy(model, q, longest=64) for q in questions]
    same(in_batches(decoder, questions, 8), expected)
    assert 0 < expected.count(None) < 24
    assert max(len(q.prompt) + len(a.tokens) for q, a in zip(questions, expected, strict=True) if a) > 48


def test_the_room_of_models(vocabulary):
    mistral = network("MistralForCausalLM", vocabulary, sliding_window=100)
    assert Decoder(mistral, vocabulary).longest == 100
    qwen = network("Qwen2ForCausalLM", vocabulary, use_sliding_window=True, sliding_window=50, max_window_layers=1)
    assert Decoder(qwen, vocabulary).longest == 50
    assert Decoder(network("Qwen2ForCausalLM", vocabulary), vocabulary).longest == 2048
    assert Decoder(network("BertLMHead", vocabulary), vocabulary).longest == 2048


def test_models_that_do_not_fit_are_refused(vocabulary, vocabularies):
    model = network("LlamaForCausalLM", vocabulary)
    model.config._attn_implementation = "flash_attention_2"
    with pytest.raises(ModelError, match="sdpa"):
        Decoder(model, vocabulary)
    model = network("LlamaForCausalLM", vocabulary)
    model.config.layer_types = ["full_attention", "linear_attention"]
    with pytest.raises(ModelError, match="linear_attention"):
        Decoder(model, vocabulary)
    with pytest.raises(ModelError, match="tokens"):
        Decoder(network("LlamaForCausalLM", vocabulary), vocabularies["sentence_pieces", False])
    config = transformers.BloomConfig(vocab_size=vocabulary.size, hidden_size=32, n_layer=2, n_head=4)
    with pytest.raises(ModelError, match="drafts"):
        Decoder(transformers.BloomForCausalLM(config).double(), vocabulary)


def test_numbers_that_are_not_finite_are_an_error(vocabulary):
    model = network("LlamaForCausalLM", vocabulary)
    decoder = Decoder(model, vocabulary)
    model.lm_head.weight.data.fill_(float("nan"))
    with pytest.raises(ModelError, match="finite"):
        decoder.answer(some_questions(vocabulary, 3, longest=3, seed=9))


def test_a_batch_of_nothing(vocabulary):
    assert Decoder(network("LlamaForCausalLM", vocabulary), vocabulary).answer([]) == []


# Long ones


@pytest.mark.parametrize("tokens", [600, pytest.param(2000, marks=pytest.mark.slow)])
def test_long_texts(vocabulary, tokens):
    model = network("LlamaForCausalLM", vocabulary, rare=4.0, max_position_embeddings=8192)
    chance = random.Random(tokens)
    source = ""
    while len(vocabulary.answer(source, ())) < tokens:
        source = f"{source} {sentence(chance, 9)}".strip()
    questions = [question(vocabulary, source, draft=[Span(3, 9)]), question(vocabulary, "fever")]
    expected = [greedy(model, q) for q in questions]
    same(Decoder(model, vocabulary).answer(questions), expected)
    assert len(expected[0].tokens) > tokens
