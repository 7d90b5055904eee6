"""BioC XML: a collection of documents; see `bioc` for their conversion.

The collection's source, date and key are dropped; biomark writes itself as the `source`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape, quoteattr

from biomark.errors import FormatError, SpanError
from biomark.formats.base import Format, Reject, Sink, Source
from biomark.formats.bioc import Annotation, PassageRecord, Record, RelationRecord, read_record, write_record
from biomark.formats.losses import add
from biomark.formats.parts import PartContext
from biomark.formats.xml_stream import line_of, records
from biomark.spans import Document

_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE collection SYSTEM "BioC.dtd">
<collection><source>biomark</source><date></date><key>biomark.key</key>
"""
# Characters that XML 1.0 cannot represent.
_NO_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def read(source: Source, reject: Reject) -> Iterator[Document]:
    """Yield the documents of a collection, one at a time."""
    for element in records(source, reject, "collection", resume=("document",)):
        if element.tag != "document":
            continue
        document_id = element.findtext("id")
        try:
            if document_id is None:
                raise FormatError("the document has no id")
            parts = PartContext(source, reject, document_id, line_of(element))
            yield read_record(_record(element, parts), parts)
        except (FormatError, SpanError) as error:
            source.reject(reject, str(error), document_id=document_id, line=line_of(element))


def _record(element: Element, parts: PartContext) -> Record:
    passages = [_part(passage, parts) for passage in element.findall("passage")]
    return Record(
        parts.document_id, _infons(element), passages, _annotations(element, parts), _links(element), line_of(element)
    )


def _part(element: Element, parts: PartContext) -> PassageRecord:
    """Read a passage with its sentences, or a sentence."""
    text = element.find("text")
    sentences = element.findall("sentence") if element.tag == "passage" else []
    return PassageRecord(
        _whole(element.findtext("offset"), "offset of a passage or sentence", element),
        None if text is None else text.text or "",
        _infons(element),
        _annotations(element, parts),
        _links(element),
        list(parts.each(lambda sentence: _part(sentence, parts), sentences, raw=_raw, line=line_of)),
    )


def _annotations(element: Element, parts: PartContext) -> list[Annotation]:
    return list(parts.each(_annotation, element.findall("annotation"), raw=_raw, line=line_of))


def _annotation(element: Element) -> Annotation:
    return Annotation(
        element.get("id", ""),
        _infons(element),
        [(_place(location, "offset"), _place(location, "length")) for location in element.findall("location")],
        element.findtext("text"),
        line_of(element),
    )


def _links(element: Element) -> list[RelationRecord]:
    return [
        RelationRecord(
            relation.get("id", ""),
            _infons(relation),
            [(node.get("role", ""), node.get("refid", "")) for node in relation.findall("node")],
        )
        for relation in element.findall("relation")
    ]


def _infons(element: Element) -> dict[str, str]:
    """Return the infons; several values of one key are joined with bars."""
    infons: dict[str, str] = {}
    for infon in element.findall("infon"):
        key, value = infon.get("key", ""), infon.text or ""
        infons[key] = f"{infons[key]}|{value}" if key in infons else value
    return infons


def _raw(element: Element) -> str:
    """Return the text of an element for a message."""
    return element.findtext("text") or ""


def _place(location: Element, name: str) -> int:
    return _whole(location.get(name), f"{name} of a location", location)


def _whole(number: str | None, what: str, element: Element) -> int:
    if number is None or not re.fullmatch(r"\s*\d{1,18}\s*", number, re.ASCII):
        raise FormatError(f"the {what} must be a whole number, got {number!r:.80}")
    return int(number)


def write(documents: Iterable[Document], sink: Sink, lost: Counter[str]) -> None:
    """Write a collection with one document on each line."""
    with sink.open() as out:
        out.write(_HEAD)
        for document in documents:
            xml = _written(write_record(document, lost))
            forbidden = len(_NO_XML.findall(xml))
            add(lost, "control characters, which XML cannot hold (written as blanks)", forbidden)
            out.write(_NO_XML.sub(" ", xml) if forbidden else xml)
        out.write("</collection>\n")


def _written(record: Record) -> str:
    inner = _infon_tags(record.infons) + "".join(map(_part_tag, record.passages)) + _relation_tags(record.relations)
    return f"<document>{_tag('id', record.id)}{inner}</document>\n"


def _part_tag(part: PassageRecord, name: str = "passage") -> str:
    pieces = [
        _infon_tags(part.infons),
        _tag("offset", str(part.offset)),
        _tag("text", part.text or ""),
        *(_annotation_tag(annotation) for annotation in part.annotations),
        *(_part_tag(sentence, "sentence") for sentence in part.parts),
        _relation_tags(part.relations),
    ]
    return f"<{name}>{''.join(pieces)}</{name}>"


def _annotation_tag(annotation: Annotation) -> str:
    places = "".join(f'<location offset="{offset}" length="{length}"/>' for offset, length in annotation.locations)
    inner = _infon_tags(annotation.infons) + places + _tag("text", annotation.text or "")
    return f"<annotation id={quoteattr(annotation.id)}>{inner}</annotation>"


def _relation_tags(relations: list[RelationRecord]) -> str:
    tags = []
    for relation in relations:
        nodes = "".join(f"<node refid={quoteattr(target)} role={quoteattr(role)}/>" for role, target in relation.nodes)
        tags.append(f"<relation id={quoteattr(relation.id)}>{_infon_tags(relation.infons)}{nodes}</relation>")
    return "".join(tags)


def _infon_tags(infons: dict[str, str]) -> str:
    return "".join(f"<infon key={quoteattr(key)}>{_escaped(value)}</infon>" for key, value in infons.items())


def _tag(name: str, text: str) -> str:
    return f"<{name}>{_escaped(text)}</{name}>"


def _escaped(text: str) -> str:
    return escape(text, {"\r": "&#13;"})


FORMAT = Format(
    "bioc_xml",
    (".bioc.xml", ".xml", ".bioc", ".BioC.XML", ".XML"),
    read,
    write,
    sniff=lambda head: re.search(rb"<collection[\s>]", head) is not None,
    ambiguous=True,
)
