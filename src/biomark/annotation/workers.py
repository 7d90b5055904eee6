"""A recognizer in several processes, which annotate small groups of documents; documents keep their order.

The mentions do not depend on the number of processes. A process that dies, for instance because the system kills it
for its memory, is replaced, and another process annotates its documents; a document on which several processes die is
rejected.

Where the system can fork, the processes share the memory of the model that the main process has loaded.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import Any

from biomark.errors import BiomarkError
from biomark.recognizers import Annotated, Recognizer, in_groups
from biomark.runtime.interrupts import check
from biomark.runtime.machine import share_cores
from biomark.spans import Document, Rejected, Span

_CHARACTERS = 15_000  # characters in a group of documents, about ten abstracts
_AHEAD = 2  # groups that a process holds: the current one, and the next one
_TRIES = 3  # processes that may die on a document before it is rejected
_PATIENCE = 5.0  # seconds in which a process must end before it is killed


@dataclass(slots=True, eq=False)
class _DocumentGroup:
    """Documents that a process annotates together, and the result.

    Attributes:
        documents: at least one.
        tries: the number of processes that have died on them.
        result: the annotated documents; None until the process returns them.
    """

    documents: list[Document]
    tries: int = 0
    result: list[Annotated] | None = None


@dataclass(slots=True)
class _Process:
    """A process, the pipe to it, and the groups that it holds, in their order."""

    process: BaseProcess
    pipe: Connection
    groups: deque[_DocumentGroup] = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class _AnnotateOptions:
    """The options of `Recognizer.annotate`, as a process receives them."""

    types: tuple[str, ...] | None
    min_score: float | None


class ParallelRecognizer:
    """A recognizer that runs in several processes; a context manager.

    Args:
        load: loads the recognizer. It is called in this process and, unless `shared`, in each other process as well;
            it must be picklable where the system cannot fork.
        workers: the number of processes.
        shared: whether forked processes may use the recognizer that this process has loaded: it must have no threads,
            no open database, no GPU.

    Attributes:
        died: the number of processes that died and were replaced.

    Raises:
        BiomarkError: any error of `load`.
    """

    def __init__(self, load: Callable[[], Recognizer], workers: int, *, shared: bool = True) -> None:
        share_cores(workers)
        self._load = load
        self._count = workers
        recognizer = load()
        self._types = recognizer.types
        self._forks = "fork" in multiprocessing.get_all_start_methods()
        self._shared = recognizer if shared and self._forks else None
        self._workers: list[_Process] = []
        self.died = 0

    @property
    def types(self) -> tuple[str, ...] | None:
        """See `biomark.recognizers.Recognizer`."""
        return self._types

    @property
    def processes(self) -> list[int]:
        """The ids of the running processes."""
        return [worker.process.pid for worker in self._workers if worker.process.pid is not None]

    def __enter__(self) -> ParallelRecognizer:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(_PATIENCE)
            worker.process.kill()
            worker.process.join()
        self._workers = []

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        """See `biomark.recognizers.Recognizer`."""
        options = _AnnotateOptions(None if types is None else tuple(types), min_score)
        groups = map(_DocumentGroup, in_groups(documents, _CHARACTERS))
        order: deque[_DocumentGroup] = deque()  # the groups whose documents have not been yielded yet, in their order
        again: deque[_DocumentGroup] = deque()  # the groups to send next: new ones, and those of processes that died
        more = True
        try:
            while more or order:
                for worker in self._ready():
                    if not again and more and len(order) < 2 * _AHEAD * self._count:
                        group = next(groups, None)
                        more = group is not None
                        order.extend([group] if group is not None else [])
                        again.extend([group] if group is not None else [])
                    if not again:
                        break
                    self._send(worker, options, again.popleft())
                if order:
                    self._receive(order, again)
                while order and order[0].result is not None:
                    yield from order.popleft().result or ()
        except BaseException:  # also when the caller stops iterating
            self.close()
            raise

    def _ready(self) -> Iterator[_Process]:
        """Yield the process with the fewest groups, as long as it can take another one."""
        while len(self._workers) < self._count:
            self._workers.append(self._started())
        while len((worker := min(self._workers, key=lambda worker: len(worker.groups))).groups) < _AHEAD:
            yield worker

    def _send(self, worker: _Process, options: _AnnotateOptions, group: _DocumentGroup) -> None:
        worker.groups.append(group)
        with suppress(OSError):  # the process has died, which `_receive` handles
            worker.pipe.send((options, group.documents))

    def _receive(self, order: deque[_DocumentGroup], again: deque[_DocumentGroup]) -> None:
        """Wait up to a second for results, and store them; put the groups of processes that have died into `again`.

        Raises:
            BiomarkError, RuntimeError: the error of a process.
        """
        check()
        busy = {worker.pipe: worker for worker in self._workers if worker.groups}
        for pipe in wait(list(busy), timeout=1.0):
            worker = busy[pipe]  # type: ignore[index]
            try:
                result = worker.pipe.recv()
            except (EOFError, OSError):
                self._remove(worker, order, again)
                continue
            if isinstance(result, BaseException):
                raise result
            worker.groups.popleft().result = result

    def _remove(self, worker: _Process, order: deque[_DocumentGroup], again: deque[_DocumentGroup]) -> None:
        """Remove a dead process, and put its groups into `again`.

        A group on which several processes have died is split into single documents; a single document is rejected.
        """
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)
        self.died += 1
        suspect, *others = worker.groups
        suspect.tries += 1
        if suspect.tries < _TRIES:
            again.extend((suspect, *others))
        elif len(suspect.documents) > 1:
            alone = [_DocumentGroup([document], tries=_TRIES - 1) for document in suspect.documents]
            place = order.index(suspect)
            order.remove(suspect)
            for group in reversed(alone):
                order.insert(place, group)
            again.extend((*alone, *others))
        else:
            suspect.result = [_rejected(suspect.documents[0], worker.process.exitcode)]
            again.extend(others)

    def _started(self) -> _Process:
        # Any: the declared type of a context lacks `Process`, which every context has
        context: Any = multiprocessing.get_context("fork" if self._forks else "spawn")
        ours, theirs = context.Pipe()
        arguments = (theirs, self._load, self._shared, self._count, self._forks)
        process = context.Process(target=_work, args=arguments, daemon=True)
        with warnings.catch_warnings():  # about forks beside threads: the process uses no thread of this one
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        theirs.close()
        return _Process(process, ours)


def _rejected(document: Document, status: int | None) -> Annotated:
    cause = f"signal {-status}" if status is not None and status < 0 else f"status {status}"
    reason = f"{_TRIES} processes died on this document ({cause}); use fewer processes if memory is short (`workers`)"
    window = Span(0, len(document.text)) if document.text else None
    bare = replace(document, entities=(), alternatives=(), relations=())
    return Annotated(bare, (Rejected(reason, document_id=document.id, window=window),))


def _work(
    pipe: Connection, load: Callable[[], Recognizer], shared: Recognizer | None, workers: int, forked: bool
) -> None:
    """Annotate the documents that come through the pipe until it is closed."""
    if forked:
        _close_inherited_files(pipe.fileno())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the main one ends the others
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    share_cores(workers)
    tasks: SimpleQueue[tuple[_AnnotateOptions, list[Document]]] = SimpleQueue()
    threading.Thread(target=_receive_tasks, args=(pipe, tasks), daemon=True).start()
    recognizer = shared
    while True:
        options, documents = tasks.get()
        result: list[Annotated] | Exception
        try:
            recognizer = recognizer or load()
            result = list(recognizer.annotate(documents, options.types, min_score=options.min_score))
        except BiomarkError as error:
            result = BiomarkError(str(error))  # an exception of the error's own type might not be picklable
        except Exception:
            result = RuntimeError(f"in a process that finds mentions:\n{traceback.format_exc()}")
        pipe.send(result)


def _receive_tasks(pipe: Connection, tasks: SimpleQueue[tuple[_AnnotateOptions, list[Document]]]) -> None:
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


__all__ = ["ParallelRecognizer"]
