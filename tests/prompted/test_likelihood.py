"""Scores of prompted mentions, from the probabilities of an answer's tokens, where a server tells them."""

from __future__ import annotations

import asyncio
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomark.prompted.chat import USER, Message, Reply, Request
from biomark.prompted.chat.cache import Cache, Kept
from biomark.prompted.chat.likelihood import AnswerTokens, rows_of
from biomark.prompted.chat.server import Server
from biomark.prompted.settings import ServerOptions
from biomark.spans import Entity, Span
from oracle import Biomark, away, write_texts
from scripted import Says, answer, scripted, stream, tokens

__all__ = ["away"]

TEXT = "Aspirin helps İ asthma."


def ask(url: str, request: Request, **settings: Any) -> Reply:
    async def run() -> Reply:
        async with Server("m", ServerOptions(base_url=url, **settings)).session() as session:
            return await session(request)

    return asyncio.run(run())


def wanted(text: str = "a", **settings: Any) -> Request:
    return Request((Message(USER, text),), 50, logprobs=True, **settings)


def with_tokens(says: Says, said: dict[str, Any] | None) -> Says:
    if said is not None:
        says.body["choices"][0]["logprobs"] = said
    return says


@given(st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=8), st.data())
def test_a_stretch_has_the_probability_of_the_tokens_that_overlap_it(pieces: list[str], data: st.DataObject) -> None:
    text = "".join(pieces).encode(errors="replace").decode()
    raw = text.encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(raw)), max_size=5)) | {0, len(raw)})
    parts = [raw[a:b] for a, b in pairwise(cuts)]  # also inside of a character
    numbers = data.draw(st.lists(st.floats(-5, 0), min_size=len(parts), max_size=len(parts)))
    said = [{"bytes": list(part), "token": "?", "logprob": n} for part, n in zip(parts, numbers, strict=True)]
    rows = rows_of({"logprobs": {"content": said}}, text)
    assert rows is not None
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    covered = range(len(text[:start].encode()), len(text[:end].encode()))
    meant = sum(n for (a, b), n in zip(pairwise(cuts), numbers, strict=True) if set(covered) & set(range(a, b)))
    assert AnswerTokens(text, rows).probability(Span(start, end)) == pytest.approx(math.exp(meant))
    assert AnswerTokens("x" + text, ((1, -1.0), *rows), 1).probability(Span(start, end)) == pytest.approx(
        math.exp(meant)
    )


@pytest.mark.parametrize(
    ("logprobs", "expected"),
    [
        (tokens("ab", "c"), ((2, -0.5), (1, -0.5))),
        (tokens("<think>x</think>", "abc"), ((3, -0.5),)),
        (tokens("ab", "c", "<|im_end|>"), ((2, -0.5), (1, -0.5))),
        (tokens("ab", "c<end>"), ((2, -0.5), (1, -0.5))),
        (tokens("abc", logprob=1e-9), ((3, 0.0),)),
        ({"tokens": ["a", "bc"], "token_logprobs": [-1, -2], "text_offset": [0, 1]}, ((1, -1.0), (2, -2.0))),
        (tokens("other"), None),
        (tokens("ab"), None),
        (tokens("abc", logprob=float("nan")), None),
        (tokens("abc", logprob=float("-inf")), None),
        ({"content": [{"token": "abc", "logprob": "sure"}]}, None),
        ({"content": [{"token": "abc", "logprob": True}]}, None),
        ({"content": [{"token": 3, "bytes": [999], "logprob": -1}]}, None),
        ({"content": None}, None),
        ({"content": [7]}, None),
        ({"tokens": ["abc"], "token_logprobs": None}, None),
        ("yes", None),
        (None, None),
    ],
)
def test_what_servers_tell_of_tokens(logprobs: Any, expected: Any) -> None:
    assert rows_of({"logprobs": logprobs}, "abc") == expected


def test_white_space_at_the_end_needs_no_token() -> None:
    """llama.cpp, with a stop string that begins with an empty line."""
    assert rows_of({"logprobs": tokens("a", "b", "")}, "ab\n") == ((1, -0.5), (1, -0.5))
    assert AnswerTokens("ab\n", ((1, -0.5), (1, -0.5))).probability(Span(1, 3)) == pytest.approx(math.exp(-0.5))


def test_an_empty_answer_has_no_tokens() -> None:
    assert rows_of({"logprobs": tokens("  ")}, "") is None
    assert rows_of({"logprobs": tokens("a")}, "") is None


