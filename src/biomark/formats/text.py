"""Plain text: each file is a document, whose id is the file's name without suffix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from biomark.errors import FormatError
from biomark.formats.base import Format, Reject, Sink, Source, with_mark
from biomark.formats.identifiers import file_name, no_file_name
from biomark.formats.losses import add, count_losses
from biomark.spans import Document

_SUFFIXES = (".txt", ".text")


def read(source: Source, reject: Reject) -> Iterator[Document]:
    """Yield the document of a file, whose text is unchanged, including line ends."""
    document_id = source.own_id(_stem(source.place.name))
    try:
        text = source.text()
    except FormatError as error:
        source.reject(reject, str(error).removeprefix(f"{source.name}: "), document_id=document_id)
        return
    problem = (
        "the file is empty" if not text else "the file is not text: it contains NUL bytes" if "\0" in text else None
    )
    if problem:
        source.reject(reject, problem, document_id=document_id)
        return
    yield Document(document_id, text)


def _stem(name: str) -> str:
    stem = name[:-3] if name.lower().endswith(".gz") else name
    return stem.rpartition(".")[0] or name


def write(documents: Iterable[Document], sink: Sink, lost: Counter[str]) -> None:
    """Write the texts alone: one file each into a folder, or one after another into a file, separated by line ends."""
    if (folder := _folder(sink)) is not None:
        for document in documents:
            count_losses(document, lost)
            with sink.open(folder / f"{file_name(document.id)}.txt") as out:
                out.write(with_mark(document.text))
        return
    with sink.open() as out:
        previous = "\n"
        for number, document in enumerate(documents):
            count_losses(document, lost)
            add(lost, "boundaries between documents (write into a folder to keep them)", bool(number))
            text = document.text if number else with_mark(document.text)
            out.write(text if previous.endswith("\n") else "\n" + text)
            previous = document.text


def _folder(sink: Sink) -> Path | None:
    """Return the sink's path if it is a folder, which gets one file for each document; else None."""
    return sink.path if sink.path is not None and (sink.path.is_dir() or not sink.path.suffix) else None


def _refuses(document: Document, sink: Sink) -> str | None:
    return no_file_name(document.id) if _folder(sink) else None


FORMAT = Format("text", _SUFFIXES, read, write, ambiguous=True, files=(".txt",), refuses=_refuses)
