import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from biomark.errors import ModelError
from biomark.generative.decoding.grammar import Grammar
from biomark.generative.decoding.vocabulary import Vocabulary
from biomark.marks import CLOSE, OPEN, decode, encode
from biomark.spans import Entity, Span
from conftest import TAGGED_TEXT

ODD = [
    "😀",
    "İ",
    "e\u0301",
    "\t",
    " ",
    "<mark>",
    "</mark>",
    "<",
    "<ma",
    "/",
    "### Response:",
    "ß",
    "漢",
    "fever",
    "x",
    ".",
]
sources = st.lists(st.sampled_from(ODD), min_size=1, max_size=8).map("".join).map(str.strip).filter(bool)


ALL = [(kind, added) for kind in ("sentence_pieces", "byte_level", "word_pieces") for added in (False, True)]


@pytest.fixture(params=ALL, ids=lambda p: f"{p[0]}-{'added' if p[1] else 'text'}", scope="module")
def vocabulary(request, vocabularies):
    return vocabularies[request.param]


def said(vocabulary, tokens):
    """The text of an answer, for vocabularies of bytes."""
    symbols = "".join(vocabulary.symbols[token] for token in tokens if token != vocabulary.end)
    for tag, symbol in zip((OPEN, CLOSE), vocabulary.signs, strict=True):
        symbols = symbols.replace(symbol, tag)
    return symbols.encode("latin-1").decode()


@given(source=sources, data=st.data())
@settings(max_examples=60)
def test_every_walk_ends_and_copies_its_source(vocabulary, source, data):
    grammar = Grammar(source, vocabulary)
    state, tokens = grammar.start, []
    while not state.finished:
        allowed = grammar.allowed(state)
        assert allowed, (source, tokens)
        assert list(allowed) == sorted(set(allowed))
        tokens.append(data.draw(st.sampled_from(allowed)))
        state = grammar.advance(state, tokens[-1])
    marks = grammar.marks(state)
    at = 0
    for mark in marks:
        text = mark.span.of(source)
        assert at <= mark.span.start
        assert text.strip() == text != ""
        assert 0 <= mark.first <= mark.last < len(tokens)
        at = mark.span.end
    if vocabulary.unknown is None and vocabulary.open is None:
        found = decode(said(vocabulary, tokens), source, "disease")
        assert [entity.extent for entity in found] == [mark.span for mark in marks]


@given(source=sources, data=st.data())
@settings(max_examples=60)
def test_drafts_are_answers_that_mark_what_was_wanted(vocabulary, source, data):
    grammar = Grammar(source, vocabulary)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(source)), max_size=6)))
    wanted = [Span(a, b) for a, b in zip(cuts[::2], cuts[1::2], strict=False) if b > a] if len(cuts) % 2 == 0 else []
    state = grammar.start
    for _ in range(data.draw(st.integers(0, 10))):
        if not state.finished:
            state = grammar.advance(state, data.draw(st.sampled_from(grammar.allowed(state))))
    before = grammar.marks(state)
    for token in grammar.draft(state, wanted):
        assert token in grammar.allowed(state)
        state = grammar.advance(state, token)
    assert state.finished
    assert grammar.marks(state)[: len(before)] == before


@given(
    words=st.lists(st.sampled_from(["fever", "BRCA1", "the", "İ", "😀", ",", "(x)"]), min_size=1, max_size=9),
    data=st.data(),
)
@settings(max_examples=60)
def test_a_draft_of_word_mentions_is_the_tokenised_answer(vocabulary, words, data):
    source = " ".join(words)
    places = list(itertools.accumulate([0, *(len(word) + 1 for word in words)]))
    picked = sorted(data.draw(st.sets(st.integers(0, len(words) - 1))))
    wanted = [Span(places[n], places[n] + len(words[n])) for n in picked]
    grammar = Grammar(source, vocabulary)
    tokens = grammar.draft(grammar.start, wanted)
    state = grammar.start
    for token in tokens:
        state = grammar.advance(state, token)
    if vocabulary.unknown is None:
        assert [mark.span for mark in grammar.marks(state)] == wanted
    assert tokens == [*vocabulary.answer(source, [mark.span for mark in grammar.marks(state)]), vocabulary.end]