@pytest.mark.parametrize("completions", [False, True])
def test_they_are_asked_for_and_read(away: Path, completions: bool) -> None:
    def say(request: dict[str, Any], number: int) -> Says:
        if completions:
            said = {"tokens": ["\n", "a", "β"], "token_logprobs": [-1, -2, -3]}
            return Says({"choices": [{"text": "\naβ", "logprobs": said, "finish_reason": "stop"}]})
        return with_tokens(answer("<think>x</think> aβ"), tokens("<think>x</think>", " ", "a", b"\xce", b"\xb2"))

    with scripted(say) as there:
        for _ in range(2):  # the second one is the cache's
            reply = ask(there.url, wanted(), completions=completions)
            assert reply.texts == ("aβ",)
            assert reply.tokens is not None
            probability = reply.tokens.probability(Span(1, 2))
            assert probability == pytest.approx(math.exp(-3 if completions else -1.0))
        assert [request["logprobs"] for request in there.asked] == [1 if completions else True]
        assert ask(there.url, Request((Message(USER, "b"),), 50), completions=completions).texts == ("aβ",)
        assert "logprobs" not in there.asked[-1]


def test_they_are_read_of_a_stream(away: Path) -> None:
    events = [
        {"choices": [{"index": 0, "delta": {"role": "assistant"}, "logprobs": None}]},
        {"choices": [{"index": 0, "delta": {"content": "ab"}, "logprobs": tokens("ab")}]},
        {"choices": [{"index": 0, "delta": {"content": "c"}, "logprobs": tokens("c"), "finish_reason": "stop"}]},
    ]
    lines = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    says = Says(lines.encode(), headers={"content-type": "text/event-stream"})
    with scripted(lambda request, number: says) as there:
        reply = ask(there.url, wanted(), stream=True)
    assert reply.tokens == AnswerTokens("abc", ((2, -0.5), (1, -0.5)))
    with scripted(lambda request, number: stream("abc")) as there:
        assert ask(there.url, wanted("other"), stream=True) == Reply(("abc",))


@pytest.mark.parametrize(
    "message",
    ["Unknown parameter: 'logprobs'", "This model does not support log probabilities", "logprob is not available"],
)
def test_a_server_that_refuses_them_is_asked_without(away: Path, message: str) -> None:
    def say(request: dict[str, Any], number: int) -> Says:
        return Says({"error": {"message": message}}, 400) if "logprobs" in request else answer("abc")

    with scripted(say) as there:
        assert ask(there.url, wanted()) == Reply(("abc",))
        assert ["logprobs" in request for request in there.asked] == [True, False]


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "a.sqlite")
    for kept in (
        Kept(("abc",), True, 1, 2, tokens=((2, -0.25), (1, -1e-9))),
        Kept((), True, 1, 2, entities=((Entity((Span(0, 3),), "Großes", score=0.5),), ())),
        Kept(("abc",), True, 1, 2),
    ):
        cache.put(b"k", kept)
        assert cache.get(b"k") == kept
    cache.close()


ANSWERS = {
    "span": ('Aspirin helps İ <span class="disease">asthma</span>.',
             ["Aspirin helps İ <span", ' class="disease">asthma', "</span>", "."]),
    "tanl": ("Aspirin helps İ [ asthma | disease ].", ["Aspirin helps İ [", " asthma |", " disease ]."]),
    "dice": ("Entity type is disease. Entity is asthma.", ["Entity type is disease. Entity is", " asth", "ma", "."]),
    "json": (
        '{"entities": [{"text": "asthma", "type": "disease", "occurrence": 1}]}',
        ['{"entities": [{"text":', ' "asthma",', ' "type": "disease"', ', "occurrence": 1}]}'],
    ),
    "dialogue": ('["asthma"]', ['["', "asthma", '"]']),
}  # fmt: skip
PART = 3  # of the tokens make up the mention


