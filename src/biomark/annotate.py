"""Documents through a recognizer: in Python (`annotate`), or from files to files (`plan`, `run`).

Everything streams: nothing but the ids of the documents (as hashes) is held in memory.
"""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from biomark import corpora, formats
from biomark.entity_types import one_of, parse_types
from biomark.errors import FormatError, UsageError
from biomark.formats import Reject, Source
from biomark.sections import LeftOut, leave_out
from biomark.spans import Document

if TYPE_CHECKING:
    from biomark.recognizers import Recognizer

Item = str | Path | Document
Input = Path | str | None
"""A file or folder, a split of the catalogue (`str`), or standard input (None)."""

# These put the mentions into files of their own, so that a stream cannot hold them.
_SEVERAL_FILES = ("brat", "bc2gm")


def annotate(
    items: Item | Iterable[Item],
    types: str | Sequence[str] | None = None,
    *,
    model: str | Recognizer = "default",
    min_score: float | None = None,
    skip: str | Sequence[str] = (),
    reject: Reject = formats.raise_rejected,
) -> Iterator[Document]:
    """Find mentions in texts, documents and files, as they come and in their order.

    Args:
        items: one or many. A `str` is a text (its document's id is its place in `items`, from 1); a
            `Path` is a file or folder in any format that biomark reads; a `Document` is itself.
        types: names such as `"disease,chemical"` or `("disease", "chemical")`; None: all that the
            model knows.
        model: a model's name or folder, or a recognizer.
        min_score: mentions with a lower score are left out; None: as the model was made to do.
        skip: parts of documents that get no mentions, such as `"references"`; see `biomark.sections.leave_out`.
        reject: is called with whatever cannot be read or annotated; the rest goes on. By default the
            first such thing raises `FormatError`.

    Returns:
        Documents with the mentions found, in place of those that they had. Types have biomark's names.

    Raises:
        UsageError: if a type or model is unknown.
        FormatError: if a file cannot be read at all, or on the first reject (see `reject`).
    """
    from biomark import models

    recognizer = models.load(model) if isinstance(model, str) else model
    several = (items,) if isinstance(items, (str, Path, Document)) else items
    documents = _documents(several, reject)
    return annotated(documents, recognizer, types=types, min_score=min_score, skip=skip, reject=reject)


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
    wanted = parse_types(types if isinstance(types, str) else ",".join(types)) if types is not None else None
    if wanted is not None and recognizer.types is not None:
        wanted = tuple(one_of(type, recognizer.types) for type in wanted)
    if recognizer.types is not None and (unknown := [t for t in wanted or () if t not in recognizer.types]):
        raise UsageError(f"the model does not know {', '.join(unknown)}; it finds {', '.join(recognizer.types)}")
    if min_score is not None and not 0.0 <= min_score <= 1.0:
        raise UsageError(f"a score lies in [0, 1], so does --min-score, unlike {min_score}")

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


def _names(skip: str | Sequence[str]) -> tuple[str, ...]:
    """The parts to leave alone.

    Raises:
        UsageError: if one of them has no name.
    """
    names = tuple(name.strip() for name in (skip.split(",") if isinstance(skip, str) else skip)) if skip else ()
    if not all(names):
        raise UsageError("--skip takes names of parts, parted by commas, such as references,table")
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
class Job:
    """Inputs that go into one output.

    Attributes:
        inputs: at least one.
        output: a file, or a folder for brat; None is standard output.
        format: the output's.
    """

    inputs: tuple[Input, ...]
    output: Path | None
    format: str


def input_named(name: str) -> Input:
    """What a name on the command line means: a file if it is there, else a split if a corpus is called so."""
    if name == "-":
        return None
    is_split = not formats.exists(Path(name)) and name.partition(":")[0] in corpora.catalogue()
    return name if is_split else Path(name)


def read_input(given: Input, format: str | None, reject: Reject) -> tuple[Source, Iterator[Document]]:
    """An input, whose position says how much has been read, and its documents; `format` is that of a file."""
    source = Source(given if isinstance(given, Path) else None, sys.stdin.buffer if given is None else None)
    if isinstance(given, str):
        source.name = given
        return source, corpora.read_split(given, reject=reject)
    return source, formats.read(source, format, reject=reject)


def plan(
    inputs: Sequence[Input], output: str | None, *, from_: str | None, to: str | None, screen: bool
) -> tuple[Job, ...]:
    """What to annotate into which file.

    All inputs go into one output, unless that is a folder (it is there, or ends in `/`): then each has a
    file of its own in it. brat is a folder by nature and takes all.

    The output's format is `to`; else what its name speaks for; else `terminal` on a `screen`; else the
    format of the inputs, if they share one that can hold mentions; else `jsonl`.

    Args:
        inputs: at least one.
        output: None is standard output.
        from_: the format of files; None: guessed, and `text` for standard input.
        to: the format of the output.
        screen: whether standard output is a terminal.

    Raises:
        FormatError: if a file is not there, or its format cannot be guessed.
        CorpusError: if the files of a split are not there.
        UsageError: if a format is unknown or holds no mentions, if the catalogue has no such split, if an input would
            be overwritten, or if two inputs would go into one file of a folder.
    """
    if to is not None:
        formats.format_named(to, writing=True)
    given = [_input_format(one, from_) for one in inputs]
    if output is None:
        jobs: tuple[Job, ...] = (
            Job(tuple(inputs), None, to or ("terminal" if screen else _format_like(given, file=False))),
        )
    elif to != "brat" and (output.endswith("/") or Path(output).is_dir()):
        names = [to or _format_like([name]) for name in given]
        jobs = tuple(
            Job((one,), Path(output) / _output_name(one, format, name), name)
            for one, format, name in zip(inputs, given, names, strict=True)
        )
    else:
        jobs = (Job(tuple(inputs), Path(output), to or _format_of(Path(output)) or _format_like(given)),)
    _check(jobs)
    return jobs


