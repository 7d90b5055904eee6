"""Draft and verify against the plain loop of constrained greedy steps, for models of several kinds."""

from __future__ import annotations

import itertools
import logging
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomark import marks
from biomark.errors import ModelError
from biomark.generative.decoding.grammar import Grammar
from biomark.generative.decoding.prefix import longest_of, worth_keeping
from biomark.generative.decoding.vocabulary import Vocabulary
from biomark.spans import Span

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from biomark.generative.decoding.choice import Chance, choose  # noqa: E402
from biomark.generative.decoding.engine import DecodedAnswer, Decoder, Question, greedy, groups  # noqa: E402
from biomark.generative.training import packing  # noqa: E402

torch.set_num_threads(1)  # networks this small only wait for each other's threads

KINDS = ("sentence_pieces", "byte_level", "word_pieces")
WORDS = (
    *(
        "fever",
        "the",
        "aspirin",
        "patient",
        "BRCA1",
        "of",
        "a",
        "marker",
        "İstanbul",
        "😀",
        "e\u0301tude",
        "\t",
        "漢字",
    ),
    *("<mark>", "</mark>", "<", "### Response:", "fever fever", "TNF-α", "(x)", "1,25-D3", "39", "</s>", "mark"),
)
INSTRUCTIONS = ("Mark all diseases in the sentence, and nothing else: ", "Mark genes: ", "")


@pytest.fixture
def vocabulary(vocabularies):
    return vocabularies["byte_level", False]


SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 2048,
    "initializer_range": 0.4,  # so that a random model has opinions
    "pad_token_id": None,
}


def network(kind: str, vocabulary: Vocabulary, *, seed: int = 0, rare: float | None = None, **settings: object):
    """A random model in double precision.

    With `rare`, its head prefers long tokens to short ones, and to tags by as much as `rare` more, so
    that drafts hold for long; without, tags are everywhere.
    """
    torch.manual_seed(seed)
    if kind == "BertLMHead":
        config = transformers.BertConfig(
            vocab_size=vocabulary.size, is_decoder=True, **{**SMALL, "pad_token_id": 0, **settings}
        )
        model = transformers.BertLMHeadModel(config)
    elif kind == "GPT2LMHead":
        config = transformers.GPT2Config(
            vocab_size=vocabulary.size, n_embd=32, n_layer=2, n_head=4, n_positions=2048, initializer_range=0.4
        )
        model = transformers.GPT2LMHeadModel(config)
    else:
        base = kind.removesuffix("ForCausalLM")
        config = getattr(transformers, f"{base}Config")(vocab_size=vocabulary.size, **{**SMALL, **settings})
        model = getattr(transformers, f"{base}ForCausalLM")(config)
    if rare is not None:
        old = model.get_output_embeddings()
        head = torch.nn.Linear(32, vocabulary.size)
        torch.nn.init.normal_(head.weight, std=0.2)
        head.bias.data = torch.tensor([bonus(vocabulary, id, rare) for id in range(vocabulary.size)])
        model.set_output_embeddings(head)
        assert model.get_output_embeddings() is not old
    return model.double().eval()


def bonus(vocabulary: Vocabulary, id: int, rare: float) -> float:
    """Long tokens, and of two that spell the same not the byte: what a tokenizer would take."""
    symbols = vocabulary.symbols[id] or ""
    usual = vocabulary.tokens.get(symbols, (id,))[-1] == id
    begins_tag = symbols.startswith(tuple(sign[0] for sign in vocabulary.signs))
    return 2.0 * len(symbols) + 4.0 * usual - (rare if begins_tag else 0.0)


def sentence(chance: random.Random, longest: int) -> str:
    words = [chance.choice(WORDS) for _ in range(chance.randint(1, longest))]
    return chance.choice((" ", " ", " ", "")).join(words).strip() or "x"


def random_draft(chance: random.Random, source: str) -> tuple[Span, ...]:
    """Nothing, or any spans that are apart."""
    cuts = sorted(chance.sample(range(len(source) + 1), k=min(len(source) + 1, 2 * chance.choice((0, 1, 3)))))
    return tuple(Span(a, b) for a, b in zip(cuts[::2], cuts[1::2], strict=False))


def question(vocabulary: Vocabulary, source: str, instruction: str = "", draft: Sequence[Span] = ()) -> Question:
    prompt = vocabulary.prompt(f"{instruction}{source}\n### Response:")
    return Question(tuple(prompt), Grammar(source, vocabulary), tuple(draft))


def some_questions(vocabulary: Vocabulary, count: int, *, longest: int, seed: int) -> list[Question]:
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        source = sentence(chance, longest)
        found.append(question(vocabulary, source, chance.choice(INSTRUCTIONS), random_draft(chance, source)))
    return found


def same(found: Sequence[DecodedAnswer | None], expected: Sequence[DecodedAnswer | None]) -> None:
    assert len(found) == len(expected)
    for ours, plain in zip(found, expected, strict=True):
        assert (ours is None) == (plain is None)
        if ours is None or plain is None:
            continue
        assert ours.tokens == plain.tokens
        assert ours.marks == plain.marks
        assert ours.probabilities == pytest.approx(plain.probabilities, abs=1e-9)
        assert all(0 <= probability <= 1 for probability in ours.probabilities)
        assert 0 <= ours.passes <= plain.passes
        assert len(ours.probabilities) == len(ours.tokens)


def in_batches(decoder: Decoder, questions: Sequence[Question], size: int) -> list[DecodedAnswer | None]:
    return [
        answer for first in range(0, len(questions), size) for answer in decoder.answer(questions[first : first + size])
    ]


