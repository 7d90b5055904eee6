"""Examples of requests and the error responses of all routes with a body, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from biomark.serve.problems import MEDIA_TYPE

_TEXT = "Zileuton, an inhibitor of ALOX5, helped patients with aspirin-exacerbated respiratory disease."
_PUBTATOR = f"1|t|{_TEXT}\n1|a|Asthma was rare.\n"
_GOLD = f"{_PUBTATOR}1\t0\t8\tZileuton\tChemical\n1\t95\t101\tAsthma\tDisease\n\n"
_PREDICTED = f"{_PUBTATOR}1\t95\t101\tAsthma\tDisease\n\n"


def _example(summary: str, **value: object) -> Any:
    return {"summary": summary, "value": value}


ANNOTATE = {
    "text": _example("One text", text=_TEXT),
    "texts": _example("Two texts, one type, likely mentions", texts=[_TEXT, "Gout."], types=["disease"], min_score=0.8),
    "documents": _example("Documents with ids", documents=[{"id": "note 7", "text": _TEXT}]),
    "content": _example("The text of a file, and its format", content=_PUBTATOR, format="pubtator", to="pubtator"),
}
CONVERT = {
    "content": _example("The mentions of a file, as BioC", content=_GOLD, format="pubtator", to="bioc_json"),
}
EVALUATE = {
    "pubtator": _example(
        "Two files",
        gold={"content": _GOLD, "format": "pubtator"},
        predicted={"content": _PREDICTED, "format": "pubtator"},
    ),
    "strict": _example(
        "Strict scores of one type",
        gold={"content": _GOLD, "format": "pubtator"},
        predicted={"content": _PREDICTED, "format": "pubtator"},
        types=["disease"],
        match="strict",
    ),
}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, where, and what to do."},
        "document": {"type": ["string", "null"], "description": "The id of the document with the error."},
        "line": {
            "type": ["integer", "null"],
            "description": "The line in `content`, or the position in `documents`, from 1.",
        },
        "start": {"type": ["integer", "null"], "description": "The start of the error, in code points."},
        "end": {"type": ["integer", "null"], "description": "The end of the error, in code points."},
    },
}
_WHEN = {
    400: "The body is not JSON.",
    401: "The token is missing or wrong.",
    406: "The header Accept admits none of the available media types.",
    408: "The body did not arrive in time.",
    413: "The request exceeds a limit.",
    415: "The content type of the body is not JSON.",
    421: "The header Host is none of this machine's names.",
    422: "The request has an invalid value, or no document that can be read.",
    503: "Too many requests are open; repeat the request after the seconds in the header Retry-After.",
    504: "The answer was not ready in time.",
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": when, "content": {MEDIA_TYPE: {"schema": _PROBLEM}}} for status, when in _WHEN.items()
}