@pytest.mark.parametrize("shape", ANSWERS)
def test_a_mention_has_the_probability_of_what_says_it(biomark: Biomark, away: Path, shape: str) -> None:
    text, pieces = ANSWERS[shape]

    def say(request: dict[str, Any], number: int) -> Says:
        return answer("Hello!") if "hello" in str(request["messages"]) else with_tokens(answer(text), tokens(*pieces))

    source = write_texts(away / "in.jsonl", [TEXT])
    command = ("annotate", source, "-o", "out.jsonl", "--model", "openai:m", "--types", "disease", "--shape", shape)
    with scripted(say) as there:
        assert biomark(*command, "--base-url", there.url).status == 0
        assert all(request.get("logprobs") for request in there.asked if "hello" not in str(request["messages"]))
        (entity,) = json.loads((away / "out.jsonl").read_text())["entities"]
        assert entity["score"] == pytest.approx(math.exp(-0.5 * PART), abs=1e-3)
        assert biomark(*command, "--base-url", there.url, "--min-score", "0.9", "--overwrite").status == 0
        assert not json.loads((away / "out.jsonl").read_text()).get("entities")


def test_without_them_there_is_no_score_and_votes_go_first(biomark: Biomark, away: Path) -> None:
    source = write_texts(away / "in.jsonl", [TEXT])
    command = ("annotate", source, "-o", "out.jsonl", "--model", "openai:m", "--types", "disease", "--overwrite")
    said = 'Aspirin helps İ <span class="disease">asthma</span>.'
    with scripted(lambda request, number: answer(said)) as there:  # passes over what it does not know
        assert biomark(*command, "--base-url", there.url).status == 0
    (entity,) = json.loads((away / "out.jsonl").read_text())["entities"]
    assert "score" not in entity

    def say(request: dict[str, Any], number: int) -> Says:
        return with_tokens(answer(*[said] * request.get("n", 1)), tokens(said))

    with scripted(say) as there:
        assert biomark(*command, "--base-url", there.url, "--set", "samples=2").status == 0
        assert all("logprobs" not in request for request in there.asked)
    (entity,) = json.loads((away / "out.jsonl").read_text())["entities"]
    assert entity["score"] == 1.0


def test_a_second_round_has_scores_too(biomark: Biomark, away: Path) -> None:
    first, second = TEXT, 'Aspirin helps İ <span class="disease">asthma</span>.'

    def say(request: dict[str, Any], number: int) -> Says:
        return with_tokens(answer(said := second if number else first), tokens(said))

    source = write_texts(away / "in.jsonl", [TEXT])
    with scripted(say) as there:
        done = biomark(
            "annotate", source, "-o", "out.jsonl", "--model", "openai:m", "--types", "disease", "--base-url",
            there.url, "--set", "verify=second-round",
        )  # fmt: skip
    assert done.status == 0
    (entity,) = json.loads((away / "out.jsonl").read_text())["entities"]
    assert entity["score"] == pytest.approx(math.exp(-0.5), abs=1e-3)


# What ends an answer


def stopping(*texts: str) -> Request:
    return Request((Message(USER, texts[0], begun=True),), 50, stops=("\n",))


@pytest.mark.parametrize("completions", [False, True])
def test_an_answer_ends_where_its_line_does_also_on_servers_that_know_no_stops(away: Path, completions: bool) -> None:
    said = "\na [b]\n\nanother text"

    def say(request: dict[str, Any], number: int) -> Says:
        if completions:
            return Says({"choices": [{"text": said, "finish_reason": "length"}]})
        return answer(said, reason="length")

    with scripted(say) as there:
        assert ask(there.url, stopping("x\n"), completions=completions) == Reply(("a [b]",))
        (request,) = there.asked
        assert request["stop"] == ["\n"]
        if completions:
            assert request["prompt"] == "x\n"  # no heading between the text and the answer


@pytest.mark.parametrize("begun", ["", "<think>"])
def test_a_model_that_begins_with_what_should_end_it_is_asked_without_stops(away: Path, begun: str) -> None:
    whole = begun + "\n" + (f"hm\n</{begun[1:]}\n\n" if begun else "") + "a [b]\nmore"

    def say(request: dict[str, Any], number: int) -> Says:
        return answer(begun if "stop" in request else whole)

    async def run(url: str) -> list[Reply]:
        async with Server("m", ServerOptions(base_url=url, concurrency=1)).session() as session:
            return [await session(stopping(text)) for text in ("x\n", "y\n")]

    with scripted(say) as there:
        assert asyncio.run(run(there.url)) == [Reply(("a [b]",))] * 2
        assert ["stop" in request for request in there.asked] == [True, False, False]


def test_a_question_without_an_end_of_its_own_sends_none(away: Path) -> None:
    with scripted(lambda request, number: answer("abc")) as there:
        ask(there.url, Request((Message(USER, "a"),), 50))
        assert "stop" not in there.asked[0]
