"""Readers and writers: a file in any of the field's formats ↔ a stream of documents.

`read` and `write` are the entrance; `FORMATS` lists what there is. A reader yields documents as
it goes and hands what it cannot use to `reject`; a writer counts in `lost` what its format cannot
hold. Files whose name ends in `.gz` are compressed and uncompressed on the way.
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
    """The default for `read`: the first reject is an error."""
    raise FormatError(str(rejected))


def guess_format(path: Path | Source, *, writing: bool = False) -> Format:
    """The format that a file's name (or, when reading, its first bytes) speaks for.

    Args:
        path: a file or folder. Of a `Source` that can be read once only, the first bytes are looked at and kept;
            a path to such a pipe is not opened.
        writing: whether it will be written.

    Raises:
        FormatError: if nothing does; the message lists the formats.
    """
    source = path if isinstance(path, Source) else Source(path)
    looks = not writing and (isinstance(path, Source) or not source.is_stream)
    if source.path is not None:
        name = source.path.name.lower().removesuffix(".gz")
        for candidate in FORMATS.values():
            able = candidate.write if writing else candidate.read
            if able is not None and name.endswith(candidate.suffixes):
                return _sniff(source) or candidate if looks and candidate.ambiguous else candidate
    if looks and (sniffed := _sniff(source)):
        return sniffed
    if writing:
        raise FormatError(f"{source.name}: no format has this name; {_how_to_write()}")
    what = "begins as no format does" if source.path is None else "no format goes with this name"
    raise FormatError(f"{source.name}: {what}; name the format (`input format`), one of {_names(writing=False)}")


def format_named(name: str, *, writing: bool = False) -> Format:
    """The format called `name`.

    Raises:
        UsageError: if there is none, or if it cannot be read (written); the message lists those that can.
    """
    named = FORMATS.get(name)
    if named is None or (named.write if writing else named.read) is None:
        raise UsageError(f"no format {name!r} to {'write' if writing else 'read'}; there are {_names(writing=writing)}")
    return named


def read(
    path: str | Path | IO[bytes] | Source,
    format_name: str | None = None,
    *,
    reject: Reject = raise_rejected,
    repeated: bool = False,
) -> Iterator[Document]:
    """The documents of a file or folder, one at a time.

    Of a folder, all files are read, each in its own format, and what cannot be read is rejected by name.

    Args:
        path: a file, a folder, an open binary stream, or a `Source` of these
            (whose `position` then tells how far the reading is).
        format_name: its format's name, of a folder that of its files; None: guessed from names and first bytes.
        reject: is called with whatever cannot be read; the reader then goes on. By default the
            first such thing raises `FormatError`.
        repeated: whether a second document with an id is given as well; else it is rejected.

    Raises:
        FormatError: if nothing can be read at all, or on the first reject (see `reject`).
        UsageError: if `path` is something else than it should be.
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
    every = _read(source, format_name, counted)
    for document in every if repeated else _unique(every, source, counted):
        documents += 1
        yield document
    if not documents and not rejects:
        reject(Rejected("the file holds no document", source=source.name))


def parts_of(folder: Source, format_name: str | None, reject: Reject) -> Iterator[tuple[Source, Format]]:
    """The files of a folder that are read, and the format of each.

    Args:
        folder: is there.
        format_name: see `read`.
        reject: is called with each file that is not read.
    """
    wanted = format_named(format_name) if format_name else None
    for path in files_of(Path(folder.name), lambda error: reject(_unlisted(error))):
        source = folder.inside(path)
        try:
            if source.is_stream:
                raise FormatError(f"{path}: is neither file nor folder")
            yield source, _format_in(source, wanted)
        except FormatError as error:
            source.reject(reject, f"is not read: {str(error).removeprefix(f'{path}: ')}")


def _reader(file_format: Format) -> Callable[[Source, Reject], Iterator[Document]]:
    if file_format.read is None:  # pragma: no cover - format_named and guess_format look at it
        raise FormatError(f"{file_format.name} cannot be read")
    return file_format.read


def _unlisted(error: OSError) -> Rejected:
    return Rejected(f"the folder cannot be listed: {error.strerror}", source=str(error.filename))