def run(
    job: Job,
    recognizer: Recognizer,
    *,
    from_: str | None = None,
    types: str | None = None,
    min_score: float | None = None,
    skip: str = "",
    reject: Reject = formats.raise_rejected,
    progress: Callable[[int], None] = lambda size: None,
) -> Counter[str]:
    """Annotate a job's inputs into its output.

    Ids stay as they are: of two documents with one id, the second is rejected.

    Args:
        progress: is called after each document with the bytes of the inputs that have been read.

    Returns:
        What the output's format could not hold, as counts by kind.
    """
    reader = _Reader(job.inputs, from_, reject)
    found = annotated(reader, recognizer, types=types, min_score=min_score, skip=skip, reject=reject)

    def told() -> Iterator[Document]:
        for document in found:
            yield document
            progress(reader.position())

    return formats.write(told(), sys.stdout.buffer if job.output is None else job.output, job.format, reject=reject)


class _Reader:
    """The documents of several inputs, each id once."""

    def __init__(self, inputs: Sequence[Input], from_: str | None, reject: Reject) -> None:
        self._inputs = inputs
        self._from = from_
        self._reject = reject
        self._source = Source(None)
        self._done = 0

    def __iter__(self) -> Iterator[Document]:
        seen: set[int] = set()
        for given in self._inputs:
            self._source, documents = read_input(given, _input_format(given, self._from), self._reject)
            for document in documents:
                key = hash(document.id)
                if key in seen:
                    reason = "another input has a document with this id; give each input its own output: -o FOLDER/"
                    self._source.reject(self._reject, reason, document_id=document.id)
                    continue
                if len(self._inputs) > 1:
                    seen.add(key)
                yield document
            self._done += size(given)
            self._source = Source(None)

    def position(self) -> int:
        """The bytes read so far."""
        return self._done + self._source.position()


def size(given: Input) -> int:
    """The bytes of a file; 0 for all else, whose size nobody knows."""
    return given.stat().st_size if isinstance(given, Path) and given.is_file() else 0


def _documents(items: Iterable[Item], reject: Reject) -> Iterator[Document]:
    for place, item in enumerate(items, 1):
        if isinstance(item, Path):
            yield from formats.read(item, reject=reject)
        elif isinstance(item, str):
            yield Document(str(place), item)
        else:
            yield item


def _input_format(given: Input, from_: str | None) -> str:
    if isinstance(given, str):
        corpora.read_split(given)  # reads nothing yet, but tells whether it is there
        return "jsonl"  # how its files are read is for the catalogue to know
    if given is not None and not formats.exists(given):
        raise FormatError(f"{given}: there is no such file or folder; a text itself goes through standard input")
    if from_ is not None:
        return formats.format_named(from_).name
    return "text" if given is None else formats.guess_format(given).name


def _format_of(output: Path) -> str | None:
    """The format that an output's name speaks for, if it does."""
    try:
        return formats.guess_format(output, writing=True).name
    except FormatError:
        return None


def _format_like(given: Sequence[str], *, file: bool = True) -> str:
    """The format of the inputs, where they share one that is written and holds mentions."""
    name = given[0]
    useless = len(set(given)) > 1 or name == "text" or formats.FORMATS[name].write is None
    return "jsonl" if useless or (name in _SEVERAL_FILES and not file) else name


def _output_name(given: Input, format: str, to: str) -> str:
    """What an input's output is called in a folder: its name with the suffix of the output's format."""
    if isinstance(given, Path) and format == to:
        return given.name
    if isinstance(given, Path):
        name = given.name.removesuffix(".gz")
    else:
        name = "standard-input" if given is None else given.replace(":", "-")
    suffix = next((suffix for suffix in formats.FORMATS[format].suffixes if name.endswith(suffix)), "")
    return name.removesuffix(suffix) + next(iter(formats.FORMATS[to].suffixes), "")


def _check(jobs: Sequence[Job]) -> None:
    for job in jobs:
        if job.format == "text":
            raise UsageError(
                f"{job.output or 'text'}: plain text holds no mentions; say for instance --to pubtator or jsonl"
            )
        for given in job.inputs:
            if not isinstance(given, Path) or job.output is None:
                continue
            beside = job.format == "brat" and job.output.resolve() == given.parent.resolve()
            if job.output.resolve() == given.resolve() or (beside and given.with_suffix(".ann").exists()):
                raise UsageError(f"{given}: is input and output at once; write somewhere else")
    outputs = Counter(job.output for job in jobs)
    for output, count in outputs.items():
        if count > 1:
            raise UsageError(f"{count} inputs would go into {output}; give them names of their own, or one output")


__all__ = ["Input", "Item", "Job", "annotate", "annotated", "input_named", "plan", "read_input", "run", "size"]
