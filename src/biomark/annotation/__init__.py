"""Documents through a recognizer: in Python (`annotate`), or from files to files (`plan`, `run`).

Everything streams: nothing but the ids of the documents (as hashes) is held in memory.
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
from biomark.text.sections import LeftOut, leave_out

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
    """Find mentions in texts, documents and files, as they come and in their order.

    Args:
        items: one or many. A `str` is a text (its document's id is its place in `items`, from 1); a
            `Path` is a file or folder in any format that biomark reads; a `Document` is itself. A `str` that
            is the path of an existing file is rejected: give it as `Path`, or as a `Document` if it is a text.
            None, NaN, numbers, bytes and half characters are rejected as well.
        types: names such as `"disease,chemical"` or `("disease", "chemical")`; None: all that the
            model knows.
        model: a model's name or folder, or a recognizer. A model of a name or folder is kept for the next
            call until its files change (see `biomark.models.kept`).
        min_score: mentions with a lower score are left out; None: as the model was made to do.
        skip: parts of documents that get no mentions, such as `"references"`; see `biomark.text.sections.leave_out`.
        reject: is called with whatever cannot be read or annotated; the rest goes on. By default the
            first such thing raises `FormatError`.

    Returns:
        Documents with the mentions found, in place of those that they had. Types have biomark's names.

    Raises:
        UsageError: if a type or model is unknown, or an argument makes no sense.
        FormatError: on the first reject (see `reject`).
    """
    from biomark import models

    recognizer = models.kept(str(model)) if isinstance(model, (str, Path)) else model
    if not hasattr(recognizer, "annotate"):
        raise UsageError(f"a model is a name, a folder or a recognizer, not {model!r:.80}")
    if not callable(reject):
        raise UsageError(f"reject is a function that is called with what is rejected, not {reject!r:.80}")
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
    """The documents with the mentions that the recognizer finds; see `annotate`."""
    wanted = _wanted(types)
    if wanted is not None and recognizer.types is not None:
        wanted = types_wanted((one_of(type, recognizer.types) for type in wanted), recognizer.types)
    if min_score is not None and not (isinstance(min_score, Real) and 0.0 <= min_score <= 1.0):
        raise UsageError(f"`min_score` must be in [0, 1], got {min_score!r:.80}")

    names = _names(skip)
    left_out: deque[tuple[Document, LeftOut | None]] = deque()  # of the documents that are under way

    def stream() -> Iterator[Document]:
        read = _reduced(documents, names, left_out)
        for result in recognizer.annotate(read, wanted, min_score=min_score):
            for rejected in result.rejected:
                reject(rejected)
            original, reduced = left_out.popleft()
            yield result.document if reduced is None else reduced.restored(result.document, original)

    return stream()


def _wanted(types: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """The types to look for, under biomark's names.

    Raises:
        UsageError: if they are no names.
    """
    if types is None:
        return None
    try:
        return parse_types(types if isinstance(types, str) else ",".join(types))
    except TypeError:
        raise UsageError(f"types are names such as 'disease,chemical', not {types!r:.80}") from None


def _names(skip: str | Sequence[str]) -> tuple[str, ...]:
    """The parts to leave alone.

    Raises:
        UsageError: if one of them has no name.
    """
    names = tuple(name.strip() for name in (skip.split(",") if isinstance(skip, str) else skip)) if skip else ()
    if not all(names):
        raise UsageError("`skip` takes names of parts with commas between them, such as references,table")
    return names


def _reduced(
    documents: Iterable[Document], names: Sequence[str], left_out: deque[tuple[Document, LeftOut | None]]
) -> Iterator[Document]:
    """The documents without the parts to leave alone; each is put into `left_out` as it was."""
    for document in documents:
        reduced = leave_out(document, names) if names else None
        left_out.append((document, reduced))
        yield document if reduced is None else reduced.document


@dataclass(frozen=True, slots=True)
class Resuming:
    """How a run goes on where an earlier one ended.

    Attributes:
        options: what the output depends on beside the job, by name; a run goes on only where they are the same.
        several: whether the output is one of several, of which those that are whole must be known until all are
            (`biomark.annotation.journal.is_whole`, `forget`).
        anew: whether an unfinished run with others is thrown away, instead of an error.
        report: is called with what a user should know.
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

    Ids stay as they are: of two documents with one id, the second is rejected.

    Args:
        progress: is called after each document with the bytes of the inputs that have been read.
        resuming: what is finished of a run that ends early is kept, and the next run of the same job goes on behind
            it; see `biomark.annotation.journal`. None: nothing is kept.

    Returns:
        What the output's format could not hold, as counts by kind.

    Raises:
        UsageError: if an unfinished run differs from this one.
    """
    reader = Reader(job, reject)
    lost = Counter[str]()
    # What the format cannot hold is rejected before it is annotated: a run that goes on meets the same documents.
    format = formats.format_named(job.format, writing=True)
    inputs = writable(iter(reader), format, Sink(job.output), lost, reject)
    rejected: list[Rejected] = []  # in finding the mentions of the next document

    def noted(one: Rejected) -> None:
        rejected.append(one)
        reject(one)

    def find() -> Iterator[Document]:
        for document in annotated(inputs, recognizer, types=types, min_score=min_score, skip=skip, reject=noted):
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
        if reader.failed and not journal.finished:  # a reject says why
            return Counter()
        return lost + journal.finish(job.format, batch=resuming.several)


def _report(journal: Journal, output: Path, resuming: Resuming, reject: Reject) -> None:
    if journal.taken:
        resuming.report(f"{output}: {journal.taken:,} documents were finished by the run before; this one goes on")
    if journal.rejected:
        reason = f"{journal.rejected} times something was rejected by the run before, which listed it"
        reject(Rejected(reason, source=str(output)))


def facts_of(job: Job, options: Mapping[str, str]) -> dict[str, str]:
    """What the output of a job depends on: its inputs, its format, and options of the command."""
    paths = [given.path if isinstance(given, Source) else given for given in job.inputs]
    stamps = [(str(path), *_stamp(path)) for path in paths if isinstance(path, Path) and path.is_file()]
    names = [name_of(given) for given in job.inputs]
    shown = names if len(names) <= _SHOWN else [*names[:_SHOWN], f"and {len(names) - _SHOWN} more"]
    files = hashlib.sha256(json.dumps([names, stamps]).encode()).hexdigest()[:16]
    size = sum(stamp[1] for stamp in stamps)
    found = {"inputs": ", ".join(shown), "input files": f"{len(stamps)} of {size:,} bytes, checksum {files}"}
    return {**found, "output format": job.format, "biomark": version("biomark"), **options}


def _stamp(path: Path) -> tuple[int, int]:
    """The size of a file in bytes, and when it was changed, in nanoseconds."""
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
