"""Annotated documents → the body of an answer, in the form that the request or its header Accept asks for."""

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

MEDIA_TYPES = {
    "json": "application/json",
    "pubtator": "text/plain",
    "bioc_json": "application/vnd.bioc+json",
}
"""The media type of each form; the first one is sent where any will do."""
_SCHEMES = frozenset({"strict", "partial", "semeval"})


class Reject(BaseModel):
    """Something that could not be read or annotated."""

    document: str | None = Field(description="The id of its document, where it has one.")
    reason: str
    line: int | None = Field(description="The line of `content`, or the place in `documents`, from 1.")
    start: int | None = Field(description="Where it begins in the text of its document, in code points.")
    end: int | None = Field(description="Where it ends there.")


class AnnotateAnswer(BaseModel):
    """The documents with their mentions."""

    model: str = Field(description="Which model found them.")
    documents: list[dict[str, Any]] = Field(description="In the form of biomark's JSON Lines.")
    rejects: list[Reject]


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found."""

    model: str
    documents: Sequence[Document]
    rejects: Sequence[Rejected]


def response(answer: Answer, to: str) -> Response:
    """An answer in one of the forms.

    PubTator and BioC have no place for rejects: the header `Biomark-Rejects` counts them, and `Biomark-Left-Out` what
    else the format cannot hold.
    """
    if to == "json":
        values = {
            "model": answer.model,
            "documents": [document.to_dict() for document in answer.documents],
            "rejects": [reject_values(rejected) for rejected in answer.rejects],
        }
        return Response(as_json(values), media_type=MEDIA_TYPES[to])
    rejects = list(answer.rejects)
    stream = io.BytesIO()
    lost = formats.write(answer.documents, stream, to, reject=rejects.append)
    headers = {"Biomark-Rejects": str(len(rejects))}
    if lost:
        headers["Biomark-Left-Out"] = ", ".join(f"{count} {what}" for what, count in lost.items())
    return Response(stream.getvalue(), headers=headers, media_type=MEDIA_TYPES[to])


def scores_of(values: Mapping[str, Any], match: str | None) -> dict[str, Any]:
    """Scores as `biomark.evaluation.evaluation_json` gives them, of one scheme alone if it is named."""
    if match is None:
        return dict(values)
    others = _SCHEMES - {match}
    types = {type: {k: v for k, v in scores.items() if k not in others} for type, scores in values["types"].items()}
    return {**{key: value for key, value in values.items() if key not in others}, "types": types}


def form_of(to: str | None, accept: str | None) -> str:
    """The form to answer in.

    Args:
        to: what the request says.
        accept: the header; is looked at where the request says nothing.

    Raises:
        Problem: if the header accepts none.
    """
    if to is not None:
        return to
    if not accept:
        return "json"
    for wanted in _by_preference(accept):
        for form, media_type in MEDIA_TYPES.items():
            kind = media_type.partition("/")[0]
            if wanted in (media_type, f"{kind}/*", "*/*"):
                return form
    raise Problem(406, f"there are answers in {', '.join(MEDIA_TYPES.values())}; or say which with the key to")


def _by_preference(accept: str) -> list[str]:
    """The media types of an Accept header, the preferred ones first, without those that are refused."""
    found: list[tuple[float, str]] = []
    for part in accept.split(","):
        media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
        try:
            found.append((float(quality), media_type))
        except ValueError:
            continue
    return [media_type for quality, media_type in sorted(found, key=lambda one: -one[0]) if quality > 0]
