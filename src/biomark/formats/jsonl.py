"""JSON Lines: biomark's own form, a document a line, which holds all of a `Document`.

The fields are those of `biomark.spans.Document`; `docs/formats.md` lists them. Lines with `tokens`
and `tags` instead of a text, as many NER data sets have them, are read like CoNLL sentences.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

from biomark.errors import FormatError, SpanError
from biomark.formats.base import Format, Line, Reject, Sink, Source
from biomark.formats.conll import Token, tagged_document
from biomark.spans import Document, Entity, Infons, Passage, Relation, Span

Json = Mapping[str, object]


def read(source: Source, reject: Reject) -> Iterator[Document]:
    """A document a line; see the module."""
    for line in source.lines(reject):
        if not line.text.strip():
            continue
        id: str | None = None
        try:
            values = _parsed(line)
            id = text_of(values, "id", default=str(line.number))
            if "\\u" in line.text:
                no_surrogates(values)
            yield _tagged(id, values) if "tokens" in values else _document(id, values)
        except (FormatError, SpanError) as error:
            source.reject(reject, str(error), raw=line.text, document_id=id, line=line.number)


def _parsed(line: Line) -> Json:
    if line.problem:
        raise FormatError(line.problem)
    try:
        values = json.loads(line.text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise FormatError("a line holds one JSON object, a document")
    return values


def no_surrogates(values: object) -> None:
    """Refuse halves of UTF-16 pairs: from escapes, or from bytes that are not UTF-8.

    Raises:
        FormatError: if there is one.
    """
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise FormatError(
            "holds bytes that are not UTF-8, or escapes for half a character (\\ud800 to \\udfff)"
        ) from error


def _tagged(id: str, values: Json) -> Document:
    tokens, tags = texts_of(values, "tokens"), texts_of(values, "tags")
    if len(tokens) != len(tags):
        raise FormatError(f"there are {len(tokens)} tokens and {len(tags)} tags")
    return tagged_document(id, [[Token(token, tag) for token, tag in zip(tokens, tags, strict=True)]])


def _document(id: str, values: Json) -> Document:
    if "text" not in values:
        raise FormatError('there is neither "text" nor "tokens" and "tags"')
    return Document(
        id,
        text_of(values, "text"),
        passages=tuple(
            Passage(Span(_number(p, "start"), _number(p, "end")), text_of(p, "kind", default=""), infons_of(p))
            for p in objects_of(values, "passages")
        ),
        sentences=_spans(values, "sentences"),
        entities=tuple(_entity(e) for e in objects_of(values, "entities")),
        alternatives=tuple(_entity(e) for e in objects_of(values, "alternatives")),
        relations=tuple(_relation(r) for r in objects_of(values, "relations")),
        infons=infons_of(values),
    )


def _entity(values: Json) -> Entity:
    ids = tuple(texts_of(values, "ids"))
    return Entity(_spans(values, "spans"), text_of(values, "type"), ids, score_of(values), infons_of(values))


def _relation(values: Json) -> Relation:
    arguments = _pairs(values, "arguments")
    if not all(isinstance(role, str) and isinstance(id, str) for role, id in arguments):
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
        raise FormatError(f'"{key}" must be a list of pairs, not {pairs!r:.80}')
    return tuple(tuple(pair) for pair in pairs)


def _number(values: Json, key: str) -> int:
    number = values.get(key)
    if type(number) is not int:
        raise FormatError(f'"{key}" must be a whole number, not {number!r:.80}')
    return number


def score_of(values: Json) -> float | None:
    """The number under `score`, if there is one.

    Raises:
        FormatError: if it is something else.
    """
    score = values.get("score")
    if score is not None and (isinstance(score, bool) or not isinstance(score, (int, float))):
        raise FormatError(f'"score" must be a number, not {score!r}')
    return score


def infons_of(values: Json) -> Infons:
    """The texts under `infons`.

    Raises:
        FormatError: if it is no object of texts.
    """
    infons = values.get("infons", {})
    if not isinstance(infons, dict) or not all(isinstance(value, str) for value in infons.values()):
        raise FormatError('"infons" must be an object whose values are texts')
    return Infons(infons)


def text_of(values: Json, key: str, *, default: str | None = None) -> str:
    """The text under `key`; a whole number is taken as one.

    Raises:
        FormatError: if it is something else, or not there without a default.
    """
    value = values.get(key, default)
    if type(value) is int:
        return str(value)
    if not isinstance(value, str):
        raise FormatError(f'"{key}" must be a text, not {value!r:.80}' if key in values else f'"{key}" is not there')
    return value


def texts_of(values: Json, key: str) -> Sequence[str]:
    """The list of texts under `key`; empty if it is not there.

    Raises:
        FormatError: if it is something else.
    """
    value = values.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise FormatError(f'"{key}" must be a list of texts, not {value!r:.80}')
    return value


def objects_of(values: Json, key: str) -> Sequence[Json]:
    """The list of objects under `key`; empty if it is not there or null.

    Raises:
        FormatError: if it is something else.
    """
    value = values.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise FormatError(f'"{key}" must be a list of objects, not {value!r:.80}')
    return value


def write(documents: Iterable[Document], sink: Sink, lost: Counter[str]) -> None:
    """Write a document a line; nothing is lost, and fields that are empty are left out."""
    with sink.open() as out:
        for document in documents:
            json.dump(_values(document), out, ensure_ascii=False)
            out.write("\n")


def _values(document: Document) -> dict[str, object]:
    passages = [
        {"start": p.span.start, "end": p.span.end, **_filled(kind=p.kind, infons=dict(p.infons))}
        for p in document.passages
    ]
    relations = [{"type": r.type, **_filled(arguments=r.arguments, infons=dict(r.infons))} for r in document.relations]
    return {
        "id": document.id,
        "text": document.text,
        **_filled(
            passages=passages,
            sentences=[[s.start, s.end] for s in document.sentences],
            entities=[_entity_values(e) for e in document.entities],
            alternatives=[_entity_values(e) for e in document.alternatives],
            relations=relations,
            infons=dict(document.infons),
        ),
    }


def _entity_values(entity: Entity) -> dict[str, object]:
    score = {} if entity.score is None else {"score": entity.score}
    return {
        "spans": [[s.start, s.end] for s in entity.spans],
        "type": entity.type,
        **_filled(ids=entity.ids, infons=dict(entity.infons)),
        **score,
    }


def _filled(**fields: object) -> dict[str, object]:
    return {key: value for key, value in fields.items() if value}


FORMAT = Format(
    "jsonl",
    (".jsonl", ".ndjson"),
    read,
    write,
    sniff=lambda head: re.match(rb'\s*\{[^\n]*(?<!\\)"(text|tokens)"\s*:', head) is not None,
    ambiguous=True,
)
