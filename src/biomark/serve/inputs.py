"""A request's texts, documents or content → documents.

Nothing of a request is looked for on the disk: a text that is the path of a file is a text.
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


class Input(BaseModel):
    """Documents in exactly one of four forms."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str | None = Field(None, description="One text; the id of its document is 1.")
    texts: list[str] | None = Field(
        None, min_length=1, description="Texts; the id of a document is the place of its text, from 1."
    )
    documents: list[dict[str, Any]] | None = Field(
        None, min_length=1, description="Documents in the form of biomark's JSON Lines."
    )
    content: str | None = Field(None, description="The text of a file in any format that biomark reads from one file.")
    format: str | None = Field(
        None, description=f"The format of `content`, else guessed: {', '.join(_READABLE)}.", max_length=40
    )

    @model_validator(mode="after")
    def _one_form(self) -> Input:
        if sum(getattr(self, form) is not None for form in _FORMS) != 1:
            raise ValueError(f"give exactly one of {', '.join(_FORMS)}")
        if self.format is not None and self.content is None:
            raise ValueError("format goes with content alone")
        return self


class AnnotateRequest(Input):
    """What to annotate, and how."""

    types: list[TypeName] | None = Field(
        None, min_length=1, max_length=50, description="The types to look for; else those of the model."
    )
    model: str | None = Field(None, description="One of /v1/models; else the first.", max_length=1_000)
    min_score: float | None = Field(
        None, ge=0, le=1, allow_inf_nan=False, strict=False, description="Mentions with a lower score are left out."
    )
    identifiers: bool = Field(False, description="Give mentions identifiers, if the service has a term store.")
    to: Literal["json", "pubtator", "bioc_json"] | None = Field(
        None, description="The form of the answer; else what the header Accept asks for, else json."
    )


class EvaluateRequest(BaseModel):
    """Two sets of the same documents, and what to score."""

    model_config = ConfigDict(extra="forbid", strict=True)

    gold: Input = Field(description="The reference documents.")
    predicted: Input = Field(description="The same documents with the mentions to score.")
    types: list[TypeName] | None = Field(
        None, min_length=1, max_length=50, description="The types to score; else those of gold."
    )
    match: Literal["strict", "partial"] | None = Field(None, description="Give the scores of this scheme alone.")
    identifiers: bool = Field(False, description="Score the identifiers of mentions as well.")


def documents_of(given: Input, options: ServeOptions, reject: Reject, what: str = "the request") -> list[Document]:
    """The documents of a request.

    Args:
        given: in one of its forms.
        options: with the limits.
        reject: is called with what cannot be read; the rest goes on.
        what: how messages call `given`.

    Raises:
        Problem: if nothing can be read, or there is more than the limits allow.
    """
    rejects: list[Rejected] = []

    def counted(rejected: Rejected) -> None:
        rejects.append(rejected)
        reject(rejected)

    found: list[Document] = []
    room = options.max_characters
    for document in _stream(given, counted):
        if len(found) == options.max_documents:
            detail = f"{what} has more than {options.max_documents:,} documents; send them in parts"
            raise Problem(413, detail, document=document.id)
        if len(document.text) > room:
            detail = (
                f"the documents of {what} have more than {options.max_characters:,} characters, from offset {room:,} "
                f"of document {document.id} on; send them in parts"
            )
            raise Problem(413, detail, document=document.id, start=room, end=len(document.text))
        room -= len(document.text)
        found.append(document)
    if not found:
        raise unreadable(rejects, what)
    return found


def _stream(given: Input, reject: Reject) -> Iterator[Document]:
    if given.content is not None:
        yield from _read(given.content, given.format, reject)
    elif given.documents is not None:  # a line each: the line of a reject is the place of its document
        yield from _read("\n".join(map(json.dumps, given.documents)), "jsonl", reject)
    else:
        for place, text in enumerate([given.text] if given.texts is None else given.texts, 1):
            if half := half_character(str(text), str(place)):
                reject(half)
            else:
                yield Document(str(place), str(text))


def _read(content: str, format: str | None, reject: Reject) -> Iterator[Document]:
    """The documents in the text of a file."""
    if half := half_character(content):
        reject(half)
        return
    if format is not None and format not in _READABLE:
        raise Problem(422, f"no format {format!r:.60} is read from content; there are {', '.join(_READABLE)}")
    # With a byte order mark, which goes before the encoding that XML declares: the text was decoded before it was sent.
    source = Source(None, io.BytesIO(content.encode("utf-16")))
    source.name = "content"
    try:
        found = format or formats.guess_format(source).name
    except FormatError:
        reject(Rejected(f"content begins as no format does; give its format, one of {', '.join(_READABLE)}"))
        return
    try:
        yield from formats.read(source, found, reject=reject)
    except (FormatError, UsageError) as error:
        reject(Rejected(str(error).removeprefix("content: ")))
