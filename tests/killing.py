"""Processes that end at a chosen point, as `kill -9` or a power cut would end them: nothing is flushed or closed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from biomark.errors import UsageError
from biomark.recognizers import Annotated
from biomark.spans import Document
from conftest import HANG, TermRecognizer

CALLS = frozenset({"write", "flush", "replace", "rename", "fsync", "unlink", "truncate", "execute", "close", "mkdir"})
_KILLED = 9


def killed(work: Callable[[], object], at: int) -> bool:
    """Do some work in a process that ends before its call number `at` of a function that changes files.

    Returns:
        False if the work was done before.
    """
    left = at

    def count(frame: object, event: str, called: object) -> None:
        nonlocal left
        if event == "c_call" and getattr(called, "__name__", "") in CALLS:
            left -= 1
            if left < 0:
                os._exit(_KILLED)

    return _ended(_started(lambda: (sys.setprofile(count), work())))


def killed_after(work: Callable[[], object], seconds: float) -> bool:
    """Do some work in a process that gets SIGKILL after a time, wherever it is then, in C code as well.

    Returns:
        False if the work was done before.
    """
    process = _started(work)
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)  # if it is done, it waits for `waitpid`, so that its number is no other one's
    return _ended(process)


def interrupt(process: subprocess.Popen[bytes], number: int) -> int:
    """Send a signal to a process that waits for input, and return its exit status.

    Python may notice a signal that arrives just before a call that waits only with the next signal, which is therefore
    sent after a minute.
    """
    for _ in range(HANG // 60):
        process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            return process.wait(60)
    raise AssertionError(f"the process did not end after {HANG} seconds of signals")


def _started(work: Callable[[], object]) -> int:
    process = os.fork()
    if process == 0:  # pragma: no cover - coverage does not see it
        try:
            work()
            os._exit(0)
        except BaseException:
            sys.setprofile(None)
            traceback.print_exc()
            os._exit(1)
    return process


def _ended(process: int) -> bool:
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert status in (0, _KILLED, -signal.SIGKILL), status
    return status != 0


def points(work: Callable[[], object], step: int = 1) -> Iterator[int]:
    """Every so many of the points at which some work can be killed, until it is done; it is killed at each."""
    at = 0
    while killed(work, at):
        yield at
        at += step


def content(folder: Path) -> dict[str, bytes]:
    """All files of a folder, by their names within it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class Dying(TermRecognizer):
    """Ends its process at a text with DIE, always or once; raises an error at one with ODD."""

    def __init__(self, once: Path | None = None) -> None:
        self.once = once

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        documents = list(documents)
        for document in documents:
            if "ODD" in document.text:
                raise UsageError("an odd text")
            if "DIE" in document.text and not (self.once is not None and self.once.exists()):
                if self.once is not None:
                    self.once.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return super().annotate(documents, types, min_score=min_score)
