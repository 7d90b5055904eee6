"""Conversion of a request's texts, documents or content into documents.

No file is read on behalf of a request: a text that is the path of a file stays a text.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from biomark import formats
from biomark.annotation.items import half_character
from biomark.errors import FormatError, UsageError
from biomark.formats import Reject, Source
from biomark.serve.problems import Problem, unreadable
from biomark.serve.settings import ServeOptions
from biomark.spans import Document, Rejected

_FORMS = ("text", "texts", "documents", "content")
_READABLE = tuple(f.name for f in formats.FORMATS.values() if f.read is not None and not f.in_pairs)

TypeName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern="^[^,]*$")]


class RequestDocuments(BaseModel):
    """Documents in exactly one of four forms."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str | None = Field(None, description="One text; the id of its document is 1.")
    texts: list[str] | None = Field(
        None, min_length=1, description="Texts; the id of a document is the position of its text, from 1."
    )
    documents: list[dict[str, Any]] | None = Field(
        None, min_length=1, description="Documents in the form of biomark's JSON Lines."
    )
    content: str | None = Field(None, description="The text of a file in any format that biomark reads from one file.")
    format: str | None = Field(
        None, description=f"The format of `content`: {', '.join(_READABLE)}. Default: guessed.", max_length=40
    )

    @model_validator(mode="after")
    def _one_form(self) -> RequestDocuments:
        if sum(getattr(self, form) is not None for form in _FORMS) != 1:
            raise ValueError(f"send exactly one of {', '.join(_FORMS)}")
        if self.format is not None and self.content is None:
            raise ValueError("`format` applies to `content` only")
        return self


class ConvertRequest(RequestDocuments):
    """Documents, and the form of the answer."""

    sentences: bool = Field(False, description="Add the sentences of documents that have none.")
    to: Literal["json", "pubtator", "bioc_json"] | None = Field(
        None, description="The form of the answer. Default: that of the header Accept, or json without one."
    )


class AnnotateRequest(ConvertRequest):
    """Documents to annotate, and options."""

    types: list[TypeName] | None = Field(
        None, min_length=1, max_length=50, description="The types to find. Default: those of the model."
    )
    model: str | None = Field(None, description="A model of /v1/models. Default: the first one.", max_length=1_000)
    min_score: float | None = Field(
        None, ge=0, le=1, allow_inf_nan=False, strict=False, description="Leave out mentions with a lower score."
    )
    identifiers: bool = Field(False, description="Assign identifiers; the service must have a term store.")


class EvaluateRequest(BaseModel):
    """Gold and predicted mentions of the same documents, and options."""

    model_config = ConfigDict(extra="forbid", strict=True)

    gold: RequestDocuments = Field(description="The documents with gold mentions.")
    predicted: RequestDocuments = Field(description="The same documents with the mentions to score.")
    types: list[TypeName] | None = Field(
        None, min_length=1, max_length=50, description="The types to score. Default: those of gold."
    )
    match: Literal["strict", "partial"] | None = Field(None, description="Return only the scores of this scheme.")
    identifiers: bool = Field(False, description="Also score the identifiers of mentions.")


def documents_of(
    body: RequestDocuments, options: ServeOptions, reject: Reject, name: str = "the request"
) -> list[Document]:
    """Return the documents of a request.

    Args:
        body: the documents in one of their forms.
        options: the limits.
        reject: is called with each part that cannot be read; the others are returned.
        name: the name of `body` in messages.

    Raises:
        Problem: if no document can be read, or a limit is exceeded.
    """
    rejects: list[Rejected] = []

    def record(rejected: Rejected) -> None:
        rejects.append(rejected)
        reject(rejected)

    documents: list[Document] = []
    room = options.max_characters
    for document in _stream(body, record):
        if len(documents) == options.max_documents:
            detail = f"{name} has more than {options.max_documents:,} documents; send them in parts"
            raise Problem(413, detail, document=document.id)
        if len(document.text) > room:
            detail = (
                f"the documents of {name} have more than {options.max_characters:,} characters, from offset {room:,} "
                f"of document {document.id} on; send them in parts"
            )
            raise Problem(413, detail, document=document.id, start=room, end=len(document.text))
        room -= len(document.text)
        documents.append(document)
    if not documents:
        raise unreadable(rejects, name)
    return documents


def _stream(body: RequestDocuments, reject: Reject) -> Iterator[Document]:
    if body.content is not None:
        yield from _read(body.content, body.format, reject)
    elif body.documents is not None:  # one line each, so that the line of a reject is the position of its document
        yield from _read("\n".join(map(json.dumps, body.documents)), "jsonl", reject)
    else:
        for position, text in enumerate([body.text] if body.texts is None else body.texts, 1):
            if half := half_character(str(text), str(position)):
                reject(half)
            else:
                yield Document(str(position), str(text))


def _read(content: str, format_name: str | None, reject: Reject) -> Iterator[Document]:
    """Yield the documents in the text of a file."""
    if half := half_character(content):
        reject(half)
        return
    if format_name is not None and format_name not in _READABLE:
        raise Problem(422, f"unknown format {format_name!r:.60}; choose from {', '.join(_READABLE)}")
    # UTF-16 with a byte order mark, which overrides the encoding that XML declares: the content is decoded already
    source = Source(None, io.BytesIO(content.encode("utf-16")))
    source.name = "content"
    try:
        known_name = format_name or formats.guess_format(source).name
    except FormatError:
        reject(Rejected(f"the format of `content` is unknown; name it in `format`: {', '.join(_READABLE)}"))
        return
    try:
        yield from formats.read(source, known_name, reject=reject)
    except (FormatError, UsageError) as error:
        reject(Rejected(str(error).removeprefix("content: ")))
