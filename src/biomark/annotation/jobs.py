"""Jobs: which inputs are read and which output is written, planned and checked before any work."""

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
"""A file or folder (Path), a split of the catalogue (str), a stream or a file of a folder (Source), or stdin (None)."""


@dataclass(frozen=True, slots=True)
class Job:
    """Inputs that are written into one output.

    Attributes:
        inputs: the inputs; at least one.
        output: a file, or a folder for brat and i2b2; None: standard output.
        format: the name of the output's format.
        from_: the name of the inputs' format; None: guessed for each.
        encoding: Python's name of the inputs' encoding; None: UTF-8.
        batch: whether there are several inputs, in this job or others; an unreadable one is then only rejected.
    """

    inputs: tuple[Input, ...]
    output: Path | None
    format: str
    from_: str | None = None
    encoding: str | None = None
    batch: bool = False


@dataclass(frozen=True, slots=True)
class _InputOptions:
    """The options for reading files: the arguments `from_`, `encoding` and `mentions` of `plan`."""

    from_: str | None = None
    encoding: str | None = None
    mentions: bool = True


@dataclass(frozen=True, slots=True)
class _JobInput:
    """An input and the name of its format."""

    source: Input
    format: str


def input_named(name: str) -> Input:
    """Return the input that a name on the command line means; an existing file wins over a split of that name."""
    if name == "-":
        return None
    is_split = not formats.exists(Path(name)) and name.partition(":")[0] in corpora.catalogue()
    return name if is_split else Path(name)


def inputs_named(names: Iterable[str]) -> list[Input]:
    """Return the inputs that names on the command line mean.

    A name with `*`, `?` or `[` that is not a file is a pattern; it means all files that match, sorted by name.

    Raises:
        UsageError: if no file matches a pattern.
    """
    inputs: list[Input] = []
    for name in names:
        if not glob.has_magic(name) or formats.exists(Path(name)):
            inputs.append(input_named(name))
            continue
        files = sorted(glob.glob(name, recursive=True))
        if not files:
            raise UsageError(f"{name}: no file matches this pattern")
        inputs += map(Path, files)
    return inputs


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
    """Plan which inputs are read and which outputs are written.

    All inputs are written into one output, unless that is a folder (an existing one, or a name that ends in `/`): then
    each input, and each file of an input folder, has its own output file. Formats that are folders (brat, i2b2, text)
    hold all inputs in one.

    The output's format is the first that applies of: `to`; the format that its name implies; `terminal` on a `screen`;
    the common format of the inputs, if it can hold mentions; `jsonl`.

    Args:
        inputs: the inputs; at least one.
        output: a file or folder; None: standard output.
        from_: the format of files; None: guessed.
        to: the format of the output; None: determined as above.
        screen: whether standard output is a terminal.
        encoding: the encoding of files; None: UTF-8, or that of the byte order mark.
        mentions: whether the output must be able to hold mentions; a stream in no known format is then one text.
        reject: is called with files that are missing or have no readable format, if there are other inputs.

    Returns:
        The jobs; none if there is nothing to read.

    Raises:
        FormatError: if the only input is missing, or its format cannot be guessed; if the output's name implies no
            format.
        CorpusError: if the files of a split are missing.
        UsageError: if a format is unknown or holds no mentions, if the catalogue has no such split, if an input would
            be overwritten, or if two inputs would be written into the same file of a folder.
    """
    for name, writing in ((to, True), (from_, False)):
        if name is not None:
            formats.format_named(name, writing=writing)
    parts = _parts(inputs, output, _InputOptions(from_, encoding, mentions), reject)
    if not parts:
        return ()
    input_formats = [part.format for part in parts]
    if output is None:
        jobs = [_job(parts, None, to or ("terminal" if screen else _format_like(input_formats, file=False)))]
    elif not (to and FORMATS[to].files) and (output.endswith("/") or Path(output).is_dir()):
        jobs = _jobs_into(Path(output), parts, to)
    else:
        jobs = [_job(parts, Path(output), to or _format_of_output(Path(output), input_formats))]
    _check(jobs, mentions=mentions)
    batch = len(parts) > 1 or len(inputs) > 1
    return tuple(replace(job, from_=from_, encoding=encoding, batch=batch) for job in jobs)


