"""Drafts against a model that was taught: they change the work and not the answer."""

from __future__ import annotations

import pytest
from decoding_cases import INSTRUCTIONS, SMALL, question, same

from biomark.generative.decoding.vocabulary import Vocabulary
from biomark.spans import Span

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from biomark.generative.decoding.engine import Decoder, Question, greedy  # noqa: E402
from biomark.generative.training import packing  # noqa: E402

torch.set_num_threads(1)  # networks this small only wait for each other's threads


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
