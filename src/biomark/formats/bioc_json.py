"""BioC JSON: a collection, a list of documents, PubTator3's export, or one document on each line.

See `bioc` for the conversion of documents. An infon that is not a text is kept as JSON; fields that are not part of
BioC (such as PubTator3's `journal`) become infons of the document. The collection's source, date and key are dropped.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from biomark.errors import FormatError, SpanError
from biomark.formats.base import Format, Reject, Sink, Source, is_offset
from biomark.formats.bioc import Annotation, PassageRecord, Record, RelationRecord, read_record, write_record
from biomark.formats.json_stream import documents
from biomark.formats.json_values import Json, as_text, list_of, no_surrogates, objects_of, shown, text_of
from biomark.formats.parts import PartContext
from biomark.spans import Document

_LISTS = ("documents", "PubTator3")
_LOOKS_LIKE = re.compile(
    rb'\s*[\[{].*(?<!\\)"(?:(?:documents|PubTator3|offset)"\s*:|passages"\s*:\s*\[\s*\{\s*"(?:text|infons)"\s*:)',
    re.DOTALL,
)
_KNOWN = ("id", "infons", "passages", "annotations", "relations")


def read(source: Source, reject: Reject) -> Iterator[Document]:
    """Yield the documents of a file, one at a time; see the module."""
    for values in documents(source, reject, _LISTS):
        if document := _document(values, source, reject):
            yield document


def _document(values: object, source: Source, reject: Reject) -> Document | None:
    document_id: str | None = None
    try:
        if not isinstance(values, dict) or "passages" not in values:
            raise FormatError('a BioC document must be an object with "id" and "passages"')
        no_surrogates(values)
        if "id" not in values:
            raise FormatError("the document has no id")
        document_id = text_of(values, "id")
        parts = PartContext(source, reject, document_id, source.line)
        return read_record(_record(values, parts), parts)
    except (FormatError, SpanError) as error:
        source.reject(reject, str(error), raw=shown(values), document_id=document_id, line=source.line)
        return None


def _record(values: Json, parts: PartContext) -> Record:
    other_fields = {key: as_text(value) for key, value in values.items() if key not in _KNOWN}
    passages = [_part(passage, parts) for passage in objects_of(values, "passages")]
    infons = other_fields | _infons(values)
    return Record(parts.document_id, infons, passages, _annotations(values, parts), _links(values, parts))


def _part(values: Json, parts: PartContext, *, is_sentence: bool = False) -> PassageRecord:
    text = values.get("text")
    sentences = [] if is_sentence else _listed(values, "sentences", parts)
    return PassageRecord(
        _whole(values, "offset"),
        None if text is None else text_of(values, "text"),
        _infons(values),
        _annotations(values, parts),
        _links(values, parts),
        list(parts.each(lambda sentence: _part(_object(sentence), parts, is_sentence=True), sentences)),
    )


def _annotations(values: Json, parts: PartContext) -> list[Annotation]:
    return list(parts.each(_annotation, _listed(values, "annotations", parts)))


def _annotation(item: object) -> Annotation:
    values = _object(item)
    return Annotation(
        text_of(values, "id", default=""),
        _infons(values),
        [(_whole(place, "offset"), _whole(place, "length")) for place in objects_of(values, "locations")],
        None if values.get("text") is None else text_of(values, "text"),
    )


def _links(values: Json, parts: PartContext) -> list[RelationRecord]:
    return list(parts.each(_link, _listed(values, "relations", parts)))


def _link(item: object) -> RelationRecord:
    values = _object(item)
    nodes = [
        (text_of(node, "role", default=""), text_of(node, "refid", default="")) for node in objects_of(values, "nodes")
    ]
    return RelationRecord(text_of(values, "id", default=""), _infons(values), nodes)


def _listed(values: Json, key: str, parts: PartContext) -> Sequence[object]:
    """Return the list under `key`; any other value is rejected."""
    try:
        return list_of(values, key)
    except FormatError as error:
        parts.reject_part(str(error))
        return ()


def _object(item: object) -> Json:
    if not isinstance(item, dict):
        raise FormatError(f"expected a JSON object, got {shown(item)}")
    return item


def _infons(values: Json) -> dict[str, str]:
    infons = values.get("infons") or {}
    if not isinstance(infons, dict):
        raise FormatError(f'"infons" must be an object, got {shown(infons)}')
    return {key: as_text(value) for key, value in infons.items()}


def _whole(values: Json, key: str) -> int:
    number = values.get(key)
    if isinstance(number, str) and is_offset(number):
        return int(number)
    if type(number) is not int or not 0 <= number < 10**18:
        raise FormatError(f'"{key}" must be a whole number, got {shown(number)}')
    return number


def write(documents: Iterable[Document], sink: Sink, lost: Counter[str]) -> None:
    """Write a collection with one document on each line."""
    with sink.open() as out:
        out.write('{"source": "biomark", "date": "", "key": "biomark.key", "infons": {}, "documents": [')
        for number, document in enumerate(documents):
            values = _record_values(write_record(document, lost))
            out.write((",\n" if number else "\n") + json.dumps(values, ensure_ascii=False))
        out.write("\n]}\n")


def _record_values(record: Record) -> dict[str, object]:
    return {
        "id": record.id,
        "infons": record.infons,
        "passages": [_part_values(passage) for passage in record.passages],
        "annotations": [],
        "relations": _link_values(record.relations),
    }


def _part_values(part: PassageRecord) -> dict[str, object]:
    annotations = [
        {
            "id": annotation.id,
            "infons": annotation.infons,
            "text": annotation.text,
            "locations": [{"offset": offset, "length": length} for offset, length in annotation.locations],
        }
        for annotation in part.annotations
    ]
    return {
        "offset": part.offset,
        "infons": part.infons,
        "text": part.text,
        "sentences": [_part_values(sentence) for sentence in part.parts],
        "annotations": annotations,
        "relations": _link_values(part.relations),
    }


def _link_values(links: list[RelationRecord]) -> list[dict[str, object]]:
    return [
        {
            "id": link.id,
            "infons": link.infons,
            "nodes": [{"refid": target, "role": role} for role, target in link.nodes],
        }
        for link in links
    ]


FORMAT = Format(
    "bioc_json",
    (".bioc.json", ".json", ".biocjson"),
    read,
    write,
    sniff=lambda head: _LOOKS_LIKE.match(head) is not None,
    ambiguous=True,
)
