"""Readers and writers: a file in any of the field's formats ↔ a stream of documents.

`read` and `write` are the entrance; `FORMATS` lists what there is. A reader yields documents as
it goes and hands what it cannot use to `reject`; a writer counts in `lost` what its format cannot
hold. Files whose name ends in `.gz` are compressed and uncompressed on the way.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from biomark.errors import FormatError, UsageError
from biomark.formats import (
    bc2gm,
    bern2,
    bioc_json,
    bioc_xml,
    brat,
    conll,
    doccano,
    html,
    jats_xml,
    json_list,
    jsonl,
    langextract,
    marked,
    medline_xml,
    prodigy,
    pubannotation,
    pubtator,
    terminal,
    text,
)
from biomark.formats.base import Format, Reject, Sink, Source, exists
from biomark.formats.outgoing import writable
from biomark.spans import Document, Rejected

FORMATS: dict[str, Format] = {
    format.name: format
    for format in (
        pubtator.FORMAT,
        bioc_xml.FORMAT,
        bioc_json.FORMAT,
        brat.FORMAT,
        conll.FORMAT,
        bc2gm.FORMAT,
        jsonl.FORMAT,
        doccano.FORMAT,
        prodigy.FORMAT,
        langextract.FORMAT,
        bern2.FORMAT,
        pubannotation.FORMAT,
        json_list.FORMAT,
        medline_xml.FORMAT,
        jats_xml.FORMAT,
        marked.FORMAT,
        text.FORMAT,
        html.FORMAT,
        terminal.FORMAT,
    )
}


def raise_rejected(rejected: Rejected) -> None:
    """The default for `read`: the first reject is an error."""
    raise FormatError(str(rejected))


def guess_format(path: Path, *, writing: bool = False) -> Format:
    """The format that a file's name (or, when reading, its first bytes) speaks for.

    Raises:
        FormatError: if nothing does; the message lists the formats.
    """
    name = path.name.removesuffix(".gz")
    for format in FORMATS.values():
        able = format.write if writing else format.read
        if able is not None and any(name.endswith(suffix) for suffix in format.suffixes):
            return _sniff(path) or format if not writing and format.ambiguous else format
    if not writing and (sniffed := _sniff(path)):
        return sniffed
    option = "--to" if writing else "--from"
    raise FormatError(f"{path}: no format goes with this name; say {option} with one of {_names(writing=writing)}")


def format_named(name: str, *, writing: bool = False) -> Format:
    """The format called `name`.

    Raises:
        UsageError: if there is none, or if it cannot be read (written); the message lists those that can.
    """
    format = FORMATS.get(name)
    if format is None or (format.write if writing else format.read) is None:
        raise UsageError(f"no format {name!r} to {'write' if writing else 'read'}; there are {_names(writing=writing)}")
    return format


def read(
    path: str | Path | IO[bytes] | Source, format: str | None = None, *, reject: Reject = raise_rejected
) -> Iterator[Document]:
    """The documents of a file or folder, one at a time.

    Args:
        path: a file, a folder of brat or text files, an open binary stream, or a `Source` of these
            (whose `position` then tells how far the reading is).
        format: its format's name; None: guessed from the name and the first bytes.
        reject: is called with whatever cannot be read; the reader then goes on. By default the
            first such thing raises `FormatError`.

    Raises:
        FormatError: if nothing can be read at all, or on the first reject (see `reject`).
    """
    source = _source(path)
    if source.path is None and format is None:
        raise FormatError(f"say the format of a stream (--from): one of {_names(writing=False)}")
    if source.path is not None and not exists(source.path):
        raise FormatError(f"{source.path}: there is no such file or folder")
    found = format_named(format) if format else guess_format(Path(source.name))
    if found.read is None:  # pragma: no cover - format_named and guess_format look at it
        raise FormatError(f"{path}: {found.name} cannot be read")
    rejects = 0

    def counted(rejected: Rejected) -> None:
        nonlocal rejects
        rejects += 1
        reject(rejected)

    documents = 0
    for document in _unique(found.read(source, counted), source, counted):
        documents += 1
        yield document
    if not documents and not rejects:
        reject(Rejected("the file holds no document", source=source.name))


def write(
    documents: Iterable[Document],
    path: str | Path | IO[bytes],
    format: str | None = None,
    *,
    reject: Reject = raise_rejected,
) -> Counter[str]:
    """Write documents as they come; the file appears only when all is written.

    Of documents with one id, the second and others get a number behind it.

    Args:
        documents: a stream; it is not held in memory.
        path: a file, a folder for brat, or an open binary stream.
        format: its format's name; None: guessed from the path's name.
        reject: is called with each document that the format cannot write, such as one whose id holds what parts
            the format's columns; the others are written. By default the first one raises `FormatError`.

    Returns:
        What the format could not hold, as counts by kind, such as `{"scores": 3}`.

    Raises:
        FormatError: if the path's name speaks for no format, or it cannot be written.
    """
    if isinstance(path, (str, Path)):
        found = format_named(format, writing=True) if format else guess_format(Path(path), writing=True)
        sink = Sink(Path(path))
    else:
        if format is None:
            raise FormatError(f"say the format of a stream (--to): one of {_names(writing=True)}")
        found, sink = format_named(format, writing=True), Sink(None, path)
    if found.write is None:  # pragma: no cover - format_named and guess_format look at it
        raise FormatError(f"{path}: {found.name} cannot be written")
    lost: Counter[str] = Counter()
    found.write(writable(documents, found, sink, lost, reject), sink, lost)
    return lost


def _source(path: str | Path | IO[bytes] | Source) -> Source:
    if isinstance(path, Source):
        return path
    return Source(Path(path)) if isinstance(path, (str, Path)) else Source(None, path)


def _names(*, writing: bool) -> str:
    return ", ".join(f.name for f in FORMATS.values() if (f.write if writing else f.read) is not None)


def _sniff(path: Path) -> Format | None:
    """The format that the first bytes of a file, or a folder's files, speak for."""
    if path.is_dir():
        return brat.FORMAT if brat.annotated(path) else text.FORMAT
    if path.suffix == ".txt" and brat.annotated(path):
        return brat.FORMAT
    if not path.is_file():  # a pipe, whose beginning would be gone
        return None
    head = Source(path).head().removeprefix(codecs.BOM_UTF8)
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


__all__ = ["FORMATS", "Format", "Reject", "Sink", "Source", "exists", "format_named", "guess_format", "read", "write"]
