"""Runs over many files into a folder, which end early and go on without losing or repeating a document.

    FOLDER/manifest.json       what run it is, its shards with their checksums, where it is, whether it is whole
    FOLDER/shards/00000.jsonl  the documents with their mentions, in the order of the inputs, and so on
    FOLDER/rejects.jsonl       what could not be read or annotated

A shard is there and whole, or not there. The manifest is replaced after each shard; what it does not know is written
again by the next run. Within a shard, `biomark.annotation.journal` keeps each finished document.
"""

from __future__ import annotations

import errno
import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from biomark import formats
from biomark.annotation import Resuming, annotated, facts_of
from biomark.annotation.index import Index, Verdict
from biomark.annotation.jobs import Job, Reader, is_device, name_of
from biomark.annotation.journal import Journal, difference
from biomark.annotation.rejects import line_of
from biomark.errors import FormatError, UsageError
from biomark.formats import Reject, Sink, Source
from biomark.formats.outgoing import writable
from biomark.recognizers import Recognizer
from biomark.runtime.files import PART, Part, file_sum, replace_file
from biomark.runtime.interrupts import check, keeping
from biomark.runtime.progress import Pace
from biomark.spans import Document, Infons, Rejected

MANIFEST, REJECTS, SHARDS = "manifest.json", "rejects.jsonl", "shards"
FILE = "file"  # the infon of a document that names the file which it is from
_INDEX, _LOCK = "index.sqlite", ".lock"
_FIRST = (f"run{_LOCK}", SHARDS, f"{MANIFEST}.new")  # what a run writes before its manifest
_SHARD = re.compile(r"\d{5,}\.")


