"""From inputs on the command line to jobs: what is read and written into which file, checked before any work."""

from __future__ import annotations

import glob
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from biomark import corpora, formats
from biomark.annotation import journal
from biomark.errors import CorpusError, FormatError, UsageError
from biomark.formats import FORMATS, Reject, Source
from biomark.formats.identifiers import file_name
from biomark.spans import Document, Rejected

Input = Path | str | Source | None
"""A file or folder, a split of the catalogue (`str`), a stream or a file of a folder, or standard input (None)."""


@dataclass(frozen=True, slots=True)
class Job:
    """Inputs that go into one output.

    Attributes:
        inputs: at least one.
        output: a file, or a folder for brat and i2b2; None is standard output.
        format: the output's.
        from_: the format of the inputs' files; None: guessed for each.
        encoding: of the inputs' files, as Python calls it; None: UTF-8.
        batch: whether there are more inputs, in this job or others, so that one that cannot be read is rejected.
    """

    inputs: tuple[Input, ...]
    output: Path | None
    format: str
    from_: str | None = None
    encoding: str | None = None
    batch: bool = False


@dataclass(frozen=True, slots=True)
class _Reading:
    """How files are read: as `from_`, `encoding` and `mentions` of `plan`."""

    from_: str | None = None
    encoding: str | None = None
    mentions: bool = True


@dataclass(frozen=True, slots=True)
class _Part:
    """An input, and its format."""

    given: Input
    format: str


def input_named(name: str) -> Input:
    """What a name on the command line means: a file if it is there, else a split if a corpus is called so."""
    if name == "-":
        return None
    is_split = not formats.exists(Path(name)) and name.partition(":")[0] in corpora.catalogue()
    return name if is_split else Path(name)


def inputs_named(names: Iterable[str]) -> list[Input]:
    """What names on the command line mean; one with `*`, `?` or `[` that is no file stands for files, sorted by name.

    Raises:
        UsageError: if no file has such a name.
    """
    found: list[Input] = []
    for name in names:
        if not glob.has_magic(name) or formats.exists(Path(name)):
            found.append(input_named(name))
            continue
        files = sorted(glob.glob(name, recursive=True))
        if not files:
            raise UsageError(f"{name}: no file has such a name")
        found += map(Path, files)
    return found


def plan(
    inputs: Sequence[Input],
    output: str | None,
    *,
    from_: str | None,
    to: str | None,
    screen: bool,
    encoding: str | None = None,
    mentions: bool = True,
    reject: Reject = formats.raise_rejected,
) -> tuple[Job, ...]:
    """What to read and to write into which file.

    All inputs go into one output, unless that is a folder (it is there, or ends in `/`): then each has a
    file of its own in it, and so has each file of a folder. brat, i2b2 and text are folders by nature and take all.

    The output's format is `to`; else what its name speaks for; else `terminal` on a `screen`; else the
    format of the inputs, if they share one that can hold mentions; else `jsonl`.

    Args:
        inputs: at least one.
        output: None is standard output.
        from_: the format of files; None: guessed.
        to: the format of the output.
        screen: whether standard output is a terminal.
        encoding: of files; None: UTF-8, or what a byte order mark says.
        mentions: whether the output must be able to hold mentions; then a stream in no known format is a text.
        reject: is called with files that are not there or have no format that can be read, if there are others.

    Returns:
        No job if there is nothing to read.

    Raises:
        FormatError: if the only input is not there, or its format cannot be guessed; if no format has the output's
            name.
        CorpusError: if the files of a split are not there.
        UsageError: if a format is unknown or holds no mentions, if the catalogue has no such split, if an input would
            be overwritten, or if two inputs would go into one file of a folder.
    """
    for name, writing in ((to, True), (from_, False)):
        if name is not None:
            formats.format_named(name, writing=writing)
    parts = _parts(inputs, output, _Reading(from_, encoding, mentions), reject)
    if not parts:
        return ()
    given = [part.format for part in parts]
    if output is None:
        jobs = [_job(parts, None, to or ("terminal" if screen else _format_like(given, file=False)))]
    elif not (to and FORMATS[to].files) and (output.endswith("/") or Path(output).is_dir()):
        jobs = _jobs_into(Path(output), parts, to)
    else:
        jobs = [_job(parts, Path(output), to or _format_named_by(Path(output), given))]
    _check(jobs, mentions=mentions)
    batch = len(parts) > 1 or len(inputs) > 1
    return tuple(replace(job, from_=from_, encoding=encoding, batch=batch) for job in jobs)


