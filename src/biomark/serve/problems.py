"""Errors as RFC 9457 problem details. Logs contain only the kind of an error."""

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


class Problem(HTTPException):
    """An error of a request, which is answered as problem details.

    Args:
        status: the HTTP status.
        detail: the message: what is wrong, where, and what to do.
        headers: headers of the response.
        **more: further members for programs, such as `document`, `start` and `end` (code points of its text); members
            that are None are left out.
    """

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **more: object) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.more = more

    def response(self) -> Response:
        """Return the problem as a response."""
        body = {
            "type": "about:blank",
            "title": _title(self.status_code),
            "status": self.status_code,
            "detail": self.detail,
            **{key: value for key, value in self.more.items() if value is not None},
        }
        return Response(as_json(body), self.status_code, self.headers, MEDIA_TYPE)


def as_json(values: object) -> bytes:
    """Return JSON in ASCII, which can hold lone surrogates, such as a request may have in its names."""
    return json.dumps(values).encode("ascii")


def reject_values(rejected: Rejected) -> dict[str, object]:
    """Return a reject as an object of JSON."""
    window = rejected.window
    return {
        "document": rejected.document_id,
        "reason": rejected.reason,
        "line": rejected.line,
        "start": window.start if window else None,
        "end": window.end if window else None,
    }


def unreadable(rejects: Sequence[Rejected], name: str) -> Problem:
    """Return the problem of a request in which no document can be read.

    Args:
        rejects: the rejects of its documents; at least one.
        name: the name of the part of the request.
    """
    values = [reject_values(rejected) for rejected in rejects]
    first, window = rejects[0], rejects[0].window
    return Problem(
        422,
        f"{name} has no document that can be read: {first.reason}",
        document=first.document_id,
        line=first.line,
        start=window.start if window else None,
        end=window.end if window else None,
        rejects=values,
    )


def add_handlers(app: FastAPI) -> None:
    """Make the application answer all errors of routes as problems."""

    @app.exception_handler(BiomarkError)
    def _own(request: Request, error: BiomarkError) -> Response:
        return Problem(422, str(error)).response()

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> Response:
        if isinstance(error, Problem):
            return error.response()
        return Problem(error.status_code, error.detail, headers=error.headers).response()

    @app.exception_handler(RequestValidationError)
    def _invalid(request: Request, error: RequestValidationError) -> Response:
        return _of_validation(error).response()

    @app.exception_handler(Exception)
    def _failed(request: Request, error: Exception) -> Response:
        return Problem(500, "internal error; the service's log has the kind of the error and its place").response()


def _of_validation(error: RequestValidationError) -> Problem:
    failures = error.errors()
    if failures[0]["type"] == "json_invalid":
        at = int(failures[0]["loc"][-1])
        return Problem(
            400, f"the body is invalid JSON at offset {at}: {failures[0]['ctx']['error']}", start=at, end=at + 1
        )
    errors = [
        {
            "at": "/" + "/".join(str(part) for part in failure["loc"][1:]),
            "reason": failure["msg"].removeprefix("Value error, "),
        }
        for failure in failures
    ]
    return Problem(422, f"{errors[0]['at']}: {errors[0]['reason']}", errors=errors)


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
