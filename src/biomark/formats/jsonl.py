"""JSON Lines: biomark's own format with one document on each line, which holds all fields of a `Document`.

The fields are those of `biomark.spans.Document`; `docs/formats.md` lists them. Lines with `tokens` and `tags` instead
of a text, as in many NER data sets, are read like CoNLL sentences.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import cast

from biomark.errors import FormatError, SpanError
from biomark.formats import bern2, doccano, langextract, prodigy, pubannotation
from biomark.formats.base import Format, Reject, Sink, Source
from biomark.formats.conll import Token, tagged_document
from biomark.formats.exports import others
from biomark.formats.json_values import (
    Json,
    infons_of,
    list_of,
    no_surrogates,
    objects_of,
    parsed,
    score_of,
    shown,
    text_of,
    texts_of,
    whole_of,
)
from biomark.formats.parts import PartContext, placed
from biomark.spans import Document, Entity, Infons, Passage, Relation, Span

# The formats of other tools, which are recognized by their fields.
EXPORTS = (doccano.EXPORT, prodigy.EXPORT, langextract.EXPORT, bern2.EXPORT, pubannotation.EXPORT)
_FIELDS = ("id", "text", "passages", "sentences", "entities", "alternatives", "relations", "infons")
_ENTITY_FIELDS = ("spans", "start", "end", "type", "label", "text", "ids", "score", "infons")


def read(source: Source, reject: Reject) -> Iterator[Document]:
    """Yield one document for each line; see the module."""
    reported: set[str] = set()
    for line in source.lines(reject):
        if not line.text.strip():
            continue
        try:
            if line.problem:
                raise FormatError(line.problem)
            values = parsed(line.text)
        except FormatError as error:
            source.reject(reject, str(error), raw=line.text, line=line.number)
            continue
        document = document_of(values, line.number, source, reject, reported, checked="\\u" not in line.text)
        if document is not None:
            yield document


def document_of(
    values: object, place: int, source: Source, reject: Reject, reported: set[str], *, checked: bool = False
) -> Document | None:
    """Convert an object in biomark's format or that of another tool into a document; return None if it is rejected.

    Args:
        values: the JSON value.
        place: the number of the line or object, from 1: the id of a document that has none.
        source: the file.
        reject: is called for the object, or for parts of it, that cannot be read.
        reported: the unknown fields that were rejected before; those of this object are added.
        checked: whether the values are known to contain no lone surrogates.
    """
    document_id: str | None = None
    try:
        if not isinstance(values, dict):
            raise FormatError(f"a document must be a JSON object, got {shown(values)}")
        export = next((export for export in EXPORTS if export.fits(values)), None)
        document_id = export.id_of(values, place) if export else text_of(values, "id", default=str(place))
        if not checked:
            no_surrogates(values)
        parts = PartContext(source, reject, document_id, source.line)
        return export.document(values, parts) if export else _document(values, parts, reported)
    except (FormatError, SpanError) as error:
        source.reject(reject, str(error), raw=shown(values), document_id=document_id, line=source.line)
        return None


def _tagged(document_id: str, values: Json) -> Document:
    tokens, tags = texts_of(values, "tokens"), texts_of(values, "tags")
    if len(tokens) != len(tags):
        raise FormatError(f'"tokens" and "tags" must have the same length, got {len(tokens)} and {len(tags)}')
    document = tagged_document(document_id, [[Token(token, tag) for token, tag in zip(tokens, tags, strict=True)]])
    return replace(document, infons=others(values, "id", "tokens", "tags"))


def _document(values: Json, parts: PartContext, reported: set[str]) -> Document:
    """Read a document in biomark's format, or in one that only differs in the names of some fields."""
    if "tokens" in values and ("tags" in values or "text" not in values):
        return _tagged(parts.document_id, values)
    if "text" not in values:
        raise FormatError(f'a document needs "text", or "tokens" and "tags"; this one has {_first_fields(values)}')
    text = text_of(values, "text")
    unknown = others(values, *_FIELDS)
    for key in unknown.keys() - reported:
        if _may_hold_mentions(values[key]):
            reported.add(key)
            parts.reject_part(f'mentions must be under "entities"; the field {shown(key)} is ignored in all documents')
    return Document(
        parts.document_id,
        text,
        passages=tuple(
            Passage(Span(whole_of(p, "start"), whole_of(p, "end")), text_of(p, "kind", default=""), infons_of(p))
            for p in objects_of(values, "passages")
        ),
        sentences=_spans(values, "sentences"),
        entities=tuple(parts.each(lambda e: _entity(e, text), list_of(values, "entities"))),
        alternatives=tuple(parts.each(lambda e: _entity(e, text), list_of(values, "alternatives"))),
        relations=tuple(parts.each(_relation, list_of(values, "relations"))),
        infons=Infons({**unknown, **infons_of(values)}),
    )


def _may_hold_mentions(value: object) -> bool:
    """Return whether the value of an unknown field is a list of lists or objects."""
    return isinstance(value, list) and any(isinstance(item, (list, dict)) for item in value)


def _first_fields(values: Json) -> str:
    return ", ".join(map(shown, list(values)[:8])) or "no fields"


def _entity(values: object, text: str) -> Entity:
    if not isinstance(values, dict):
        raise FormatError(f"a mention must be an object, got {shown(values)}")
    if "spans" in values or "start" not in values:
        spans = _spans(values, "spans")
    else:
        spans = (Span(whole_of(values, "start"), whole_of(values, "end")),)
    entity_type = text_of(values, "label" if "label" in values and "type" not in values else "type")
    infons = Infons({**others(values, *_ENTITY_FIELDS), **infons_of(values)})
    mention = text_of(values, "text") if "text" in values else None
    return placed(Entity(spans, entity_type, tuple(texts_of(values, "ids")), score_of(values), infons), text, mention)


def _relation(values: object) -> Relation:
    if not isinstance(values, dict):
        raise FormatError(f"a relation must be an object, got {shown(values)}")
    arguments = _pairs(values, "arguments")
    if not all(isinstance(role, str) and isinstance(target, str) for role, target in arguments):
        raise FormatError('"arguments" must be pairs of texts: [["ROLE", "ID"], …]')
    return Relation(text_of(values, "type"), cast(tuple[tuple[str, str], ...], arguments), infons_of(values))


def _spans(values: Json, key: str) -> tuple[Span, ...]:
    spans = _pairs(values, key)
    if not all(type(start) is int and type(end) is int for start, end in spans):
        raise FormatError(f'"{key}" must be pairs of offsets: [[START, END], …]')
    return tuple(Span(start, end) for start, end in cast(tuple[tuple[int, int], ...], spans))


def _pairs(values: Json, key: str) -> tuple[tuple[object, ...], ...]:
    pairs = values.get(key, [])
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise FormatError(f'"{key}" must be a list of pairs, got {shown(pairs)}')
    return tuple(tuple(pair) for pair in pairs)


def write(documents: Iterable[Document], sink: Sink, lost: Counter[str]) -> None:
    """Write one document on each line without loss; empty fields other than `entities` are left out."""
    with sink.open() as out:
        for document in documents:
            out.write(json.dumps(document.to_dict(), ensure_ascii=False) + "\n")  # `json.dump` does not use C


def _looks_like(head: bytes) -> bool:
    match = re.match(rb'\s*\{[^\n]*(?<!\\)"(text|tokens)"\s*:', head)
    return match is not None and not any(export.sniff(head) for export in EXPORTS)


FORMAT = Format("jsonl", (".jsonl", ".ndjson"), read, write, sniff=_looks_like, ambiguous=True)
