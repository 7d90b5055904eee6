"""Prompted models: what is made of any answer, and what is asked again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomark.entity_types import entity_types
from biomark.prompted.chat import ASSISTANT, Message, Reply, Request, Unanswered, estimate
from biomark.prompted.recognizer import PromptedRecognizer, windows
from biomark.prompted.settings import PromptOptions
from biomark.shapes import SHAPES, Decoded
from biomark.spans import Document, Entity, Span
from biomark.text.sentences import with_sentences
from oracle import DOCUMENTS, TEXTS, TYPES, Oracle, expected, knows, mentions, truth


@pytest.mark.parametrize("shape", SHAPES)
def test_what_a_model_knows_is_found_in_any_shape(shape: str) -> None:
    chat = Oracle(knows(shape))
    found = list(PromptedRecognizer(chat, PromptOptions(shape=shape)).annotate(DOCUMENTS, TYPES))
    assert mentions(found) == expected(DOCUMENTS)
    assert not any(annotated.rejected for annotated in found)
    sentences = sum(len(with_sentences(d).sentences) for d in DOCUMENTS)
    assert len(chat.asked) == sentences * (2 if SHAPES[shape].single else 1)


def test_documents_stream_in_order() -> None:
    read: list[int] = []

    def many() -> Iterator[Document]:
        for n in range(20):
            read.append(n)
            yield Document(str(n), f"Asthma {n}.")

    found = PromptedRecognizer(Oracle(knows("span"), concurrency=3)).annotate(many(), TYPES)
    assert [next(found).document.id for _ in range(5)] == ["0", "1", "2", "3", "4"]
    assert len(read) <= 8
    assert [annotated.document.id for annotated in found] == [str(n) for n in range(5, 20)]


def test_a_stream_may_be_left_and_run_in_a_loop() -> None:
    async def run() -> None:
        found = PromptedRecognizer(Oracle(knows("span"))).annotate(DOCUMENTS * 5, TYPES)
        assert next(found).document.entities
        found.close()  # type: ignore[attr-defined]

    asyncio.run(run())


@settings(max_examples=60)
@given(data=st.data(), shape=st.sampled_from(sorted(SHAPES)))
def test_no_answer_stops_a_run_or_moves_an_offset(data: st.DataObject, shape: str) -> None:
    text = data.draw(st.sampled_from(TEXTS[:2]) | st.text(min_size=1))
    true = SHAPES[shape].encode(text, truth(text, TYPES[:1]), TYPES[:1]).text
    pieces = st.lists(st.sampled_from([true, true[:7], "<mark>", '<span class="disease">', "[", '{"', "asthma"]))
    said = data.draw(st.text() | pieces.map("".join) | st.just(true))
    (found,) = PromptedRecognizer(Oracle(lambda request: said), PromptOptions(shape=shape)).annotate(
        [Document("d", text)], TYPES
    )
    assert found.document.text == text
    for e in found.document.entities:
        assert e.type in TYPES
        assert e.mention(text)
    assert all(rejected.document_id == "d" for rejected in found.rejected)


def test_what_a_shape_makes_of_an_answer_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    def absurd(answer: str, text: str, types: Sequence[str]) -> Decoded:
        if "Asthma" in text:
            raise RecursionError("deep")
        return Decoded((Entity((Span(0, 9999),), "disease"), Entity((Span(0, 1),), "other")))

    monkeypatch.setattr(type(SHAPES["span"]), "decode", lambda self, *arguments: absurd(*arguments))
    found = list(PromptedRecognizer(Oracle(lambda request: "")).annotate(DOCUMENTS, TYPES))
    assert not any(annotated.document.entities for annotated in found)
    assert "RecursionError" in str(found[3].rejected)


def test_what_is_not_answered_is_rejected_and_the_rest_is_kept() -> None:
    def say(request: Request) -> str | Exception:
        return Unanswered("no luck") if "zileuton" in str(request) else knows("span")(request)

    found = list(PromptedRecognizer(Oracle(say)).annotate(DOCUMENTS, TYPES))
    all_but = expected(DOCUMENTS)
    all_but[0] = all_but[0][:2]
    assert mentions(found) == all_but
    (rejected,) = found[0].rejected
    assert rejected.reason == "no luck (1 of 2 questions)"
    assert rejected.window is not None
    assert rejected.window.of(TEXTS[0]).startswith("TNF")


def test_what_is_too_long_is_asked_in_parts() -> None:
    text = "asthma and aspirin, " * 60 + "end"

    def say(request: Request) -> str | Reply | Exception:
        if len(request.messages[-1].content) > 700:
            return Unanswered("too long", too_long=True)
        whole = knows("span")(request)
        return Reply((whole,)) if len(request.messages[-1].content) < 400 else Reply((whole[:50],), finished=False)

    (found,) = PromptedRecognizer(Oracle(say)).annotate([Document("d", text)], TYPES)
    assert mentions([found]) == expected([Document("d", text)])
    assert not found.rejected


def test_an_answer_has_room_for_what_its_shape_says_beside_the_mentions() -> None:
    rooms = {}
    for shape in ("span", "dice"):
        chat = Oracle(lambda request: "")
        list(PromptedRecognizer(chat, PromptOptions(shape=shape)).annotate([Document("d", "Asthma.")], entity_types()))
        rooms[shape] = chat.asked[0].max_tokens
    assert rooms["span"] == 2 * 3 + 256
    whole = SHAPES["dice"].encode("Asthma.", truth("Asthma.", TYPES), tuple(entity_types())).text
    assert rooms["dice"] > estimate(whole) > rooms["span"]


def test_a_short_answer_that_was_cut_off_is_told() -> None:
    chat = Oracle(lambda request: Reply(('<span class="disease">Asthma</span>, ast',), finished=False))
    (found,) = PromptedRecognizer(chat, PromptOptions(max_tokens=10)).annotate([Document("d", "Asthma, asthma")], TYPES)
    assert mentions([found]) == [[("disease", 0, "Asthma")]]
    assert any("cut off at 10 tokens" in rejected.reason for rejected in found.rejected)


@given(st.lists(st.sampled_from(["Asthma. ", "It is so. ", "Fever returned after days\n\n"])), st.integers(0, 60))
def test_windows_hold_all_sentences_in_order(parts: list[str], size: int) -> None:
    document = with_sentences(Document("d", "".join(parts)))
    found = list(windows(document, size))
    inside = [s for window in found for s in document.sentences if window.contains(s)]
    assert inside == list(document.sentences)
    assert all(len(w) <= size or w in document.sentences for w in found)
    if size == 0:
        assert found == list(document.sentences)


# Verification


def test_a_question_about_each_mention_removes_what_the_model_denies() -> None:
    def say(request: Request) -> str:
        question = request.messages[-1].content
        if "Answer with yes or no" in question:
            assert "### Text\nAsthma, asthma; asthma (aspirin)." in question
            return "**No**, it is not." if '"asthma"' in question else "Yes." if "Asthma" in question else "Perhaps"
        return knows("span")(request)

    chat = Oracle(say)
    recognizer = PromptedRecognizer(chat, PromptOptions(verify=("yes-no",)))
    (found,) = recognizer.annotate(DOCUMENTS[3:], TYPES)
    assert mentions([found]) == [[("disease", 0, "Asthma"), ("chemical", 24, "aspirin")]]
    assert recognizer.counts["refuted"] == 2
    assert len(chat.asked) == 4  # what is written alike is asked once


def test_a_second_round_adds_what_was_missed() -> None:
    def say(request: Request) -> str:
        if len(request.messages) == 2:
            return 'Aspirin helps against <span class="disease">asthma</span>.'
        assert request.messages[2] == Message(ASSISTANT, 'Aspirin helps against <span class="disease">asthma</span>.')
        return '<span class="chemical">Aspirin</span> helps <span class="disease">against asthma</span>.'

    recognizer = PromptedRecognizer(Oracle(say), PromptOptions(verify=("second-round",)))
    (found,) = recognizer.annotate([Document("d", "Aspirin helps against asthma.")], TYPES)
    assert mentions([found]) == [[("chemical", 0, "Aspirin"), ("disease", 22, "asthma")]]
    assert recognizer.counts["added"] == 1


@pytest.mark.parametrize("verify", ["yes-no", "second-round"])
def test_what_cannot_be_verified_is_kept_and_told(verify: str) -> None:
    def say(request: Request) -> str | Exception:
        first = len(request.messages) == 2 and "yes or no" not in request.messages[1].content
        return knows("span")(request) if first else Unanswered("the budget is spent")

    found = list(PromptedRecognizer(Oracle(say), PromptOptions(verify=(verify,))).annotate(DOCUMENTS, TYPES))
    assert mentions(found) == expected(DOCUMENTS)
    assert "budget" in str(found[3].rejected[0])


def test_of_several_answers_a_mention_has_the_share_that_says_so() -> None:
    both = '<span class="chemical">Aspirin</span> helps against <span class="disease">asthma</span>.'
    one = 'Aspirin helps against <span class="disease">asthma</span>.'
    chat = Oracle(lambda request: Reply((both, one, one, "nonsense")))
    recognizer = PromptedRecognizer(chat, PromptOptions(samples=4))
    document = Document("d", "Aspirin helps against asthma.")
    (found,) = recognizer.annotate([document], TYPES)
    assert [(e.type, e.score) for e in found.document.entities] == [("disease", 0.75)]
    (found,) = recognizer.annotate([document], TYPES, min_score=0.2)
    assert [(e.type, e.score) for e in found.document.entities] == [("chemical", 0.25), ("disease", 0.75)]
    assert (chat.asked[0].answers, chat.asked[0].temperature) == (4, 0.7)


@pytest.mark.parametrize("verify", [(), ("second-round",)])
def test_entities_of_a_reply_are_taken_as_they_are(verify: tuple[str, ...]) -> None:
    text = "İ <mark>asthma</mark> 😀"  # marks of the source: nothing is read from a text
    first, second = Span(8, 14), Span(0, 1)

    def say(request: Request) -> Reply:
        assert (request.source, request.type) == (text, "disease")
        span, score = (first, 0.25) if len(request.messages) == 2 else (second, 0.5)
        return Reply((), entities=((Entity((span,), request.type, score=score),),))

    recognizer = PromptedRecognizer(Oracle(say), PromptOptions(shape="mark", verify=verify))
    (found,) = recognizer.annotate([Document("d", text)], ["disease"])
    both = [(second, 0.5)] if verify else []
    assert [(e.extent, e.score) for e in found.document.entities] == [*both, (first, 0.25)]
    assert (recognizer.counts["answers"], recognizer.counts["unfaithful"], found.rejected) == (1, 0, ())


def test_entities_of_several_answers_are_votes() -> None:
    one, other = Entity((Span(0, 6),), "disease", score=0.9), Entity((Span(8, 12),), "disease", score=0.1)
    chat = Oracle(lambda request: Reply((), entities=((one,), (one, other), (one,), ())))
    recognizer = PromptedRecognizer(chat, PromptOptions(shape="mark", samples=4))
    (found,) = recognizer.annotate([Document("d", "Asthma, gout.")], ["disease"], min_score=0.0)
    assert [(e.extent, e.score) for e in found.document.entities] == [(Span(0, 6), 0.75), (Span(8, 12), 0.25)]
