"""JSON output of BERN2 for texts or PubMed abstracts; input only."""

from __future__ import annotations

from biomark.errors import FormatError
from biomark.formats.exports import Export, others
from biomark.formats.identifiers import split_ids
from biomark.formats.json_values import Json, objects_of, score_of, text_of, whole_of
from biomark.formats.parts import PartContext, placed
from biomark.spans import Document, Entity, Span

_NO_ID = ("CUI-less", "-", "")


def _fits(values: Json) -> bool:
    annotations = values.get("annotations")
    return isinstance(annotations, list) and any(isinstance(item, dict) and "obj" in item for item in annotations)


def _document(values: Json, parts: PartContext) -> Document:
    if values.get("error_code"):
        raise FormatError(f"BERN2 reported an error: {values.get('error_message') or values['error_code']}")
    text = text_of(values, "text")
    entities = parts.each(lambda annotation: _entity(annotation, text), objects_of(values, "annotations"))
    infons = others(values, "pmid", "id", "text", "annotations", "timestamp", "sha256", "error_code")
    return Document(parts.document_id, text, entities=tuple(entities), infons=infons)


def _entity(values: Json, text: str) -> Entity:
    place = values.get("span")
    if not isinstance(place, dict):
        raise FormatError('the annotation has no "span"')
    span = Span(whole_of(place, "begin"), whole_of(place, "end"))
    mention = text_of(values, "mention") if "mention" in values else None
    listed = values.get("id") or []
    names = listed if isinstance(listed, list) else [listed]
    ids = tuple(
        identifier for name in names if isinstance(name, str) and name not in _NO_ID for identifier in split_ids(name)
    )
    infons = others(values, "span", "mention", "obj", "prob", "id")
    return placed(Entity((span,), text_of(values, "obj"), ids, score_of(values, "prob"), infons), text, mention)


EXPORT = Export(
    ("pmid", "id"),
    _fits,
    _document,
    rb'"annotations"\s*:\s*\[\s*\{[^}]{0,2000}?"(?:obj|mention|is_neural_normalized)"\s*:',
)
FORMAT = EXPORT.format("bern2")