# Exactness: for each kind of tokenizer 2 × (50 + 200) sentences, 16 at a time. Some of them are asked one by one
# as well, and all of them in the slow tests.

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


@pytest.mark.parametrize("alone", [20, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("added", [False, True], ids=["text", "added"])
@pytest.mark.parametrize("kind", KINDS)
def test_models_that_mark_rarely(vocabularies, kind, added, alone):
    vocabulary = vocabularies[kind, added]
    seed = KINDS.index(kind) * 2 + added
    model = network(
        WILD[(seed + 1) % 3], vocabulary, seed=seed, rare=1.5 if added else 3.0, num_hidden_layers=1 + added
    )
    full = seed % 2 == 0
    questions = some_questions(vocabulary, 200, longest=6, seed=seed + 100)
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
    assert "more than a matrix" not in caplog.text
    same(decoder.answer(questions), [greedy(model, q) for q in questions])


def test_a_head_that_is_more_than_a_matrix(vocabulary, caplog):
    model = network("LlamaForCausalLM", vocabulary)
    torch.manual_seed(5)
    change = torch.randn(32, vocabulary.size, dtype=torch.float64)
    model.lm_head.register_forward_hook(lambda _, args, logits: logits + torch.tanh(args[0]) @ change)
    questions = some_questions(vocabulary, 8, longest=2, seed=4)
    with caplog.at_level(logging.WARNING):
        decoder = Decoder(model, vocabulary)
    assert "more than a matrix" in caplog.text
    same(decoder.answer(questions), [greedy(model, q) for q in questions])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_precisions_give_faithful_answers(vocabulary, dtype):
    model = network("LlamaForCausalLM", vocabulary).to(dtype)
    questions = some_questions(vocabulary, 16, longest=4, seed=5)
    for q, answer in zip(questions, Decoder(model, vocabulary).answer(questions), strict=True):
        assert q.grammar.accepts(answer.tokens)


# A model that was taught


LESSONS = (
    ("Two patients had fever and a dry cough.", ((17, 22), (29, 38))),
    ("The fever of mice, and fever in men.", ((4, 9), (23, 28))),
    ("Nothing was seen after aspirin.", ()),
    ("Marfan syndrome is rare: 3 < 5.", ((0, 15),)),
    ("BRCA1 carriers and TNF-α levels", ()),
    ("fever", ((0, 5),)),
)


def lessons(vocabulary: Vocabulary) -> list[Question]:
    return [
        question(vocabulary, source, INSTRUCTIONS[0], [Span(*place) for place in places]) for source, places in LESSONS
    ]


@pytest.fixture(scope="module")
def taught(vocabularies):
    """A model that marks the diseases of `LESSONS` as it should, and its vocabulary."""
    vocabulary = vocabularies["byte_level", False]
    torch.manual_seed(1)
    config = transformers.LlamaConfig(
        vocab_size=vocabulary.size, **{**SMALL, "hidden_size": 64, "intermediate_size": 128, "initializer_range": 0.05}
    )
    model = transformers.LlamaForCausalLM(config).double()
    examples = [
        packing.TokenisedDemonstration(
            (*q.prompt, *vocabulary.answer(q.grammar.source, q.draft), vocabulary.end), len(q.prompt)
        )
        for q in lessons(vocabulary)
    ]
    batch = packing.collate([[example] for example in examples], vocabulary.end)
    labels = batch.pop("labels")
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(model(**batch, use_cache=False).logits.flatten(0, 1), labels.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.05
    return model, vocabulary


def test_a_taught_model_marks_what_it_was_taught(taught):
    model, vocabulary = taught
    decoder = Decoder(model, vocabulary)
    questions = lessons(vocabulary)
    found = decoder.answer(questions)
    same(found, [greedy(model, q) for q in questions])
    for (source, places), answer in zip(LESSONS, found, strict=True):
        assert [(mark.span.start, mark.span.end) for mark in answer.marks] == list(places), source


def test_an_answer_whose_draft_holds_takes_one_pass(taught):
    model, vocabulary = taught
    for q in lessons(vocabulary):
        decoder = Decoder(model, vocabulary)
        answer = decoder.answer([q])[0]
        assert answer.passes == 1
        # The last token that is read is the one before the last choice.
        state, choices = q.grammar.start, []
        for number, token in enumerate(answer.tokens):
            choices += [number] if len(q.grammar.allowed(state)) > 1 else []
            state = q.grammar.advance(state, token)
        assert answer.computed == len(q.prompt) + choices[-1]
        assert decoder.shared == 0


def test_drafts_change_the_work_and_not_the_answer(taught):
    model, vocabulary = taught
    decoder = Decoder(model, vocabulary)
    drafted = lessons(vocabulary)
    copied = [Question(q.prompt, q.grammar) for q in drafted]
    good, plain = decoder.answer(drafted), decoder.answer(copied)
    assert [a.tokens for a in good] == [a.tokens for a in plain]
    assert sum(a.passes for a in good) < sum(a.passes for a in plain)
    assert sum(a.computed for a in good) < sum(a.computed for a in plain)


def test_what_is_verified_grows_as_long_as_drafts_hold(taught):
    model, vocabulary = taught
    q = lessons(vocabulary)[2]  # without any disease
    wrong = Question(q.prompt, q.grammar, (Span(0, 7),))
    answer = Decoder(model, vocabulary, stretch=1).answer([wrong])[0]
    assert answer.tokens == greedy(model, q).tokens
    assert len(answer.tokens) > 15
    assert answer.passes <= 1 + 5  # the draft fails at once; then 1, 2, 4, 8 and 16 tokens


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


# What prompts share


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