class Reader:
    """The documents of a job's inputs, each id once.

    Args:
        job: whose inputs are read.
        reject: is called with what cannot be read.
        repeated: whether a second document with an id is given as well.

    Attributes:
        failed: whether an input could not be read.
    """

    def __init__(self, job: Job, reject: Reject, *, repeated: bool = False) -> None:
        self.failed = False
        self._job = job
        self._repeated = repeated
        self._reject = reject
        self._source = Source(None)
        self._done = 0

    def __iter__(self) -> Iterator[Document]:
        """See the class."""
        seen: set[int] = set()
        several = len(self._job.inputs) > 1
        for given in self._job.inputs:
            for document in self._documents(given):
                key = hash(document.id)
                if key in seen and not self._repeated:
                    reason = "another input has a document with this id; give each input its own output: -o FOLDER/"
                    self._source.reject(self._reject, reason, document_id=document.id)
                    continue
                if several and not self._repeated:
                    seen.add(key)
                yield document
            self._done += size(given)
            self._source = Source(None)

    def _documents(self, given: Input) -> Iterator[Document]:
        """An input's documents; one that cannot be read, or no further, is rejected unless it is all that there is."""
        some = self._job.batch
        try:
            self._source, documents = _read(self._job, given, self._reject, repeated=self._repeated)
            for document in documents:
                some = True
                yield document
        except (FormatError, CorpusError, OSError) as error:
            if not some:
                raise
            self.failed = True
            self._source.reject(self._reject, str(error).removeprefix(f"{self._source.name}: "))

    def position(self) -> int:
        """The bytes read so far."""
        return self._done + self._source.position()


def check_outputs(jobs: Iterable[Job], facts: Mapping[Path, Mapping[str, str]], *, overwrite: bool) -> None:
    """Refuse to overwrite what is there, which a person may have corrected.

    Args:
        jobs: with their outputs.
        facts: of outputs that an earlier run may have begun; see `biomark.annotation.journal.Journal`.
        overwrite: whether the user wants it.

    Raises:
        UsageError: if something is there.
    """
    if overwrite:
        return
    for job in jobs:
        if job.output is None or journal.may_be_written(job.output, facts.get(job.output, {})):
            continue
        there = [path for path in _written(job.output, job.format) if path.is_file() and path.stat().st_size]
        if there and FORMATS[job.format].files and job.output.is_dir():
            there = _of_documents(job, job.output, there)
        if there:
            raise UsageError(f"{there[0]}: is there already; name another output, or replace it (`overwrite`)")


def _of_documents(job: Job, folder: Path, there: list[Path]) -> list[Path]:
    """Which of the files in a folder are of documents that the job would write; all, if its inputs can be read once."""
    if any(isinstance(given, Source) and given.is_stream for given in job.inputs):
        return there
    names = {path.name for path in there}
    own = (file_name(document.id) for document in Reader(job, lambda rejected: None))
    written = (f"{name}{suffix}" for name in own for suffix in FORMATS[job.format].files)
    return [folder / name for name in written if name in names][:1]


def is_device(path: Path) -> bool:
    """Whether it is there and neither file nor folder."""
    return str(path) == os.devnull or (formats.exists(path) and not path.is_file() and not path.is_dir())


def size(given: Input) -> int:
    """The bytes of a file; 0 for all else, whose size nobody knows."""
    path = given.path if isinstance(given, Source) else given
    return path.stat().st_size if isinstance(path, Path) and path.is_file() else 0