class Reader:
    """An iterable over the documents of a job's inputs, with unique ids.

    Args:
        job: the job whose inputs are read.
        reject: is called with each part of an input that cannot be read.
        repeated: whether to yield documents with an earlier document's id as well, instead of rejecting them.

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
        """Yield the documents in the order of the inputs."""
        seen: set[int] = set()
        several = len(self._job.inputs) > 1
        for source in self._job.inputs:
            for document in self._documents(source):
                key = hash(document.id)
                if key in seen and not self._repeated:
                    reason = "another input has a document with this id; give each input its own output: -o FOLDER/"
                    self._source.reject(self._reject, reason, document_id=document.id)
                    continue
                if several and not self._repeated:
                    seen.add(key)
                yield document
            self._done += size(source)
            self._source = Source(None)

    def _documents(self, source: Input) -> Iterator[Document]:
        """Yield an input's documents; reject an unreadable input if there are others or it has yielded documents."""
        rejectable = self._job.batch
        try:
            self._source, documents = _read(self._job, source, self._reject, repeated=self._repeated)
            for document in documents:
                rejectable = True
                yield document
        except (FormatError, CorpusError, OSError) as error:
            if not rejectable:
                raise
            self.failed = True
            self._source.reject(self._reject, str(error).removeprefix(f"{self._source.name}: "))

    def position(self) -> int:
        """Return the number of bytes read so far."""
        return self._done + self._source.position()


def check_outputs(jobs: Iterable[Job], facts: Mapping[Path, Mapping[str, str]], *, overwrite: bool) -> None:
    """Refuse to overwrite existing files, which a person may have corrected.

    Args:
        jobs: the jobs with their outputs.
        facts: what determines each output, with which an earlier run is recognised; see `journal.Journal`.
        overwrite: whether the user allows it.

    Raises:
        UsageError: if a file exists.
    """
    if overwrite:
        return
    for job in jobs:
        if job.output is None or journal.may_be_written(job.output, facts.get(job.output, {})):
            continue
        existing = [path for path in _written(job.output, job.format) if path.is_file() and path.stat().st_size]
        if existing and FORMATS[job.format].files and job.output.is_dir():
            existing = _of_documents(job, job.output, existing)
        if existing:
            raise UsageError(f"{existing[0]}: exists already; name another output, or replace it (`overwrite`)")


def _of_documents(job: Job, folder: Path, existing: list[Path]) -> list[Path]:
    """Return the first existing file of one of the job's documents; all, if an input can be read only once."""
    if any(isinstance(source, Source) and source.is_stream for source in job.inputs):
        return existing
    names = {path.name for path in existing}
    stems = (file_name(document.id) for document in Reader(job, lambda rejected: None))
    written = (f"{stem}{suffix}" for stem in stems for suffix in FORMATS[job.format].files)
    return [folder / name for name in written if name in names][:1]


def is_device(path: Path) -> bool:
    """Return whether a path exists and is neither a file nor a folder."""
    return str(path) == os.devnull or (formats.exists(path) and not path.is_file() and not path.is_dir())


def size(source: Input) -> int:
    """Return the size of a file in bytes; 0 for any other input, whose size is unknown."""
    path = source.path if isinstance(source, Source) else source
    return path.stat().st_size if isinstance(path, Path) and path.is_file() else 0


def name_of(source: Input) -> str:
    """Return the name of an input in messages."""
    return "standard input" if source is None else source.name if isinstance(source, Source) else str(source)


