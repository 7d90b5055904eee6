"""Ctrl-C and SIGTERM on the command line: reported at once, and never in the middle of opening or closing a file.

Within `handled`, both signals raise `Interrupted`, so that whatever is open is closed on the way out. The library
itself installs no handlers: Python's own `KeyboardInterrupt` does the same there.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType, TracebackType

_PATIENCE = 1.0  # seconds; a second signal within this time is ignored, since shells and wrappers may send two


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM.

    Args:
        number: the number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number


@dataclass(slots=True)
class _Signals:
    caught: int | None = None
    since: float = 0.0
    held: int = 0
    reported: bool = False
    kept: list[Callable[[], str]] = field(default_factory=list)


_state = _Signals()


@contextmanager
def handled() -> Iterator[None]:
    """Handle Ctrl-C and SIGTERM within a block: the first raises `Interrupted`, a second one ends the process at once.

    Signals raise in the main thread. A signal that the process ignores, as background jobs of a shell may do, stays
    ignored.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, _caught)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _state.caught, _state.reported = None, False


@contextmanager
def keeping(what: Callable[[], str]) -> Iterator[None]:
    """Add a text to the message about an interrupt within a block, such as the name of the file that is kept.

    Args:
        what: returns the text. It is called when the signal takes effect, at any point of the program outside of
            `uninterrupted`, and must only read values.
    """
    _state.kept.append(what)
    try:
        yield
    finally:
        _state.kept.remove(what)


class uninterrupted:  # noqa: N801 - used as a statement
    """A context manager that delays signals, and the message about them, until the end of its block."""

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            _state.held += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if threading.current_thread() is threading.main_thread():
            _state.held -= 1
            _report()
            if kind is None:
                check()


def check() -> None:
    """Raise `Interrupted` if a signal has arrived, even if a library has swallowed the exception that it raised."""
    if _state.caught is not None and not _state.held:
        raise Interrupted(_state.caught)


def _caught(number: int, frame: FrameType | None) -> None:
    if _state.caught is not None:
        if time.monotonic() - _state.since > _PATIENCE:
            os._exit(128 + number)
        return
    _state.caught, _state.since = number, time.monotonic()
    _report()
    check()


def _report() -> None:
    """Write the message about a signal, once, when the signal takes effect: what is kept may change until then."""
    if _state.caught is None or _state.held or _state.reported:
        return
    _state.reported = True
    what = f"; {_state.kept[-1]()}" if _state.kept else ""
    with suppress(OSError, ValueError, AttributeError):  # raised if there is no standard error
        # This bypasses Python's buffer, which may be in the middle of a line.
        os.write(sys.stderr.fileno(), f"\nInterrupted{what}\n".encode(sys.stderr.encoding, "replace"))
