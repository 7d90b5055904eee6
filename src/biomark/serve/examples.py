"""Examples of requests for the OpenAPI document, and the responses that all routes with a body share."""

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
    "texts": _example(
        "Some texts, two types, likely mentions", texts=[_TEXT, "Gout."], types=["disease"], min_score=0.8
    ),
    "documents": _example("Documents with ids of their own", documents=[{"id": "note 7", "text": _TEXT}]),
    "content": _example("A file's text, answered in its format", content=_PUBTATOR, format="pubtator", to="pubtator"),
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
        "document": {"type": ["string", "null"], "description": "The id of the document that is at fault."},
        "line": {"type": ["integer", "null"], "description": "The line of `content`, or the place in `documents`."},
        "start": {"type": ["integer", "null"], "description": "Where the fault begins, in code points."},
        "end": {"type": ["integer", "null"], "description": "Where it ends."},
    },
}
_WHEN = {
    400: "The body is no JSON.",
    401: "There is no token, or a wrong one.",
    406: "No form of answer is accepted.",
    408: "The body did not arrive in time.",
    413: "There is more than the limits allow.",
    415: "The body is said to be something else than JSON.",
    421: "The host is none of this machine's names.",
    422: "The request makes no sense, or holds no document that can be read.",
    503: "Too many requests are open; the header Retry-After says when to come again.",
    504: "There was no answer in time.",
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": when, "content": {MEDIA_TYPE: {"schema": _PROBLEM}}} for status, when in _WHEN.items()
}