def name_of(given: Input) -> str:
    """How messages call an input."""
    return "standard input" if given is None else given.name if isinstance(given, Source) else str(given)


def opened(job: Job, given: Path | Source | None) -> tuple[Source, str]:
    """One of a job's inputs, and the name of its format.

    Raises:
        FormatError: if nothing speaks for a format.
    """
    source = _source(given, job.encoding)
    return source, job.from_ or _format_of(source, _Reading())


def _read(job: Job, given: Input, reject: Reject, *, repeated: bool) -> tuple[Source, Iterator[Document]]:
    """One of a job's inputs, whose position says how much has been read, and its documents."""
    if isinstance(given, str):
        source = Source(None)
        source.name = given
        return source, corpora.read_split(given, reject=reject)
    source, format = opened(job, given)
    return source, formats.read(source, format, reject=reject, repeated=repeated)


def _job(parts: Iterable[_Part], output: Path | None, format: str) -> Job:
    return Job(tuple(part.given for part in parts), output, format)


def _source(given: Path | Source | None, encoding: str | None) -> Source:
    if isinstance(given, Source):
        return given
    return Source(given, sys.stdin.buffer if given is None else None, encoding=encoding)


def _parts(inputs: Sequence[Input], output: str | None, reading: _Reading, reject: Reject) -> list[_Part]:
    """The inputs, those that are folders file by file; files that cannot be read are rejected if there are others."""
    parts: list[_Part] = []
    failed: list[Exception] = []
    for given in inputs:
        try:
            parts += _parts_of(given, output, reading, reject)
        except (FormatError, CorpusError) as error:
            failed.append(error)
            if len(inputs) > 1:
                reject(Rejected(str(error).removeprefix(f"{name_of(given)}: "), source=name_of(given)))
    if len(failed) == len(inputs):
        raise failed[0]
    return parts


def _parts_of(given: Input, output: str | None, reading: _Reading, reject: Reject) -> list[_Part]:
    if isinstance(given, str):
        corpora.read_split(given)  # reads nothing yet, but raises if it is not there
        return [_Part(given, "jsonl")]  # how its files are read is for the catalogue to know
    source = _source(given, reading.encoding)
    if source.path is not None and not formats.exists(source.path):
        raise FormatError(f"{source.path}: there is no such file or folder; a text itself goes through standard input")
    if source.path is None or not source.path.is_dir() or _in_pairs(reading.from_):
        # A stream as it is, since its first bytes have been looked at
        return [_Part(source if source.is_stream else given, reading.from_ or _format_of(source, reading))]
    parts = [
        _Part(part, format.name)
        for part, format in formats.parts_of(source, reading.from_, reject)
        if output is None or not _is_output(part, source.path, Path(output))
    ]
    if not parts:
        source.reject(reject, "the file holds no document")
    return parts


def _is_output(part: Source, folder: Path, output: Path) -> bool:
    """Whether a file of a folder is what an earlier run wrote there."""
    path, written = Path(part.name).resolve(), output.resolve()
    return path == written or (written.is_dir() and written in path.parents and written != folder.resolve())


def _format_of(source: Source, reading: _Reading) -> str:
    try:
        return formats.guess_format(source).name
    except FormatError:
        if source.is_stream and reading.mentions:
            return "text"
        raise


def _format_named_by(output: Path, given: Sequence[str]) -> str:
    """The format that an output's name speaks for; a name without suffix speaks for that of the inputs."""
    try:
        return formats.guess_format(output, writing=True).name
    except FormatError:
        if output.name.lower().removesuffix(".gz").rpartition(".")[1]:
            raise
        return _format_like(given)


def _format_like(given: Sequence[str], *, file: bool = True) -> str:
    """The format of the inputs, where they share one that is written and holds mentions."""
    name = given[0]
    useless = len(set(given)) > 1 or name == "text" or FORMATS[name].write is None
    several = _in_pairs(name) or name == "bc2gm"  # which a stream cannot hold
    return "jsonl" if useless or (several and not file) else name