@dataclass(frozen=True, slots=True)
class Place:
    """Up to where the inputs are read.

    Attributes:
        input: the number of the input that was read last, from 0; how many there are, once all are read.
        taken: how many of its documents were read.
    """

    input: int = 0
    taken: int = 0


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of the output.

    Attributes:
        files: the SHA-256 of each of its files, by name within the folder of shards.
        documents, mentions: how many it has.
        lost: what its format could not hold, as counts by kind.
    """

    files: Mapping[str, str]
    documents: int
    mentions: int
    lost: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `manifest.json` holds.

    Attributes:
        facts: what the output depends on.
        shards: in their order; their names are their numbers.
        place: where the next shard begins.
        rejected: how many lines `rejects.jsonl` has for these shards; once the run is whole, all.
        rejects_bytes: how long it is with these.
        superseded, deleted: how many of PubMed's articles were passed over, since a later version is there, or since
            PubMed has deleted them.
        whole: whether the run is.
    """

    facts: Mapping[str, str]
    shards: tuple[Shard, ...] = ()
    place: Place = Place()
    rejected: int = 0
    rejects_bytes: int = 0
    superseded: int = 0
    deleted: int = 0
    whole: bool = False

    @property
    def documents(self) -> int:
        """How many are in the shards."""
        return sum(shard.documents for shard in self.shards)

    @property
    def lost(self) -> Counter[str]:
        """What the format could not hold."""
        return sum((Counter(shard.lost) for shard in self.shards), Counter[str]())

    @classmethod
    def of(cls, path: Path) -> Manifest | None:
        """The manifest in a file; None if there is no such file.

        Raises:
            UsageError: if it is no manifest.
        """
        try:
            values: dict[str, Any] = json.loads(path.read_bytes())
            shards = tuple(Shard(**shard) for shard in values.pop("shards"))
            return cls(**{**values, "shards": shards, "place": Place(**values["place"])})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{path}: is no manifest of a run ({error}); name another folder") from error


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does.

    Attributes:
        folder: of the run.
        job: the inputs, which are files that can be read twice, and the format of the shards.
        types, min_score, skip: see `biomark.annotation.annotate`.
        size: documents a shard.
        rejected: what was rejected in planning the job; `rejects.jsonl` begins with it.
    """

    folder: Path
    job: Job
    types: str | None = None
    min_score: float | None = None
    skip: str = ""
    size: int = 10_000
    rejected: tuple[Rejected, ...] = ()


@dataclass(slots=True)
class _Count:
    """How far this process is."""

    begun: float = field(default_factory=time.monotonic)
    kept: int = 0
    documents: int = 0
    rejected: int = 0
    total: int | None = None

    def pace(self, what: str) -> Pace:
        seconds = time.monotonic() - self.begun
        rate = self.documents / seconds if seconds > 0 else 0.0
        done = self.kept + self.documents
        left = None if self.total is None or not rate else max(0.0, self.total - done) / rate
        return Pace(what, done, self.total, self.rejected, rate, left)


def run_into_folder(
    plan: Plan,
    recognizer: Recognizer,
    *,
    resuming: Resuming | None = None,
    watch: Callable[[Pace], None] = lambda pace: None,
) -> Manifest:
    """Annotate inputs into a folder, from where an earlier run of the same kind ended.

    Args:
        plan: what is done.
        recognizer: finds mentions.
        resuming: `options` are what the output depends on beside the plan's job; None: nothing.
        watch: is called after each document.

    Returns:
        The manifest of the whole run.

    Raises:
        UsageError: if the folder holds something else, or a run that differs from this one (the message has both
            values), or an input is a stream.
        FormatError: if another run is at work in the folder, or it cannot be written.
    """
    resuming = resuming or Resuming()
    _check(plan)
    lock = Part(plan.folder / "run", _LOCK)
    try:
        if Manifest.of(plan.folder / MANIFEST) is None and any(p.name not in _FIRST for p in plan.folder.iterdir()):
            raise UsageError(f"{plan.folder}: holds files, but no run of biomark; name another folder")
        return _Run(plan, recognizer, resuming, watch).whole()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise FormatError(f"{plan.folder}: the disk is full; make room and run the same command again") from error
    finally:
        lock.discard()


def _check(plan: Plan) -> None:
    """Whether there is something that can be read twice and is not in the folder itself.

    Raises:
        UsageError: if not.
    """
    if plan.size < 1:
        raise UsageError(f"`shard` must be at least 1 document, got {plan.size}")
    if plan.folder.exists() and not plan.folder.is_dir():
        raise UsageError(f"{plan.folder}: is no folder; a run is written into a folder")
    folder = plan.folder.resolve()
    for given in plan.job.inputs:
        path = given.path if isinstance(given, Source) else given
        if path is None or (isinstance(path, Path) and is_device(path)):
            raise UsageError(f"{name_of(given)}: a run reads its inputs twice, so they must be files, not a stream")
        if isinstance(path, Path) and folder in (resolved := path.resolve(), *resolved.parents):
            raise UsageError(f"{path}: lies in the folder of the run, {plan.folder}; name another folder")


class _Run:
    """One process's part of a run, while it holds the lock."""

    def __init__(self, plan: Plan, recognizer: Recognizer, resuming: Resuming, watch: Callable[[Pace], None]) -> None:
        self._plan = plan
        self._recognizer = recognizer
        self._watch = watch
        self._shards = plan.folder / SHARDS
        self._facts = {**facts_of(plan.job, resuming.options), "documents a shard": f"{plan.size:,}"}
        self._path = plan.folder / MANIFEST
        self._manifest = self._begun(resuming)
        self._count = _Count(kept=self._manifest.documents, rejected=self._manifest.rejected)

    def _begun(self, resuming: Resuming) -> Manifest:
        there = Manifest.of(self._path)
        if there is not None and there.facts != self._facts and not resuming.anew:
            raise UsageError(difference(self._path, there.facts, self._facts))
        if there is None or resuming.anew:
            self._shards.mkdir(parents=True, exist_ok=True)
            self._forget_index()  # before the manifest, whose inputs it must be of
            there = Manifest(self._facts)
            self._save(there)
        self._tidy(there, anew=resuming.anew)
        for shard in there.shards:
            if missing := [name for name in shard.files if not (self._shards / name).is_file()]:
                raise UsageError(f"{self._shards / missing[0]}: is missing; put it back, or begin anew (`overwrite`)")
        if there.shards and not there.whole:
            resuming.report(f"{self._plan.folder}: {there.documents:,} documents are done; this run goes on")
        if there.whole:
            resuming.report(f"{self._plan.folder}: all {there.documents:,} documents are done")
        return there

    def _tidy(self, manifest: Manifest, *, anew: bool) -> None:
        """Remove shards that the manifest does not know, but for what is finished of the next one; nothing else."""
        known = {name for shard in manifest.shards for name in shard.files}
        begun = f"{self._output(len(manifest.shards)).name}{PART}"
        for path in self._shards.glob("*"):
            stale = path.name not in known and (anew or not path.name.startswith(begun))
            if stale and _SHARD.match(path.name) and path.is_file():
                path.unlink()

    def _forget_index(self) -> None:
        for path in self._plan.folder.glob(f"{_INDEX}*"):
            path.unlink()

    def _output(self, number: int) -> Path:
        format = formats.format_named(self._plan.job.format, writing=True)
        return self._shards / f"{number:05}{next(iter(format.suffixes), '')}"

    def _save(self, manifest: Manifest) -> None:
        self._manifest = manifest
        text = json.dumps(asdict(manifest), ensure_ascii=False, indent=1)
        replace_file(self._path, text.encode("utf-8", "backslashreplace") + b"\n", settled=True)

    def whole(self) -> Manifest:
        """Do what is not done."""
        if not self._manifest.whole:
            self._go_on()
        self._forget_index()
        return self._manifest

    def _go_on(self) -> None:
        with ExitStack() as stack:
            stack.enter_context(keeping(self._kept))
            index = Index(self._plan.folder / _INDEX, self._plan.job)
            stack.callback(index.close)
            index.build(self._watch_index)
            rejects = stack.enter_context(self._rejects())
            self._count.total, self._count.begun = index.documents, time.monotonic()

            def reject(rejected: Rejected) -> None:
                rejects.write(line_of(rejected))
                self._count.rejected += 1

            for one in self._plan.rejected if not self._manifest.shards else ():
                reject(one)
            stream = _Stream(self._plan.job, index, reject, self._manifest.place)
            documents = iter(stream)
            while (first := next(documents, None)) is not None:
                shard = self._shard(chain((first,), islice(documents, self._plan.size - 1)), reject)
                self._save(self._known(stream, rejects, (*self._manifest.shards, shard)))
            self._save(replace(self._known(stream, rejects, self._manifest.shards), whole=True))

    def _known(self, stream: _Stream, rejects: IO[bytes], shards: tuple[Shard, ...]) -> Manifest:
        rejects.flush()
        os.fsync(rejects.fileno())
        return replace(
            self._manifest,
            shards=shards,
            place=stream.place,
            rejected=self._count.rejected,
            rejects_bytes=rejects.tell(),
            superseded=self._manifest.superseded + stream.counted(Verdict.SUPERSEDED),
            deleted=self._manifest.deleted + stream.counted(Verdict.DELETED),
        )

    def _watch_index(self, documents: int) -> None:
        seconds = time.monotonic() - self._count.begun
        self._watch(Pace("reading ids", documents, None, 0, documents / seconds if seconds else 0.0, None))

    def _rejects(self) -> IO[bytes]:
        """`rejects.jsonl`, with what belongs to finished shards."""
        path = self._plan.folder / REJECTS
        if path.is_symlink():
            raise FormatError(f"{path}: is a link, through which nothing is written; remove it")
        file = path.open("r+b" if path.exists() else "w+b")
        file.truncate(self._manifest.rejects_bytes)
        file.seek(self._manifest.rejects_bytes)
        return file

    def _shard(self, documents: Iterator[Document], reject: Reject) -> Shard:
        """Annotate and write one shard; what was rejected in finding mentions is rejected at its end."""
        plan = self._plan
        format = formats.format_named(plan.job.format, writing=True)
        output = self._output(len(self._manifest.shards))
        lost = Counter[str]()
        inputs = writable(documents, format, Sink(output), lost, reject)
        rejected: list[Rejected] = []
        with Journal(output, self._facts, anew=True) as journal, keeping(self._kept):
            mentions = sum(len(document.entities) for document in journal.documents())
            for _ in journal.skip(inputs):
                self._count.kept += 1
            found = annotated(
                inputs,
                self._recognizer,
                types=plan.types,
                min_score=plan.min_score,
                skip=plan.skip,
                reject=rejected.append,
            )
            for document in found:
                check()
                journal.add(document, rejected)
                rejected.clear()
                mentions += len(document.entities)
                self._count.documents += 1
                self._watch(self._count.pace("annotating"))
            of_mentions = list(journal.rejects())
            lost += journal.finish(format.name)
            for one in of_mentions:
                reject(one)
            files = {path.name: file_sum(path) for path in sorted(self._shards.glob(f"{output.name.split('.')[0]}.*"))}
            return Shard(files, journal.finished, mentions, dict(sorted(lost.items())))

    def _kept(self) -> str:
        return f"what is finished is kept in {self._plan.folder}; run the same command again to go on"


