"""JSON Lines of Prodigy, and spaCy's `Doc.to_json`; input only.

Mentions are objects with `start`, `end` and `label` under `spans` (spaCy: `ents`). Documents that the annotator
rejected or ignored are rejected.
"""

from __future__ import annotations

from collections.abc import Iterator

from biomark.errors import FormatError
from biomark.formats.exports import Export, others
from biomark.formats.json_values import Json, as_text, objects_of, text_of, whole_of
from biomark.formats.parts import PartContext, placed
from biomark.spans import Document, Entity, Relation, Span

_MENTIONS = ("spans", "ents")
_KNOWN = ("start", "end", "label", "text", "token_start", "token_end", "kb_id")


def _fits(values: Json) -> bool:
    if "_task_hash" in values or "_input_hash" in values:
        return "text" in values
    return "text" in values and any(
        isinstance(span, dict) and "start" in span and "label" in span for span in _spans(values)
    )


def _document(values: Json, parts: PartContext) -> Document:
    if values.get("answer", "accept") != "accept":
        raise FormatError(f"the annotator's answer is {as_text(values['answer'])}, not accept")
    text = text_of(values, "text")
    return Document(
        parts.document_id,
        text,
        sentences=tuple(parts.each(_span, objects_of(values, "sents"))),
        entities=tuple(parts.each(lambda span: _entity(span, text), _spans(values))),
        relations=tuple(parts.each(lambda values: _relation(values, text), objects_of(values, "relations"))),
        infons=others(values, "id", "text", *_MENTIONS, "sents", "relations", "tokens", "answer"),
    )


def _spans(values: Json) -> Iterator[object]:
    """Yield the mentions of an object; spaCy may have its spans in named groups."""
    for key in _MENTIONS:
        spans = values.get(key) or []
        for group in spans.values() if isinstance(spans, dict) else [spans]:
            yield from group if isinstance(group, list) else [group]


def _span(values: Json) -> Span:
    return Span(whole_of(values, "start"), whole_of(values, "end"))


def _entity(values: object, text: str) -> Entity:
    if not isinstance(values, dict):
        raise FormatError("a mention must be a JSON object")
    ids = (text_of(values, "kb_id"),) if values.get("kb_id") else ()
    entity = Entity((_span(values),), text_of(values, "label"), ids, infons=others(values, *_KNOWN))
    return placed(entity, text, text_of(values, "text") if "text" in values else None)


def _relation(values: Json, text: str) -> Relation:
    """Read a relation; its arguments, which are spans in Prodigy, become the offsets of the spans."""
    ends = []
    for key in ("head_span", "child_span"):
        span = values.get(key)
        if not isinstance(span, dict):
            raise FormatError(f'the relation has no "{key}"')
        ends.append(f"{whole_of(span, 'start')}-{whole_of(span, 'end')}")
    return Relation(text_of(values, "label"), (("head", ends[0]), ("child", ends[1])))


EXPORT = Export(
    ("id", "doc_id", "_task_hash"),
    _fits,
    _document,
    rb'"(?:spans|ents)"\s*:\s*\[\s*\{|"_(?:task|input)_hash"\s*:',
)
FORMAT = EXPORT.format("prodigy")
