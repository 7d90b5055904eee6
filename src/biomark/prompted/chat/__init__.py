"""Chat models: requests, replies, and their cost.

`server` sends requests to a server with OpenAI's interface, `rehearsal` only shows them, and `in_process` runs a model
in this process. All of them implement `Chat`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from math import ceil
from typing import Protocol

from biomark.prompted.chat.account import Account
from biomark.prompted.chat.likelihood import AnswerTokens
from biomark.spans import Entity

SYSTEM, USER, ASSISTANT = "system", "user", "assistant"
_MESSAGE = 4  # tokens, about, that a chat template adds to a message
_BYTES = 3  # UTF-8 bytes of a token; about four in English, fewer in formulas and names


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a conversation.

    Attributes:
        role: `system`, `user` or `assistant`.
        content: the text.
        begun: whether the answer continues this text directly, so that a plain prompt puts no heading between them.
    """

    role: str
    content: str
    begun: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """A request to a model.

    Attributes:
        messages: the conversation; the model writes the assistant's next message.
        max_tokens: the longest answer in tokens.
        temperature: 0 for the likeliest answer; above 0 for samples.
        answers: the number of answers.
        sample: a number that distinguishes requests which are otherwise equal but need separate answers.
        schema: a JSON schema for the answer; it is only sent to servers that support schemas.
        source: the text that the answer repeats with marks; a constraint for a model in this process, never sent to a
            server.
        type: the type of the mentions to mark in `source`.
        stops: strings that end an answer, in addition to the model's end token; the answer contains none of them.
        logprobs: whether to return the probabilities of the answer's tokens, if the server supports this.
    """

    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 0.0
    answers: int = 1
    sample: int = 0
    schema: Mapping[str, object] | None = None
    source: str | None = None
    type: str = ""
    stops: tuple[str, ...] = ()
    logprobs: bool = False

    def tokens(self) -> int:
        """Return an upper estimate of the number of tokens in the messages."""
        return sum(estimate(message.content) + _MESSAGE for message in self.messages)


@dataclass(frozen=True, slots=True)
class Reply:
    """The answers of a model to a request.

    Attributes:
        texts: `Request.answers` texts, or fewer if the server returned fewer; at least one if `entities` is None.
        finished: whether all answers are complete, not cut off at `max_tokens` or ended for repeating themselves.
        entities: for each answer, the mentions of `Request.type` with scores and offsets in `Request.source`, if the
            model was constrained to marks in the source; None: `texts` are the answers.
        tokens: the tokens of the only answer; None: the server does not return them.
    """

    texts: tuple[str, ...]
    finished: bool = True
    entities: tuple[tuple[Entity, ...], ...] | None = None
    tokens: AnswerTokens | None = None


class Unanswered(Exception):
    """A request failed; other requests may succeed.

    Args:
        reason: the cause and the remedy, as a sentence without a full stop.
        too_long: whether a shorter request might succeed.
    """

    def __init__(self, reason: str, *, too_long: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.too_long = too_long


Ask = Callable[[Request], Awaitable[Reply]]
"""Returns the reply to a request; raises `Unanswered`, or `ChatError` if every request would fail."""


class Chat(Protocol):
    """A chat model.

    Attributes:
        concurrency: the useful number of concurrent requests.
        account: the tokens and money spent so far.
    """

    @property
    def concurrency(self) -> int: ...  # noqa: D102

    @property
    def account(self) -> Account: ...  # noqa: D102

    def facts(self) -> Mapping[str, object]:
        """Return the facts about the model and its settings for a record of a run."""
        ...

    def session(self) -> AbstractAsyncContextManager[Ask]:
        """Open the resources for one event loop, such as connections; several sessions may be open at once."""
        ...


def estimate(text: str) -> int:
    """Return an upper estimate of the number of tokens in a text."""
    return ceil(len(text.encode(errors="replace")) / _BYTES)