def opened(job: Job, part: Path | Source | None) -> tuple[Source, str]:
    """Return one of a job's inputs as a source, and the name of its format.

    Raises:
        FormatError: if its format cannot be guessed.
    """
    source = _source(part, job.encoding)
    return source, job.from_ or _format_of(source, _InputOptions())


def _read(job: Job, part: Input, reject: Reject, *, repeated: bool) -> tuple[Source, Iterator[Document]]:
    """Return one of a job's inputs as a source, whose position is the progress of reading, and its documents."""
    if isinstance(part, str):
        source = Source(None)
        source.name = part
        return source, corpora.read_split(part, reject=reject)
    source, format_name = opened(job, part)
    return source, formats.read(source, format_name, reject=reject, repeated=repeated)


def _job(parts: Iterable[_JobInput], output: Path | None, format_name: str) -> Job:
    return Job(tuple(part.source for part in parts), output, format_name)


def _source(part: Path | Source | None, encoding: str | None) -> Source:
    if isinstance(part, Source):
        return part
    return Source(part, sys.stdin.buffer if part is None else None, encoding=encoding)


def _parts(inputs: Sequence[Input], output: str | None, reading: _InputOptions, reject: Reject) -> list[_JobInput]:
    """Return the inputs, with folders replaced by their files; reject unreadable inputs if there are others."""
    parts: list[_JobInput] = []
    failures: list[Exception] = []
    for source in inputs:
        try:
            parts += _parts_of(source, output, reading, reject)
        except (FormatError, CorpusError) as error:
            failures.append(error)
            if len(inputs) > 1:
                reject(Rejected(str(error).removeprefix(f"{name_of(source)}: "), source=name_of(source)))
    if len(failures) == len(inputs):
        raise failures[0]
    return parts


def _parts_of(part: Input, output: str | None, reading: _InputOptions, reject: Reject) -> list[_JobInput]:
    if isinstance(part, str):
        corpora.read_split(part)  # reads nothing yet, but raises an error if the split is missing
        return [_JobInput(part, "jsonl")]  # the catalogue determines how the split's files are read
    source = _source(part, reading.encoding)
    if source.path is not None and not formats.exists(source.path):
        raise FormatError(
            f"{source.path}: there is no such file or folder; to annotate a text, pass it through standard input"
        )
    if source.path is None or not source.path.is_dir() or _in_pairs(reading.from_):
        # Keep the source of a stream: it holds the first bytes, which have been read to guess the format
        return [_JobInput(source if source.is_stream else part, reading.from_ or _format_of(source, reading))]
    parts = [
        _JobInput(file, file_format.name)
        for file, file_format in formats.parts_of(source, reading.from_, reject)
        if output is None or not _is_output(file, source.path, Path(output))
    ]
    if not parts:
        source.reject(reject, "the file holds no document")
    return parts


def _is_output(part: Source, folder: Path, output: Path) -> bool:
    """Return whether a file of a folder is the output of an earlier run."""
    path, written = Path(part.name).resolve(), output.resolve()
    return path == written or (written.is_dir() and written in path.parents and written != folder.resolve())


def _format_of(source: Source, reading: _InputOptions) -> str:
    try:
        return formats.guess_format(source).name
    except FormatError:
        if source.is_stream and reading.mentions:
            return "text"
        raise


def _format_of_output(output: Path, input_formats: Sequence[str]) -> str:
    """Return the format that an output's name implies; for a name without suffix, that of the inputs."""
    try:
        return formats.guess_format(output, writing=True).name
    except FormatError:
        if output.name.lower().removesuffix(".gz").rpartition(".")[1]:
            raise
        return _format_like(input_formats)


def _format_like(input_formats: Sequence[str], *, file: bool = True) -> str:
    """Return the common format of the inputs if it can be written and holds mentions, else `jsonl`."""
    name = input_formats[0]
    unusable = len(set(input_formats)) > 1 or name == "text" or FORMATS[name].write is None
    several = _in_pairs(name) or name == "bc2gm"  # several files, which a stream cannot hold
    return "jsonl" if unusable or (several and not file) else name


