"""Random models, questions for them, and the comparison of answers, for tests of decoding."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from biomark.generative.decoding.grammar import Grammar
from biomark.generative.decoding.vocabulary import Vocabulary
from biomark.spans import Span

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from biomark.generative.decoding.engine import DecodedAnswer, Decoder, Question  # noqa: E402

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
        # RMSNorm computes in single precision in a model of double precision too, so that the last digits of
        # float32 depend on the processor and on how many rows are read at once.
        assert ours.probabilities == pytest.approx(plain.probabilities, abs=1e-6)
        assert all(0 <= probability <= 1 for probability in ours.probabilities)
        assert 0 <= ours.passes <= plain.passes
        assert len(ours.probabilities) == len(ours.tokens)


def in_batches(decoder: Decoder, questions: Sequence[Question], size: int) -> list[DecodedAnswer | None]:
    return [
        answer for first in range(0, len(questions), size) for answer in decoder.answer(questions[first : first + size])
    ]
