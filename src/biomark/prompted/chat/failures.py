"""Classification of failed requests: the message, and whether and when to try again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from biomark.prompted.chat.answers import Malformed, TooLarge, error_text

if TYPE_CHECKING:
    from openai import APIStatusError

_LONGEST = 600.0  # the longest wait in seconds that a server may ask for
_AGAIN = (408, 409, 425, 429)  # the statuses that may pass, as may all from 500
_NOT_BILLED = (501, 503)  # the other statuses from 500 may occur after the model has answered
# The statuses that all requests would get, with their messages.
_HOPELESS = {
    401: "the server refuses the key; set BIOMARK_API_KEY or OPENAI_API_KEY",
    402: "the server requires payment",
    403: "the server denies access with this key; set BIOMARK_API_KEY or OPENAI_API_KEY",
    404: "the server has no such model or address; a base URL often ends in /v1",
}
# Words in the code or type of an error, and for requests that are too long also in its message.
_NO_MONEY = ("insufficient_quota", "billing")
_TOO_LONG = ("context_length", "context length", "context window", "context size", "maximum context", "too long")


@dataclass(frozen=True, slots=True)
class Failure:
    """The failure of a request.

    Attributes:
        reason: the message, without the key.
        status: the HTTP status, if there was a response.
        again: whether the same request may succeed later.
        wait: the seconds that the server asks to wait; None: unknown.
        hopeless: whether all requests will fail.
        unreached: whether the server could not be reached.
        too_long: whether a shorter request might succeed.
        billed: whether the server may bill the attempt, because the model may have answered.
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
    """Classify an exception of the SDK or of biomark; the message does not contain `secret`."""
    from openai import APIStatusError

    if isinstance(error, APIStatusError):
        return _status(error, secret)
    # Exceptions of the HTTP client are recognised by name, because versions of the SDK bring clients of their own.
    names = {type(cause).__name__ for cause in _causes(error)}
    if malformed := next((cause for cause in _causes(error) if isinstance(cause, Malformed)), None):
        return Failure(_clean(str(malformed), secret), again=not isinstance(malformed, TooLarge), billed=True)
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return Failure("no answer within `timeout` seconds", billed="ConnectTimeout" not in names)
    detail = _clean(str(_causes(error)[-1]) or type(error).__name__, secret)
    if "ConnectError" in names:
        return Failure(f"the server cannot be reached ({detail})", unreached=True)
    return Failure(f"the connection failed ({detail})", billed=True)


def _status(error: APIStatusError, secret: str) -> Failure:
    """Classify a response with an error status."""
    status = error.status_code
    body = error.body if isinstance(error.body, dict) else {}
    detail = _clean(error_text(error.body) or error.message, secret)
    codes = f"{body.get('code')} {body.get('type')}".lower()
    if 300 <= status < 400:
        target = _clean(error.response.headers.get("location", ""), secret)
        reason = f"the server redirects to {target or 'no address'}; correct `base_url`"
        return Failure(reason, status, again=False, hopeless=True)
    if status in _HOPELESS or any(word in codes for word in _NO_MONEY):
        reason = _HOPELESS.get(status, "the account has no money left")
        return Failure(f"{reason} ({status}: {detail})", status, again=False, hopeless=True)
    wait = _wait(error.response.headers)
    too_long = status in (400, 413, 422) and any(word in f"{codes} {detail.lower()}" for word in _TOO_LONG)
    again = status in _AGAIN or status >= 500
    if again and wait is not None and wait > _LONGEST:
        reason = f"the server accepts no requests for {wait:,.0f} seconds; try again later ({status}: {detail})"
        return Failure(reason, status, again=False, hopeless=True)
    billed = status == 408 or (status >= 500 and status not in _NOT_BILLED)
    return Failure(f"the server reports {status}: {detail}", status, again, wait, too_long=too_long, billed=billed)


def _wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of `Retry-After`, which is a number or a date; None if it is missing or invalid."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
        return seconds if seconds >= 0 else None  # NaN is not >= 0 either
    try:
        when = parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError, TypeError):
        return None
    return max(0.0, ((when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())


def _causes(error: BaseException) -> list[BaseException]:
    """Return an error and its chain of causes, the original cause last."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    return chain


def _clean(text: str, secret: str) -> str:
    """Return a text in one line of at most 300 characters, without the key."""
    return " ".join(text.replace(secret, "…").split())[:300]
