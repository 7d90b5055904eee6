"""Runs over many files into a folder, which can be interrupted and continued without losing or repeating a document.

    FOLDER/manifest.json       the facts that identify the run, its shards with their checksums, and its progress
    FOLDER/shards/00000.jsonl  the documents with their mentions, in the order of the inputs; 00001.jsonl and so on
    FOLDER/rejects.jsonl       the rejects of reading and annotation

A shard is complete, or it does not exist. The manifest is replaced after each shard; the next run writes shards again
that the manifest does not list. Within a shard, `biomark.annotation.journal` keeps each finished document.
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
from biomark.annotation.index import DocumentIndex, Verdict
from biomark.annotation.jobs import Job, Reader, is_device, name_of
from biomark.annotation.journal import Journal, difference
from biomark.annotation.rejects import line_of
from biomark.errors import FormatError, UsageError
from biomark.formats import Reject, Sink, Source
from biomark.formats.outgoing import writable
from biomark.recognizers import Recognizer
from biomark.runtime.files import PART, PartialFile, file_sum, replace_file
from biomark.runtime.interrupts import check, keeping
from biomark.runtime.progress import Pace
from biomark.spans import Document, Infons, Rejected

MANIFEST, REJECTS, SHARDS = "manifest.json", "rejects.jsonl", "shards"
FILE = "file"  # the infon with the name of a document's input
_INDEX, _LOCK = "index.sqlite", ".lock"
_FIRST = (f"run{_LOCK}", SHARDS, f"{MANIFEST}.new")  # the files that a run writes before its manifest
_SHARD = re.compile(r"\d{5,}\.")


@dataclass(frozen=True, slots=True)
class InputPosition:
    """A position in the inputs, up to which they have been read.

    Attributes:
        input: the number of the input that was read last, from 0; the number of inputs once all are read.
        taken: the number of documents that were read from this input.
    """

    input: int = 0
    taken: int = 0


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of the output.

    Attributes:
        files: the SHA-256 of each of its files, by name within the folder of shards.
        documents, mentions: the numbers of its documents and mentions.
        lost: what its format could not hold, as counts by kind.
    """

    files: Mapping[str, str]
    documents: int
    mentions: int
    lost: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of `manifest.json`.

    Attributes:
        facts: the values that determine the output, by name.
        shards: the complete shards, in their order; their names are their numbers.
        place: the position in the inputs where the next shard begins.
        rejected: the number of lines in `rejects.jsonl` up to the end of these shards.
        rejects_bytes: the size of these lines in bytes.
        superseded, deleted: the numbers of PubMed's articles that were skipped because the inputs have a later version,
            or because PubMed has deleted them.
        whole: whether the run is complete.
    """

    facts: Mapping[str, str]
    shards: tuple[Shard, ...] = ()
    place: InputPosition = InputPosition()
    rejected: int = 0
    rejects_bytes: int = 0
    superseded: int = 0
    deleted: int = 0
    whole: bool = False

    @property
    def documents(self) -> int:
        """The number of documents in the shards."""
        return sum(shard.documents for shard in self.shards)

    @property
    def lost(self) -> Counter[str]:
        """The counts, by kind, of information that the format of the shards cannot store."""
        return sum((Counter(shard.lost) for shard in self.shards), Counter[str]())

    @classmethod
    def of(cls, path: Path) -> Manifest | None:
        """Read the manifest in a file; return None if the file does not exist.

        Raises:
            UsageError: if the file is not a manifest.
        """
        try:
            values: dict[str, Any] = json.loads(path.read_bytes())
            shards = tuple(Shard(**shard) for shard in values.pop("shards"))
            return cls(**{**values, "shards": shards, "place": InputPosition(**values["place"])})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{path}: not a manifest of a run ({error}); name another folder") from error


@dataclass(frozen=True, slots=True)
class Plan:
    """The inputs, settings and output of a run.

    Attributes:
        folder: the output folder.
        job: the inputs, which must be files that can be read twice, and the format of the shards.
        types, min_score, skip: see `biomark.annotation.annotate`.
        size: the number of documents in a shard.
        rejected: the rejects of planning the job; `rejects.jsonl` begins with them.
    """

    folder: Path
    job: Job
    types: str | None = None
    min_score: float | None = None
    skip: str = ""
    size: int = 10_000
    rejected: tuple[Rejected, ...] = ()


@dataclass(slots=True)
class _RunProgress:
    """The progress of this process: start time in seconds, documents of earlier and of this process, rejects."""

    begun: float = field(default_factory=time.monotonic)
    kept: int = 0
    documents: int = 0
    rejected: int = 0
    total: int | None = None

    def pace(self, activity: str) -> Pace:
        seconds = time.monotonic() - self.begun
        rate = self.documents / seconds if seconds > 0 else 0.0
        done = self.kept + self.documents
        left = None if self.total is None or not rate else max(0.0, self.total - done) / rate
        return Pace(activity, done, self.total, self.rejected, rate, left)


def run_into_folder(
    plan: Plan,
    recognizer: Recognizer,
    *,
    resuming: Resuming | None = None,
    watch: Callable[[Pace], None] = lambda pace: None,
) -> Manifest:
    """Annotate inputs into a folder; continue an unfinished run with the same inputs and settings.

    Args:
        plan: the inputs, settings and output folder.
        recognizer: finds the mentions.
        resuming: the settings that affect the output beside the plan's job; None: there are none.
        watch: is called with the progress after each document.

    Returns:
        The manifest of the completed run.

    Raises:
        UsageError: if the folder holds other files, or a run that differs from this one (the message has both
            values), or an input is a stream.
        FormatError: if another process writes into the folder, or it cannot be written.
    """
    resuming = resuming or Resuming()
    _check(plan)
    lock = PartialFile(plan.folder / "run", _LOCK)
    try:
        if Manifest.of(plan.folder / MANIFEST) is None and any(p.name not in _FIRST for p in plan.folder.iterdir()):
            raise UsageError(f"{plan.folder}: contains files that are not from a biomark run; name another folder")
        return _FolderRun(plan, recognizer, resuming, watch).complete()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise FormatError(f"{plan.folder}: the disk is full; make room and run the same command again") from error
    finally:
        lock.discard()


def _check(plan: Plan) -> None:
    """Check the size of shards, and that all inputs can be read twice and lie outside of the output folder.

    Raises:
        UsageError: if one of these conditions does not hold.
    """
    if plan.size < 1:
        raise UsageError(f"`shard` must be at least 1 document, got {plan.size}")
    if plan.folder.exists() and not plan.folder.is_dir():
        raise UsageError(f"{plan.folder}: not a folder; name a folder for the run")
    folder = plan.folder.resolve()
    for source in plan.job.inputs:
        path = source.path if isinstance(source, Source) else source
        if path is None or (isinstance(path, Path) and is_device(path)):
            raise UsageError(
                f"{name_of(source)}: a run into a folder reads its inputs twice, so they must be files; "
                "write the mentions of a stream into one file (`output`)"
            )
        if isinstance(path, Path) and folder in (resolved := path.resolve(), *resolved.parents):
            raise UsageError(f"{path}: lies in the folder of the run, {plan.folder}; name another folder")


class _FolderRun:
    """The part of a run that one process does while it holds the lock."""

    def __init__(self, plan: Plan, recognizer: Recognizer, resuming: Resuming, watch: Callable[[Pace], None]) -> None:
        self._plan = plan
        self._recognizer = recognizer
        self._watch = watch
        self._shards = plan.folder / SHARDS
        self._options = {**resuming.options, "documents a shard": f"{plan.size:,}"}
        self._facts = facts_of(plan.job, self._options)
        self._path = plan.folder / MANIFEST
        self._manifest = self._opened_manifest(resuming)
        self._count = _RunProgress(kept=self._manifest.documents, rejected=self._manifest.rejected)

    def _opened_manifest(self, resuming: Resuming) -> Manifest:
        """Return the manifest of the run to continue, or a new one, and remove stale files.

        Raises:
            UsageError: if the folder has another run, or a shard is missing.
        """
        manifest = Manifest.of(self._path)
        if manifest is not None and manifest.facts != self._facts and not resuming.anew:
            raise UsageError(difference(self._path, manifest.facts, self._facts))
        if manifest is None or resuming.anew:
            self._shards.mkdir(parents=True, exist_ok=True)
            self._remove_index()  # before the manifest changes, since the index must be of the manifest's inputs
            manifest = Manifest(self._facts)
            self._save(manifest)
        self._remove_stale_shards(manifest, anew=resuming.anew)
        for shard in manifest.shards:
            if missing := [name for name in shard.files if not (self._shards / name).is_file()]:
                raise UsageError(
                    f"{self._shards / missing[0]}: the file is missing; restore it, or start again (`overwrite`)"
                )
        if manifest.shards and not manifest.whole:
            resuming.report(f"{self._plan.folder}: {manifest.documents:,} documents are done; this run continues")
        if manifest.whole:
            resuming.report(f"{self._plan.folder}: all {manifest.documents:,} documents are done")
        return manifest

    def _remove_stale_shards(self, manifest: Manifest, *, anew: bool) -> None:
        """Remove shards that the manifest does not list, except the unfinished next shard unless `anew`."""
        listed = {name for shard in manifest.shards for name in shard.files}
        unfinished = f"{self._output(len(manifest.shards)).name}{PART}"
        for path in self._shards.glob("*"):
            stale = path.name not in listed and (anew or not path.name.startswith(unfinished))
            if stale and _SHARD.match(path.name) and path.is_file():
                path.unlink()

    def _remove_index(self) -> None:
        for path in self._plan.folder.glob(f"{_INDEX}*"):
            path.unlink()

    def _output(self, number: int) -> Path:
        suffixes = formats.format_named(self._plan.job.format, writing=True).suffixes
        return self._shards / f"{number:05}{next(iter(suffixes), '')}"

    def _save(self, manifest: Manifest) -> None:
        self._manifest = manifest
        text = json.dumps(asdict(manifest), ensure_ascii=False, indent=1)
        replace_file(self._path, text.encode("utf-8", "backslashreplace") + b"\n", settled=True)

    def complete(self) -> Manifest:
        """Write the missing shards; return the manifest of the completed run."""
        if not self._manifest.whole:
            self._write_shards()
        self._remove_index()
        return self._manifest

    def _write_shards(self) -> None:
        with ExitStack() as stack:
            stack.enter_context(keeping(self._kept))
            index = DocumentIndex(self._plan.folder / _INDEX, self._plan.job)
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
                self._save(self._updated(stream, rejects, (*self._manifest.shards, shard)))
            self._save(replace(self._updated(stream, rejects, self._manifest.shards), whole=True))

    def _updated(self, stream: _Stream, rejects: IO[bytes], shards: tuple[Shard, ...]) -> Manifest:
        """Return the manifest with these shards, after all rejects of them have been written to disk.

        Raises:
            UsageError: if an input has changed since the run began, for whose documents the index does not hold.
        """
        if (facts := facts_of(self._plan.job, self._options)) != self._facts:
            was, now = self._facts["input files"], facts["input files"]
            raise UsageError(f"an input changed while it was read ({was}; now {now}); start again (`overwrite`)")
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
        """Open `rejects.jsonl` for appending, after removing the rejects of unfinished shards.

        Raises:
            FormatError: if it is a symbolic link.
        """
        path = self._plan.folder / REJECTS
        if path.is_symlink():
            raise FormatError(f"{path}: refusing to write through a symbolic link; remove it")
        file = path.open("r+b" if path.exists() else "w+b")
        file.truncate(self._manifest.rejects_bytes)
        file.seek(self._manifest.rejects_bytes)
        return file

    def _shard(self, documents: Iterator[Document], reject: Reject) -> Shard:
        """Annotate and write one shard; report the rejects of its mentions at its end."""
        plan = self._plan
        shard_format = formats.format_named(plan.job.format, writing=True)
        output = self._output(len(self._manifest.shards))
        lost = Counter[str]()
        inputs = writable(documents, shard_format, Sink(output), lost, reject)
        rejected: list[Rejected] = []
        with Journal(output, self._facts, anew=True) as journal, keeping(self._kept):
            mentions = sum(len(document.entities) for document in journal.documents())
            for _ in journal.skip(inputs):
                self._count.kept += 1
            stream = annotated(
                inputs,
                self._recognizer,
                types=plan.types,
                min_score=plan.min_score,
                skip=plan.skip,
                reject=rejected.append,
            )
            for document in stream:
                check()
                journal.add(document, rejected)
                rejected.clear()
                mentions += len(document.entities)
                self._count.documents += 1
                self._watch(self._count.pace("annotating"))
            rejects_of_mentions = list(journal.rejects())
            lost += journal.finish(shard_format.name)
            for one in rejects_of_mentions:
                reject(one)
            files = {path.name: file_sum(path) for path in sorted(self._shards.glob(f"{output.name.split('.')[0]}.*"))}
            return Shard(files, journal.finished, mentions, dict(sorted(lost.items())))

    def _kept(self) -> str:
        return f"finished documents are kept in {self._plan.folder}; run the same command again to continue"


class _Stream:
    """The documents that a run takes from its inputs, each with the name of its input as an infon.

    Args:
        job: the job whose inputs are read.
        index: decides which documents are taken.
        reject: is called with each part of an input that cannot be read.
        begin: the position at which to start.

    Attributes:
        place: the position after the last document.
    """

    def __init__(self, job: Job, index: DocumentIndex, reject: Reject, begin: InputPosition) -> None:
        self.place = begin
        self._job = job
        self._index = index
        self._reject = reject
        self._begin = begin
        self._skipping = False
        self._skipped = Counter[Verdict]()

    def counted(self, verdict: Verdict) -> int:
        """Return the number of documents that were skipped for this reason since the last call."""
        return self._skipped.pop(verdict, 0)

    def __iter__(self) -> Iterator[Document]:
        """Yield the documents from the start position on."""
        for number in range(self._begin.input, len(self._job.inputs)):
            source = self._job.inputs[number]
            finished = self._begin.taken if number == self._begin.input else 0
            medline = self._index.is_medline(source)
            self._skipping = finished > 0
            reader = Reader(replace(self._job, inputs=(source,), batch=True), self._report, repeated=True)
            for place, document in enumerate(reader):
                if place >= finished and self._takes(document, number, place, medline=medline):
                    self.place = InputPosition(number, place + 1)
                    yield replace(document, infons=Infons({**document.infons, FILE: name_of(source)}))
                self._skipping = place + 1 < finished
        self.place = InputPosition(len(self._job.inputs))  # so that no reject after the last document comes again

    def _report(self, rejected: Rejected) -> None:
        if not self._skipping:
            self._reject(rejected)

    def _takes(self, document: Document, input_number: int, place: int, *, medline: bool) -> bool:
        verdict = self._index.verdict(document, input_number, place, medline=medline)
        if verdict == Verdict.REPEATED:
            reason = "an earlier document of the run has the same id"
            self._reject(Rejected(reason, document_id=document.id, source=name_of(self._job.inputs[input_number])))
        elif verdict != Verdict.TAKEN:
            self._skipped[verdict] += 1
        return verdict == Verdict.TAKEN


__all__ = ["FILE", "MANIFEST", "REJECTS", "SHARDS", "InputPosition", "Manifest", "Plan", "Shard", "run_into_folder"]
