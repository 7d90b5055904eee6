"""The cache of answers, and budgets: nothing is paid for twice, and no more than the budget."""

from __future__ import annotations

import sqlite3
import stat
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_chat import SECRET, _quick, echo  # noqa: F401

from biomark.errors import ChatError, UsageError
from biomark.prompted.chat import Message, Reply, Unanswered
from biomark.prompted.chat.account import Account, Budget, Prices, parse_budget
from biomark.prompted.chat.cache import Cache, Kept, key_of
from biomark.prompted.chat.server import Server
from biomark.prompted.settings import ServerOptions
from biomark.spans import Entity, Span
from scripted import Says, answer, ask, asked, scripted
from scripted import client as server


def test_answers_are_kept_for_the_same_request_alone() -> None:
    with scripted(echo) as there:
        first = asked("a")
        different = [
            asked("b"),
            replace(first, max_tokens=51),
            replace(first, temperature=0.5),
            replace(first, sample=1),
            replace(first, messages=(Message("system", "a"),)),
        ]
        assert ask(server(there.url), [first]) == ask(server(there.url), [first]) == [Reply(("re: a",))]
        assert len(there.asked) == 1
        model = server(there.url)
        ask(model, [first, *different])
        assert len(there.asked) == 6
        assert model.account.counts == {
            "cached": 1, "saved_read": 10, "saved_written": 5, "requests": 5, "read": 50, "written": 25
        }  # fmt: skip
        ask(Server("other", ServerOptions(base_url=there.url)), [first])
        ask(server(there.url, extra='{"top_k": 20}'), [first])
        ask(server(there.url, cache="none"), [first])
        assert len(there.asked) == 9


def test_a_new_cache_waits_for_another_process_that_prepares_it(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    other.execute("CREATE TABLE t (a)")  # SQLite refuses to change the mode of the journal now, without waiting
    freeing = threading.Timer(0.2, lambda: other.execute("COMMIT"))
    freeing.start()
    cache = Cache(path)
    freeing.join()
    cache.put(key_of({"a": 1}), Kept(("text",), True, 1, 2))
    assert cache.get(key_of({"a": 1})) == Kept(("text",), True, 1, 2)
    cache.close()
    other.close()


def test_what_is_asked_twice_at_once_is_paid_for_once() -> None:
    def slowly(request: dict[str, Any], number: int) -> Says:
        time.sleep(0.1)
        return echo(request, number)

    with scripted(slowly) as there:
        assert ask(server(there.url), [asked("a")] * 5) == [Reply(("re: a",))] * 5
    assert len(there.asked) == 1


def test_a_file_of_answers_is_for_its_owner_alone_and_holds_no_prompt(tmp_path: Path) -> None:
    file = tmp_path / "new" / "answers.sqlite"
    with scripted(lambda request, number: answer("yes")) as there:
        ask(server(there.url, cache=str(file)), [asked("the patient's text")])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"patient" not in file.read_bytes()
    assert SECRET.encode() not in file.read_bytes()


def test_a_file_that_is_no_cache_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a database, but long enough to be read as one " * 20)
    (tmp_path / "file").write_text("")
    other = sqlite3.connect(tmp_path / "other.sqlite")
    other.execute("CREATE TABLE answer (a)")
    other.close()
    for name in ("text", "file/below", "other.sqlite"):
        with pytest.raises(ChatError, match="`cache`"):
            Cache(tmp_path / name)


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.floats(allow_nan=False), st.none())))
def test_keys_tell_requests_apart(facts: dict[str, Any]) -> None:
    assert key_of(facts) == key_of(dict(reversed(facts.items())))
    assert key_of(facts) != key_of({**facts, "one": "more", "and": "another"})


MENTIONS = st.builds(
    lambda start, size, type, score: Entity((Span(start, start + size),), type, score=score),
    st.integers(0, 99),
    st.integers(1, 9),
    st.text(),
    st.none() | st.floats(0, 1),
)


@settings(max_examples=25)
@given(
    texts=st.lists(st.text()),
    finished=st.booleans(),
    read=st.integers(0, 2**40),
    entities=st.none() | st.lists(st.lists(MENTIONS).map(tuple)).map(tuple),
)
def test_what_is_kept_comes_back(
    texts: list[str], finished: bool, read: int, entities: tuple[tuple[Entity, ...], ...] | None, tmp_path_factory: Any
) -> None:
    cache = Cache(tmp_path_factory.mktemp("kept") / "a.sqlite")
    try:
        kept = Kept(tuple(texts), finished, read, 3, entities=entities)
        cache.put(b"key", Kept(("",), True, 0, 0))
        cache.put(b"key", kept)
        assert cache.get(b"key") == kept
        assert cache.get(b"other") is None
    finally:
        cache.close()


def test_a_budget_is_not_exceeded_and_what_is_kept_costs_nothing() -> None:
    with scripted(lambda request, number: answer("x", read=60, written=40)) as there:
        model = server(there.url, budget="500 tokens", concurrency=4)
        replies = ask(model, [asked("a" * 150 + str(n)) for n in range(20)])
        paid = [reply for reply in replies if isinstance(reply, Reply)]
        rest = [reply.reason for reply in replies if isinstance(reply, Unanswered)]
        # An answer may take 55 + 50 tokens: the last one is not asked with fewer than that left
        assert len(paid) == len(there.asked) == 4
        assert model.account.counts["read"] + model.account.counts["written"] == 400
        assert len(rest) == 16
        assert all("budget" in reason for reason in rest)
        again = server(there.url, budget="500 tokens")
        replies = ask(again, [asked("a" * 150 + str(n)) for n in range(20)])
        assert len(there.asked) == 8
        assert sum(isinstance(reply, Reply) for reply in replies) == 8


def test_a_budget_of_money() -> None:
    with scripted(lambda request, number: answer("x", read=5, written=50)) as there:
        model = server(there.url, price_in=2000.0, price_out=10_000.0, budget="3.00", concurrency=1)
        ask(model, [asked(str(n)) for n in range(20)])
    assert model.account.cost() == pytest.approx(2.55)
    assert len(there.asked) == 5
    assert "cost 2.5500" in str(model.account)


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("2.50", Budget(2.5, False)),
        ("3", Budget(3, False)),
        (" 200 tokens", Budget(200, True)),
        ("1token", Budget(1, True)),
    ],
)
def test_budgets(text: str, budget: Budget) -> None:
    assert parse_budget(text, Prices(1, 1)) == budget


@pytest.mark.parametrize("text", ["", "much", "-1", "1e3", "5 euros"])
def test_what_is_no_budget(text: str) -> None:
    with pytest.raises(UsageError, match="budget"):
        parse_budget(text, Prices(1, 1))


def test_a_budget_of_money_needs_prices() -> None:
    with pytest.raises(UsageError, match="`price_in`"):
        parse_budget("2.50", Prices())
    assert Account(budget=parse_budget("2 tokens", Prices())).fits(1, 1)
