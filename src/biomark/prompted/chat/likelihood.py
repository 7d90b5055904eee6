"""The probabilities of an answer's tokens, where a server returns them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from biomark.spans import Span

Rows = tuple[tuple[int, float], ...]
"""For each token of a text, the number of its UTF-8 bytes and the natural logarithm of its probability; together they
cover the text, except perhaps for white space at its end."""


@dataclass(frozen=True, slots=True)
class AnswerTokens:
    """The tokens of an answer.

    Attributes:
        text: the whole output of the model.
        rows: the tokens of the text.
        answer: the offset in the text at which the answer begins, in code points.
    """

    text: str
    rows: Rows
    answer: int = 0

    def probability(self, place: Span) -> float:
        """Return the product of the probabilities of the tokens that overlap a span of the answer."""
        stretch = place.shift(self.answer)
        start, end = len(self.text[: stretch.start].encode()), len(self.text[: stretch.end].encode())
        total, at = 0.0, 0
        for size, logprob in self.rows:
            if at < end and start < at + size:
                total += logprob
            at += size
        return math.exp(min(0.0, total))


def rows_of(choice: Mapping[str, Any], text: str) -> Rows | None:
    """Return the tokens of a server's answer; None if the server returned none, or they do not form its text."""
    tokens = listed(choice)
    pieces = [_bytes(row) for row in tokens]
    logprobs = [row.get("logprob") for row in tokens]
    whole = b"".join(pieces)
    # llama.cpp drops the token of white space that begins a stop string, but keeps the white space in the text
    wanted = next((raw for raw in (text.encode(), text.rstrip().encode()) if raw in whole), b"")
    if not wanted:
        return None
    begin = 0 if whole.startswith(wanted) else whole.rfind(wanted)
    rows = []
    at = -begin
    for piece, logprob in zip(pieces, logprobs, strict=True):
        size = min(at + len(piece), len(wanted)) - max(at, 0)
        at += len(piece)
        if size <= 0:  # a token outside the text, such as thoughts or the end
            continue
        if isinstance(logprob, bool) or not isinstance(logprob, (int, float)) or not math.isfinite(logprob):
            return None
        rows.append((size, min(0.0, float(logprob))))
    return tuple(rows)


def listed(choice: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the tokens of a choice, or of its part in a stream, in the form of chat completions."""
    details = choice.get("logprobs")
    if not isinstance(details, dict):
        return []
    content, tokens, logprobs = details.get("content"), details.get("tokens"), details.get("token_logprobs")
    if isinstance(content, list):
        return [row for row in content if isinstance(row, dict)]
    if isinstance(tokens, list) and isinstance(logprobs, list):  # from /completions
        return [{"token": token, "logprob": logprob} for token, logprob in zip(tokens, logprobs, strict=False)]
    return []


def _bytes(row: Mapping[str, Any]) -> bytes:
    """Return the bytes of a token, which may be a part of a character."""
    numbers = row.get("bytes")
    if isinstance(numbers, list) and all(type(number) is int and 0 <= number < 256 for number in numbers):
        return bytes(numbers)
    token = row.get("token")
    return token.encode(errors="replace") if isinstance(token, str) else b""
