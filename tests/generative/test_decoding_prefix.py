"""What prompts share is computed once: instructions, beginnings, rows of a batch."""

from __future__ import annotations

import itertools
import random

import pytest
from decoding_cases import network, question, same, sentence
from hypothesis import given
from hypothesis import strategies as st

from biomark.generative.decoding.prefix import longest_of, worth_keeping

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from biomark.generative.decoding.engine import Decoder, greedy, groups  # noqa: E402

torch.set_num_threads(1)  # networks this small only wait for each other's threads


@pytest.fixture
def vocabulary(vocabularies):
    return vocabularies["byte_level", False]


def test_instructions_are_computed_once(vocabulary):
    model = network("LlamaForCausalLM", vocabulary, rare=1.0)
    decoder = Decoder(model, vocabulary)
    chance = random.Random(7)
    instructions = [f"Mark every mention of a {name}, and leave out all the rest: " for name in ("gene", "disease")]
    sizes = [len(vocabulary.prompt(instruction)) for instruction in instructions]

    def batch(count):
        sources = [f"{n} {sentence(chance, 5)}" for n in range(count)]
        return [question(vocabulary, s, instructions[n % 2]) for n, s in enumerate(sources)]

    first = batch(16)
    expected = [greedy(model, q) for q in first]
    found = decoder.answer(first)
    same(found, expected)
    shared = decoder.shared
    assert sum(sizes) * 0.8 < shared < sum(sizes) * 1.6  # both, and perhaps what both begin with
    spared = sum(16 / 2 * 0.8 * size for size in sizes)
    assert (
        sum(a.computed for a in found)
        < sum(len(q.prompt) + 3 * len(a.tokens) for q, a in zip(first, found, strict=True)) - spared
    )
    second = batch(6)
    same(decoder.answer(second), [greedy(model, q) for q in second])
    for q in batch(4):
        same(decoder.answer([q]), [greedy(model, q)])
    assert decoder.shared == shared


def test_sentences_asked_one_by_one_share_their_instruction(vocabulary):
    model = network("LlamaForCausalLM", vocabulary, rare=3.0)
    decoder = Decoder(model, vocabulary)
    instruction = "Mark every mention of a disease in the sentence, and leave out all the rest of it: "
    questions = [question(vocabulary, source, instruction) for source in ("no fever", "dry cough", "asthma of mice")]
    for q in questions:
        same(decoder.answer([q]), [greedy(model, q)])
    assert decoder.shared >= len(vocabulary.prompt(instruction)) - 2
    assert decoder.answer([questions[2]])[0].computed < len(questions[2].prompt)


def test_many_instructions_do_not_pile_up(vocabulary):
    model = network("LlamaForCausalLM", vocabulary, rare=3.0)
    decoder = Decoder(model, vocabulary)
    usual = [
        question(vocabulary, source, "This instruction is used again and again, all the time: ")
        for source in ("fever", "a cough", "mice")
    ]
    decoder.answer(usual)
    for number in range(12):
        before = decoder.shared
        same(decoder.answer(usual), [greedy(model, q) for q in usual])
        assert decoder.shared == before
        instruction = f"{number} is the number of this instruction, which is long enough to be kept: "
        questions = [question(vocabulary, source, instruction) for source in ("fever", "a cough", "x", "mice")]
        same(decoder.answer(questions), [greedy(model, q) for q in questions])
    assert decoder.shared > 12 * 20
    assert len(decoder._kept) <= 8


ids = st.lists(st.integers(0, 2), min_size=1, max_size=8).map(tuple)


@given(prompts=st.lists(ids, max_size=8), kept=st.lists(ids, max_size=3), least=st.integers(1, 9))
def test_beginnings_are_shared_and_worth_it(prompts, kept, least):
    for found in worth_keeping(prompts, kept, least=least):
        users = [p for p in prompts if longest_of(p, [found])]
        assert len(users) > 1
        base = max((len(k) for k in kept if found[: len(k)] == k), default=0)
        assert (len(users) - 1) * (len(found) - base) >= least


def test_beginnings_of_two_instructions():
    genes, diseases = (1, 2, 3, 4, 5, 6), (1, 2, 7, 8, 9, 10)
    prompts = [(*start, n, n) for start in (genes, diseases) for n in range(20, 24)]
    assert sorted(worth_keeping(prompts, [], least=12)) == [(1, 2), genes, diseases]
    assert worth_keeping(prompts, [(1, 2), genes], least=12) == [diseases]
    assert worth_keeping(prompts, [(1, 2), genes, diseases], least=1) == []
    assert longest_of(prompts[0], [(1, 2), genes, diseases]) == genes
    assert longest_of(genes, [(1, 2), genes]) == (1, 2)
    assert longest_of((5, 5), [(1, 2)]) == ()


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=7), cost=st.integers(0, 20))
def test_rows_are_grouped_at_the_least_cost(sizes, cost):
    sizes = sorted(sizes, reverse=True)

    def total(parts):
        return sum(cost + sizes[a] * (b - a) for a, b in parts)

    found = groups(sizes, cost)
    assert list(itertools.chain.from_iterable(range(a, b) for a, b in found)) == list(range(len(sizes)))
    for count in range(len(sizes)):
        for cuts in itertools.combinations(range(1, len(sizes)), count):
            assert total(found) <= total(itertools.pairwise((0, *cuts, len(sizes))))
