"""A chat model that knows the truth about a few texts, and what tests of prompted models share."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from biomark.prompted.chat import Ask, Reply, Request
from biomark.prompted.chat import server as server_module
from biomark.prompted.chat.account import Account
from biomark.prompted.retrieval import Example
from biomark.recognizers import Annotated
from biomark.shapes import SHAPES
from biomark.spans import Document, Entity
from conftest import Outcome, TermRecognizer

Biomark = Callable[..., Outcome]
TYPES = ("disease", "chemical")
TEXTS = (
    "Aspirin helps against asthma. TNF-α rises in asthma, and zileuton lowers it.",
    "İ 😀 no news today. Aspirin-exacerbated respiratory disease is rare!",
    "",
    "Asthma, asthma; asthma (aspirin).",
)
DOCUMENTS = [Document(str(n), text) for n, text in enumerate(TEXTS)]


def truth(text: str, types: Sequence[str]) -> tuple[Entity, ...]:
    """The terms of a text; of nested ones the longest."""
    (found,) = TermRecognizer().annotate([Document("", text)], types)
    kept: list[Entity] = []
    for e in sorted(found.document.entities, key=lambda e: -len(e.extent)):
        if not any(e.overlaps(other) for other in kept):
            kept.append(Entity(e.spans, e.type))
    return tuple(sorted(kept, key=lambda e: e.start))


def text_of(messages: Sequence[tuple[str, str]]) -> str:
    """What a conversation asks about, whatever the shape."""
    last = messages[-1][1]
    if last.startswith("What describes "):
        return messages[-3][1].partition("Text: ")[2]
    if last.endswith("\nOutput:"):
        return last.removesuffix("\nOutput:").rpartition("Passage: ")[2]
    if last.endswith("\n"):
        return last.removesuffix("\n").rpartition("\n\n")[2]
    if last.endswith("\n\n### Response:"):
        return last.removesuffix("\n\n### Response:").partition("### Input:\n")[2]
    before, given, sentence = last.partition("The given sentence: ")
    return sentence.removesuffix("\nThe labeled sentence:") if given else before.rpartition("### Text\n")[2]


class Oracle:
    """A chat model that says what a function makes of each request; keeps the requests."""

    def __init__(self, say: Callable[[Request], str | Reply | Exception], *, concurrency: int = 4) -> None:
        self.account = Account()
        self.concurrency = concurrency
        self.asked: list[Request] = []
        self._say = say

    def facts(self) -> Mapping[str, object]:
        return {"model": "oracle"}

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Ask]:
        yield self._ask

    async def _ask(self, request: Request) -> Reply:
        self.asked.append(request)
        await asyncio.sleep(0.001 * (len(self.asked) % 3))  # answers come out of order
        said = self._say(request)
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, Reply) else Reply((said,))


def said(request: Request) -> list[tuple[str, str]]:
    """The messages of a request."""
    return [(message.role, message.content) for message in request.messages]


def knows(shape: str) -> Callable[[Request], str]:
    """The truth, in a shape."""

    def say(request: Request) -> str:
        return true_answer(shape, said(request))

    return say


def true_answer(shape: str, messages: Sequence[tuple[str, str]]) -> str:
    """The truth about what a conversation asks."""
    text = text_of(messages)
    types = TYPES
    if SHAPES[shape].single:
        # Each request is about the one type that it names first
        system = messages[0][1].split("### Answer")[0]
        types = ("disease",) if "disease entities" in system else ("chemical",)
    return SHAPES[shape].encode(text, truth(text, TYPES), types).text


def mentions(found: Iterable[Annotated]) -> list[list[tuple[str, int, str]]]:
    """Of each document the type, the beginning and the words of each mention."""
    return [[(e.type, e.start, e.mention(a.document.text)) for e in a.document.entities] for a in found]


def expected(documents: Iterable[Document], types: Sequence[str] = TYPES) -> list[list[tuple[str, int, str]]]:
    """The same of what is true."""
    return [[(e.type, e.start, e.mention(d.text)) for e in truth(d.text, types)] for d in documents]


def write_texts(path: Path, texts: Sequence[str]) -> Path:
    """Documents without mentions, as JSON Lines."""
    path.write_text("\n".join(json.dumps({"id": str(n), "text": text}) for n, text in enumerate(texts)), "utf-8")
    return path


def found_in(file: Path) -> list[list[tuple[str, int, str]]]:
    """The mentions of JSON Lines; see `mentions`."""
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    return [
        [(e["type"].lower(), e["spans"][0][0], row["text"][slice(*e["spans"][0])]) for e in row.get("entities", [])]
        for row in rows
    ]


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nothing of the user's own is used; files are made in a new folder."""
    monkeypatch.setattr(server_module, "_FIRST_WAIT", 0.01)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
    monkeypatch.delenv("BIOMARK_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def example(text: str, id: str = "x", types: tuple[str, ...] = TYPES) -> Example:
    return Example(text, truth(text, types), id, types)