def _in_pairs(format: str | None) -> bool:
    return format is not None and FORMATS[format].in_pairs


def _jobs_into(folder: Path, parts: Sequence[_Part], to: str | None) -> list[Job]:
    """A job for each part; pairs of files, as of brat, go into the folder together."""
    named = [(part, to or _format_like([part.format])) for part in parts]
    pairs = {format: [part for part, other in named if other == format] for _, format in named if _in_pairs(format)}
    jobs = [_job(some, folder, format) for format, some in pairs.items()]
    rows = [(part, format, folder / _output_name(part, format)) for part, format in named if not _in_pairs(format)]
    often = Counter(output for _, _, output in rows)
    for part, format, output in rows:
        if often[output] > 1:  # a.txt and a.pubtator become a.txt.jsonl and a.pubtator.jsonl
            output = folder / _output_name(part, format, whole=True)  # noqa: PLW2901
        jobs.append(_job([part], output, format))
    return jobs


def _output_name(part: _Part, to: str, *, whole: bool = False) -> str:
    """What an input's output is called in a folder: its name with the suffix of the output's format.

    Args:
        part: the input.
        to: the output's format.
        whole: whether the name keeps its own suffix.
    """
    given = part.given
    if given is None or isinstance(given, str):
        name = "standard-input" if given is None else given.replace(":", "-")
    elif isinstance(given, Source) and given.path is None:
        name = "standard-input"
    else:
        name = str(given.place if isinstance(given, Source) else given.name)
        if part.format == to:
            return name
    if name.lower().endswith(".gz"):
        name = name[: -len(".gz")]
    suffixes = sorted((*FORMATS[part.format].suffixes, *FORMATS["text"].suffixes), key=len)
    ends = [suffix for suffix in suffixes if name.lower().endswith(suffix)]
    stem = name[: -len(ends[-1])] if ends and not whole else name
    return stem + next(iter(FORMATS[to].suffixes), "")


def _check(jobs: Sequence[Job], *, mentions: bool) -> None:
    for job in jobs:
        if mentions and job.format == "text":
            raise UsageError(f"{job.output or 'text'}: plain text holds no mentions; choose for instance `to=pubtator`")
        if job.output is not None:
            _check_in_place(job.inputs, job.output, job.format)
    outputs = Counter(job.output for job in jobs)
    for output, count in outputs.items():
        if count > 1:
            raise UsageError(f"{count} inputs would go into {output}; give them names of their own, or one output")


def _check_in_place(inputs: Iterable[Input], output: Path, format: str) -> None:
    folder = output.resolve()
    suffixes = FORMATS[format].files if _in_pairs(format) else ()
    written = {_identity(path) for path in _written(output, format) if formats.exists(path)}
    for given in inputs:
        path = given.path if isinstance(given, Source) else given
        if not isinstance(path, Path):
            continue
        pair = path.suffix in suffixes and folder == path.parent.resolve()
        if _identity(path) in written or (pair and path.with_suffix(suffixes[0]).exists()):
            raise UsageError(f"{path}: is input and output at once; write somewhere else")


def _identity(path: Path) -> tuple[int, int]:
    """What a file has under all its names."""
    facts = path.stat()
    return facts.st_dev, facts.st_ino


def _written(output: Path, format: str) -> Iterator[Path]:
    """The files that writing an output may replace."""
    if format == "bc2gm" and not output.name.endswith((".eval", ".eval.gz")):
        stem = output.name.removesuffix(".gz").removesuffix(".in")
        yield from (output.with_name(stem + suffix) for suffix in (".GENE.eval", ".ALTGENE.eval"))
    if output.is_dir():
        yield from (path for suffix in FORMATS[format].files for path in output.glob(f"*{suffix}"))
    yield output


__all__ = [
    "Input",
    "Job",
    "Reader",
    "check_outputs",
    "input_named",
    "inputs_named",
    "is_device",
    "name_of",
    "opened",
    "plan",
    "size",
]
