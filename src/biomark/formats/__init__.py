"""Readers and writers: a file in any of the field's formats ↔ a stream of documents.

Use `read` and `write`; `FORMATS` lists the formats. A reader yields documents one at a time and passes anything that
it cannot read to `reject`; a writer counts in `lost` the information that its format cannot hold. Files whose name
ends in `.gz` are compressed and decompressed on the fly.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

from biomark.errors import FormatError, UsageError
from biomark.formats import (
    archive,
    bc2gm,
    bern2,
    bioc_json,
    bioc_xml,
    brat,
    chemdner,
    conll,
    doccano,
    html,
    i2b2,
    jats_xml,
    json_list,
    jsonl,
    langextract,
    lines,
    marked,
    medline_xml,
    parquet,
    prodigy,
    pubannotation,
    pubtator,
    tables,
    terminal,
    text,
)
from biomark.formats.base import Format, Reject, Sink, Source, exists
from biomark.formats.folders import files_of
from biomark.formats.outgoing import writable
from biomark.spans import Document, Rejected

FORMATS: dict[str, Format] = {
    known.name: known
    for known in (
        pubtator.FORMAT,
        bioc_xml.FORMAT,
        bioc_json.FORMAT,
        brat.FORMAT,
        i2b2.FORMAT,
        conll.FORMAT,
        bc2gm.FORMAT,
        chemdner.FORMAT,
        jsonl.FORMAT,
        doccano.FORMAT,
        prodigy.FORMAT,
        langextract.FORMAT,
        bern2.FORMAT,
        pubannotation.FORMAT,
        json_list.FORMAT,
        parquet.FORMAT,
        archive.FORMAT,
        medline_xml.FORMAT,
        jats_xml.FORMAT,
        marked.FORMAT,
        lines.FORMAT,
        text.FORMAT,
        tables.CSV,
        tables.TSV,
        html.FORMAT,
        terminal.FORMAT,
    )
}


def raise_rejected(rejected: Rejected) -> None:
    """Raise `FormatError` for a reject; the default of `read` and `write`."""
    raise FormatError(str(rejected))


def guess_format(path: Path | Source, *, writing: bool = False) -> Format:
    """Infer a format from a file's name or, when reading, from its first bytes.

    Args:
        path: a file or folder. A `Source` that can be read only once keeps the bytes that are inspected; a path to a
            pipe is not opened.
        writing: whether the file will be written.

    Raises:
        FormatError: if no format fits; the message lists the formats.
    """
    source = path if isinstance(path, Source) else Source(path)
    inspects = not writing and (isinstance(path, Source) or not source.is_stream)
    if source.path is not None:
        name = source.path.name.lower().removesuffix(".gz")
        for candidate in FORMATS.values():
            able = candidate.write if writing else candidate.read
            if able is not None and name.endswith(candidate.suffixes):
                return _sniff(source) or candidate if inspects and candidate.ambiguous else candidate
    if inspects and (sniffed := _sniff(source)):
        return sniffed
    if writing:
        raise FormatError(f"{source.name}: no format has this suffix; {_how_to_write()}")
    problem = "unknown format" if source.path is None else "neither the name nor the first bytes fit a format"
    raise FormatError(f"{source.name}: {problem}; name the format (`input format`), one of {_names(writing=False)}")


def format_named(name: str, *, writing: bool = False) -> Format:
    """Return the format called `name`.

    Raises:
        UsageError: if there is none, or if it cannot be read (or written); the message lists those that can.
    """
    file_format = FORMATS.get(name)
    if file_format is None or (file_format.write if writing else file_format.read) is None:
        kind = "output" if writing else "input"
        raise UsageError(f"unknown {kind} format {name!r}; choose from {_names(writing=writing)}")
    return file_format


def read(
    path: str | Path | IO[bytes] | Source,
    format_name: str | None = None,
    *,
    reject: Reject = raise_rejected,
    repeated: bool = False,
) -> Iterator[Document]:
    """Yield the documents of a file or folder, one at a time.

    All files of a folder are read, each in its own format; each file that cannot be read is rejected.

    Args:
        path: a file, a folder, an open binary stream, or a `Source` of one of these, whose `position` then gives the
            number of bytes read.
        format_name: the name of the format of the file, or of all files of the folder; None: inferred from names and
            first bytes.
        reject: is called with everything that cannot be read; reading then continues. By default the first call raises
            `FormatError`.
        repeated: whether to yield documents whose id occurred before; otherwise they are rejected.

    Raises:
        FormatError: if the source cannot be read at all, or on the first reject (see `reject`).
        UsageError: if `path` is of the wrong type, or there is no such format.
    """
    _check_path(path, "read")
    source = _source(path)
    if source.path is not None and not exists(source.path):
        raise FormatError(f"{source.path}: there is no such file or folder")
    rejects = 0

    def counted(rejected: Rejected) -> None:
        nonlocal rejects
        rejects += 1
        reject(rejected)

    documents = 0
    stream = _read(source, format_name, counted)
    for document in stream if repeated else _unique(stream, source, counted):
        documents += 1
        yield document
    if not documents and not rejects:
        reject(Rejected("the file holds no documents", source=source.name))


def parts_of(folder: Source, format_name: str | None, reject: Reject) -> Iterator[tuple[Source, Format]]:
    """Yield the readable files of a folder, each with its format.

    Args:
        folder: an existing folder.
        format_name: see `read`.
        reject: is called for each file that is not read.
    """
    wanted = format_named(format_name) if format_name else None
    for path in files_of(Path(folder.name), lambda error: reject(_unlisted(error))):
        source = folder.inside(path)
        try:
            if source.is_stream:
                raise FormatError(f"{path}: is neither file nor folder")
            yield source, _format_in(source, wanted)
        except FormatError as error:
            source.reject(reject, f"cannot be read: {str(error).removeprefix(f'{path}: ')}")


def _reader(file_format: Format) -> Callable[[Source, Reject], Iterator[Document]]:
    if file_format.read is None:  # pragma: no cover - format_named and guess_format check it
        raise FormatError(f"{file_format.name} cannot be read")
    return file_format.read


def _unlisted(error: OSError) -> Rejected:
    return Rejected(f"the folder cannot be listed: {error.strerror}", source=str(error.filename))


def _format_in(source: Source, wanted: Format | None) -> Format:
    if wanted is None:
        return guess_format(source)
    name = source.place.name.lower().removesuffix(".gz")
    if wanted.suffixes and not name.endswith(wanted.suffixes):
        raise FormatError(f"the name of a {wanted.name} file ends in {' or '.join(wanted.suffixes)}")
    return wanted


def _read(source: Source, format_name: str | None, reject: Reject) -> Iterator[Document]:
    """Yield the documents of a file, a folder or a stream."""
    whole = format_name in FORMATS and FORMATS[format_name].in_pairs
    if source.path is None or not source.path.is_dir() or whole:
        yield from _reader(format_named(format_name) if format_name else guess_format(source))(source, reject)
        return
    for part, part_format in parts_of(source, format_name, reject):
        try:
            yield from _reader(part_format)(part, reject)
        except FormatError as error:
            part.reject(reject, str(error).removeprefix(f"{part.name}: "))


def write(
    documents: Document | Iterable[Document],
    path: str | Path | IO[bytes] | Sink,
    format_name: str | None = None,
    *,
    reject: Reject = raise_rejected,
) -> Counter[str]:
    """Write documents one at a time; the file appears once all of them are written.

    If several documents have the same id, a number is appended to that of the second and each later one.

    Args:
        documents: one document or a stream of documents, which is not held in memory.
        path: a file, a folder (for brat and i2b2), an open binary stream, or a `Sink`.
        format_name: the name of the format; None: inferred from the file name.
        reject: is called with each document that the format cannot write, such as one whose id contains the format's
            column separator; the others are written. By default the first call raises `FormatError`.

    Returns:
        Counts, by kind, of the information that the format cannot hold, such as `{"scores": 3}`.

    Raises:
        FormatError: if no format can be inferred from the file name, or the file cannot be written.
        UsageError: if an argument is of the wrong type, or there is no such format.
    """
    _check_path(path, "write")
    if not isinstance(documents, Iterable | Document) or isinstance(documents, (str, bytes, Mapping)):
        raise UsageError(f"documents must be one or more biomark.Document objects, got {documents!r:.80}")
    sink = path if isinstance(path, Sink) else Sink(Path(path)) if isinstance(path, (str, Path)) else Sink(None, path)
    if format_name is not None:
        file_format = format_named(format_name, writing=True)
    elif sink.path is not None:
        file_format = guess_format(sink.path, writing=True)
    else:
        raise FormatError(f"the output is a stream; name its format (`output format`), one of {_names(writing=True)}")
    if file_format.write is None:  # pragma: no cover - format_named and guess_format check it
        raise FormatError(f"{path}: {file_format.name} cannot be written")
    lost: Counter[str] = Counter()
    file_format.write(writable(documents, file_format, sink, lost, reject), sink, lost)
    return lost


def _check_path(path: object, method: str) -> None:
    """Check that `path` can be the file of `read` or `write`.

    Args:
        path: the argument of the caller.
        method: the method that a stream needs: `read` or `write`.

    Raises:
        UsageError: if it is neither a path nor a binary stream.
    """
    is_path = isinstance(path, (str, Path)) and str(path) != "" and "\0" not in str(path)
    is_text = isinstance(path, io.TextIOBase)
    is_stream = callable(getattr(path, method, None)) and not is_text and not isinstance(path, Path)
    if not (is_path or is_stream or isinstance(path, (Source, Sink))):
        raise UsageError(
            f"{path!r:.80} is not a file; give a str, a Path or a binary stream such as open(…, '{method[0]}b')"
        )


def _source(path: str | Path | IO[bytes] | Source) -> Source:
    if isinstance(path, Source):
        return path
    return Source(Path(path)) if isinstance(path, (str, Path)) else Source(None, path)


def _names(*, writing: bool) -> str:
    return ", ".join(f.name for f in FORMATS.values() if (f.write if writing else f.read) is not None)


def _how_to_write() -> str:
    """Return the advice that lists the formats with their suffixes."""
    writable_formats = [candidate for candidate in FORMATS.values() if candidate.write is not None]
    names = [f"{f.name} ({' '.join(dict.fromkeys(suffix.lower() for suffix in f.suffixes))})" for f in writable_formats]
    return f"choose from {', '.join(names)}, or name the format of a file with another name (`output format`)"


def _sniff(source: Source) -> Format | None:
    """Infer a format from the first bytes of a file, or from the annotation files beside it."""
    path = source.path
    if path is not None and (path.is_dir() or path.suffix == ".txt"):
        if brat.annotated(path):
            return brat.FORMAT
        if i2b2.annotated(path):
            return i2b2.FORMAT
        if path.is_dir():
            return text.FORMAT
    head = source.without_mark(source.head())
    return next((f for f in FORMATS.values() if f.read is not None and f.sniff is not None and f.sniff(head)), None)


def _unique(documents: Iterator[Document], source: Source, reject: Reject) -> Iterator[Document]:
    """Yield the documents whose id has not occurred before; reject the others."""
    seen: set[int] = set()  # hashes: 8 bytes for each id instead of its text, for files of millions of documents
    for document in documents:
        key = hash(document.id)
        if key not in seen:
            seen.add(key)
            yield document
            continue
        reason = "another document has the same id; give each document its own id"
        source.reject(reject, reason, raw=document.text, document_id=document.id, line=source.line)


__all__ = [
    "FORMATS",
    "Format",
    "Reject",
    "Sink",
    "Source",
    "exists",
    "format_named",
    "guess_format",
    "parts_of",
    "read",
    "write",
]
