"""A recognizer in several workers, which annotate small groups of documents; documents keep their order.

The mentions depend neither on the number of workers nor on their engine. A worker that dies, for instance because the
system kills it for its memory, is replaced, and another worker annotates its documents; a document on which several
workers die is rejected.

`biomark.annotation.processes` has the engine of this machine, `biomark.annotation.actors` that of a Ray cluster.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from biomark.errors import BiomarkError, ModelError
from biomark.recognizers import GROUP, Annotated, Recognizer, in_groups
from biomark.runtime.interrupts import check
from biomark.spans import Document, Rejected, Span

_AHEAD = 2  # groups that a worker holds: the current one, and the next one
_TRIES = 3  # workers that may die on a document before it is rejected, or one after the other before they are ready


@dataclass(slots=True, eq=False)
class DocumentGroup:
    """Documents that a worker annotates together, and the result.

    Attributes:
        documents: the documents; at least one.
        tries: the number of workers that have died on them.
        result: the annotated documents; None until a worker returns them.
    """

    documents: list[Document]
    tries: int = 0
    result: list[Annotated] | None = None


@dataclass(frozen=True, slots=True)
class AnnotateOptions:
    """The options of `Recognizer.annotate`, as a worker receives them."""

    types: tuple[str, ...] | None
    min_score: float | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """The information that a worker returns after it has loaded a recognizer of its own.

    Attributes:
        types: see `biomark.recognizers.Recognizer`.
        rejected: the parts of the demonstrations that could not be read.
    """

    types: tuple[str, ...] | None
    rejected: tuple[Rejected, ...] = ()


class WorkerDiedError(Exception):
    """A worker has died; the message is the cause, such as `signal 9`."""


class Worker(Protocol):
    """A copy of the recognizer in a process of its own, which annotates groups in the order in which it gets them.

    Attributes:
        groups: the groups that it holds, in their order; `ParallelRecognizer` keeps them.
        ready: whether it takes groups. One that is not ready yet becomes so in `receive`.
    """

    groups: deque[DocumentGroup]
    ready: bool

    def send(self, options: AnnotateOptions, documents: list[Document]) -> None:
        """Send the documents of a group; a worker that has died is reported by `receive` alone."""
        ...

    def receive(self) -> list[Annotated] | None:
        """Return the result of the first group, or None if the worker has only become ready.

        Raises:
            WorkerDiedError: if the worker has died.
            BiomarkError, RuntimeError: the worker's error.
        """
        ...


T = TypeVar("T")
W = TypeVar("W", bound=Worker)


class Engine(Protocol[W]):
    """Starts workers and waits for them.

    Attributes:
        types: see `biomark.recognizers.Recognizer`.
        count: the number of workers.
    """

    types: tuple[str, ...] | None
    count: int

    def start(self) -> W:
        """Return a new worker."""
        ...

    def wait(self, workers: Sequence[W]) -> Sequence[W]:
        """Return the workers from which `receive` returns or raises at once; wait a second for the first one."""
        ...

    def end(self, workers: Sequence[W]) -> None:
        """End workers."""
        ...

    def close(self) -> None:
        """Release what the engine holds beside its workers."""
        ...


class LoadingWorker(Worker, Protocol):
    """A worker that loads a recognizer of its own.

    Attributes:
        loaded: what it returns once it has loaded the recognizer; None before.
    """

    loaded: Loaded | None


L = TypeVar("L", bound=LoadingWorker)


def wait_until_loaded(
    engine: Engine[L],
    worker: L,
    *,
    reject: Callable[[Rejected], None],
    remedy: str,
    watch: Callable[[], None] = lambda: None,
) -> tuple[str, ...] | None:
    """Wait until a worker has loaded its recognizer.

    Args:
        engine: the engine that has started the worker.
        worker: the worker.
        reject: is called with each part of the demonstrations that the worker could not read.
        remedy: what to check if the worker dies; part of the error's message.
        watch: is called about once a second.

    Returns:
        The types of the recognizer; see `biomark.recognizers.Recognizer`.

    Raises:
        ModelError: if the worker dies.
        BiomarkError: any error of loading the recognizer.
    """
    while worker.loaded is None:
        check()
        watch()
        try:
            if engine.wait([worker]):
                worker.receive()
        except WorkerDiedError as error:
            raise ModelError(f"a worker died before it had loaded the model ({error}); {remedy}") from error
    for rejected in worker.loaded.rejected:
        reject(rejected)
    return worker.loaded.types


class ParallelRecognizer(Generic[W]):
    """A recognizer that runs in several workers; a context manager.

    At most four groups for each worker are in memory, however many documents there are.

    Args:
        engine: starts the workers. It is closed with the recognizer.

    Attributes:
        died: the number of workers that died and were replaced.
    """

    def __init__(self, engine: Engine[W]) -> None:
        self._engine = engine
        self._workers: list[W] = []
        self._stillborn = 0  # workers that have died one after the other before they were ready
        self.died = 0

    @property
    def types(self) -> tuple[str, ...] | None:
        """See `biomark.recognizers.Recognizer`."""
        return self._engine.types

    @property
    def workers(self) -> Sequence[W]:
        """The running workers."""
        return tuple(self._workers)

    def __enter__(self) -> ParallelRecognizer[W]:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers and their engine."""
        self._end()
        self._engine.close()

    def _end(self) -> None:
        self._engine.end(self._workers)
        self._workers = []

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        """See `biomark.recognizers.Recognizer`."""
        options = AnnotateOptions(None if types is None else tuple(types), min_score)
        groups = map(DocumentGroup, in_groups(documents, GROUP))
        order: deque[DocumentGroup] = deque()  # the groups whose documents have not been yielded yet, in their order
        again: deque[DocumentGroup] = deque()  # the groups to send next: new ones, and those of workers that died
        more = True
        try:
            while more or order:
                for worker in self._free():
                    if not again and more and len(order) < 2 * _AHEAD * self._engine.count:
                        group = next(groups, None)
                        more = group is not None
                        order.extend([group] if group is not None else [])
                        again.extend([group] if group is not None else [])
                    if not again or (again[0].tries and worker.groups):
                        break
                    self._send(worker, options, again.popleft())
                if order or more:
                    self._receive(order, again)
                while order and order[0].result is not None:
                    yield from order.popleft().result or ()
        except BaseException:  # also when the caller stops iterating
            self._end()
            raise

    def _free(self) -> Iterator[W]:
        """Yield the ready worker with the fewest groups, as long as it can take another one.

        A worker with a group on which another worker has died gets no second group. Otherwise the wrong group could be
        rejected: an engine such as Ray can lose the results of a worker that dies, so that the first group that it
        holds need not be the one that killed it.
        """
        while len(self._workers) < self._engine.count:
            self._workers.append(self._engine.start())
        ready = [worker for worker in self._workers if worker.ready]
        while ready and _held(worker := min(ready, key=_held)) < _AHEAD:
            yield worker

    def _send(self, worker: W, options: AnnotateOptions, group: DocumentGroup) -> None:
        worker.groups.append(group)
        worker.send(options, group.documents)

    def _receive(self, order: deque[DocumentGroup], again: deque[DocumentGroup]) -> None:
        """Wait up to a second for results, and store them; put the groups of workers that have died into `again`.

        Raises:
            BiomarkError, RuntimeError: the error of a worker.
        """
        check()
        for worker in self._engine.wait([worker for worker in self._workers if worker.groups or not worker.ready]):
            try:
                result = worker.receive()
            except WorkerDiedError as error:
                self._remove(worker, str(error), order, again)
                continue
            self._stillborn = 0
            if result is not None:
                worker.groups.popleft().result = result

    def _remove(self, worker: W, cause: str, order: deque[DocumentGroup], again: deque[DocumentGroup]) -> None:
        """Remove a dead worker, and put its groups into `again`.

        A group on which several workers have died is split into single documents; a single document is rejected.

        Raises:
            ModelError: if no worker becomes ready.
        """
        self._engine.end([worker])
        self._workers.remove(worker)
        self.died += 1
        if not worker.groups:
            self._stillborn += 1
            if self._stillborn == _TRIES:
                raise ModelError(f"{_TRIES} workers died before they had loaded the model ({cause})")
            return
        suspect, *others = worker.groups
        suspect.tries += 1
        if suspect.tries < _TRIES:
            again.extend((suspect, *others))
        elif len(suspect.documents) > 1:
            alone = [DocumentGroup([document], tries=_TRIES - 1) for document in suspect.documents]
            place = order.index(suspect)
            order.remove(suspect)
            for group in reversed(alone):
                order.insert(place, group)
            again.extend((*alone, *others))
        else:
            suspect.result = [_rejected(suspect.documents[0], cause)]
            again.extend(others)


