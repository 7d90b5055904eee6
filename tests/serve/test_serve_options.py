"""Where the service listens, and who may ask it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from biomark.errors import UsageError
from biomark.serve.server import listening
from biomark.serve.settings import ServeOptions, token_of
from conftest import Outcome
from service import served, service

TOKEN = "0123456789abcdef"


def test_with_a_token_whoever_lacks_it_learns_nothing() -> None:
    with served(service(token=TOKEN)) as address:
        for wrong in (
            {},
            {"Authorization": "Bearer 0123456789abcdeF"},
            {"Authorization": f"Basic {TOKEN}"},
            {"Authorization": "é"},
        ):
            for method, path in (("POST", "/v1/annotate"), ("GET", "/v1/models"), ("GET", "/metrics"), ("GET", "/x")):
                reply = address.ask(method, path, {"text": "x"} if method == "POST" else None, headers=wrong)
                assert (reply.status, reply.headers["www-authenticate"]) == (401, 'Bearer realm="biomark"')
                assert reply.headers["content-type"] == "application/problem+json"
        for path in ("/healthz", "/readyz", "/openapi.json"):
            assert address.get(path, Host="biomark.example").status == 200
        assert address.post({"text": "asthma"}, Authorization=f"Bearer {TOKEN}").status == 200
        assert address.post({"text": "asthma"}, Authorization=f"bearer  {TOKEN}", Host="biomark.example").status == 200


def test_where_the_token_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BIOMARK_TOKEN", raising=False)
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert token_of(ServeOptions()) == token_of(ServeOptions(host="::1")) == ""
    assert token_of(ServeOptions(host="0.0.0.0", token_file=file)) == TOKEN
    monkeypatch.setenv("BIOMARK_TOKEN", "of-the-environment")
    assert token_of(ServeOptions(host="0.0.0.0")) == "of-the-environment"
    assert token_of(ServeOptions(token_file=file)) == TOKEN


@pytest.mark.parametrize("token", ["", "short", "with blanks in it, and long", "ümlautümlautümlaut"])
def test_no_token_or_a_poor_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.delenv("BIOMARK_TOKEN", raising=False)
    (tmp_path / "token").write_text(token)
    with pytest.raises(UsageError, match="token"):
        token_of(ServeOptions(token_file=tmp_path / "token"))
    with pytest.raises(UsageError, match="cannot be read"):
        token_of(ServeOptions(token_file=tmp_path / "none"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--host", "0.0.0.0"), "other machines reach 0.0.0.0"),
        (("--host", "biomark.example"), "other machines reach biomark.example"),
        (("--queue", "0"), "--queue must be greater than 0"),
        (("--time-limit", "nan"), "--time-limit must be greater than 0"),
        (("--port", "70000"), "--port must be in [0, 65535], got 70000"),
        (("--model", "none"), "unknown model 'none'"),
        (("--store", "none"), "--store applies to the models dictionary"),
        (("--identifiers", "MESH"), "(--normalize)"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    biomark: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], told: str
) -> None:
    monkeypatch.delenv("BIOMARK_TOKEN", raising=False)
    done = biomark("serve", *arguments)
    assert (done.status, done.out) == (2, "")
    assert told in done.err


def test_a_port_that_is_taken_is_told(biomark: Callable[..., Outcome]) -> None:
    with listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        done = biomark("serve", "--model", "given", "--port", str(port))
    assert done.status == 2
    assert re.search(rf"cannot listen at 127\.0\.0\.1, port {port}: .*; change --host or --port", done.err)
