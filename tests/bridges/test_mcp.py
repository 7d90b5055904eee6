"""The server of the Model Context Protocol, asked by the SDK's own client over standard input and output."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pages import code

import biomark as package
from biomark.knowledge.building import build
from biomark.spans import Document, Entity, Span
from conftest import HANG, ROOT, Outcome
from knowledge_cases import Terms, entry

mcp = pytest.importorskip("mcp")

TEXT = "Aspirin-induced asthma is rare; 😀 gout."
GOLD = Document("1", "Gout and asthma.", entities=(Entity((Span(0, 4),), "disease"), Entity((Span(9, 15),), "disease")))
HALF = Document("1", "Gout and asthma.", entities=(Entity((Span(0, 4),), "disease"),))


def lines(*documents: Document) -> str:
    return "\n".join(json.dumps(document.to_dict()) for document in documents)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    build([Terms([entry("MESH:D001249", "disease", "asthma", "bronchial asthma")])], tmp_path / "terms", reject=fail)
    return tmp_path / "terms"


def fail(rejected: object) -> None:
    raise AssertionError(rejected)


def ask(work: Callable[[Any], Awaitable[Any]], *arguments: str) -> Any:
    """What `work` makes of a client of `biomark mcp ARGUMENTS`."""
    server = mcp.StdioServerParameters(
        command=sys.executable,
        args=["-m", "biomark", "mcp", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )

    async def asked() -> Any:
        async with mcp.Client(server, read_timeout_seconds=HANG) as client:
            return await work(client)

    return asyncio.run(asked())


def test_the_tools_are_listed_with_what_they_take_and_only_look() -> None:
    found = {tool.name: tool for tool in ask(lambda client: client.list_tools()).tools}
    assert set(found) == {"annotate", "search_terms", "evaluate"}
    assert set(found["annotate"].input_schema["properties"]) == {"text", "types", "min_score", "format"}
    assert found["annotate"].input_schema["required"] == ["text"]
    assert all(tool.description and tool.annotations.read_only_hint for tool in found.values())


def test_every_tool_answers_in_one_session(store: Path) -> None:
    async def work(client: Any) -> list[Any]:
        questions = [
            ("annotate", {"text": TEXT, "types": ["disease"]}),
            ("search_terms", {"text": "asthma", "limit": 1}),
            ("evaluate", {"gold": lines(GOLD), "predicted": lines(HALF)}),
            ("annotate", {"text": "7|t|Asthma is rare.\n7|a|Gout, too.\n", "format": "pubtator"}),
        ]
        return [(await client.call_tool(name, given)).structured_content for name, given in questions]

    found, terms, scores, documents = ask(work, "--store", str(store))
    (wanted,) = package.annotate(TEXT, "disease")
    (document,) = found["documents"]
    assert [e["spans"] for e in document["entities"]] == [[[e.start, e.end]] for e in wanted.entities]
    assert {e["text"]: e.get("ids") for e in document["entities"]}["asthma"] == ["MESH:D001249"]
    assert found["rejected"] == []
    assert [(t["identifier"], t["name"]) for t in terms["terms"]] == [("MESH:D001249", "asthma")]
    strict = scores["scores"]["strict"]
    assert (strict["precision"], strict["recall"], strict["tp"], strict["fn"]) == (1.0, 0.5, 1, 1)
    assert [d["id"] for d in documents["documents"]] == ["7"]


def test_wrong_questions_get_a_message_and_the_server_goes_on() -> None:
    questions: list[tuple[str, dict[str, Any], str]] = [
        ("annotate", {"text": TEXT, "types": ["dissease"]}, "unknown type 'dissease'"),
        ("annotate", {"text": TEXT, "min_score": 7}, "must be in [0, 1]"),
        ("annotate", {"text": TEXT, "format": "docx"}, "unknown input format 'docx'"),
        ("annotate", {}, "text"),
        ("search_terms", {"text": "asthma"}, "the server has no term store; start it with one"),
        ("evaluate", {"gold": lines(GOLD), "predicted": lines(Document("9", "x"))}, "1"),
        ("evaluate", {"gold": "", "predicted": ""}, ""),
        ("annotate", {"text": "x" * 10_000_001}, "send at most 10,000,000 at once"),
    ]

    async def work(client: Any) -> list[Any]:
        answers = [await client.call_tool(name, given) for name, given, _ in questions]
        return [*answers, await client.call_tool("annotate", {"text": ""})]

    *answers, last = ask(work)
    for (name, given, message), answer in zip(questions, answers, strict=True):
        told = "".join(part.text for part in answer.content)
        assert answer.is_error, (name, str(given)[:80])
        assert message in told
        assert "Traceback" not in told
    assert last.structured_content == {"documents": [{"id": "1", "text": "", "entities": []}], "rejected": []}


def test_parts_that_cannot_be_read_are_rejected_with_their_reasons() -> None:
    broken = lines(GOLD) + '\n{"id": "2"}'

    async def work(client: Any) -> Any:
        return (await client.call_tool("annotate", {"text": broken, "format": "jsonl"})).structured_content

    found = ask(work)
    assert [document["id"] for document in found["documents"]] == ["1"]
    assert len(found["rejected"]) == 1
    assert "document 2" in found["rejected"][0]


def test_a_wrong_model_or_store_is_an_error_of_the_command(biomark: Callable[..., Outcome], tmp_path: Path) -> None:
    assert "unknown model 'nowhere'" in biomark("mcp", "--model", "nowhere").err
    assert biomark("mcp", "--store", tmp_path / "none").status == 2


def test_without_the_sdk_the_extra_is_named(biomark: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "biomark.bridges.mcp", raising=False)
    monkeypatch.setitem(sys.modules, "mcp", None)
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    found = biomark("mcp")
    assert found.status == 2
    assert ".[mcp]" in found.err


def test_the_lines_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "biomark"  # as it is installed
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT / "src"} exec {sys.executable} -m biomark "$@"\n', "utf-8")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), os.environ["PATH"]]))
    found: dict[str, Any] = {}
    exec(code("mcp.md"), found)
    (document,) = found["answer"].structured_content["documents"]
    assert [entity["text"] for entity in document["entities"]] == ["asthma"]
