"""The client of language models' servers, against a server on loopback that misbehaves in every way."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomark.errors import ChatError, UsageError
from biomark.prompted.chat import Reply, Unanswered
from biomark.prompted.chat import server as server_module
from biomark.prompted.chat.answers import Malformed, kept_of, lines_of, read_stream, without_thoughts
from conftest import HANG
from scripted import Says, answer, ask, asked, failure, scripted, stream
from scripted import client as server

SECRET = "sk-secret-0123456789"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(server_module, "_FIRST_WAIT", 0.01)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.delenv("BIOMARK_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")


def echo(request: dict[str, Any], number: int) -> Says:
    return answer("re: " + request["messages"][-1]["content"])


def test_replies_come_in_order_and_no_more_than_so_many_are_under_way() -> None:
    together = threading.Barrier(3)

    def slowly(request: dict[str, Any], number: int) -> Says:
        if number < 3:
            together.wait(HANG)  # three are under way at once
            time.sleep(0.05)  # and a fourth one would be seen
        return echo(request, number)

    with scripted(slowly) as there:
        model = server(there.url, concurrency=3)
        replies = ask(model, [asked(f"text {n}") for n in range(10)])
    assert replies == [Reply((f"re: text {n}",)) for n in range(10)]
    assert there.most == 3
    assert set(there.paths) == {"/v1/chat/completions"}
    assert set(there.keys) == {f"Bearer {SECRET}"}
    assert model.account.counts == {"requests": 10, "read": 100, "written": 50}


FAILURES = {
    "rate limit": failure(429, retry_after="0.05"),
    "rate limit until a time": failure(429, retry_after=format_datetime(datetime.now(UTC) - timedelta(hours=1))),
    "error": failure(500),
    "overloaded": Says(b"<html>busy</html>", 503),
    "no JSON": Says(b'{"choices": [{"mess'),
    "another kind of JSON": Says([1, 2]),
    "empty": Says(b""),
    "no choices": Says({"choices": []}),
    "null choices": Says({"choices": None}),
    "absurd choices": Says({"choices": [7]}),
    "absurd content": Says({"choices": [{"message": {"content": {"a": 1}}}]}),
    "an error with status 200": Says({"error": {"message": "no GPU"}}),
    "cut off": Says(b'{"choices": [', short=100),
    "cut off stream": stream("re: te", ends=False),
    "broken stream": Says(b"data: {\n\n", headers={"content-type": "text/event-stream"}),
    "empty stream": Says(b"", headers={"content-type": "text/event-stream"}),
}


@pytest.mark.parametrize("first", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("streams", [False, True])
def test_what_failed_is_asked_again(first: Says, streams: bool) -> None:
    def say(request: dict[str, Any], number: int) -> Says:
        if number == 0:
            return first
        return stream("re: text") if streams else echo(request, number)

    with scripted(say) as there:
        model = server(there.url, stream=streams)
        assert ask(model, [asked("text")]) == [Reply(("re: text",))]
    assert len(there.asked) == 2
    assert model.account.counts["retries"] == 1
    assert there.asked[1].get("stream", False) is streams


def test_a_server_says_when_to_come_back_and_all_wait() -> None:
    def say(request: dict[str, Any], number: int) -> Says:
        times.append(time.monotonic())
        return failure(429, retry_after="0.4") if number == 0 else echo(request, number)

    times: list[float] = []
    with scripted(say) as there:
        replies = ask(server(there.url, concurrency=1), [asked("a"), asked("b")])
    assert [isinstance(reply, Reply) for reply in replies] == [True, True]
    assert min(times[1:]) - times[0] >= 0.38


def test_slow_bytes_do_not_hold_up_for_longer_than_the_timeout() -> None:
    def say(request: dict[str, Any], number: int) -> Says:
        if number == 0:  # for an hour, and never so long without a byte that the connection seems dead
            return Says(b" " * 36_000, headers={"content-type": "application/json"}, pause=0.1)
        return echo(request, number)

    with scripted(say) as there:
        begun = time.monotonic()
        # On a busy machine a proper answer may take too long as well, and is asked for again.
        assert ask(server(there.url, timeout=0.4, retries=1000), [asked("a")]) == [Reply(("re: a",))]
    assert time.monotonic() - begun > 0.35


def test_what_always_fails_is_unanswered_and_the_rest_goes_on() -> None:
    def say(request: dict[str, Any], number: int) -> Says:
        return failure(500, "out of memory") if "bad" in str(request) else echo(request, number)

    with scripted(say) as there:
        bad, good = ask(server(there.url, retries=2), [asked("bad"), asked("good")])
    assert isinstance(bad, Unanswered)
    assert "500: out of memory" in bad.reason
    assert good == Reply(("re: good",))
    assert len(there.asked) == 4


@pytest.mark.parametrize("status", [401, 402, 403, 404, 307])
def test_a_server_that_refuses_at_once_is_an_error(status: int) -> None:
    elsewhere: list[str] = []
    with scripted(echo) as other:
        elsewhere.append(other.url)
        says = failure(status, f"bad key {SECRET}", location=f"{other.url}/chat/completions")
        with scripted(lambda request, number: says) as there:
            (error,) = ask(server(there.url), [asked("a text")])
    assert isinstance(error, ChatError)
    assert there.url in str(error)
    assert SECRET not in str(error)
    assert len(there.asked) == 1
    assert not other.asked  # a redirect is not followed: it would carry the text elsewhere


def test_a_server_that_wants_to_be_left_alone_for_long_is() -> None:
    def say(request: dict[str, Any], number: int) -> Says:
        return echo(request, number) if number < 2 else failure(429, "daily quota", retry_after="3600")

    with scripted(say) as there:
        replies = ask(server(there.url, concurrency=1), [asked(str(n)) for n in range(5)])
        assert replies[:2] == [Reply(("re: 0",)), Reply(("re: 1",))]
        assert all(isinstance(r, Unanswered) and "for 3,600 seconds; try again later" in r.reason for r in replies[2:])
        assert len(there.asked) == 3


def test_a_server_that_refuses_later_keeps_what_is_done() -> None:
    def say(request: dict[str, Any], number: int) -> Says:
        return echo(request, number) if number < 2 else failure(402, "pay")

    with scripted(say) as there:
        replies = ask(server(there.url, concurrency=1), [asked(str(n)) for n in range(5)])
    assert replies[:2] == [Reply(("re: 0",)), Reply(("re: 1",))]
    assert all(isinstance(reply, Unanswered) and "requires payment" in reply.reason for reply in replies[2:])
    assert len(there.asked) == 3


def test_a_server_that_is_not_there_is_an_error() -> None:
    with scripted(echo) as gone:
        pass
    (error,) = ask(server(gone.url, retries=1), [asked("a")])
    assert isinstance(error, ChatError)
    assert "cannot be reached" in str(error)


def test_an_answer_that_brings_the_server_down_costs_itself_alone(capfd: pytest.CaptureFixture[str]) -> None:
    def say(request: dict[str, Any], number: int) -> Says:
        if request["messages"][-1]["content"] == "1":
            raise ConnectionAbortedError  # and the connection is closed without a response
        return echo(request, number)

    with scripted(say) as there:
        first, bad, last = ask(server(there.url, concurrency=1, retries=1), [asked(str(n)) for n in range(3)])
    capfd.readouterr()
    assert (first, last) == (Reply(("re: 0",)), Reply(("re: 2",)))
    assert isinstance(bad, Unanswered)
    assert "the connection failed (Server disconnected" in bad.reason


def test_no_proxy_hears_what_a_server_on_this_machine_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(echo) as proxy, scripted(echo) as there:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url.removesuffix("/v1"))
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        for url in (there.url, there.url.replace("127.0.0.1", "localhost")):
            assert ask(server(url, cache="none"), [asked("a")]) == [Reply(("re: a",))]
        assert (len(there.asked), len(proxy.asked)) == (2, 0)
        # Elsewhere the way out is the environment's
        ask(server("http://elsewhere.invalid/v1", cache="none"), [asked("a")])
        assert len(proxy.asked) == 1


@pytest.mark.parametrize(
    "url",
    [
        "", "localhost:8000", "ftp://a/b", "http://user:password@host/v1", "http://key@host/v1", "http://host:99999/v1",
        "http://host/v1?key=1",
    ],
)  # fmt: skip
def test_no_server_is_asked_but_the_one_that_was_named(url: str) -> None:
    with pytest.raises(UsageError, match="base_url"):
        server(url)


@pytest.mark.parametrize(
    "options",
    [{"timeout": float("nan")}, {"timeout": 0.0}, {"price_in": -1.0}, {"price_out": float("inf")}, {"retries": -1},
     {"concurrency": 0}],
)  # fmt: skip
def test_numbers_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="must be at least"):
        server("http://localhost/v1", **options)


@pytest.mark.parametrize("extra", ["{", "[1]", '"a"'])
def test_extra_is_an_object(extra: str) -> None:
    with pytest.raises(UsageError, match="`extra`"):
        server("http://localhost/v1", extra=extra)


def test_extra_is_sent() -> None:
    with scripted(echo) as there:
        ask(server(there.url, extra='{"top_k": 20}'), [asked("a")])
    assert there.asked[0]["top_k"] == 20


def test_tokens_are_estimated_where_the_server_does_not_tell() -> None:
    says = Says({"choices": [{"message": {"content": "abc " * 30}, "finish_reason": "stop"}], "usage": None})
    with scripted(lambda request, number: says) as there:
        model = server(there.url)
        ask(model, [asked("a" * 300)])
    assert model.account.counts == {"requests": 1, "read": 104, "written": 40, "estimated": 1}


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}


@pytest.mark.parametrize("obeys", [False, True])
def test_a_schema_is_sent_to_servers_that_obey_one(obeys: bool) -> None:
    def say(request: dict[str, Any], number: int) -> Says:
        if "hello" in str(request["messages"]):
            return answer('{"colour": "xanthic"}' if obeys else "Hello!")
        return echo(request, number)

    with scripted(say) as there:
        model = server(there.url)
        assert ask(model, [asked("a", schema=SCHEMA), asked("b", schema=SCHEMA)])[0] == Reply(("re: a",))
        ask(server(there.url), [asked("c", schema=SCHEMA)])
    assert model.abilities == {"schema": obeys}
    assert sum("hello" in str(request) for request in there.asked) == 1  # the second time it is in the cache
    sent = [r["response_format"]["json_schema"]["schema"] for r in there.asked[1:] if "response_format" in r]
    assert sent == ([SCHEMA] * 3 if obeys else [])


@pytest.mark.parametrize("able", [False, True])
def test_several_answers_are_asked_for_at_once_where_the_server_gives_them(able: bool) -> None:
    def say(request: dict[str, Any], number: int) -> Says:
        return answer(*(f"{number}.{n}" for n in range(request.get("n", 1) if able else 1)))

    with scripted(say) as there:
        (reply,) = ask(server(there.url, concurrency=1), [asked("a", temperature=0.7, answers=3)])
    assert isinstance(reply, Reply)
    assert len(set(reply.texts)) == 3
    assert [request.get("n", 1) for request in there.asked] == ([2, 3] if able else [2, 1, 1, 1])


def test_what_a_server_does_not_take_is_left_out() -> None:
    def say(request: dict[str, Any], number: int) -> Says:
        for name in ("temperature", "max_tokens"):
            if name in request:
                return failure(400, f"Unsupported parameter: '{name}' is not supported with this model")
        return echo(request, number)

    with scripted(say) as there:
        model = server(there.url)
        assert ask(model, [asked("a")]) == [Reply(("re: a",))]
    assert there.asked[-1]["max_completion_tokens"] == 50
    together = threading.Barrier(4)

    def at_once(request: dict[str, Any], number: int) -> Says:
        if "temperature" in request:
            together.wait(HANG)  # all of them are under way when the first one is refused
        return say(request, number)

    with scripted(at_once) as there:
        many = ask(server(there.url, concurrency=4), [asked(str(n)) for n in range(4)])
    assert many == [Reply((f"re: {n}",)) for n in range(4)]
    assert sorted(model.refused) == ["max_tokens", "temperature"]


def test_what_is_too_long_is_said_to_be() -> None:
    with scripted(lambda request, number: failure(400, "This model's maximum context length is 9 tokens")) as there:
        (error,) = ask(server(there.url), [asked("a")])
    assert isinstance(error, Unanswered)
    assert error.too_long
    assert len(there.asked) == 1


def test_an_answer_that_was_cut_off_at_its_longest_is_not_finished() -> None:
    with scripted(lambda request, number: answer("abc", reason="length")) as there:
        assert ask(server(there.url), [asked("a")]) == [Reply(("abc",), finished=False)]


def test_a_filter_is_told() -> None:
    with scripted(lambda request, number: answer(None, reason="content_filter")) as there:
        (error,) = ask(server(there.url), [asked("a")])
    assert isinstance(error, Unanswered)
    assert "filter" in error.reason


NAMES = ("choices", "message", "content", "delta", "finish_reason", "index", "usage", "prompt_tokens", "error")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner),
)


@given(
    st.dictionaries(st.sampled_from(NAMES), ANYTHING)
    | ANYTHING.map(lambda x: {"choices": [{"message": {"content": x}}]})
)
def test_no_response_is_too_absurd(response: dict[str, Any]) -> None:
    try:
        kept = kept_of(response, asked("a"))
    except (Malformed, Unanswered):
        return
    assert kept.texts
    assert all(text == text.encode().decode() for text in kept.texts)
    assert 0 <= kept.read < 2**63


@settings(max_examples=40)
@given(st.lists(st.dictionaries(st.sampled_from(NAMES), ANYTHING), max_size=3), st.booleans())
def test_no_stream_is_too_absurd(events: list[dict[str, Any]], ends: bool) -> None:
    async def lines() -> AsyncIterator[str]:
        for event in events:
            yield f"data: {json.dumps(event)}"
        if ends:
            yield "data: [DONE]"

    try:
        found = asyncio.run(read_stream(lines()))
    except Malformed:
        return
    with suppress(Malformed, Unanswered):
        assert kept_of(found, asked("a")).texts


def test_events_end_at_line_feeds_alone() -> None:
    event = json.dumps(
        {"choices": [{"delta": {"content": "h\u2028i\x85j"}, "finish_reason": "stop"}]}, ensure_ascii=False
    )
    data = f"data: {event}\r\n\r\ndata: [DONE]\r\n".encode()

    async def chunks() -> AsyncIterator[bytes]:
        for place in range(0, len(data), 7):
            yield data[place : place + 7]

    found = asyncio.run(read_stream(lines_of(chunks())))
    assert kept_of(found, asked("a")).texts == ("h\u2028i\x85j",)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("<think>is it < or >?\n\n</think>\n\nyes", "yes"),
        ("so it is.</think>no", "no"),
        ("plain", "plain"),
        ("it says <think>x</think> here", "it says <think>x</think> here"),
        ("", ""),
    ],
)
def test_thoughts_are_no_answer(said: str, meant: str) -> None:
    assert without_thoughts(said) == meant


def test_no_text_and_no_key_in_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def say(request: dict[str, Any], number: int) -> Says:
        return failure(500) if number == 0 else echo(request, number)

    with scripted(say) as there:
        ask(server(there.url), [asked("a confidential text")])
    logged = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert "confidential" not in logged
    assert SECRET not in logged


def test_the_key_comes_from_the_environment_or_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(echo) as there:
        monkeypatch.setenv("BIOMARK_API_KEY", "ours")
        ask(server(there.url), [asked("a")])
        monkeypatch.delenv("BIOMARK_API_KEY")
        monkeypatch.delenv("OPENAI_API_KEY")
        ask(server(there.url), [asked("b")])
    assert there.keys[0] == "Bearer ours"
    assert SECRET not in there.keys[1]
