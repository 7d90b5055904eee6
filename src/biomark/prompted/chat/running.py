"""Many questions at once, for callers that know nothing of event loops or are in one already."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from biomark.prompted.chat import Ask, Chat

T = TypeVar("T")


async def all_of(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """All results in order; if one fails for good, so does this, and the rest is stopped."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part) for part in work]
    except BaseExceptionGroup as errors:
        error: BaseException = errors
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
    return [task.result() for task in tasks]


@contextmanager
def open_session(chat: Chat) -> Iterator[tuple[Any, Ask]]:
    """A session of a chat model in an event loop of its own, for callers that are not asynchronous.

    Work that is still under way at the end is stopped before the session closes.

    Yields:
        A function that starts a coroutine in the loop and returns its `concurrent.futures.Future`, and the session's
        `Ask`, which is to be awaited there.
    """
    with _event_loop() as start:
        session = chat.session()
        ask = start(session.__aenter__()).result()
        try:
            yield start, ask
        finally:
            start(_stop_all()).result()
            start(session.__aexit__(None, None, None)).result()


async def _stop_all() -> None:
    """Stop all that is under way."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@contextmanager
def _event_loop() -> Iterator[Any]:
    """A loop in a thread of its own, as the caller may be in a loop already; gives what starts work in it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="biomark-chat", daemon=True)
    thread.start()
    try:
        yield partial(asyncio.run_coroutine_threadsafe, loop=loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