class _Stream:
    """The documents that a run takes of its inputs, each with the name of its file.

    Args:
        job: whose inputs are read.
        index: knows which documents are taken.
        reject: is called with what cannot be read.
        begin: where to begin.

    Attributes:
        place: behind the document that was given last.
    """

    def __init__(self, job: Job, index: Index, reject: Reject, begin: Place) -> None:
        self.place = begin
        self._job = job
        self._index = index
        self._reject = reject
        self._begin = begin
        self._skipping = False
        self._passed = Counter[Verdict]()

    def counted(self, verdict: Verdict) -> int:
        """How many documents were passed over since the last call, for this reason."""
        return self._passed.pop(verdict, 0)

    def __iter__(self) -> Iterator[Document]:
        """See the class."""
        for number in range(self._begin.input, len(self._job.inputs)):
            given = self._job.inputs[number]
            skipped = self._begin.taken if number == self._begin.input else 0
            medline = self._index.is_medline(given)
            self._skipping = skipped > 0
            reader = Reader(replace(self._job, inputs=(given,), batch=True), self._rejected, repeated=True)
            for place, document in enumerate(reader):
                if place >= skipped and self._takes(document, number, place, medline=medline):
                    self.place = Place(number, place + 1)
                    yield replace(document, infons=Infons({**document.infons, FILE: name_of(given)}))
                self._skipping = place + 1 < skipped
        self.place = Place(len(self._job.inputs))  # what was rejected behind the last document is not rejected again

    def _rejected(self, rejected: Rejected) -> None:
        if not self._skipping:
            self._reject(rejected)

    def _takes(self, document: Document, input: int, place: int, *, medline: bool) -> bool:
        verdict = self._index.verdict(document, input, place, medline=medline)
        if verdict == Verdict.REPEATED:
            reason = "another document of the run has this id; the first one is taken"
            self._reject(Rejected(reason, document_id=document.id, source=name_of(self._job.inputs[input])))
        elif verdict != Verdict.TAKEN:
            self._passed[verdict] += 1
        return verdict == Verdict.TAKEN


__all__ = ["FILE", "MANIFEST", "REJECTS", "SHARDS", "Manifest", "Place", "Plan", "Shard", "run_into_folder"]
