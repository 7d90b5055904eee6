"""A server of the Model Context Protocol (`biomark mcp`), by which assistants use biomark as a tool.

What a client sends is text, never the name of a file: the server reads no file but the model's and the term store's.
"""

# No `from __future__ import annotations`: the SDK makes the tools' schemas of their annotations.

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
"""Of one text: about 5,000 abstracts."""

_FORMATS = ", ".join(
    f.name for f in formats.FORMATS.values() if f.read is not None and not f.in_pairs and f.name != "bc2gm"
)
_Format = Annotated[str | None, Field(description=f"One of {_FORMATS}. Leave it out to have it recognised.")]
_Types = Annotated[list[str] | None, Field(description="Such as disease, chemical, gene. Leave it out for all.")]
_LOOKS = ToolAnnotations(read_only_hint=True, open_world_hint=False)


class Annotations(TypedDict):
    """What `annotate` answers.

    Attributes:
        documents: in the form of `biomark.Document.to_dict`; offsets are half-open code points.
        rejected: what could not be read or annotated, and why.
    """

    documents: list[dict[str, Any]]
    rejected: list[str]


class Terms(TypedDict):
    """What `search_terms` answers: names with their concepts, the same names first."""

    terms: list[dict[str, Any]]


class Scores(TypedDict):
    """What `evaluate` answers.

    Attributes:
        scores: in the form that the command `evaluate` prints as JSON.
        rejected: what could not be read.
    """

    scores: dict[str, Any]
    rejected: list[str]


class Tools:
    """What the server can do.

    Args:
        model: a model's name or folder.
        store: a term store, which is searched, and from which mentions get identifiers; None: neither is done.

    Raises:
        BiomarkError: if the model or the store cannot be loaded.
    """

    def __init__(self, model: str = "default", store: Path | None = None) -> None:
        found = load(model)
        self._recognizer = found if store is None else normalizing(found, store)
        self._store = None if store is None else Store(store)
        self._lock = Lock()  # the SDK calls tools from several threads

    def annotate(
        self,
        text: Annotated[str, Field(description="A text, or documents in one of the formats.")],
        types: _Types = None,
        min_score: Annotated[float | None, Field(description="Leave out mentions with a lower score.")] = None,
        format: Annotated[
            str | None, Field(description=f"Leave it out for plain text. For documents one of {_FORMATS}.")
        ] = None,
    ) -> Annotations:
        """Find mentions of diseases, chemicals, genes and other types in biomedical text, with exact offsets."""
        rejected: list[str] = []

        def reject(one: Rejected) -> None:
            rejected.append(str(one))

        with self._answering():
            documents = [Document("1", _short(text))] if format is None else _read(text, format, reject)
            found = annotated(documents, self._recognizer, types=types, min_score=min_score, reject=reject)
            return Annotations(documents=[document.to_dict() for document in found], rejected=rejected)

    def search_terms(
        self,
        text: Annotated[str, Field(description="A name, or words of it.")],
        types: _Types = None,
        limit: Annotated[int, Field(description="How many names at most.", ge=1, le=1000)] = 20,
    ) -> Terms:
        """Look up names of diseases, chemicals and other concepts in a term store: identifiers and definitions."""
        with self._answering():
            if self._store is None:
                raise ToolError("there is no term store; start the server with one (`store`)")
            wanted = parse_types(",".join(types)) if types else None
            return Terms(terms=terms_json(self._store.search(_short(text), limit, types=wanted)))

    def evaluate(
        self,
        gold: Annotated[str, Field(description="The correct mentions: documents in one of the formats.")],
        predicted: Annotated[str, Field(description="The same documents with the mentions to score.")],
        types: _Types = None,
        format: _Format = None,
    ) -> Scores:
        """Score predicted mentions against correct ones: precision, recall, F1, strict and partial."""
        rejected: list[str] = []

        def reject(one: Rejected) -> None:
            rejected.append(str(one))

        with self._answering():
            documents = (_read(text, format, reject) for text in (gold, predicted))
            found = evaluate(*documents, types=parse_types(",".join(types)) if types else ())
            return Scores(scores=evaluation_json(found), rejected=rejected)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """One answer at a time; an error of biomark's own is a message for the client."""
        with self._lock:
            try:
                yield
            except BiomarkError as error:
                raise ToolError(str(error)) from error


def make_server(tools: Tools) -> MCPServer[Any]:
    """The server of some tools; `run("stdio")` serves until its input ends."""
    server: MCPServer[Any] = MCPServer(
        "biomark",
        instructions="Finds mentions of diseases, chemicals, genes and other types in biomedical text.",
        version=__version__,
        log_level="ERROR",  # other levels log what clients send
    )
    functions: tuple[Callable[..., Any], ...] = (tools.annotate, tools.search_terms, tools.evaluate)
    for function in functions:
        server.tool(annotations=_LOOKS)(function)
    return server


def _short(text: str) -> str:
    if len(text) > MOST_CHARACTERS:
        raise FormatError(f"the text has {len(text):,} characters; send at most {MOST_CHARACTERS:,} at once")
    return text


def _read(text: str, format: str | None, reject: formats.Reject) -> Iterator[Document]:
    """The documents that a text holds."""
    return formats.read(io.BytesIO(_short(text).encode("utf-8", "replace")), format, reject=reject)