def _format_in(source: Source, wanted: Format | None) -> Format:
    if wanted is None:
        return guess_format(source)
    name = source.place.name.lower().removesuffix(".gz")
    if wanted.suffixes and not name.endswith(wanted.suffixes):
        raise FormatError(f"its name does not end in {' or '.join(wanted.suffixes)}, as those of {wanted.name} do")
    return wanted


def _read(source: Source, format_name: str | None, reject: Reject) -> Iterator[Document]:
    """The documents of a file, of a folder or of a stream."""
    whole = format_name in FORMATS and FORMATS[format_name].in_pairs
    if source.path is None or not source.path.is_dir() or whole:
        yield from _reader(format_named(format_name) if format_name else guess_format(source))(source, reject)
        return
    for part, found in parts_of(source, format_name, reject):
        try:
            yield from _reader(found)(part, reject)
        except FormatError as error:
            part.reject(reject, str(error).removeprefix(f"{part.name}: "))


def write(
    documents: Document | Iterable[Document],
    path: str | Path | IO[bytes] | Sink,
    format_name: str | None = None,
    *,
    reject: Reject = raise_rejected,
) -> Counter[str]:
    """Write documents as they come; the file appears only when all is written.

    Of documents with one id, the second and others get a number behind it.

    Args:
        documents: one, or a stream, which is not held in memory.
        path: a file, a folder for brat and i2b2, an open binary stream, or a `Sink`.
        format_name: its format's name; None: guessed from the path's name.
        reject: is called with each document that the format cannot write, such as one whose id holds what parts
            the format's columns; the others are written. By default the first one raises `FormatError`.

    Returns:
        What the format could not hold, as counts by kind, such as `{"scores": 3}`.

    Raises:
        FormatError: if the path's name speaks for no format, or it cannot be written.
        UsageError: if an argument is something else than it should be.
    """
    _check_path(path, "write")
    if not isinstance(documents, Iterable | Document) or isinstance(documents, (str, bytes, Mapping)):
        raise UsageError(f"documents are biomark.Document objects, one or many, not {documents!r:.80}")
    sink = path if isinstance(path, Sink) else Sink(Path(path)) if isinstance(path, (str, Path)) else Sink(None, path)
    if format_name is not None:
        found = format_named(format_name, writing=True)
    elif sink.path is not None:
        found = guess_format(sink.path, writing=True)
    else:
        raise FormatError(f"a stream has no name; name the format (`output format`), one of {_names(writing=True)}")
    if found.write is None:  # pragma: no cover - format_named and guess_format look at it
        raise FormatError(f"{path}: {found.name} cannot be written")
    lost: Counter[str] = Counter()
    found.write(writable(documents, found, sink, lost, reject), sink, lost)
    return lost


def _check_path(path: object, way: str) -> None:
    """Whether something can be the file of `read` or `write`.

    Raises:
        UsageError: if it cannot.
    """
    named = isinstance(path, (str, Path)) and str(path) != "" and "\0" not in str(path)
    bytes_ = callable(getattr(path, way, None)) and not isinstance(path, io.TextIOBase) and not isinstance(path, Path)
    if not (named or bytes_ or isinstance(path, (Source, Sink))):
        raise UsageError(
            f"{path!r:.80} is no file; name one by a str or a Path, or give a stream of bytes (open(…, '{way[0]}b'))"
        )


def _source(path: str | Path | IO[bytes] | Source) -> Source:
    if isinstance(path, Source):
        return path
    return Source(Path(path)) if isinstance(path, (str, Path)) else Source(None, path)


def _names(*, writing: bool) -> str:
    return ", ".join(f.name for f in FORMATS.values() if (f.write if writing else f.read) is not None)


def _how_to_write() -> str:
    """Which names speak for which formats; files of word processors are none of them."""
    able = [candidate for candidate in FORMATS.values() if candidate.write is not None]
    names = [f"{f.name} ({' '.join(dict.fromkeys(suffix.lower() for suffix in f.suffixes))})" for f in able]
    return f"there are {', '.join(names)}; name the format for any other name (`output format`)"


def _sniff(source: Source) -> Format | None:
    """The format that the first bytes of a file speak for, or what lies beside it."""
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
    """Documents with ids of their own; a second one with the same id is rejected."""
    seen: set[int] = set()  # hashes: 8 bytes an id instead of its text, for files of millions of documents
    for document in documents:
        key = hash(document.id)
        if key not in seen:
            seen.add(key)
            yield document
            continue
        reason = "a second document with this id; give it an id of its own"
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
