"""JSON that annotation tools export: what their readers share.

A file is a list of objects, one object, or an object a line. Each tool has a module that makes a
document of an object; what it does not know of the object becomes infons.
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
from biomark.formats.parts import Parts
from biomark.spans import Document, Infons


@dataclass(frozen=True, slots=True)
class Export:
    """How a tool writes a document.

    Attributes:
        ids: the fields that may hold the document's id, the best first.
        fits: whether an object is of this tool, which its fields tell.
        document: reads an object; raises `FormatError` or `SpanError` if nothing of it can be read.
        marks: a pattern of bytes that the beginning of the tool's files has and that of others has not.
        section: the field that tells a document's sections apart, if one id may have several.
    """

    ids: tuple[str, ...]
    fits: Callable[[Json], bool]
    document: Callable[[Json, Parts], Document]
    marks: bytes
    section: str = ""

    def id_of(self, values: Json, place: int) -> str:
        """The document's id; its place in the file, from 1, where it has none."""
        key = next((key for key in self.ids if values.get(key) not in (None, "")), None)
        document_id = str(place) if key is None else text_of(values, key)
        section = values.get(self.section)
        return document_id if section in (None, "") else f"{document_id}-{as_text(section)}"

    def sniff(self, head: bytes) -> bool:
        """Whether the beginning of a file looks like it."""
        return re.match(rb"\s*[\[{].*?(?<!\\)(?:" + self.marks + rb")", head, re.DOTALL) is not None

    def format(self, name: str) -> Format:
        """The format of this export."""
        return Format(name, (".jsonl", ".json"), partial(_read, self), sniff=self.sniff, ambiguous=True)


def _read(export: Export, source: Source, reject: Reject) -> Iterator[Document]:
    """Documents of a tool's file, one at a time."""
    for place, values in enumerate(documents(source, reject), 1):
        document_id: str | None = None
        try:
            if not isinstance(values, dict):
                raise FormatError(f"a document is an object, not {shown(values)}")
            no_surrogates(values)
            document_id = export.id_of(values, place)
            yield export.document(values, Parts(source, reject, document_id, source.line))
        except (FormatError, SpanError) as error:
            source.reject(reject, str(error), raw=shown(values), document_id=document_id, line=source.line)


def others(values: Json, *known: str) -> Infons:
    """What an object has beside the fields that a reader knows; nothing of what is empty."""
    return Infons(
        {key: as_text(value) for key, value in values.items() if key not in known and value not in (None, "", [], {})}
    )


__all__ = ["Export", "others"]
