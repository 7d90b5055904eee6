"""Servers that answer oddly: what is an answer is read, and what is none is told and never kept."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from biomark.errors import ChatError, UsageError
from biomark.prompted.chat import SYSTEM, USER, Message, Reply, Request, Unanswered
from biomark.prompted.chat import limits as limits_module
from biomark.prompted.chat import server as server_module
from biomark.prompted.chat.address import is_here
from biomark.prompted.chat.answers import error_text
from biomark.prompted.chat.cache import Cache, Kept
from oracle import Biomark, away, found_in, write_texts
from scripted import Says, answer, ask, asked, failure, scripted, stream
from scripted import client as server

__all__ = ["away"]

KEY = "sk-secret-0123456789"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(server_module, "_FIRST_WAIT", 0.01)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("BIOMARK_API_KEY", raising=False)


def message(reason: str | None = "stop", **message: Any) -> Says:
    """A response with any message."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
    return Says({"choices": [choice], "usage": {"prompt_tokens": 10, "completion_tokens": 5}})


def events(
    *deltas: dict[str, Any], reason: str = "stop", end: str = "data: [DONE]\n\n", kind: str = "event-stream"
) -> Says:
    """A stream of any parts."""
    rows = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    rows.append({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    body = "".join(f"data: {json.dumps(row)}\n\n" for row in rows) + end
    return Says(body.encode(), headers={"content-type": f"text/{kind}"})


TOOL = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
WHOLE = message(content="asthma").body
EVENTS = {"content-type": "text/event-stream"}
ANSWERED = {
    "parts": message(content=[{"type": "text", "text": "as"}, {"type": "text", "text": "thma"}]),
    "thoughts and a part": message(content=[{"type": "thinking", "thinking": "x"}, {"type": "text", "text": "asthma"}]),
    "parts that are texts": message(content=["as", "thma"]),
    "parts of the responses' kind": message(content=[{"type": "output_text", "text": "asthma", "annotations": []}]),
    "a part whose text is an object": message(content=[{"type": "text", "text": {"value": "asthma"}}]),
    "one part": message(content={"type": "text", "text": "asthma"}),
    "thoughts beside it": message(content="asthma", reasoning_content="hm"),
    "a tool call beside it": message(content="asthma", tool_calls=TOOL),
    "thoughts in it": message(content="<think>lung?</think>\n\nasthma"),
    "no reason": message(None, content="asthma"),
    "another reason": message("eos", content="asthma"),
    "text in the place of a message": Says({"choices": [{"text": "asthma", "finish_reason": "stop"}]}),
    "error null": Says({"error": None, "choices": [{"message": {"content": "asthma"}, "finish_reason": "stop"}]}),
    "a byte order mark": Says(b"\xef\xbb\xbf" + json.dumps(WHOLE).encode()),
    "usage that is none": Says({**WHOLE, "usage": {"prompt_tokens": True, "completion_tokens": -1}}),
    "a stream": stream("asthma"),
    "a stream of parts": events({"content": [{"type": "text", "text": "as"}]}, {"content": [{"text": "thma"}]}),
    "a stream with thoughts": events({"reasoning_content": "hm"}, {"content": "asthma"}),
    "a stream that calls itself text": events({"content": "asthma"}, kind="plain"),
    "a stream without an end": events({"content": "asthma"}, end=""),
    "a stream with comments": Says(b": wait\n\nevent: x\n" + stream("asthma").body, headers=EVENTS),
    "gzip": Says(gzip.compress(json.dumps(WHOLE).encode()), headers={"content-encoding": "gzip"}),
    "zlib": Says(zlib.compress(json.dumps(WHOLE).encode()), headers={"content-encoding": "deflate"}),
    "deflate without its head": Says(
        zlib.compress(json.dumps(WHOLE).encode(), wbits=-15), headers={"content-encoding": "deflate"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("says", ANSWERED.values(), ids=ANSWERED)
def test_what_is_an_answer_is_read(says: Says) -> None:
    with scripted(lambda request, number: says) as there:
        assert ask(server(there.url, retries=0), [asked()]) == [Reply(("asthma",))]
        assert ask(server(there.url, retries=0), [asked()]) == [Reply(("asthma",))]
    assert len(there.asked) == 1  # it is kept


@pytest.mark.parametrize("reason", ["length", "max_tokens", "model_length", "LENGTH"])
def test_an_answer_that_is_cut_off_is_not_finished(reason: str) -> None:
    with scripted(lambda request, number: message(reason, content="asth")) as there:
        assert ask(server(there.url), [asked()]) == [Reply(("asth",), finished=False)]


UNANSWERED = {
    "null": (message(content=None), "the model's answer is empty"),
    "no content": (message(), "the model's answer is empty"),
    "empty": (message(content=""), "the model's answer is empty"),
    "blank": (message(content=" \n"), "the model's answer is empty"),
    "no parts": (message(content=[]), "the model's answer is empty"),
    "thoughts alone": (message(content="", reasoning_content="hm"), "thought but did not answer; raise `max_tokens`"),
    "thoughts alone, otherwise named": (message(content=None, reasoning="hm"), "thought but did not answer"),
    "parts of thoughts": (message(content=[{"type": "thinking", "thinking": "hm"}]), "thought but did not answer"),
    "thoughts in the text": (message(content="<think>hm</think>\n"), "it only thought; raise `max_tokens`"),
    "thoughts without an end": (message("length", content="<think>hm, asthma"), "it only thought; raise `max_tokens`"),
    "no room": (message("length", content=""), "wrote no answer within 50 tokens (thinking takes more); raise"),
    "a tool call": (message("tool_calls", content=None, tool_calls=TOOL), "called a tool instead of answering"),
    "an old tool call": (message("function_call", content=None, function_call={"name": "f"}), "called a tool"),
    "a refusal": (message(content=None, refusal="I cannot\nhelp."), "the model refuses to answer: I cannot help."),
    "a refusal in parts": (message(content=[{"type": "refusal", "refusal": "No."}]), "refuses to answer: No."),
    "a filter": (message("content_filter", content="ast"), "content filter withheld"),
    "another filter": (message("SAFETY", content=None), "content filter withheld"),
    "a stream of nothing": (events({"role": "assistant"}), "the model's answer is empty"),
    "a stream of thoughts": (events({"reasoning_content": "h"}, {"reasoning_content": "m"}), "did not answer"),
    "a stream of a tool call": (events({"tool_calls": TOOL}, reason="tool_calls"), "called a tool"),
    "a stream of a refusal": (events({"refusal": "I can"}, {"refusal": "not."}), "refuses to answer: I cannot."),
}  # fmt: skip


@pytest.mark.parametrize(("says", "reason"), UNANSWERED.values(), ids=UNANSWERED)
def test_what_is_no_answer_is_told_and_not_kept(says: Says, reason: str) -> None:
    with scripted(lambda request, number: says if number == 0 else answer("asthma")) as there:
        model = server(there.url)
        (error,) = ask(model, [asked()])
        assert isinstance(error, Unanswered)
        assert reason in error.reason
        assert model.account.counts["requests"] == 1  # the server bills it
        assert ask(server(there.url), [asked()]) == [Reply(("asthma",))]
    assert len(there.asked) == 2


def test_an_empty_answer_of_an_older_cache_is_asked_again(tmp_path: Path) -> None:
    with scripted(lambda request, number: answer("asthma")) as there:
        model = server(there.url, cache=str(tmp_path / "cache.sqlite"))
        ask(model, [asked()])
        cache = Cache(tmp_path / "cache.sqlite")
        ((key,),) = cache._run("SELECT key FROM answer")
        cache.put(key, Kept(("",), True, 10, 5))
        cache.close()
        assert ask(model, [asked()]) == [Reply(("asthma",))]
    assert len(there.asked) == 2


def test_of_several_answers_the_empty_ones_do_not_count() -> None:
    def say(request: dict[str, Any], number: int) -> Says:
        if "hello" in str(request["messages"]):
            return answer("one")  # several answers are asked for one by one
        return message(content=None) if number % 2 else answer("asthma")

    with scripted(say) as there:
        (reply,) = ask(server(there.url, concurrency=1), [asked(temperature=0.7, answers=4)])
        assert isinstance(reply, Reply)
        assert reply.texts == ("asthma",) * 2
    with scripted(lambda request, number: answer("asthma", "", None) if number else answer("a", "b")) as there:
        assert ask(server(there.url), [asked(answers=3)]) == [Reply(("asthma",))]


def test_a_model_that_goes_on_with_another_example_gave_no_answer() -> None:
    says = Says({"choices": [{"text": "\n\n### Text\nmore", "finish_reason": "stop"}]})
    with scripted(lambda request, number: says) as there:
        (error,) = ask(server(there.url, completions=True), [asked()])
    assert isinstance(error, Unanswered)
    assert "empty" in error.reason


TOLD = [
    ({"error": "out of memory"}, "out of memory"),
    ({"error": {"message": "out of memory", "code": 5}}, "out of memory"),
    ({"error": {"error": "out of memory"}}, "out of memory"),
    ({"error": [{"message": "out of memory"}]}, "out of memory"),
    ({"detail": "out of memory"}, "out of memory"),
    ({"detail": [{"loc": ["body", "top_k"], "msg": "unknown"}, {"msg": "no"}]}, "unknown (body.top_k); no"),
    ({"message": "out of memory", "object": "error"}, "out of memory"),
    ({"errors": ["out of memory"]}, "out of memory"),
    ({"a": 1}, ""),
    ([], ""),
    (None, ""),
]


@pytest.mark.parametrize(("body", "told"), TOLD)
@pytest.mark.parametrize("status", [200, 400, 500])
def test_what_a_server_says_of_a_failure_is_told(body: Any, told: str, status: int) -> None:
    assert error_text(body) == told
    with scripted(lambda request, number: Says(body, status)) as there:
        (error,) = ask(server(there.url, retries=0), [asked()])
    assert isinstance(error, Unanswered)
    assert told in error.reason


def test_an_error_in_a_stream_is_told() -> None:
    for error in ({"error": "no GPU"}, {"error": {"message": "no GPU"}}, {"detail": "no GPU"}, {"message": "no GPU"}):
        says = Says(f"data: {json.dumps(error)}\n\n".encode(), headers=EVENTS)
        with scripted(lambda request, number, says=says: says) as there:  # type: ignore[misc]
            (found,) = ask(server(there.url, retries=0), [asked()])
        assert isinstance(found, Unanswered)
        assert "the server reports: no GPU" in found.reason


def test_what_is_no_json_is_shown() -> None:
    with scripted(lambda request, number: Says(b"<html>\n<h1>Please log in</h1>")) as there:
        (error,) = ask(server(there.url, retries=0), [asked()])
    assert isinstance(error, Unanswered)
    assert error.reason == "the server sent 29 bytes that are not JSON (<html> <h1>Please log in</h1>)"
    for body in (b"[" * 100_000, b'{"choices":' * 5_000, b'{"choices": ' + b"9" * 5_000 + b"}", b"\xff\xfe\x00"):
        with scripted(lambda request, number, body=body: Says(body)) as there:  # type: ignore[misc]
            (error,) = ask(server(there.url, retries=0), [asked()])
        assert isinstance(error, Unanswered)


SYSTEM_REFUSALS = [
    (400, {"error": {"message": "System role not supported"}}),
    (400, {"object": "error", "message": "Conversation roles must alternate user/assistant/user/assistant/..."}),
    (422, {"error": "Template error: invalid operation: system messages are not allowed"}),
    (500, {"error": {"code": 500, "message": "raise_exception: the role system is not supported"}}),
]


@pytest.mark.parametrize(("status", "body"), SYSTEM_REFUSALS)
def test_a_model_without_a_system_message_is_asked_without_one(status: int, body: Any) -> None:
    def say(request: dict[str, Any], number: int) -> Says:
        return Says(body, status) if request["messages"][0]["role"] == "system" else answer("asthma")

    request = Request((Message(SYSTEM, "Be brief."), Message(USER, "A?")), 50)
    with scripted(say) as there:
        model = server(there.url, retries=0)
        assert ask(model, [request]) == [Reply(("asthma",))]
        assert ask(model, [replace(request, sample=1)]) == [Reply(("asthma",))]
    assert [len(sent["messages"]) for sent in there.asked] == [2, 1, 1]
    assert there.asked[-1]["messages"] == [{"role": "user", "content": "Be brief.\n\nA?"}]
    assert model.refused == {"system"}


def test_azure_gets_its_version_and_its_key() -> None:
    with scripted(lambda request, number: answer("asthma")) as there:
        url = f"{there.url}/openai/deployments/d?api-version=2024-10-21"
        model = server(url)
        assert ask(model, [asked()]) == [Reply(("asthma",))]
    assert there.paths == ["/v1/openai/deployments/d/chat/completions?api-version=2024-10-21"]
    assert there.headers[0]["api-key"] == KEY
    for query in ("key=1", "api-version=1&key=2", "x", "sig=%20"):
        with pytest.raises(UsageError, match="base_url"):
            server(f"http://localhost/v1?{query}")


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("http://0.0.0.0:8000/v1", True), ("http://127.0.0.1/v1", True), ("http://127.8.9.1/v1", True),
        ("http://localhost:1/v1", True), ("http://LOCALHOST./v1", True), ("http://a.localhost/v1", True),
        ("http://[::1]:8000/v1", True), ("http://[::]/v1", True), ("http://[::ffff:127.0.0.1]/v1", True),
        ("http://127.1/v1", True), ("http://0/v1", True), ("http://10.0.0.1/v1", False),
        ("http://example.org/v1", False), ("http://0.0.0.0.example.org/v1", False), ("http://localhost.org/v1", False),
        ("http://[2001:db8::1]/v1", False),
    ],
)  # fmt: skip
def test_addresses_of_this_machine(address: str, here: bool) -> None:
    assert is_here(address) is here


def test_no_proxy_hears_what_is_asked_at_0_0_0_0(monkeypatch: pytest.MonkeyPatch) -> None:
    says = lambda request, number: answer("asthma")  # noqa: E731
    with scripted(says) as proxy, scripted(says) as there:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url.removesuffix("/v1"))
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        assert ask(server(there.url.replace("127.0.0.1", "0.0.0.0")), [asked()]) == [Reply(("asthma",))]
        assert (len(there.asked), len(proxy.asked)) == (1, 0)


def test_a_redirect_is_told_with_its_address() -> None:
    with scripted(lambda request, number: failure(302, location="https://login.example.org/")) as there:
        (error,) = ask(server(there.url), [asked()])
    assert isinstance(error, ChatError)
    assert "redirects to https://login.example.org/; correct `base_url`" in str(error)
    assert len(there.asked) == 1


BOMBS = {
    "long": Says(b" " * (3 << 20)),
    "long, and an error": Says(b'{"error": "' + b"x" * (3 << 20), 500),
    "long, in one line": Says(b"data: " + b"x" * (3 << 20), headers=EVENTS),
    "endless": Says(stream("asthma" * 20_000, ends=False).body, headers=EVENTS),
    "gzip": Says(gzip.compress(b" " * (64 << 20)), headers={"content-encoding": "gzip"}),
    "gzip, and an error": Says(gzip.compress(b" " * (64 << 20)), 500, headers={"content-encoding": "gzip"}),
    "deflate": Says(zlib.compress(b" " * (64 << 20)), headers={"content-encoding": "deflate"}),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_response_beyond_the_limit_is_no_answer(bomb: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_module, "LARGEST", 2 << 20)
    with scripted(lambda request, number: bomb if "bad" in str(request) else answer("asthma")) as there:
        bad, good = ask(server(there.url, concurrency=1), [asked("bad"), asked("good")])
    assert isinstance(bad, Unanswered)
    assert bad.reason == "the server's response is larger than 2 MiB; it was not read"
    assert good == Reply(("asthma",))
    assert len(there.asked) == 2  # it is not tried again


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (Says(b"\x28\xb5\x2f\xfd", headers={"content-encoding": "zstd"}), "unknown content encoding zstd"),
        (Says(b"no gzip", headers={"content-encoding": "gzip"}), "response is damaged"),
        (Says(gzip.compress(json.dumps(TOOL).encode())[:-20], headers={"content-encoding": "gzip"}), "not JSON"),
    ],
)
def test_a_response_that_cannot_be_unpacked_is_no_answer(says: Says, reason: str) -> None:
    with scripted(lambda request, number: says) as there:
        (error,) = ask(server(there.url, retries=0), [asked()])
    assert isinstance(error, Unanswered)
    assert reason in error.reason
    assert there.headers[0]["accept-encoding"] == "identity"


BILLED = {
    "no JSON": (Says(b"{"), True),
    "no choices": (Says({"choices": []}), True),
    "cut off": (Says(b'{"choices": [', short=100), True),
    "an error": (failure(500), True),
    "a gateway's timeout": (failure(504), True),
    "overloaded": (failure(503), False),
    "rate limit": (failure(429), False),
    "wrong": (failure(400), False),
}


@pytest.mark.parametrize(("says", "billed"), BILLED.values(), ids=BILLED)
def test_failed_attempts_that_may_be_billed_count_against_the_budget(says: Says, billed: bool) -> None:
    with scripted(lambda request, number: says) as there:
        model = server(there.url, budget="200 tokens", retries=8, concurrency=1)
        (error,) = ask(model, [asked("a" * 30)])  # up to 14 + 50 tokens
    assert isinstance(error, Unanswered)
    counts = model.account.counts
    assert (counts["read"], counts["written"]) == (0, 0)
    assert (counts["failed"], counts["failed_read"], counts["failed_written"]) == (
        (3, 42, 150) if billed else (0, 0, 0)
    )
    if billed:
        assert len(there.asked) == 3
        assert "not asked again, as failed attempts may be billed: raise `budget`" in error.reason
        assert "3 failed attempts may be billed, up to 192 tokens" in str(model.account)


def test_a_timeout_may_be_billed_and_a_server_that_is_not_there_bills_nothing() -> None:
    with scripted(lambda request, number: replace(answer("asthma"), pause=1.5)) as there:
        model = server(there.url, budget="100 tokens", timeout=1)
        ask(model, [asked("a" * 30)])
        assert (len(there.asked), model.account.counts["failed"]) == (1, 1)
    model = server(there.url, budget="100 tokens", retries=2)
    ask(model, [asked("a" * 30)])
    assert model.account.counts["failed"] == 0


@pytest.mark.parametrize("empty", [message(content=None), message(content="", reasoning_content="hm")])
def test_a_sentence_without_an_answer_is_rejected_with_its_offsets(biomark: Biomark, away: Path, empty: Says) -> None:
    texts = ["Asthma is common. Aspirin helps.", "Nothing here."]
    source = write_texts(away / "in.jsonl", texts)

    def say(request: dict[str, Any], number: int) -> Says:
        asks = request["messages"][1]["content"]
        if "Aspirin" in asks:
            return empty
        return answer('["Asthma"]' if "Asthma" in asks else "[]")

    with scripted(say) as there:
        command: tuple[Any, ...] = (
            "annotate", source, "-o", "out.jsonl", "--model", "openai:m", "--base-url", there.url, "--types", "disease",
            "--shape", "dialogue",
        )  # fmt: skip
        done = biomark(*command)
        assert done.status == 1
        assert "document 0: offsets 18-32: the model" in done.err
        assert "document 1" not in done.err  # [] is an answer
        assert found_in(away / "out.jsonl") == [[("disease", 0, "Asthma")], []]
        before = len(there.asked)
        assert biomark(*command, "--overwrite").status == 1
        assert len(there.asked) == before + 1