def _held(worker: Worker) -> int:
    """Return the number of groups that a worker holds; one on which another worker has died leaves no room."""
    return _AHEAD if any(group.tries for group in worker.groups) else len(worker.groups)


def _rejected(document: Document, cause: str) -> Annotated:
    reason = f"{_TRIES} processes died on this document ({cause}); use fewer processes if memory is short (`workers`)"
    window = Span(0, len(document.text)) if document.text else None
    bare = replace(document, entities=(), alternatives=(), relations=())
    return Annotated(bare, (Rejected(reason, document_id=document.id, window=window),))


def annotate_group(recognizer: Recognizer, options: AnnotateOptions, documents: Sequence[Document]) -> list[Annotated]:
    """Return the annotated documents of a group, in a worker."""
    return list(recognizer.annotate(documents, options.types, min_score=options.min_score))


def outcome(work: Callable[[], T]) -> T | Exception:
    """Return what a function returns, or the error that it raises, in a form that can be pickled."""
    try:
        return work()
    except BiomarkError as error:
        return BiomarkError(str(error))  # an exception of the error's own type might not be picklable
    except Exception:
        return RuntimeError(f"in a process that finds mentions:\n{traceback.format_exc()}")


__all__ = [
    "AnnotateOptions",
    "DocumentGroup",
    "Engine",
    "Loaded",
    "LoadingWorker",
    "ParallelRecognizer",
    "Worker",
    "WorkerDiedError",
    "annotate_group",
    "outcome",
    "wait_until_loaded",
]
