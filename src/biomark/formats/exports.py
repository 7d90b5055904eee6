"""Shared reader of the JSON that annotation tools export.

A file is a list of objects, one object, or one object on each line. Each tool has a module that converts an object
into a document; unknown fields of the object become infons.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from biomark.errors import FormatError, SpanError
from biomark.formats.base import Format, Reject, Source
from biomark.formats.json_stream import documents
from biomark.formats.json_values import Json, as_text, no_surrogates, shown, text_of
from biomark.formats.parts import PartContext
from biomark.spans import Document, Infons


@dataclass(frozen=True, slots=True)
class Export:
    """The JSON form of a tool's documents.

    Attributes:
        ids: the fields that may hold the document's id, in order of preference.
        fits: returns whether an object was written by this tool, judged by its fields.
        document: converts an object; raises `FormatError` or `SpanError` if it cannot be read at all.
        signature: a pattern of bytes that only the beginning of this tool's files matches.
        section: the field that distinguishes the sections of a document, if several objects share an id.
    """

    ids: tuple[str, ...]
    fits: Callable[[Json], bool]
    document: Callable[[Json, PartContext], Document]
    signature: bytes
    section: str = ""

    def id_of(self, values: Json, place: int) -> str:
        """Return the document's id; its number in the file, from 1, if it has none."""
        key = next((key for key in self.ids if values.get(key) not in (None, "")), None)
        document_id = str(place) if key is None else text_of(values, key)
        section = values.get(self.section)
        return document_id if section in (None, "") else f"{document_id}-{as_text(section)}"

    def sniff(self, head: bytes) -> bool:
        """Return whether the beginning of a file looks like this export."""
        return re.match(rb"\s*[\[{].*?(?<!\\)(?:" + self.signature + rb")", head, re.DOTALL) is not None

    def format(self, name: str) -> Format:
        """Return the format of this export."""
        return Format(name, (".jsonl", ".json"), partial(_read, self), sniff=self.sniff, ambiguous=True)


def _read(export: Export, source: Source, reject: Reject) -> Iterator[Document]:
    """Yield the documents of a tool's file, one at a time."""
    for place, values in enumerate(documents(source, reject), 1):
        document_id: str | None = None
        try:
            if not isinstance(values, dict):
                raise FormatError(f"a document must be an object, got {shown(values)}")
            no_surrogates(values)
            document_id = export.id_of(values, place)
            yield export.document(values, PartContext(source, reject, document_id, source.line))
        except (FormatError, SpanError) as error:
            source.reject(reject, str(error), raw=shown(values), document_id=document_id, line=source.line)


def others(values: Json, *known: str) -> Infons:
    """Return the fields of an object other than the `known` and the empty ones, as infons."""
    return Infons(
        {key: as_text(value) for key, value in values.items() if key not in known and value not in (None, "", [], {})}
    )


__all__ = ["Export", "others"]
