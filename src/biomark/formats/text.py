"""Plain text: a file is a document, called by its name without suffix; a folder holds many."""

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
    """The text exactly as it is in the file, line ends too."""
    document_id = source.own_id(_stem(source.place.name))
    try:
        text = source.text()
    except FormatError as error:
        source.reject(reject, str(error).removeprefix(f"{source.name}: "), document_id=document_id)
        return
    problem = "the file is empty" if not text else "the file is no text: it holds NUL bytes" if "\0" in text else None
    if problem:
        source.reject(reject, problem, document_id=document_id)
        return
    yield Document(document_id, text)


def _stem(name: str) -> str:
    stem = name[:-3] if name.lower().endswith(".gz") else name
    return stem.rpartition(".")[0] or name


def write(documents: Iterable[Document], sink: Sink, lost: Counter[str]) -> None:
    """Write texts alone: into a folder a file each, into one file one after another, with line ends between them."""
    if (folder := _folder(sink)) is not None:
        for document in documents:
            count_losses(document, lost)
            with sink.open(folder / f"{file_name(document.id)}.txt") as out:
                out.write(with_mark(document.text))
        return
    with sink.open() as out:
        before = "\n"
        for number, document in enumerate(documents):
            count_losses(document, lost)
            add(lost, "boundaries between documents (write into a folder to keep them)", bool(number))
            text = document.text if number else with_mark(document.text)
            out.write(text if before.endswith("\n") else "\n" + text)
            before = document.text


def _folder(sink: Sink) -> Path | None:
    """The folder that gets a file a document, if the sink is one."""
    return sink.path if sink.path is not None and (sink.path.is_dir() or not sink.path.suffix) else None


def _refuses(document: Document, sink: Sink) -> str | None:
    return no_file_name(document.id) if _folder(sink) else None


FORMAT = Format("text", _SUFFIXES, read, write, ambiguous=True, files=(".txt",), refuses=_refuses)
