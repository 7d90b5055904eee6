"""What a failure of a request means: whether to try again, when, and what to tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from biomark.prompted.chat.answers import Malformed, TooLarge, said_of

if TYPE_CHECKING:
    from openai import APIStatusError

_LONGEST = 600.0  # seconds that a server may ask us to wait
_AGAIN = (408, 409, 425, 429)  # and all from 500 on
_NOT_BILLED = (501, 503)  # of those from 500 on; the others may come when the model has answered
_HOPELESS = {
    401: "the server does not take the key; set BIOMARK_API_KEY or OPENAI_API_KEY",
    402: "the server wants to be paid first",
    403: "the server does not let this key in; set BIOMARK_API_KEY or OPENAI_API_KEY",
    404: "the server knows neither such a model nor such an address; a base URL often ends in /v1",
}
_NO_MONEY = ("insufficient_quota", "billing")
_TOO_LONG = ("context_length", "context length", "context window", "context size", "maximum context", "too long")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request was not answered.

    Attributes:
        reason: what to tell, without the key.
        status: of HTTP, if there was a response.
        again: whether the same request may be answered later.
        wait: the seconds that the server asks us to wait.
        hopeless: whether no request will be answered.
        unreached: whether the server could not be reached.
        too_long: whether a shorter request might be answered.
        billed: whether the server may bill the attempt, as the model may have answered.
    """

    reason: str
    status: int | None = None
    again: bool = True
    wait: float | None = None
    hopeless: bool = False
    unreached: bool = False
    too_long: bool = False
    billed: bool = False


def failure_of(error: Exception, *, secret: str) -> Failure:
    """What an exception of the SDK, or one of ours, means; `secret` is left out of what is told."""
    from openai import APIStatusError

    if isinstance(error, APIStatusError):
        return _status(error, secret)
    # By name, since versions of the SDK bring HTTP clients of their own. What breaks later is one answer's failure.
    names = {type(cause).__name__ for cause in _causes(error)}
    if malformed := next((cause for cause in _causes(error) if isinstance(cause, Malformed)), None):
        return Failure(_clean(str(malformed), secret), again=not isinstance(malformed, TooLarge), billed=True)
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return Failure("no answer within `timeout` seconds", billed="ConnectTimeout" not in names)
    said = _clean(str(_causes(error)[-1]) or type(error).__name__, secret)
    if "ConnectError" in names:
        return Failure(f"the server cannot be reached ({said})", unreached=True)
    return Failure(f"the connection failed ({said})", billed=True)


def _status(error: APIStatusError, secret: str) -> Failure:
    status = error.status_code
    body = error.body if isinstance(error.body, dict) else {}
    said = _clean(said_of(error.body) or error.message, secret)
    about = f"{body.get('code')} {body.get('type')}".lower()
    if 300 <= status < 400:
        where = _clean(error.response.headers.get("location", ""), secret)
        reason = f"the server sends us elsewhere ({where or 'without an address'}); give the right address"
        return Failure(reason, status, again=False, hopeless=True)
    if status in _HOPELESS or any(word in about for word in _NO_MONEY):
        reason = _HOPELESS.get(status, "the account has no money left")
        return Failure(f"{reason} ({status}: {said})", status, again=False, hopeless=True)
    wait = _wait(error.response.headers)
    too_long = status in (400, 413, 422) and any(word in f"{about} {said.lower()}" for word in _TOO_LONG)
    again = status in _AGAIN or status >= 500
    if again and wait is not None and wait > _LONGEST:
        reason = f"the server wants nothing for {wait:,.0f} seconds; run it again then ({status}: {said})"
        return Failure(reason, status, again=False, hopeless=True)
    billed = status == 408 or (status >= 500 and status not in _NOT_BILLED)
    return Failure(f"the server says {status}: {said}", status, again, wait, too_long=too_long, billed=billed)


def _wait(headers: Mapping[str, str]) -> float | None:
    """The seconds of `Retry-After`, which is a number or a date."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
        return seconds if seconds >= 0 else None  # neither is what is no number
    try:
        when = parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError, TypeError):
        return None
    return max(0.0, ((when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())


def _causes(error: BaseException) -> list[BaseException]:
    """An error and what it came of, the first cause last."""
    found = [error]
    while (cause := found[-1].__cause__) is not None:
        found.append(cause)
    return found


def _clean(text: str, secret: str) -> str:
    return " ".join(text.replace(secret, "…").split())[:300]
