"""A dry run, which shows the prompts with their estimated tokens and sends nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from biomark.prompted.chat import Ask, Message, Reply, Request
from biomark.prompted.chat.account import Account


class Rehearsal:
    """A `Chat` that shows each request and returns empty answers.

    Args:
        show: is called with the text of each request.
        account: the account, which counts estimates; each answer counts as the longest one allowed.
        text: joins a conversation into one text, for servers without chat; None: messages are shown.
    """

    concurrency = 1

    def __init__(
        self,
        show: Callable[[str], None],
        account: Account | None = None,
        text: Callable[[Sequence[Message]], str] | None = None,
    ) -> None:
        self.account = account or Account()
        self._show = show
        self._text = text

    def facts(self) -> Mapping[str, object]:
        """See `biomark.prompted.chat.Chat`."""
        return {}

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Ask]:
        """See `biomark.prompted.chat.Chat`."""
        yield self._ask

    async def _ask(self, request: Request) -> Reply:
        for n in range(request.answers):
            self.account.pay(request.tokens(), request.max_tokens, estimated=True)
            if n == 0:
                self._show(shown(request, self._text))
        return Reply(("",) * request.answers)


def shown(request: Request, text: Callable[[Sequence[Message]], str] | None = None) -> str:
    """Format a request for people; see `Rehearsal` for `text`."""
    times = f", {request.answers} times" if request.answers > 1 else ""
    head = f"=== about {request.tokens():,} tokens, answer up to {request.max_tokens:,}{times}"
    parts = [text(request.messages)] if text else [f"[{m.role}]\n{m.content}" for m in request.messages]
    return "\n".join([head, *parts]) + "\n"
