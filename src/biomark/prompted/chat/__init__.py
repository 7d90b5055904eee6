"""Language models that are asked in messages: what is asked, what comes back, and what it costs.

`server` talks to any server with OpenAI's interface, `rehearsal` to none; models that run in this
process are in `biomark.prompted.chat.in_process`. All of them are a `Chat`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from math import ceil
from typing import Protocol

from biomark.prompted.chat.account import Account
from biomark.prompted.chat.likelihood import Tokens
from biomark.spans import Entity

SYSTEM, USER, ASSISTANT = "system", "user", "assistant"
_MESSAGE = 4  # tokens that a chat template puts around a message, about
_BYTES = 3  # of a token; English has four, formulas and names fewer


@dataclass(frozen=True, slots=True)
class Message:
    """What one side of a conversation says.

    Attributes:
        role: `system`, `user` or `assistant`.
        content: the text.
        begun: whether the answer simply goes on with this text, so that a plain prompt puts no heading between them.
    """

    role: str
    content: str
    begun: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked.

    Attributes:
        messages: the conversation; the model goes on with the assistant's next message.
        max_tokens: the longest answer.
        temperature: 0 for the likeliest answer; above for samples.
        answers: how many answers are wanted.
        sample: a number that tells apart requests which are otherwise equal and still want answers of their own.
        schema: a JSON schema that the answer should obey; servers that cannot do so are not given it.
        source: the text that the answer repeats with marks; a model in this process obeys, a server never sees it.
        type: of the mentions that are marked in `source`.
        stops: what ends an answer, beside the model's own end; the answer has none of them.
        logprobs: whether the probabilities of the answer's tokens are wanted, of servers that tell them.
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
        """About how many tokens the messages have, rather too many than too few."""
        return sum(estimate(message.content) + _MESSAGE for message in self.messages)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered.

    Attributes:
        texts: as many answers as were wanted, unless the server gave fewer; at least one, if there are no `entities`.
        finished: whether all of them ended by themselves, not at `max_tokens`.
        entities: of each answer the mentions of `Request.type`, with scores and offsets in `Request.source`, where the
            model's choice was restricted to marks in the source; None: `texts` are the answers.
        tokens: of the only answer; None: the server does not tell them.
    """

    texts: tuple[str, ...]
    finished: bool = True
    entities: tuple[tuple[Entity, ...], ...] | None = None
    tokens: Tokens | None = None


class Unanswered(Exception):
    """A request that got no answer; others may.

    Args:
        reason: what happened and what to do, as a sentence without a full stop.
        too_long: whether a shorter request might be answered.
    """

    def __init__(self, reason: str, *, too_long: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.too_long = too_long


Ask = Callable[[Request], Awaitable[Reply]]
"""Gets the answer to a request; raises `Unanswered`, or `ChatError` if it is no use to ask at all."""


class Chat(Protocol):
    """A language model that can be asked.

    Attributes:
        concurrency: how many requests are worth having under way.
        account: what was spent so far.
    """

    @property
    def concurrency(self) -> int: ...  # noqa: D102

    @property
    def account(self) -> Account: ...  # noqa: D102

    def facts(self) -> Mapping[str, object]:
        """What a record should say of the model and of how it was asked."""
        ...

    def session(self) -> AbstractAsyncContextManager[Ask]:
        """Open connections and the like for one event loop; several sessions may be open at once."""
        ...


def estimate(text: str) -> int:
    """About how many tokens a text has, rather too many than too few."""
    return ceil(len(text.encode(errors="replace")) / _BYTES)
