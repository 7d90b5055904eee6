"""The thread that owns the models, and the tasks whose documents share its batches."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from biomark.recognizers import Annotated
from biomark.spans import Document

Find = Callable[[Iterable[Document]], Iterator[Annotated]]
"""A function that annotates a stream of documents: it yields each document once, in their order."""

AT_ONCE = 10_000
"""Code points in a batch. A task with a single document waits for about two batches of earlier tasks at most."""


@dataclass(slots=True, eq=False)
class Task:
    """The documents of a request, and the future of their annotations.

    Attributes:
        key: tasks with the same key may share a batch.
        find: annotates the documents; all tasks with the same key must have equivalent functions.
        documents: at least one, in the order of the results.
    """

    key: Hashable
    find: Find
    documents: Sequence[Document]
    _results: asyncio.Future[list[Annotated]] = field(init=False)
    _begun: int = 0
    _finished: list[Annotated] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._results = asyncio.get_running_loop().create_future()

    @property
    def results(self) -> asyncio.Future[list[Annotated]]:
        """The future of all annotated documents; if it is cancelled, no further document is annotated."""
        return self._results

    def next(self) -> Document | None:
        """Return the next document to annotate; None if there is none, or the task has been cancelled."""
        if not self.waiting:
            return None
        self._begun += 1
        return self.documents[self._begun - 1]

    @property
    def waiting(self) -> int:
        """The number of documents that are still to be annotated."""
        return 0 if self._results.cancelled() else len(self.documents) - self._begun

    def add(self, annotated: Annotated) -> None:
        """Add the next annotated document."""
        self._finished.append(annotated)
        if len(self._finished) == len(self.documents):
            self._resolve(lambda: self._results.set_result(self._finished))

    def fail(self, error: Exception) -> None:
        """End the task with an error."""
        self._begun = len(self.documents)
        self._resolve(lambda: self._results.set_exception(error))

    def _resolve(self, set_results: Callable[[], None]) -> None:
        self._results.get_loop().call_soon_threadsafe(lambda: None if self._results.done() else set_results())


class BatchWorker:
    """A thread that annotates the documents of tasks.

    Tasks take turns document by document, so that a task with few documents does not wait for one with many. While
    tasks with the same key wait, their documents are one stream, so that a model can read the next documents while it
    computes those before.

    Args:
        observe: is called with the numbers of documents and of tasks in each batch.
    """

    def __init__(self, observe: Callable[[int, int], None] = lambda documents, tasks: None) -> None:
        self._observe = observe
        self._tasks: deque[Task] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="biomark-worker", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        """Return whether the thread runs and accepts tasks."""
        return self._thread.is_alive() and not self._closing

    @property
    def waiting(self) -> int:
        """The number of documents that are still to be annotated."""
        with self._changed:
            return sum(task.waiting for task in self._tasks)

    def submit(self, task: Task) -> None:
        """Add a task, which must have a document."""
        with self._changed:
            self._tasks.append(task)
            self._changed.notify()

    def close(self) -> None:
        """Finish all tasks and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while (task := self._next()) is not None:
            self._annotate(task)

    def _next(self) -> Task | None:
        """Wait for a task that has a document to annotate; return None when the thread must end."""
        with self._changed:
            while True:
                self._tasks = deque(task for task in self._tasks if task.waiting)
                if self._tasks:
                    return self._tasks[0]
                if self._closing:
                    return None
                self._changed.wait()

    def _annotate(self, first: Task) -> None:
        """Annotate the documents of a task and of all tasks with its key that wait meanwhile."""
        taken: deque[tuple[Task, Document]] = deque()  # by the model, which has not returned them yet

        def stream() -> Iterator[Document]:
            begun = False
            # A model that returns documents late gets no more of them: other tasks must have their turn
            while sum(len(document.text) + 1 for _, document in taken) < 2 * AT_ONCE:
                if not (batch := self._batch(first.key, begun=begun)):
                    return
                begun = True
                self._observe(len(batch), len({id(task) for task, _ in batch}))
                taken.extend(batch)
                yield from (document for _, document in batch)

        try:
            for annotated in first.find(stream()):
                taken.popleft()[0].add(annotated)
            if taken:
                raise RuntimeError("the model returned fewer documents than it received")
        except Exception as error:  # no error of a model may stop the service or fail other requests
            tasks = {id(task): task for task, _ in taken}
            for task in tasks.values():
                if len(tasks) == 1:
                    task.fail(error)
                else:
                    self._retry(task, [document for other, document in taken if other is task])

    def _retry(self, task: Task, documents: Sequence[Document]) -> None:
        """Annotate documents of a single task, after a stream that had documents of several tasks failed."""
        try:
            for annotated, _ in zip(task.find(documents), documents, strict=True):
                task.add(annotated)
        except Exception as error:
            task.fail(error)

    def _batch(self, key: Hashable, *, begun: bool) -> list[tuple[Task, Document]]:
        """Return the next documents of the tasks with a key, in turns, and move these tasks behind all others.

        Args:
            key: the key of the tasks.
            begun: whether there was a batch before; there is none after it if tasks with other keys wait.
        """
        with self._changed:
            same_key = deque(task for task in self._tasks if task.key == key and task.waiting)
            others = [task for task in self._tasks if task.key != key and task.waiting]
            batch: list[tuple[Task, Document]] = []
            size = 0
            while same_key and size < AT_ONCE and not (begun and others):
                task = same_key.popleft()
                if (document := task.next()) is not None:
                    batch.append((task, document))
                    size += len(document.text) + 1
                    same_key.append(task)
            self._tasks = deque([*others, *same_key])
            return batch
