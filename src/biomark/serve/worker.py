"""One thread that owns the models, and the requests whose documents share its batches."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field

from biomark.recognizers import Annotated
from biomark.spans import Document

Find = Callable[[Sequence[Document]], Iterator[Annotated]]
"""Annotates documents: every one comes back once and in order."""

AT_ONCE = 10_000
"""Code points of a batch. A document that comes alone waits for one batch at most of those that came before."""


@dataclass(slots=True, eq=False)
class Job:
    """The documents of a request.

    Attributes:
        key: documents of jobs with the same key may be in one batch.
        find: annotates them; does the same for all jobs with the key.
        documents: in the order in which they are annotated and come back.
    """

    key: Hashable
    find: Find
    documents: Sequence[Document]
    _answer: asyncio.Future[list[Annotated]] = field(init=False)
    _begun: int = 0
    _found: list[Annotated] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._answer = asyncio.get_running_loop().create_future()

    @property
    def answer(self) -> asyncio.Future[list[Annotated]]:
        """All documents with their mentions; whoever cancels it calls off what has not begun."""
        return self._answer

    def next(self) -> Document | None:
        """The next document to annotate; None if there is none, or nobody waits for it any more."""
        if not self.waiting:
            return None
        self._begun += 1
        return self.documents[self._begun - 1]

    @property
    def waiting(self) -> int:
        """How many documents are still to be annotated."""
        return 0 if self._answer.cancelled() else len(self.documents) - self._begun

    def add(self, found: Annotated) -> None:
        """Take the next document that was annotated."""
        self._found.append(found)
        if len(self._found) == len(self.documents):
            self._tell(lambda: self._answer.set_result(self._found))

    def fail(self, error: Exception) -> None:
        """Give up."""
        self._begun = len(self.documents)
        self._tell(lambda: self._answer.set_exception(error))

    def _tell(self, set_answer: Callable[[], None]) -> None:
        self._answer.get_loop().call_soon_threadsafe(lambda: None if self._answer.done() else set_answer())


class Worker:
    """Annotates the documents of jobs, one batch after the other, in a thread of its own.

    Jobs take turns document by document, so that one with few documents is not kept waiting by one with many.

    Args:
        observe: is called with the number of documents and that of jobs of each batch.
    """

    def __init__(self, observe: Callable[[int, int], None] = lambda documents, jobs: None) -> None:
        self._observe = observe
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="biomark-worker", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether it takes jobs."""
        return self._thread.is_alive() and not self._closing

    @property
    def waiting(self) -> int:
        """How many documents have not been begun."""
        with self._changed:
            return sum(job.waiting for job in self._jobs)

    def submit(self, job: Job) -> None:
        """Annotate the documents of a job, of which there must be one."""
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()

    def close(self) -> None:
        """Finish all jobs and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._batch():
            self._observe(len(batch), len({id(job) for job, _ in batch}))
            self._annotate(batch)

    def _batch(self) -> list[tuple[Job, Document]]:
        """The next documents, with their jobs; none if the thread is to end."""
        with self._changed:
            while True:
                self._jobs = deque(job for job in self._jobs if job.waiting)
                if self._jobs:
                    taken = self._taken(self._jobs[0].key)
                    if taken:
                        return taken
                elif self._closing:
                    return []
                else:
                    self._changed.wait()

    def _taken(self, key: Hashable) -> list[tuple[Job, Document]]:
        """The next documents of all jobs with a key, in turn; these jobs then stand behind all others."""
        alike = deque(job for job in self._jobs if job.key == key)
        others = [job for job in self._jobs if job.key != key]
        taken: list[tuple[Job, Document]] = []
        size = 0
        while alike and size < AT_ONCE:
            job = alike.popleft()
            if (document := job.next()) is not None:
                taken.append((job, document))
                size += len(document.text) + 1
                alike.append(job)
        self._jobs = deque([*others, *alike])
        return taken

    def _annotate(self, batch: Sequence[tuple[Job, Document]]) -> None:
        try:
            found = list(batch[0][0].find([document for _, document in batch]))
            pairs = list(zip(batch, found, strict=True))
        except Exception as error:  # whatever a model raises must not stop the service, nor other requests
            jobs = {id(job): job for job, _ in batch}
            if len(jobs) == 1:
                batch[0][0].fail(error)
                return
            for job in jobs.values():
                self._annotate([(other, document) for other, document in batch if other is job])
            return
        for (job, _), annotated in pairs:
            job.add(annotated)
