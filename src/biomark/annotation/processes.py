"""An engine of `biomark.annotation.workers`: processes of this machine.

Where the system can fork, the processes share the memory of the model that the main process has loaded.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import Any

from biomark.annotation.workers import AnnotateOptions, DocumentGroup, WorkerDiedError, annotate_group, outcome
from biomark.recognizers import Annotated, Recognizer
from biomark.runtime.machine import share_cores
from biomark.spans import Document

_PATIENCE = 5.0  # seconds in which a process must end before it is killed


@dataclass(slots=True)
class Process:
    """A process and the pipe to it; see `biomark.annotation.workers.Worker`."""

    process: BaseProcess
    pipe: Connection
    groups: deque[DocumentGroup] = field(default_factory=deque)
    ready: bool = True

    def send(self, options: AnnotateOptions, documents: list[Document]) -> None:
        """See `biomark.annotation.workers.Worker`."""
        with suppress(OSError):
            self.pipe.send((options, documents))

    def receive(self) -> list[Annotated]:
        """See `biomark.annotation.workers.Worker`."""
        try:
            result = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            status = self.process.exitcode
            cause = f"signal {-status}" if status is not None and status < 0 else f"status {status}"
            raise WorkerDiedError(cause) from None
        if isinstance(result, BaseException):
            raise result
        annotated: list[Annotated] = result
        return annotated


class Processes:
    """The engine; see `biomark.annotation.workers.Engine`.

    Args:
        load: loads the recognizer. It is called in this process and, unless `shared`, in each other process as well;
            it must be picklable where the system cannot fork.
        count: the number of processes.
        shared: whether forked processes may use the recognizer that this process has loaded: it must have no threads,
            no open database, no GPU.

    Raises:
        BiomarkError: any error of `load`.
    """

    def __init__(self, load: Callable[[], Recognizer], count: int, *, shared: bool = True) -> None:
        share_cores(count)
        self._load = load
        recognizer = load()
        self.types = recognizer.types
        self.count = count
        self._forks = "fork" in multiprocessing.get_all_start_methods()
        self._shared = recognizer if shared and self._forks else None

    def start(self) -> Process:
        """See `biomark.annotation.workers.Engine`."""
        # Any: the declared type of a context lacks `Process`, which every context has
        context: Any = multiprocessing.get_context("fork" if self._forks else "spawn")
        ours, theirs = context.Pipe()
        arguments = (theirs, self._load, self._shared, self.count, self._forks)
        process = context.Process(target=_work, args=arguments, daemon=True)
        with warnings.catch_warnings():  # about forks beside threads: the process uses no thread of this one
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        theirs.close()
        return Process(process, ours)

    def wait(self, workers: Sequence[Process]) -> Sequence[Process]:
        """See `biomark.annotation.workers.Engine`."""
        pipes = wait([worker.pipe for worker in workers], timeout=1.0)
        return [worker for worker in workers if worker.pipe in pipes]

    def end(self, workers: Sequence[Process]) -> None:
        """See `biomark.annotation.workers.Engine`."""
        for worker in workers:
            worker.pipe.close()
        for worker in workers:
            worker.process.join(_PATIENCE)
            worker.process.kill()
            worker.process.join()

    def close(self) -> None:
        """See `biomark.annotation.workers.Engine`; there is nothing to release."""


def _work(
    pipe: Connection, load: Callable[[], Recognizer], shared: Recognizer | None, workers: int, forked: bool
) -> None:
    """Annotate the documents that come through the pipe until it is closed."""
    if forked:
        _close_inherited_files(pipe.fileno())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the main one ends the others
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    share_cores(workers)
    tasks: SimpleQueue[tuple[AnnotateOptions, list[Document]]] = SimpleQueue()
    threading.Thread(target=_receive_tasks, args=(pipe, tasks), daemon=True).start()
    recognizer = shared
    while True:
        options, documents = tasks.get()
        loaded = outcome(load) if recognizer is None else recognizer
        if isinstance(loaded, Exception):
            pipe.send(loaded)
        else:
            recognizer = loaded
            pipe.send(outcome(partial(annotate_group, loaded, options, documents)))


def _receive_tasks(pipe: Connection, tasks: SimpleQueue[tuple[AnnotateOptions, list[Document]]]) -> None:
    """Put groups into the queue as they arrive, so that the main process never waits while this one sends a result."""
    with suppress(EOFError, OSError):
        while True:
            tasks.put(pipe.recv())
    os._exit(0)  # the main process has no more groups, or has died


def _close_inherited_files(kept: int) -> None:
    """Close the files that a forked process inherits: locks, and the main process's ends of other pipes.

    Args:
        kept: the descriptor of the process's own pipe, which stays open.
    """
    last = os.sysconf("SC_OPEN_MAX")
    for begin, end in ((3, kept), (kept + 1, min(last, 65_536))):
        os.closerange(begin, end)
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - stays open as long as the process runs


__all__ = ["Process", "Processes"]
