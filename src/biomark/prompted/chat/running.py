"""Concurrent requests for callers that have no event loop, or are already in one."""

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
    """Await all coroutines and return their results in order; if one fails, cancel the others and raise its error."""
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
    """Open a session of a chat model in a separate event loop, for callers that are not asynchronous.

    Unfinished work is cancelled before the session closes.

    Yields:
        A function that starts a coroutine in the loop and returns its `concurrent.futures.Future`, and the session's
        `Ask`, which must be awaited there.
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
    """Cancel all other tasks of the loop."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@contextmanager
def _event_loop() -> Iterator[Any]:
    """Run a loop in a separate thread, because the caller may be in a loop; yield a function that starts coroutines."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="biomark-chat", daemon=True)
    thread.start()
    try:
        yield partial(asyncio.run_coroutine_threadsafe, loop=loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
