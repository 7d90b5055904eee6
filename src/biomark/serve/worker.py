"""The thread that owns the models, and the tasks whose documents share its batches."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field

from biomark.recognizers import Annotated
from biomark.spans import Document

Find = Callable[[Sequence[Document]], Iterator[Annotated]]
"""A function that annotates documents: it yields each document once, in their order."""

AT_ONCE = 10_000
"""Code points in a batch. A task with a single document waits for at most one batch of earlier tasks."""


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


class Worker:
    """A thread that annotates the documents of tasks, one batch after the other.

    Tasks take turns document by document, so that a task with few documents does not wait for one with many.

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
        while batch := self._batch():
            self._observe(len(batch), len({id(task) for task, _ in batch}))
            self._annotate(batch)

    def _batch(self) -> list[tuple[Task, Document]]:
        """Wait for the next documents, and return them with their tasks; return none when the thread must end."""
        with self._changed:
            while True:
                self._tasks = deque(task for task in self._tasks if task.waiting)
                if self._tasks:
                    batch = self._batch_of(self._tasks[0].key)
                    if batch:
                        return batch
                elif self._closing:
                    return []
                else:
                    self._changed.wait()

    def _batch_of(self, key: Hashable) -> list[tuple[Task, Document]]:
        """Return the next documents of the tasks with a key, in turns, and move these tasks behind all others."""
        same_key = deque(task for task in self._tasks if task.key == key)
        others = [task for task in self._tasks if task.key != key]
        batch: list[tuple[Task, Document]] = []
        size = 0
        while same_key and size < AT_ONCE:
            task = same_key.popleft()
            if (document := task.next()) is not None:
                batch.append((task, document))
                size += len(document.text) + 1
                same_key.append(task)
        self._tasks = deque([*others, *same_key])
        return batch

    def _annotate(self, batch: Sequence[tuple[Task, Document]]) -> None:
        try:
            results = list(batch[0][0].find([document for _, document in batch]))
            pairs = list(zip(batch, results, strict=True))
        except Exception as error:  # no error of a model may stop the service or fail other requests
            tasks = {id(task): task for task, _ in batch}
            if len(tasks) == 1:
                batch[0][0].fail(error)
                return
            for task in tasks.values():
                self._annotate([(other, document) for other, document in batch if other is task])
            return
        for (task, _), annotated in pairs:
            task.add(annotated)
