"""Parquet: a table of documents and a table of their mentions; needs pyarrow (the extra `scale`).

`NAME.parquet` has a row for each document (`id`, `file`, `text`, `mentions`: their number, `more`: the other fields of
the `Document` as JSON); `NAME.mentions.parquet` has a row for each mention, in the order of the documents (`document`,
`start`, `end`, `spans`, `text`, `type`, `ids`, `score`, `more`). Of other tables, the columns `text` and `id` are read.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biomark.errors import FormatError, MissingExtraError, SpanError
from biomark.formats.base import Format, Reject, Sink, Source
from biomark.runtime.files import PART, PartialFile
from biomark.spans import Document

if TYPE_CHECKING:
    import pyarrow

SUFFIX, MENTIONS = ".parquet", ".mentions.parquet"
FILE = "file"  # the infon for a document's file, which `biomark annotate` adds
_ROWS = 1_000  # documents in a group of rows, the number held in memory
_OURS = ("id", "text", "mentions", "more")
_ENTITY = ("spans", "text", "type", "ids", "score")


def mentions_of(path: Path) -> Path:
    """Return the path of the table of mentions for a table of documents."""
    return path.with_name(path.name[: -len(SUFFIX)] + MENTIONS)


def read(source: Source, reject: Reject) -> Iterator[Document]:
    """Yield the documents, one at a time, with their mentions if biomark wrote the tables."""
    if source.path is None:
        raise FormatError(f"{source.name}: Parquet cannot be read from a stream; name a file")
    table = _opened(source.path)
    with table:
        names = table.schema_arrow.names
        if "text" not in names:
            raise FormatError(f"{source.name}: there is no column text; the columns are {', '.join(names)}")
        if not all(name in names for name in _OURS):
            yield from _foreign(table, source, reject)
            return
        beside = mentions_of(source.path)
        if not beside.is_file():
            raise FormatError(f"{source.name}: the table of its mentions is missing; put {beside.name} beside it")
        with _opened(beside) as other:
            mentions = _rows(other)
            for row in _rows(table):
                yield _document(row, list(islice(mentions, row["mentions"])), source)


def _document(row: Mapping[str, Any], mentions: list[dict[str, Any]], source: Source) -> Document:
    if len(mentions) != row["mentions"] or any(mention["document"] != row["id"] for mention in mentions):
        name = mentions_of(source.path).name if source.path is not None else source.name
        raise FormatError(f"{source.name}: document {row['id']}: {name} has other mentions; write both tables again")
    entities = [{name: m[name] for name in _ENTITY if m[name] is not None} | json.loads(m["more"]) for m in mentions]
    try:
        return Document.from_dict(
            {"id": row["id"], "text": row["text"], "entities": entities, **json.loads(row["more"])}
        )
    except (SpanError, ValueError) as error:
        raise FormatError(f"{source.name}: document {row['id']}: {error}") from error


def _foreign(table: pyarrow.parquet.ParquetFile, source: Source, reject: Reject) -> Iterator[Document]:
    """Read a table that biomark did not write: `text`, `id` if there is one, and texts and numbers as infons."""
    for number, row in enumerate(_rows(table), 1):
        document_id = str(number) if row.get("id") is None else str(row["id"])
        if not isinstance(row["text"], str):
            source.reject(reject, f"row {number} has no text", document_id=document_id)
            continue
        infons = {k: str(v) for k, v in row.items() if k not in ("id", "text") and isinstance(v, str | int | float)}
        yield Document.from_dict({"id": document_id, "text": row["text"], "infons": infons})


def _opened(path: Path) -> pyarrow.parquet.ParquetFile:
    parquet = _library()
    try:
        return parquet.ParquetFile(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are subclasses of these
        raise FormatError(f"{path}: cannot be read as Parquet: {error}") from error


def _rows(table: pyarrow.parquet.ParquetFile) -> Iterator[dict[str, Any]]:
    try:
        for batch in table.iter_batches(_ROWS):
            yield from batch.to_pylist()
    except (OSError, ValueError) as error:
        raise FormatError(f"the Parquet file breaks off: {error}") from error


def _library() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "scale") from error
    return pyarrow.parquet


def _schemas() -> tuple[pyarrow.Schema, pyarrow.Schema]:
    import pyarrow as pa

    text, whole = pa.string(), pa.int64()
    documents = [("id", text), (FILE, text), ("text", pa.large_string()), ("mentions", whole), ("more", text)]
    mentions = [
        ("document", text), ("start", whole), ("end", whole), ("spans", pa.list_(pa.list_(whole))), ("text", text),
        ("type", text), ("ids", pa.list_(text)), ("score", pa.float64()), ("more", text),
    ]  # fmt: skip
    return pa.schema(documents), pa.schema(mentions)


def write(documents: Iterable[Document], sink: Sink, lost: Counter[str]) -> None:
    """Write both tables without loss.

    Raises:
        FormatError: if the sink is a stream.
        MissingExtraError: if pyarrow is not installed.
    """
    if sink.path is None:
        raise FormatError("Parquet cannot be written into a stream; name a file NAME.parquet (`output`)")
    parquet = _library()
    import pyarrow as pa

    schemas = _schemas()
    stream = iter(documents)
    parts = [PartialFile(path, PART + ".new") for path in (sink.path, mentions_of(sink.path))]
    try:
        with ExitStack() as stack:
            writers = []
            for part, schema in zip(parts, schemas, strict=True):
                part.empty()
                writers.append(stack.enter_context(parquet.ParquetWriter(part.file, schema, compression="zstd")))
            while group := list(islice(stream, _ROWS)):
                tables = [_document_row(d) for d in group], [row for d in group for row in _mention_rows(d)]
                for writer, rows, schema in zip(writers, tables, schemas, strict=True):
                    writer.write_table(pa.Table.from_pylist(rows, schema=schema))
        for part in reversed(parts):  # the mentions first, so that documents never lack theirs
            part.keep(settled=True)
    except BaseException:
        for part in parts:
            part.discard()
        raise


def _document_row(document: Document) -> dict[str, object]:
    values = document.to_dict()
    more = {name: value for name, value in values.items() if name not in ("id", "text", "entities")}
    return {
        "id": document.id,
        FILE: document.infons.get(FILE),
        "text": document.text,
        "mentions": len(document.entities),
        "more": json.dumps(more, ensure_ascii=False),
    }


def _mention_rows(document: Document) -> Iterator[dict[str, object]]:
    for entity in document.entities:
        values = entity.to_dict(document.text)
        more = {name: value for name, value in values.items() if name not in _ENTITY}
        yield {
            "document": document.id,
            "start": entity.start,
            "end": entity.end,
            **{name: values.get(name) for name in _ENTITY},
            "ids": list(entity.ids),
            "more": json.dumps(more, ensure_ascii=False),
        }


FORMAT = Format("parquet", (SUFFIX,), read, write, sniff=lambda head: head.startswith(b"PAR1"))
