"""Annotation of documents by a recognizer: in Python (`annotate`), or from files to files (`plan`, `run`).

Documents are streamed: only the hashes of their ids stay in memory.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING

from biomark import formats
from biomark.annotation.items import Item, documents
from biomark.annotation.jobs import Input, Job, Reader, input_named, inputs_named, is_device, name_of, plan, size
from biomark.annotation.journal import Journal
from biomark.entity_types import one_of, parse_types, types_wanted
from biomark.errors import UsageError
from biomark.formats import Reject, Sink, Source
from biomark.formats.outgoing import writable
from biomark.runtime.interrupts import check
from biomark.spans import Document, Rejected
from biomark.text.sections import ReducedDocument, leave_out

if TYPE_CHECKING:
    from biomark.recognizers import Recognizer

_SHOWN = 5  # names of inputs in a message


def annotate(
    items: Item | Iterable[Item],
    types: str | Sequence[str] | None = None,
    *,
    model: str | Path | Recognizer = "default",
    min_score: float | None = None,
    skip: str | Sequence[str] = (),
    reject: Reject = formats.raise_rejected,
) -> Iterator[Document]:
    """Find mentions in texts, documents and files, as a stream in the order of the items.

    Args:
        items: one item or an iterable of them. A `str` is a text (its document's id is its position in `items`, from
            1); a `Path` is a file or folder in any format that biomark reads; a `Document` is used as it is. A `str`
            that is the path of an existing file is rejected: pass a `Path`, or a `Document` if it is a text.
            None, NaN, numbers, bytes and lone surrogates are rejected as well.
        types: names such as `"disease,chemical"` or `("disease", "chemical")`; None: all types that the
            model knows.
        model: a model's name or folder, or a recognizer. A model that is loaded by name or folder is kept for the next
            call until its files change (see `biomark.models.kept`).
        min_score: the lowest score in [0, 1] of a mention; None: the model's own threshold.
        skip: kinds of passages to leave without mentions, such as `"references"`; see
            `biomark.text.sections.leave_out`.
        reject: is called with each item, document or mention that cannot be read or annotated; all others are
            annotated. By default the first reject raises `FormatError`.

    Returns:
        Documents whose mentions are those that the model found; earlier mentions are replaced. Types have biomark's
        names.

    Raises:
        UsageError: if a type or model is unknown, or an argument has the wrong type or is out of range.
        FormatError: on the first reject (see `reject`).
    """
    from biomark import models

    recognizer = models.kept(str(model)) if isinstance(model, (str, Path)) else model
    if not hasattr(recognizer, "annotate"):
        raise UsageError(f"`model` must be a name, a folder or a recognizer, got {model!r:.80}")
    if not callable(reject):
        raise UsageError(f"`reject` must be a function that takes a `Rejected`, got {reject!r:.80}")
    return annotated(documents(items, reject), recognizer, types=types, min_score=min_score, skip=skip, reject=reject)


def annotated(
    documents: Iterable[Document],
    recognizer: Recognizer,
    *,
    types: str | Sequence[str] | None = None,
    min_score: float | None = None,
    skip: str | Sequence[str] = (),
    reject: Reject = formats.raise_rejected,
) -> Iterator[Document]:
    """Return the documents with the mentions that the recognizer finds; see `annotate`."""
    chosen = _chosen_types(types)
    if chosen is not None and recognizer.types is not None:
        chosen = types_wanted((one_of(entity_type, recognizer.types) for entity_type in chosen), recognizer.types)
    if min_score is not None and not (isinstance(min_score, Real) and 0.0 <= min_score <= 1.0):
        raise UsageError(f"`min_score` must be in [0, 1], got {min_score!r:.80}")

    kinds = _skipped_kinds(skip)
    left_out: deque[tuple[Document, ReducedDocument | None]] = (
        deque()
    )  # documents that the recognizer has not returned yet

    def stream() -> Iterator[Document]:
        inputs = _reduced(documents, kinds, left_out)
        for result in recognizer.annotate(inputs, chosen, min_score=min_score):
            for rejected in result.rejected:
                reject(rejected)
            original, reduced = left_out.popleft()
            yield result.document if reduced is None else reduced.restored(result.document, original)

    return stream()


def _chosen_types(types: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the types to find, under biomark's names; None: all.

    Raises:
        UsageError: if `types` are not names.
    """
    if types is None:
        return None
    try:
        return parse_types(types if isinstance(types, str) else ",".join(types))
    except TypeError:
        raise UsageError(f"`types` must be names such as 'disease,chemical', got {types!r:.80}") from None


def _skipped_kinds(skip: str | Sequence[str]) -> tuple[str, ...]:
    """Return the kinds of passages to leave without mentions.

    Raises:
        UsageError: if a name is empty.
    """
    kinds = tuple(kind.strip() for kind in (skip.split(",") if isinstance(skip, str) else skip)) if skip else ()
    if not all(kinds):
        raise UsageError("`skip` must list kinds of passages, separated by commas, such as references,table")
    return kinds


