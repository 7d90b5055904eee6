"""JSON of PubAnnotation, which PubDictionaries, BERN and others also write; input only.

Mentions are `denotations` (and `blocks`) with a `span`, or with `begin` and `end`, and `obj` as their type; a list of
spans is a discontinuous mention. Attributes become infons of their mention, relations are kept, and the annotations of
each project in `tracks` are read.
"""

from __future__ import annotations

from dataclasses import replace

from biomark.errors import FormatError
from biomark.formats.exports import Export, others
from biomark.formats.json_values import Json, as_text, list_of, objects_of, text_of, whole_of
from biomark.formats.parts import PartContext, placed
from biomark.formats.placing import short
from biomark.spans import Document, Entity, Relation, Span

_LISTS = ("denotations", "blocks", "relations", "attributes", "modifications")


def _fits(values: Json) -> bool:
    return "denotations" in values or ("tracks" in values and "text" in values)


def _document(values: Json, parts: PartContext) -> Document:
    text = text_of(values, "text")
    entities: list[Entity] = []
    relations: list[Relation] = []
    for track in (values, *objects_of(values, "tracks")):
        project = {} if track is values else {"project": as_text(track.get("project") or "")}
        attributes = _attributes(track, parts)
        denotations = [*list_of(track, "denotations"), *list_of(track, "blocks")]
        for annotation_id, entity in parts.each(lambda item: _entity(item, text), denotations):
            infons = entity.infons.with_(
                **attributes.pop(annotation_id, {}), **({"id": annotation_id} if annotation_id else {}), **project
            )
            entities.append(replace(entity, infons=infons))
        for relation in parts.each(_relation, list_of(track, "relations")):
            relation_attributes = attributes.pop(relation.infons.get("id", ""), {})
            relations.append(replace(relation, infons=relation.infons.with_(**relation_attributes)))
        for subject in attributes:
            parts.reject_part(f"attributes of {short(subject)}, which is not a readable mention or relation")
    infons = others(values, "sourceid", "id", "divid", "text", "tracks", *_LISTS)
    return Document(parts.document_id, text, entities=tuple(entities), relations=tuple(relations), infons=infons)


def _entity(item: object, text: str) -> tuple[str, Entity]:
    values = _object(item)
    places = values.get("span", values)
    spans = tuple(sorted(_span(_object(place)) for place in (places if isinstance(places, list) else [places])))
    infons = others(values, "id", "span", "begin", "end", "obj")
    return text_of(values, "id", default=""), placed(Entity(spans, text_of(values, "obj"), infons=infons), text)


def _span(place: Json) -> Span:
    return Span(whole_of(place, "begin"), whole_of(place, "end"))


def _object(item: object) -> Json:
    if not isinstance(item, dict):
        raise FormatError("expected a JSON object")
    return item


def _attributes(track: Json, parts: PartContext) -> dict[str, dict[str, str]]:
    """Return, for each mention or relation id, its attributes and modifications by name."""
    attributes: dict[str, dict[str, str]] = {}

    def read(item: object) -> tuple[str, str, str]:
        values = _object(item)
        key = "subj" if "subj" in values else "obj"  # a modification has its target under `obj`
        value = as_text(values.get("obj", "")) if key == "subj" else "true"
        return text_of(values, key), text_of(values, "pred"), value

    for subject, name, value in parts.each(read, [*list_of(track, "attributes"), *list_of(track, "modifications")]):
        by_name = attributes.setdefault(subject, {})
        by_name[name] = f"{by_name[name]}|{value}" if name in by_name else value
    return attributes


def _relation(item: object) -> Relation:
    values = _object(item)
    arguments = (("subj", text_of(values, "subj")), ("obj", text_of(values, "obj")))
    return Relation(text_of(values, "pred"), arguments, others(values, "subj", "obj", "pred"))


EXPORT = Export(("sourceid", "id"), _fits, _document, rb'"(?:denotations|tracks)"\s*:\s*\[', section="divid")
FORMAT = EXPORT.format("pubannotation")