def every_answer(source, *, whole_words=False):
    """All marked texts of a source, from the definition."""
    inside = {n for n in range(1, len(source)) if whole_words and source[n - 1].isalnum() and source[n].isalnum()}
    for size in range(0, len(source) + 1):
        for cuts in itertools.combinations_with_replacement(range(len(source) + 1), 2 * size):
            spans = [Span(a, b) for a, b in zip(cuts[::2], cuts[1::2], strict=False) if b > a]
            if len(spans) < size or any(span.of(source).strip() != span.of(source) for span in spans):
                continue
            if inside.isdisjoint(cuts) and all(a.end <= b.start for a, b in itertools.pairwise(spans)):
                marked = encode(source, [Entity((span,), "x") for span in spans])
                if not marked.left_out:
                    yield marked.text


@pytest.mark.parametrize("whole_words", [False, True])
@pytest.mark.parametrize("source", ["a b", "éx", "<m", "x<", "> k", "a<b", "ab-c"])
@pytest.mark.parametrize("kind", ["sentence_pieces", "byte_level"])
def test_allowed_is_exactly_what_begins_an_answer(vocabularies, kind, source, whole_words):
    vocabulary = vocabularies[kind, False]
    answers = [answer.encode().decode("latin-1") for answer in every_answer(source, whole_words=whole_words)]
    begun = {answer[:n] for answer in answers for n in range(len(answer) + 1)}
    spelled = {id: text for id, text in enumerate(vocabulary.symbols) if text}
    grammar = Grammar(source, vocabulary, whole_words=whole_words)
    waiting, seen = [("", grammar.start)], set()
    while waiting:
        text, state = waiting.pop()
        expected = {id for id, more in spelled.items() if text + more in begun}
        expected |= {vocabulary.end} if text in answers else set()
        assert set(grammar.allowed(state)) == expected, text
        for id in expected - {vocabulary.end}:
            if text + spelled[id] not in seen:
                seen.add(text + spelled[id])
                waiting.append((text + spelled[id], grammar.advance(state, id)))
    assert len(seen) > 5 + len(answers)


@given(words=st.lists(st.sampled_from(["fever", "x2", "漢字", "É", "-", " ", "e\u0301a"]), min_size=1), data=st.data())
@settings(max_examples=40)
def test_whole_words_are_not_divided(vocabulary, words, data):
    source = "".join(words).strip() or "x"
    grammar = Grammar(source, vocabulary, whole_words=True)
    state = grammar.start
    while not state.finished:
        state = grammar.advance(state, data.draw(st.sampled_from(grammar.allowed(state))))
    for mark in grammar.marks(state):
        for n in {mark.span.start, mark.span.end} - {0, len(source)}:
            within = [c.isalnum() or c == "\u0301" for c in source[n - 1 : n + 1]]
            assert not all(within) or set(source[n - 1 : n + 1]) & set("漢字")


def test_what_is_not_allowed_is_refused(vocabulary):
    grammar = Grammar("fever", vocabulary)
    for token in (vocabulary.end, vocabulary.size + 5, vocabulary.answer("skin", [])[0]):
        with pytest.raises(ValueError, match=r"not allowed|may not end"):
            grammar.advance(grammar.start, token)


def test_special_tokens_in_a_text_are_text(vocabularies):
    byte_level = vocabularies["byte_level", True]
    ids = byte_level.prompt("</s><mark>")
    assert byte_level.end not in ids
    assert byte_level.open not in ids
    assert byte_level.answer("a</s>", [Span(0, 1)]).count(byte_level.close) == 1


def test_a_tokenizer_that_cannot_spell_every_text_is_refused():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.train_from_iterator(
        TAGGED_TEXT, trainers.BpeTrainer(special_tokens=["<unk>", "</s>"], show_progress=False)
    )
    with pytest.raises(ModelError, match="byte fallback"):
        Vocabulary(tokenizer, 1)


def test_blanks_that_a_tokenizer_joins_to_a_line_s_end():
    """As SmolLM2's does; blanks stand between two mentions, and at the end of a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["</s>"], initial_alphabet=alphabet, show_progress=False, min_frequency=2
    )
    tokenizer.train_from_iterator(["\n ", "\n  ", "ab", "ba"] * 9, trainer)
    assert len(tokenizer.encode("\n ").ids) == 1
    vocabulary = Vocabulary(tokenizer, 0, added=True)
    for source in ("ab ba", "  ab", "ab  ", "\n ab", " "):
        mentions = [Span(found.start(), found.end()) for found in re.finditer("ab|ba", source)]
        ids = vocabulary.answer(source, mentions)
        spelled = "".join(vocabulary.symbols[id] or "" for id in ids if id not in (vocabulary.open, vocabulary.close))
        assert spelled == source
        assert [ids.count(vocabulary.open), ids.count(vocabulary.close)] == [len(mentions)] * 2