def _reduced(
    documents: Iterable[Document], kinds: Sequence[str], left_out: deque[tuple[Document, ReducedDocument | None]]
) -> Iterator[Document]:
    """Return the documents without passages of these kinds, and append each original document to `left_out`."""
    for document in documents:
        reduced = leave_out(document, kinds) if kinds else None
        left_out.append((document, reduced))
        yield document if reduced is None else reduced.document


@dataclass(frozen=True, slots=True)
class Resuming:
    """The way in which a run continues an interrupted one.

    Attributes:
        options: the settings, by name, that affect the output beside the job; a run continues an earlier one only if
            they are equal.
        several: whether the output is one of several; then the completed ones are recorded until all are complete
            (`biomark.annotation.journal.is_whole`, `forget`).
        anew: whether to discard an unfinished run with other settings, instead of raising an error.
        report: is called with messages for the user.
    """

    options: Mapping[str, str] = field(default_factory=dict)
    several: bool = False
    anew: bool = False
    report: Callable[[str], None] = lambda message: None


def run(
    job: Job,
    recognizer: Recognizer,
    *,
    types: str | None = None,
    min_score: float | None = None,
    skip: str = "",
    reject: Reject = formats.raise_rejected,
    progress: Callable[[int], None] = lambda size: None,
    resuming: Resuming | None = None,
) -> Counter[str]:
    """Annotate a job's inputs into its output.

    Document ids are kept; of two documents with the same id, the second is rejected.

    Args:
        job: the inputs and the output.
        recognizer: finds the mentions.
        types, min_score, skip, reject: see `annotate`.
        progress: is called after each document with the number of bytes of the inputs read so far.
        resuming: how to continue an interrupted run of the same job, whose finished documents are kept; see
            `biomark.annotation.journal`. None: an interrupted run keeps nothing.

    Returns:
        What the output's format could not hold, as counts by kind.

    Raises:
        UsageError: if an unfinished run of this output has other inputs or settings.
    """
    reader = Reader(job, reject)
    lost = Counter[str]()
    # Documents that the format cannot hold are rejected before annotation, so that a continued run sees the same ones.
    output_format = formats.format_named(job.format, writing=True)
    inputs = writable(iter(reader), output_format, Sink(job.output), lost, reject)
    rejected: list[Rejected] = []  # rejects of the next document's mentions

    def record(reject_of_mention: Rejected) -> None:
        rejected.append(reject_of_mention)
        reject(reject_of_mention)

    def find() -> Iterator[Document]:
        for document in annotated(inputs, recognizer, types=types, min_score=min_score, skip=skip, reject=record):
            check()
            yield document
            progress(reader.position())

    if resuming is None or job.output is None or is_device(job.output):
        output = sys.stdout.buffer if job.output is None else job.output
        return lost + formats.write(find(), output, job.format, reject=reject)
    with Journal(job.output, facts_of(job, resuming.options), anew=resuming.anew) as journal:
        _report(journal, job.output, resuming, reject)
        for _ in journal.skip(inputs):
            progress(reader.position())
        for document in find():
            journal.add(document, rejected)
            rejected.clear()
        if reader.failed and not journal.finished:  # the reader has rejected the input with its reason
            return Counter()
        return lost + journal.finish(job.format, batch=resuming.several)


def _report(journal: Journal, output: Path, resuming: Resuming, reject: Reject) -> None:
    if journal.taken:
        resuming.report(f"{output}: {journal.taken:,} documents are finished by an earlier run; this run continues it")
    if journal.rejected:
        reason = f"the earlier run reported {journal.rejected} rejects in its documents"
        reject(Rejected(reason, source=str(output)))


def facts_of(job: Job, options: Mapping[str, str]) -> dict[str, str]:
    """Return what determines a job's output, by name: its inputs, its format, and the options of the command."""
    paths = [source.path if isinstance(source, Source) else source for source in job.inputs]
    stamps = [(str(path), *_stamp(path)) for path in paths if isinstance(path, Path) and path.is_file()]
    names = [name_of(source) for source in job.inputs]
    shown = names if len(names) <= _SHOWN else [*names[:_SHOWN], f"and {len(names) - _SHOWN} more"]
    checksum = hashlib.sha256(json.dumps([names, stamps]).encode()).hexdigest()[:16]
    bytes_read = sum(stamp[1] for stamp in stamps)
    return {
        "inputs": ", ".join(shown),
        "input files": f"{len(stamps)} of {bytes_read:,} bytes, checksum {checksum}",
        "output format": job.format,
        "biomark": version("biomark"),
        **options,
    }


def _stamp(path: Path) -> tuple[int, int]:
    """Return the size of a file in bytes and its modification time in nanoseconds."""
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns


__all__ = [
    "Input",
    "Item",
    "Job",
    "Resuming",
    "annotate",
    "annotated",
    "facts_of",
    "input_named",
    "inputs_named",
    "plan",
    "run",
    "size",
]
