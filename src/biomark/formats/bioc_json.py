"""BioC JSON: a collection, a list of documents, PubTator3's export, or a document a line.

`bioc` says how documents become `Document` and back. Infons that are no texts are read as the
JSON that they are; fields that BioC does not know (PubTator3's `journal`) become infons of the
document. The collection's source, date and key are not kept.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from biomark.errors import FormatError, SpanError
from biomark.formats.base import Format, Reject, Sink, Source, is_offset
from biomark.formats.bioc import Annotation, Link, Part, Record, read_record, write_record
from biomark.formats.json_stream import Broken, JsonStream
from biomark.formats.jsonl import Json, no_surrogates, objects_of, text_of
from biomark.spans import Document

_LISTS = ("documents", "PubTator3")
_LOOKS_LIKE = re.compile(
    rb'\s*[\[{].*(?<!\\)"(?:(?:documents|PubTator3|offset)"\s*:|passages"\s*:\s*\[\s*\{\s*"(?:text|infons)"\s*:)',
    re.DOTALL,
)
_KNOWN = ("id", "infons", "passages", "annotations", "relations")


def read(source: Source, reject: Reject) -> Iterator[Document]:
    """Documents of any of the forms in the module's head, one at a time."""
    stream = JsonStream(source, reject)
    broken = False
    while character := stream.peek():
        if broken and character in ",]}":  # the ends of what broke
            stream.skip()
            continue
        source.line = stream.line
        try:
            for values in _items(stream, source):
                if document := _document(values, source, reject):
                    yield document
        except Broken as error:
            source.reject(reject, f"the JSON breaks here: {error}", line=stream.line)
            stream.skip_to_object_line()
            broken = True


def _items(stream: JsonStream, source: Source) -> Iterator[object]:
    """The documents of the next value; the members of its list of documents as they come."""
    if stream.peek() == "[":
        for item in stream.members(source):
            yield from _unwrapped(item)
        return
    if stream.peek() != "{":
        raise Broken("documents are objects or lists of objects")
    fields: dict[str, object] = {}
    streamed = False
    for key in stream.fields():
        if key in _LISTS and stream.peek() == "[":
            streamed = True
            yield from stream.members(source)
        else:
            fields[key] = stream.value()
    if not streamed:
        yield fields


def _unwrapped(item: object) -> Iterator[object]:
    """A document, or the documents of a collection in a list."""
    lists = [item[key] for key in _LISTS if isinstance(item.get(key), list)] if isinstance(item, dict) else []
    if lists:
        yield from lists[0]
    else:
        yield item


def _document(values: object, source: Source, reject: Reject) -> Document | None:
    id: str | None = None
    try:
        if not isinstance(values, dict) or "passages" not in values:
            raise FormatError('a BioC document is an object with "id" and "passages"')
        no_surrogates(values)
        id = text_of(values, "id", default="")
        if not id:
            raise FormatError("the document has no id")
        return read_record(_record(id, values, source.line), source, reject)
    except (FormatError, SpanError) as error:
        source.reject(reject, str(error), raw=str(values), document_id=id, line=source.line)
        return None


def _record(id: str, values: Json, line: int | None) -> Record:
    more = {key: _text(value) for key, value in values.items() if key not in _KNOWN}
    passages = [_part(passage) for passage in objects_of(values, "passages")]
    return Record(id, more | _infons(values), passages, _annotations(values), _links(values), line)


def _part(values: Json) -> Part:
    text = values.get("text")
    return Part(
        _whole(values, "offset"),
        None if text is None else text_of(values, "text"),
        _infons(values),
        _annotations(values),
        _links(values),
        [_part(sentence) for sentence in objects_of(values, "sentences")],
    )


def _annotations(values: Json) -> list[Annotation]:
    return [
        Annotation(
            text_of(annotation, "id", default=""),
            _infons(annotation),
            [(_whole(place, "offset"), _whole(place, "length")) for place in objects_of(annotation, "locations")],
            None if annotation.get("text") is None else text_of(annotation, "text"),
        )
        for annotation in objects_of(values, "annotations")
    ]


def _links(values: Json) -> list[Link]:
    return [
        Link(
            text_of(relation, "id", default=""),
            _infons(relation),
            [
                (text_of(node, "role", default=""), text_of(node, "refid", default=""))
                for node in objects_of(relation, "nodes")
            ],
        )
        for relation in objects_of(values, "relations")
    ]


def _infons(values: Json) -> dict[str, str]:
    infons = values.get("infons") or {}
    if not isinstance(infons, dict):
        raise FormatError(f'"infons" must be an object, not {infons!r:.80}')
    return {key: _text(value) for key, value in infons.items()}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _whole(values: Json, key: str) -> int:
    number = values.get(key)
    if isinstance(number, str) and is_offset(number):
        return int(number)
    if type(number) is not int or number < 0:
        raise FormatError(f'"{key}" must be a whole number, not {number!r:.80}')
    return number


def write(documents: Iterable[Document], sink: Sink, lost: Counter[str]) -> None:
    """Write a collection, a document a line."""
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


def _part_values(part: Part) -> dict[str, object]:
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


def _link_values(links: list[Link]) -> list[dict[str, object]]:
    return [
        {"id": link.id, "infons": link.infons, "nodes": [{"refid": id, "role": role} for role, id in link.nodes]}
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
