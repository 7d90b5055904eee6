"""Errors as RFC 9457 problem details, of which no log learns more than their kind."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from biomark.errors import BiomarkError
from biomark.spans import Rejected

MEDIA_TYPE = "application/problem+json"

Json = dict[str, object]


class Problem(HTTPException):
    """A request that is not answered as its sender wished.

    Args:
        status: of HTTP.
        detail: what is wrong, where, and what to do.
        headers: of the response.
        **more: what programs may want to know, such as `document`, `start` and `end` (code points of its text).
    """

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **more: object) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.more = more

    def response(self) -> Response:
        """The problem as a response."""
        body = {
            "type": "about:blank",
            "title": _title(self.status_code),
            "status": self.status_code,
            "detail": self.detail,
            **{key: value for key, value in self.more.items() if value is not None},
        }
        return Response(as_json(body), self.status_code, self.headers, MEDIA_TYPE)


def as_json(values: object) -> bytes:
    """JSON in ASCII alone, which holds halves of characters as well, such as a request may have in its names."""
    return json.dumps(values).encode("ascii")


def reject_values(rejected: Rejected) -> Json:
    """What a response tells of a reject."""
    window = rejected.window
    return {
        "document": rejected.document_id,
        "reason": rejected.reason,
        "line": rejected.line,
        "start": window.start if window else None,
        "end": window.end if window else None,
    }


def unreadable(rejects: Sequence[Rejected], what: str) -> Problem:
    """The problem of a request that holds nothing which can be read.

    Args:
        rejects: why; at least one.
        what: the part of the request.
    """
    values = [reject_values(rejected) for rejected in rejects]
    first, window = rejects[0], rejects[0].window
    return Problem(
        422,
        f"{what} holds no document that can be read: {first.reason}",
        document=first.document_id,
        line=first.line,
        start=window.start if window else None,
        end=window.end if window else None,
        rejects=values,
    )


def add_handlers(app: FastAPI) -> None:
    """Have all errors of routes answered as problems."""

    @app.exception_handler(BiomarkError)
    def _own(request: Request, error: BiomarkError) -> Response:
        return Problem(422, str(error)).response()

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> Response:
        known = error if isinstance(error, Problem) else Problem(error.status_code, error.detail, headers=error.headers)
        return known.response()

    @app.exception_handler(RequestValidationError)
    def _invalid(request: Request, error: RequestValidationError) -> Response:
        return _of_validation(error).response()

    @app.exception_handler(Exception)
    def _failed(request: Request, error: Exception) -> Response:
        return Problem(500, "the service failed; its log has the kind of the error").response()


def _of_validation(error: RequestValidationError) -> Problem:
    found = error.errors()
    if found[0]["type"] == "json_invalid":
        at = int(found[0]["loc"][-1])
        return Problem(
            400, f"the body is no JSON, from offset {at} on: {found[0]['ctx']['error']}", start=at, end=at + 1
        )
    errors = [
        {"at": "/" + "/".join(str(part) for part in one["loc"][1:]), "reason": one["msg"].removeprefix("Value error, ")}
        for one in found
    ]
    return Problem(422, f"{errors[0]['at']}: {errors[0]['reason']}", errors=errors)


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
