"""Conversion of documents into an answer, in the form that the request or its header Accept names."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Response
from pydantic import BaseModel, Field

from biomark import formats
from biomark.serve.problems import Problem, as_json, reject_values
from biomark.spans import Document, Rejected
from biomark.text.sentences import with_sentences

MEDIA_TYPES = {
    "json": "application/json",
    "pubtator": "text/plain",
    "bioc_json": "application/vnd.bioc+json",
}
"""The media type of each form; the first one is the default."""
_SCHEMES = frozenset({"strict", "partial", "semeval"})


class RejectFacts(BaseModel):
    """A document or mention that could not be read or annotated."""

    document: str | None = Field(description="The id of the document, if it has one.")
    reason: str
    line: int | None = Field(description="The line in `content`, or the position in `documents`, from 1.")
    start: int | None = Field(description="The start in the text of the document, in code points.")
    end: int | None = Field(description="The end in the text of the document, in code points.")


class ConvertAnswer(BaseModel):
    """Documents with their mentions."""

    documents: list[dict[str, Any]] = Field(description="Documents in the form of biomark's JSON Lines.")
    rejects: list[RejectFacts]


class AnnotateAnswer(ConvertAnswer):
    """Documents with the mentions that a model finds."""

    model: str = Field(description="The name of the model.")


@dataclass(frozen=True, slots=True)
class DocumentAnswer:
    """The documents of an answer, before they have the form of a response.

    Attributes:
        documents: the documents with their mentions.
        rejects: what could not be read or annotated.
        model: the name of the model that has found the mentions; None: they are those of the request.
        sentences: whether documents without sentences get those that biomark finds.
    """

    documents: Sequence[Document]
    rejects: Sequence[Rejected]
    model: str | None = None
    sentences: bool = False


def response(answer: DocumentAnswer, to: str) -> Response:
    """Return an answer as a response.

    PubTator and BioC cannot hold rejects: the header `Biomark-Rejects` has their number, and `Biomark-Left-Out` counts
    what else the format cannot hold.

    Args:
        answer: the documents.
        to: the form, a key of `MEDIA_TYPES`.
    """
    documents = [with_sentences(document) for document in answer.documents] if answer.sentences else answer.documents
    if to == "json":
        values = {
            **({} if answer.model is None else {"model": answer.model}),
            "documents": [document.to_dict() for document in documents],
            "rejects": [reject_values(rejected) for rejected in answer.rejects],
        }
        return Response(as_json(values), media_type=MEDIA_TYPES[to])
    rejects = list(answer.rejects)
    stream = io.BytesIO()
    lost = formats.write(documents, stream, to, reject=rejects.append)
    headers = {"Biomark-Rejects": str(len(rejects))}
    if lost:
        headers["Biomark-Left-Out"] = ", ".join(f"{count} {kind}" for kind, count in lost.items())
    return Response(stream.getvalue(), headers=headers, media_type=MEDIA_TYPES[to])


def scores_of(values: Mapping[str, Any], match: str | None) -> dict[str, Any]:
    """Return the scores of one scheme.

    Args:
        values: the scores in the form of `biomark.evaluation.evaluation_json`.
        match: the scheme, `strict` or `partial`; None: all schemes.
    """
    if match is None:
        return dict(values)
    others = _SCHEMES - {match}
    types = {name: {k: v for k, v in scores.items() if k not in others} for name, scores in values["types"].items()}
    return {**{key: value for key, value in values.items() if key not in others}, "types": types}


def form_of(to: str | None, accept: str | None) -> str:
    """Return the form of the answer, a key of `MEDIA_TYPES`.

    Args:
        to: the form that the request names; it takes precedence.
        accept: the header Accept.

    Raises:
        Problem: if the header admits none of the forms.
    """
    if to is not None:
        return to
    if not accept:
        return "json"
    for accepted in _by_preference(accept):
        for form, media_type in MEDIA_TYPES.items():
            kind = media_type.partition("/")[0]
            if accepted in (media_type, f"{kind}/*", "*/*"):
                return form
    raise Problem(406, f"the header Accept must admit one of {', '.join(MEDIA_TYPES.values())}; or set `to`")


def _by_preference(accept: str) -> list[str]:
    """Return the media types of an Accept header, the preferred ones first, without those of quality 0."""
    qualities: list[tuple[float, str]] = []
    for part in accept.split(","):
        media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
        try:
            qualities.append((float(quality), media_type))
        except ValueError:
            continue
    return [media_type for quality, media_type in sorted(qualities, key=lambda pair: -pair[0]) if quality > 0]
