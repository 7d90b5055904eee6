"""JSON Lines of doccano; input only.

Mentions are triples `[START, END, TYPE]` under `label` (or `labels`), or objects with `start_offset`, `end_offset`
and `label` under `entities` (or `annotations`), which relations may connect.
"""

from __future__ import annotations

from biomark.errors import FormatError
from biomark.formats.exports import Export, others
from biomark.formats.json_values import Json, as_text, list_of, objects_of, shown, text_of, whole_of
from biomark.formats.parts import PartContext, placed
from biomark.spans import Document, Entity, Relation, Span

_LABELS = ("label", "labels", "entities", "annotations")


def _fits(values: Json) -> bool:
    """Return whether an object has mentions in doccano's form; labels that are texts classify whole documents."""
    if "spans" in values or "tokens" in values:
        return False
    return any(_is_label(item) for key in _LABELS if isinstance(items := values.get(key), list) for item in items)


def _is_label(item: object) -> bool:
    if isinstance(item, dict):
        return "start_offset" in item
    return isinstance(item, list) and len(item) == 3


def _document(values: Json, parts: PartContext) -> Document:
    key = "text" if "text" in values or "data" not in values else "data"
    text = text_of(values, key)
    labels = [label for name in _LABELS for label in list_of(values, name)]
    return Document(
        parts.document_id,
        text,
        entities=tuple(parts.each(lambda label: _entity(label, text), labels)),
        relations=tuple(parts.each(_relation, objects_of(values, "relations"))),
        infons=others(values, "id", key, *_LABELS, "relations"),
    )


def _entity(label: object, text: str) -> Entity:
    if isinstance(label, dict):
        span = Span(whole_of(label, "start_offset"), whole_of(label, "end_offset"))
        infons = others(label, "start_offset", "end_offset", "label")
        return placed(Entity((span,), text_of(label, "label"), infons=infons), text)
    if not isinstance(label, list) or len(label) != 3:
        raise FormatError(f"a mention must be [START, END, TYPE], got {shown(label)}")
    fields = {"start": label[0], "end": label[1]}
    return placed(Entity((Span(whole_of(fields, "start"), whole_of(fields, "end")),), as_text(label[2])), text)


def _relation(values: Json) -> Relation:
    arguments = (("", text_of(values, "from_id")), ("", text_of(values, "to_id")))
    return Relation(text_of(values, "type"), arguments, others(values, "from_id", "to_id", "type"))


EXPORT = Export(
    ("id",),
    _fits,
    _document,
    rb'"start_offset"\s*:|"labels?"\s*:\s*\[\s*\[\s*\d+\s*,\s*\d+\s*,\s*"|"(?:entities|annotations)"\s*:\s*\[\s*\[\s*\d+',
)
FORMAT = EXPORT.format("doccano")
