"""Annotated documents of LangExtract; input only.

An extraction without offsets is rejected. If LangExtract aligned it although its words differ from the text
(`match_fuzzy`, `match_lesser`, `match_greater`), the offsets are kept and its words become an infon.
"""

from __future__ import annotations

from biomark.errors import FormatError
from biomark.formats.exports import Export, others
from biomark.formats.json_values import Json, objects_of, text_of, whole_of
from biomark.formats.parts import PartContext, placed
from biomark.formats.placing import fits
from biomark.spans import Document, Entity, Span


def _fits(values: Json) -> bool:
    return isinstance(values.get("extractions"), list)


def _document(values: Json, parts: PartContext) -> Document:
    text = text_of(values, "text")
    extractions = objects_of(values, "extractions")
    entities = parts.each(lambda extraction: _entity(extraction, text), extractions)
    infons = others(values, "document_id", "id", "text", "extractions")
    return Document(parts.document_id, text, entities=tuple(entities), infons=infons)


def _entity(values: Json, text: str) -> Entity:
    place = values.get("char_interval")
    if not isinstance(place, dict):
        raise FormatError("the extraction has no offsets (char_interval)")
    span = Span(whole_of(place, "start_pos"), whole_of(place, "end_pos"))
    mention = text_of(values, "extraction_text")
    infons = others(values, "char_interval", "extraction_class", "extraction_text", "token_interval")
    inexact = infons.get("alignment_status") in ("match_fuzzy", "match_lesser", "match_greater")
    if inexact and not fits(span.of(text), mention):
        infons, mention = infons.with_(extraction_text=mention), span.of(text)
    return placed(Entity((span,), text_of(values, "extraction_class"), infons=infons), text, mention)


EXPORT = Export(("document_id", "id"), _fits, _document, rb'"extractions"\s*:\s*\[|"extraction_class"\s*:')
FORMAT = EXPORT.format("langextract")
