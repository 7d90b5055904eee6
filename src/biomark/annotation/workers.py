"""A recognizer in several processes: documents go to them in small groups, and come back in their order.

What is found does not depend on the number of processes. One that dies, be it killed for its memory, is replaced and
its documents are given to the next one; a document on which processes die again and again is rejected.

Where the system can fork, processes share the memory of the model that this one has loaded.
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

_CHARACTERS = 15_000  # of a group of documents, about ten abstracts
_AHEAD = 2  # groups that a process has: one that it computes, and the next one
_TRIES = 3
_PATIENCE = 5.0  # seconds that a process has to end by itself


@dataclass(slots=True, eq=False)
class _Group:
    """Documents that go to a process together, and what it found.

    Attributes:
        documents: at least one.
        tries: how many processes have died on them.
        found: None until it is there.
    """

    documents: list[Document]
    tries: int = 0
    found: list[Annotated] | None = None


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    pipe: Connection
    groups: deque[_Group] = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a process is asked to find."""

    types: tuple[str, ...] | None
    min_score: float | None


class ParallelRecognizer:
    """Several processes with a recognizer each; to be used as a context, or closed.

    Args:
        load: makes the recognizer; is called in this process, and, unless `shared`, in each other one as well, so that
            it must be picklable where the system cannot fork.
        workers: how many processes.
        shared: whether the recognizer that this process has loaded may be used in forked ones: it holds no threads,
            no open database, no GPU.

    Attributes:
        died: how many processes have, and were replaced.

    Raises:
        UsageError: as `load`.
    """

    def __init__(self, load: Callable[[], Recognizer], workers: int, *, shared: bool = True) -> None:
        share_cores(workers)
        self._load = load
        self._count = workers
        own = load()
        self._types = own.types
        self._forks = "fork" in multiprocessing.get_all_start_methods()
        self._shared = own if shared and self._forks else None
        self._workers: list[_Worker] = []
        self.died = 0

    @property
    def types(self) -> tuple[str, ...] | None:
        """See `biomark.recognizers.Recognizer`."""
        return self._types

    @property
    def processes(self) -> list[int]:
        """The ids of the processes that there are now."""
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
        asked = _Asked(None if types is None else tuple(types), min_score)
        groups = map(_Group, in_groups(documents, _CHARACTERS))
        order: deque[_Group] = deque()  # those that are under way, as they are to be given
        again: deque[_Group] = deque()  # those of processes that died
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
                    self._send(worker, asked, again.popleft())
                if order:
                    self._receive(order, again)
                while order and order[0].found is not None:
                    yield from order.popleft().found or ()
        except BaseException:  # also where nobody asks for the rest
            self.close()
            raise

    def _ready(self) -> Iterator[_Worker]:
        """Processes that can take a group, the idlest first, until there is none."""
        while len(self._workers) < self._count:
            self._workers.append(self._started())
        while len((worker := min(self._workers, key=lambda worker: len(worker.groups))).groups) < _AHEAD:
            yield worker

    def _send(self, worker: _Worker, asked: _Asked, group: _Group) -> None:
        worker.groups.append(group)
        with suppress(OSError):  # it has died, which `_receive` notices
            worker.pipe.send((asked, group.documents))

    def _receive(self, order: deque[_Group], again: deque[_Group]) -> None:
        """Wait for processes, and take what they have; the groups of those that have died are done again."""
        check()
        busy = {worker.pipe: worker for worker in self._workers if worker.groups}
        for pipe in wait(list(busy), timeout=1.0):
            worker = busy[pipe]  # type: ignore[index]
            try:
                found = worker.pipe.recv()
            except (EOFError, OSError):
                self._bury(worker, order, again)
                continue
            if isinstance(found, BaseException):
                raise found
            worker.groups.popleft().found = found

    def _bury(self, worker: _Worker, order: deque[_Group], again: deque[_Group]) -> None:
        """Have others do what a dead process was given; of documents on which several died, each by itself."""
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)
        self.died += 1
        suspect, *others = worker.groups
        suspect.tries += 1
        if suspect.tries < _TRIES:
            again.extend((suspect, *others))
        elif len(suspect.documents) > 1:
            alone = [_Group([document], tries=_TRIES - 1) for document in suspect.documents]
            place = order.index(suspect)
            order.remove(suspect)
            for group in reversed(alone):
                order.insert(place, group)
            again.extend((*alone, *others))
        else:
            suspect.found = [_rejected(suspect.documents[0], worker.process.exitcode)]
            again.extend(others)

    def _started(self) -> _Worker:
        # The context's own type does not have what every context has
        context: Any = multiprocessing.get_context("fork" if self._forks else "spawn")
        ours, theirs = context.Pipe()
        arguments = (theirs, self._load, self._shared, self._count, self._forks)
        process = context.Process(target=_work, args=arguments, daemon=True)
        with warnings.catch_warnings():  # of forks beside threads, such as a progress bar's, of which it uses nothing
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        theirs.close()
        return _Worker(process, ours)


def _rejected(document: Document, status: int | None) -> Annotated:
    how = f"signal {-status}" if status is not None and status < 0 else f"status {status}"
    reason = f"the process that read this document ended ({how}), again and again; is there enough memory?"
    window = Span(0, len(document.text)) if document.text else None
    bare = replace(document, entities=(), alternatives=(), relations=())
    return Annotated(bare, (Rejected(reason, document_id=document.id, window=window),))


def _work(
    pipe: Connection, load: Callable[[], Recognizer], shared: Recognizer | None, workers: int, forked: bool
) -> None:
    """Find mentions in the documents that come through the pipe, until it is closed."""
    if forked:
        _let_go(pipe.fileno())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the first process ends the others
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    share_cores(workers)
    tasks: SimpleQueue[tuple[_Asked, list[Document]]] = SimpleQueue()
    threading.Thread(target=_take, args=(pipe, tasks), daemon=True).start()
    recognizer = shared
    while True:
        asked, documents = tasks.get()
        found: list[Annotated] | Exception
        try:
            recognizer = recognizer or load()
            found = list(recognizer.annotate(documents, asked.types, min_score=asked.min_score))
        except BiomarkError as error:
            found = BiomarkError(str(error))  # its own type may need more to be made
        except Exception:
            found = RuntimeError(f"in a process that finds mentions:\n{traceback.format_exc()}")
        pipe.send(found)


def _take(pipe: Connection, tasks: SimpleQueue[tuple[_Asked, list[Document]]]) -> None:
    """Take groups as they come, so that the first process never waits while this one has something to send."""
    with suppress(EOFError, OSError):
        while True:
            tasks.put(pipe.recv())
    os._exit(0)  # the first process has no more, or has died


def _let_go(kept: int) -> None:
    """Close what a forked process has of the first one: its locks, and its ends of other processes' pipes."""
    last = os.sysconf("SC_OPEN_MAX")
    for begin, end in ((3, kept), (kept + 1, min(last, 65_536))):
        os.closerange(begin, end)
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - for as long as the process lives


__all__ = ["ParallelRecognizer"]
