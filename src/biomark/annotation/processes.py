"""An engine of `biomark.annotation.workers`: processes of this machine.

Where the system can fork, the processes of `Processes` share the memory of the model that the main process has loaded.
Those of `SeparateProcesses` load a model each, which may have threads, a GPU, or connections to a server.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import Any

from biomark.annotation.workers import (
    AnnotateOptions,
    DocumentGroup,
    Loaded,
    WorkerDiedError,
    annotate_group,
    outcome,
    wait_until_loaded,
)
from biomark.formats import Reject
from biomark.recognizers import Annotated, Recognizer
from biomark.runtime.machine import cores, share_cores
from biomark.spans import Document, Rejected

_THREADS = "OMP_NUM_THREADS"  # the variable of torch's threads
_REMEDY = "each process needs memory for a model of its own (`workers`)"
_PATIENCE = 5.0  # seconds in which a process must end before it is killed


@dataclass(slots=True)
class Process:
    """A process and the pipe to it; see `biomark.annotation.workers.Worker`."""

    process: BaseProcess
    pipe: Connection
    groups: deque[DocumentGroup] = field(default_factory=deque)
    ready: bool = True
    loaded: Loaded | None = None

    def send(self, options: AnnotateOptions, documents: list[Document]) -> None:
        """See `biomark.annotation.workers.Worker`."""
        with suppress(OSError):
            self.pipe.send((options, documents))

    def receive(self) -> list[Annotated] | None:
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
        if isinstance(result, Loaded):
            self.ready, self.loaded = True, result
            return None
        annotated: list[Annotated] = result
        return annotated


class _Pipes:
    """The methods that both engines of processes share; see `biomark.annotation.workers.Engine`."""

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


class Processes(_Pipes):
    """Processes for models of one core and little memory; see `biomark.annotation.workers.Engine`.

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


class SeparateProcesses(_Pipes):
    """Processes that start afresh and load a model each; see `biomark.annotation.workers.Engine`.

    For models that cannot be copied by a fork: those with threads of torch, on a GPU, or on a server. This process
    loads none itself.

    Args:
        load: loads the recognizer; is called with a function that takes what the demonstrations' reader rejects. It
            must be picklable.
        count: the number of processes.
        reject: is called with what the first process rejects in the demonstrations.

    Raises:
        BiomarkError: any error of loading the model in the first process.
    """

    def __init__(
        self,
        load: Callable[[Reject], Recognizer],
        count: int,
        *,
        reject: Reject = lambda rejected: None,
    ) -> None:
        self.count = count
        self._load = load
        self._first: Process | None = None
        try:
            self._first = self._new()
            self.types = wait_until_loaded(self, self._first, reject=reject, remedy=_REMEDY)
        except BaseException:
            self.close()
            raise

    def _new(self) -> Process:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work_alone, args=(theirs, self._load, self.count), daemon=True)
        with _threads(max(1, cores() // self.count)):
            process.start()
        theirs.close()
        return Process(process, ours, ready=False)

    def start(self) -> Process:
        """See `biomark.annotation.workers.Engine`."""
        first, self._first = self._first, None
        return first or self._new()

    def close(self) -> None:
        """End the first process if it was never used."""
        if self._first is not None:
            self.end([self._first])


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let the processes that start in this block compute with so many threads; libraries read it as they load."""
    before = os.environ.get(_THREADS)
    os.environ.setdefault(_THREADS, str(count))
    try:
        yield
    finally:
        if before is None:
            del os.environ[_THREADS]


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


def _work_alone(pipe: Connection, load: Callable[[Reject], Recognizer], workers: int) -> None:
    """Load a model, and annotate the documents that come through the pipe until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    share_cores(workers)
    tasks: SimpleQueue[tuple[AnnotateOptions, list[Document]]] = SimpleQueue()
    threading.Thread(target=_receive_tasks, args=(pipe, tasks), daemon=True).start()
    rejected: list[Rejected] = []
    recognizer = outcome(partial(load, rejected.append))
    if isinstance(recognizer, Exception):
        pipe.send(recognizer)
        return
    pipe.send(Loaded(recognizer.types, tuple(rejected)))
    while True:
        options, documents = tasks.get()
        pipe.send(outcome(partial(annotate_group, recognizer, options, documents)))


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


__all__ = ["Process", "Processes", "SeparateProcesses"]
