"""The probabilities of an answer's tokens, where a server returns them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from biomark.spans import Span

Rows = tuple[tuple[int, float], ...]
"""Of each token of a text its UTF-8 bytes and the logarithm of its probability; together they are the text's bytes,
but perhaps for white space at its end."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of an answer.

    Attributes:
        text: all that the model wrote.
        rows: its tokens.
        answer: where in the text the answer begins.
    """

    text: str
    rows: Rows
    answer: int = 0

    def probability(self, place: Span) -> float:
        """The product of the probabilities of the tokens that have a part in a stretch of the answer."""
        stretch = place.shift(self.answer)
        start, end = len(self.text[: stretch.start].encode()), len(self.text[: stretch.end].encode())
        total, at = 0.0, 0
        for size, logprob in self.rows:
            if at < end and start < at + size:
                total += logprob
            at += size
        return math.exp(min(0.0, total))


def rows_of(choice: Mapping[str, Any], text: str) -> Rows | None:
    """The tokens of a server's answer; None if the server returned none, or they do not make up its text."""
    said = listed(choice)
    pieces = [_bytes(row) for row in said]
    logprobs = [row.get("logprob") for row in said]
    whole = b"".join(pieces)
    # llama.cpp leaves out the token of white space with which a stop string began, and not the white space
    wanted = next((raw for raw in (text.encode(), text.rstrip().encode()) if raw in whole), b"")
    if not wanted:
        return None
    begin = 0 if whole.startswith(wanted) else whole.rfind(wanted)
    rows = []
    at = -begin
    for piece, logprob in zip(pieces, logprobs, strict=True):
        size = min(at + len(piece), len(wanted)) - max(at, 0)
        at += len(piece)
        if size <= 0:  # of what is no part of the text: thoughts, the end
            continue
        if isinstance(logprob, bool) or not isinstance(logprob, (int, float)) or not math.isfinite(logprob):
            return None
        rows.append((size, min(0.0, float(logprob))))
    return tuple(rows)


def listed(choice: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The tokens of a choice, or of a part of one in a stream, in the form of chat, whatever their form."""
    said = choice.get("logprobs")
    if not isinstance(said, dict):
        return []
    content, tokens, logprobs = said.get("content"), said.get("tokens"), said.get("token_logprobs")
    if isinstance(content, list):
        return [row for row in content if isinstance(row, dict)]
    if isinstance(tokens, list) and isinstance(logprobs, list):  # of servers without chat
        return [{"token": token, "logprob": logprob} for token, logprob in zip(tokens, logprobs, strict=False)]
    return []


def _bytes(row: Mapping[str, Any]) -> bytes:
    """What a token spells: a part of a character has no text of its own."""
    numbers = row.get("bytes")
    if isinstance(numbers, list) and all(type(number) is int and 0 <= number < 256 for number in numbers):
        return bytes(numbers)
    token = row.get("token")
    return token.encode(errors="replace") if isinstance(token, str) else b""