def _in_pairs(name: str | None) -> bool:
    return name is not None and FORMATS[name].in_pairs


def _jobs_into(folder: Path, parts: Sequence[_JobInput], to: str | None) -> list[Job]:
    """Return a job for each part; formats with pairs of files, such as brat, have one job for the folder."""
    planned = [(part, to or _format_like([part.format])) for part in parts]
    pairs = {name: [part for part, other in planned if other == name] for _, name in planned if _in_pairs(name)}
    jobs = [_job(together, folder, name) for name, together in pairs.items()]
    rows = [(part, name, folder / _output_name(part, name)) for part, name in planned if not _in_pairs(name)]
    counts = Counter(output for _, _, output in rows)
    for part, name, output in rows:
        if counts[output] > 1:  # a.txt and a.pubtator become a.txt.jsonl and a.pubtator.jsonl
            output = folder / _output_name(part, name, keep_suffix=True)  # noqa: PLW2901
        jobs.append(_job([part], output, name))
    return jobs


def _output_name(part: _JobInput, to: str, *, keep_suffix: bool = False) -> str:
    """Return the name of an input's output in a folder: the input's name with the suffix of the output's format.

    Args:
        part: the input.
        to: the name of the output's format.
        keep_suffix: whether the name keeps the input's suffix as well.
    """
    source = part.source
    if source is None or isinstance(source, str):
        name = "standard-input" if source is None else source.replace(":", "-")
    elif isinstance(source, Source) and source.path is None:
        name = "standard-input"
    else:
        name = str(source.place if isinstance(source, Source) else source.name)
        if part.format == to:
            return name
    if name.lower().endswith(".gz"):
        name = name[: -len(".gz")]
    suffixes = sorted((*FORMATS[part.format].suffixes, *FORMATS["text"].suffixes), key=len)
    ends = [suffix for suffix in suffixes if name.lower().endswith(suffix)]
    stem = name[: -len(ends[-1])] if ends and not keep_suffix else name
    return stem + next(iter(FORMATS[to].suffixes), "")


def _check(jobs: Sequence[Job], *, mentions: bool) -> None:
    for job in jobs:
        if mentions and job.format == "text":
            raise UsageError(f"{job.output or 'text'}: plain text cannot store mentions; use `to=pubtator` instead")
        if job.output is not None:
            _check_in_place(job.inputs, job.output, job.format)
    outputs = Counter(job.output for job in jobs)
    for output, count in outputs.items():
        if count > 1:
            raise UsageError(f"{count} inputs would go into {output}; give them distinct names, or name one output")


def _check_in_place(inputs: Iterable[Input], output: Path, format_name: str) -> None:
    folder = output.resolve()
    suffixes = FORMATS[format_name].files if _in_pairs(format_name) else ()
    written = {_identity(path) for path in _written(output, format_name) if formats.exists(path)}
    for source in inputs:
        path = source.path if isinstance(source, Source) else source
        if not isinstance(path, Path):
            continue
        pair = path.suffix in suffixes and folder == path.parent.resolve()
        if _identity(path) in written or (pair and path.with_suffix(suffixes[0]).exists()):
            raise UsageError(f"{path}: is both input and output; choose another output")


def _identity(path: Path) -> tuple[int, int]:
    """Return the device and inode of a file, which are the same for all its names."""
    facts = path.stat()
    return facts.st_dev, facts.st_ino


def _written(output: Path, format_name: str) -> Iterator[Path]:
    """Yield the files that writing an output may replace."""
    if format_name == "bc2gm" and not output.name.endswith((".eval", ".eval.gz")):
        stem = output.name.removesuffix(".gz").removesuffix(".in")
        yield from (output.with_name(stem + suffix) for suffix in (".GENE.eval", ".ALTGENE.eval"))
    if output.is_dir():
        yield from (path for suffix in FORMATS[format_name].files for path in output.glob(f"*{suffix}"))
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
