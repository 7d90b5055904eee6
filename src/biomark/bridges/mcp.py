"""A server of the Model Context Protocol (`biomark mcp`), through which assistants use biomark as a tool.

Clients send texts, never names of files: the server reads only the files of the model and of the term store.
"""

# No `from __future__ import annotations`: the SDK derives the tools' schemas from their annotations.

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, TypedDict

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

from biomark import __version__, formats
from biomark.annotation import annotated
from biomark.entity_types import parse_types
from biomark.errors import BiomarkError, FormatError
from biomark.evaluation import evaluate, evaluation_json
from biomark.knowledge.output import terms_json
from biomark.knowledge.store import Store
from biomark.models import load, normalizing
from biomark.spans import Document, Rejected

MOST_CHARACTERS = 10_000_000
"""The largest number of characters in a text, about 5,000 abstracts."""

_FORMATS = ", ".join(
    f.name for f in formats.FORMATS.values() if f.read is not None and not f.in_pairs and f.name != "bc2gm"
)
_Format = Annotated[str | None, Field(description=f"One of {_FORMATS}. Default: guessed.")]
_Types = Annotated[list[str] | None, Field(description="Entity types, such as disease, chemical, gene. Default: all.")]
_READ_ONLY = ToolAnnotations(read_only_hint=True, open_world_hint=False)


class AnnotationResult(TypedDict):
    """The answer of `annotate`.

    Attributes:
        documents: documents in the form of `biomark.Document.to_dict`; offsets are half-open code points.
        rejected: the messages of rejects.
    """

    documents: list[dict[str, Any]]
    rejected: list[str]


class TermResult(TypedDict):
    """The answer of `search_terms`: names with their concepts, exact matches first."""

    terms: list[dict[str, Any]]


class ScoreResult(TypedDict):
    """The answer of `evaluate`.

    Attributes:
        scores: the scores in the form of `biomark.evaluation.evaluation_json`.
        rejected: the messages of rejects.
    """

    scores: dict[str, Any]
    rejected: list[str]


class Tools:
    """The tools of the server.

    Args:
        model: a model's name or folder.
        store: the term store to search, from which mentions also get identifiers; None: there is none.

    Raises:
        BiomarkError: if the model or the store cannot be loaded.
    """

    def __init__(self, model: str = "default", store: Path | None = None) -> None:
        recognizer = load(model)
        self._recognizer = recognizer if store is None else normalizing(recognizer, store)
        self._store = None if store is None else Store(store)
        self._lock = Lock()  # the SDK calls tools from several threads

    def annotate(
        self,
        text: Annotated[str, Field(description="A text, or documents in one of the formats.")],
        types: _Types = None,
        min_score: Annotated[float | None, Field(description="Leave out mentions with a lower score.")] = None,
        format: Annotated[  # noqa: A002 - a key of the tool
            str | None, Field(description=f"The format of documents, one of {_FORMATS}. Default: plain text.")
        ] = None,
    ) -> AnnotationResult:
        """Find mentions of diseases, chemicals, genes and other types in biomedical text, with exact offsets."""
        rejected: list[str] = []

        def reject(one: Rejected) -> None:
            rejected.append(str(one))

        with self._answering():
            documents = [Document("1", _checked(text))] if format is None else _read(text, format, reject)
            results = annotated(documents, self._recognizer, types=types, min_score=min_score, reject=reject)
            return AnnotationResult(documents=[document.to_dict() for document in results], rejected=rejected)

    def search_terms(
        self,
        text: Annotated[str, Field(description="A name, or words of it.")],
        types: _Types = None,
        limit: Annotated[int, Field(description="The largest number of names.", ge=1, le=1000)] = 20,
    ) -> TermResult:
        """Look up names of diseases, chemicals and other concepts in a term store: identifiers and definitions."""
        with self._answering():
            if self._store is None:
                raise ToolError("the server has no term store; start it with one (`store`)")
            chosen = parse_types(",".join(types)) if types else None
            return TermResult(terms=terms_json(self._store.search(_checked(text), limit, types=chosen)))

    def evaluate(
        self,
        gold: Annotated[str, Field(description="The correct mentions: documents in one of the formats.")],
        predicted: Annotated[str, Field(description="The same documents with the mentions to score.")],
        types: _Types = None,
        format: _Format = None,  # noqa: A002 - a key of the tool
    ) -> ScoreResult:
        """Score predicted mentions against correct ones: precision, recall, F1, strict and partial."""
        rejected: list[str] = []

        def reject(one: Rejected) -> None:
            rejected.append(str(one))

        with self._answering():
            documents = (_read(text, format, reject) for text in (gold, predicted))
            result = evaluate(*documents, types=parse_types(",".join(types)) if types else ())
            return ScoreResult(scores=evaluation_json(result), rejected=rejected)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Answer one request at a time, and turn biomark's own errors into messages for the client."""
        with self._lock:
            try:
                yield
            except BiomarkError as error:
                raise ToolError(str(error)) from error


def make_server(tools: Tools) -> MCPServer[Any]:
    """Return a server for the tools; its method `run("stdio")` serves until standard input ends."""
    server: MCPServer[Any] = MCPServer(
        "biomark",
        instructions="Finds mentions of diseases, chemicals, genes and other types in biomedical text.",
        version=__version__,
        log_level="ERROR",  # lower levels would log the texts of clients
    )
    functions: tuple[Callable[..., Any], ...] = (tools.annotate, tools.search_terms, tools.evaluate)
    for function in functions:
        server.tool(annotations=_READ_ONLY)(function)
    return server


def _checked(text: str) -> str:
    """Return a text that is within the limit.

    Raises:
        FormatError: if it is longer.
    """
    if len(text) > MOST_CHARACTERS:
        raise FormatError(f"the text has {len(text):,} characters; send at most {MOST_CHARACTERS:,} at once")
    return text


def _read(text: str, format_name: str | None, reject: formats.Reject) -> Iterator[Document]:
    """Return the documents in the text of a file."""
    return formats.read(io.BytesIO(_checked(text).encode("utf-8", "replace")), format_name, reject=reject)
