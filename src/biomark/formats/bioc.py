"""BioC between its XML or JSON and a `Document`; what `bioc_xml` and `bioc_json` share.

The text is laid out by the offsets of passages and sentences, which need not start at 0 or touch:
one character of a gap is a line end, what is before it blanks. Offsets are code points, and an
annotation whose text is not at its offsets is rejected. Identifiers are read from the infons that
`_ID_KEYS` lists; an infon stays unless it says nothing that `Entity.ids` does not.

What the model of BioC has no place for is kept in infons of our own: `biomark` marks passages that
only hold text outside passages (`text`) and annotations that are alternatives (`alternative`).
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from biomark.errors import FormatError, SpanError
from biomark.formats.base import Reject, Source
from biomark.formats.identifiers import split_ids
from biomark.formats.losses import add
from biomark.spans import Document, Entity, Infons, Passage, Relation, Span

_ID_KEYS = ("identifier", "mesh", "omim", "ncbigene", "geneid", "ncbitaxonomy", "ncbitaxon", "taxonomyid", "rsid")
_MARK = "biomark"
_IDS = "biomark ids"
_SENTENCE = "sentence"
# Relations without nodes name their arguments in infons; these are none.
_NO_ARGUMENTS = ("type", "relation", "novel", "score")
_WIDEST_GAP = 10_000_000  # code points; beyond it an offset is taken for a mistake


@dataclass(slots=True)
class Annotation:
    """An annotation; `locations` are pairs of offset and length."""

    id: str
    infons: dict[str, str]
    locations: list[tuple[int, int]]
    text: str | None
    line: int | None = None


@dataclass(slots=True)
class Link:
    """A relation; `nodes` are pairs of role and identifier."""

    id: str
    infons: dict[str, str]
    nodes: list[tuple[str, str]]


@dataclass(slots=True)
class Part:
    """A passage, or a sentence of one (`parts`)."""

    offset: int
    text: str | None
    infons: dict[str, str]
    annotations: list[Annotation] = field(default_factory=list)
    relations: list[Link] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)


@dataclass(slots=True)
class Record:
    """A document; `relations` are those outside its passages."""

    id: str
    infons: dict[str, str]
    passages: list[Part]
    annotations: list[Annotation] = field(default_factory=list)
    relations: list[Link] = field(default_factory=list)
    line: int | None = None


def read_record(record: Record, source: Source, reject: Reject) -> Document:
    """The document of a record; annotations that do not fit are rejected.

    Raises:
        FormatError: if its text cannot be laid out.
        SpanError: if its parts overlap.
    """
    text, passages, sentences, infons = _layout(record)
    parts = [part for passage in record.passages for part in (passage, *passage.parts)]
    links = [*(link for part in parts for link in part.relations), *record.relations]
    targets = {target for link in links for _, target in link.nodes}
    entities: list[Entity] = []
    alternatives: list[Entity] = []
    annotations = [*(a for part in parts for a in part.annotations), *record.annotations]
    for number, annotation in enumerate(annotations):
        try:
            entity = _entity(annotation, text)
        except (SpanError, FormatError) as error:
            raw = annotation.text or ""
            source.reject(reject, str(error), raw=raw, document_id=record.id, line=annotation.line or record.line)
            continue
        if annotation.id != str(number) or annotation.id in targets:
            entity = replace(entity, infons=entity.infons.with_(id=annotation.id))
        if entity.infons.get(_MARK) == "alternative":
            alternatives.append(replace(entity, infons=entity.infons.without(_MARK)))
        else:
            entities.append(entity)
    return Document(
        record.id,
        text,
        tuple(passages),
        tuple(sentences),
        tuple(entities),
        tuple(alternatives),
        tuple(_relation(number, link) for number, link in enumerate(links)),
        infons,
    )


class _Text:
    """Text laid out by offsets."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0

    def lay(self, offset: int, text: str) -> Span | None:
        """Put `text` at `offset`; None if it is empty."""
        if not text:
            return None
        gap = offset - self._length
        if gap < 0:
            raise FormatError(f"a passage or sentence at offset {offset} begins inside the one before ({self._length})")
        if gap > _WIDEST_GAP:
            raise FormatError(f"a passage or sentence at offset {offset} is far beyond the one before ({self._length})")
        self._pieces += (_padding(gap), text)
        self._length = offset + len(text)
        return Span(offset, self._length)

    def __str__(self) -> str:
        return "".join(self._pieces)


def _padding(length: int) -> str:
    """What stands in the text where no passage does."""
    return " " * (length - 1) + "\n" if length else ""


def _layout(record: Record) -> tuple[str, list[Passage], list[Span], Infons]:
    """Text, passages, sentences and infons of the document."""
    text = _Text()
    passages: list[Passage] = []
    sentences: list[Span] = []
    infons = dict(record.infons)
    for passage in record.passages:
        whole = None if passage.text is None else text.lay(passage.offset, passage.text)
        for sentence in passage.parts:
            if passage.text is None:
                span = text.lay(sentence.offset, sentence.text or "")
            else:
                span = _inside(sentence, passage.offset, passage.text)
            if span:
                sentences.append(span)
                whole = whole or span
                whole = Span(whole.start, max(whole.end, span.end))
                infons |= {f"{_SENTENCE} {span.start} {key}": value for key, value in sentence.infons.items()}
        if whole and passage.infons.get(_MARK) != "text":
            others = {key: value for key, value in passage.infons.items() if key != "type"}
            passages.append(Passage(whole, passage.infons.get("type", ""), Infons(others)))
    return str(text), passages, sentences, Infons(infons)


def _inside(sentence: Part, offset: int, text: str) -> Span | None:
    """The sentence's place in a passage that has a text of its own."""
    start = sentence.offset - offset
    end = start + len(sentence.text or "")
    if not sentence.text:
        return None
    if start < 0 or text[start:end] != sentence.text:
        raise FormatError(f"the sentence at offset {sentence.offset} is not in its passage's text there")
    return Span(sentence.offset, offset + end)


def _entity(annotation: Annotation, text: str) -> Entity:
    if not annotation.locations:
        raise FormatError(f"annotation {annotation.id} has no location")
    spans = tuple(sorted(Span(offset, offset + length) for offset, length in annotation.locations))
    where = " and ".join(f"{span.start}-{span.end}" for span in spans)
    hint = "" if text.isascii() else "; offsets must count code points, not bytes or UTF-16 units"
    if spans[-1].end > len(text):
        raise FormatError(f"offsets {where} lie beyond the end of the text ({len(text)} code points){hint}")
    found = " ".join(span.of(text) for span in spans)
    if annotation.text is not None and "".join(found.split()) != "".join(annotation.text.split()):
        raise FormatError(f"at {where} the text has {found!r}, not {annotation.text!r}{hint}")
    infons = dict(annotation.infons)
    type = infons.pop("type", "")
    score = _score(infons)
    return Entity(spans, type, _ids(infons), score, Infons(infons))


def _score(infons: dict[str, str]) -> float | None:
    """The score in the infons, taken out of them if it is one of ours: a number from 0 to 1."""
    try:
        score = float(infons["score"])
    except (KeyError, ValueError):
        return None
    if not 0.0 <= score <= 1.0 or repr(score) != infons["score"]:
        return None
    del infons["score"]
    return score


def _ids(infons: dict[str, str]) -> tuple[str, ...]:
    """The identifiers in the infons; what then says nothing more is taken out of them."""
    if _IDS in infons:
        return _listed(infons.pop(_IDS))
    ids: list[str] = []
    for key, value in infons.items():
        if _is_id(key):
            ids += [id for id in split_ids(value) if id not in ids] if ids else split_ids(value)
    if ids and "|".join(ids) == infons.get("identifier"):
        del infons["identifier"]
    return tuple(ids)


def _listed(ids: str) -> tuple[str, ...]:
    try:
        listed = json.loads(ids)
    except ValueError as error:
        raise FormatError(f"infon {_IDS!r} is not JSON: {error}") from error
    if not isinstance(listed, list) or not all(isinstance(id, str) for id in listed):
        raise FormatError(f"infon {_IDS!r} is not a list of texts")
    return tuple(listed)


def _is_id(key: str) -> bool:
    return key.casefold().replace(" ", "").replace("_", "") in _ID_KEYS


def _relation(number: int, link: Link) -> Relation:
    infons = dict(link.infons)
    name = "type" if "type" in infons else "relation"
    type = infons.pop(name, "")
    if link.id != f"R{number}":
        infons["id"] = link.id
    if link.nodes:
        return Relation(type, tuple(link.nodes), Infons(infons))
    keys = [key for key in link.infons if key not in (*_NO_ARGUMENTS, "id")]
    arguments = tuple(("" if key == f"entity{place}" else key, infons.pop(key)) for place, key in enumerate(keys, 1))
    return Relation(type, arguments, Infons(infons))


def write_record(document: Document, lost: Counter[str]) -> Record:
    """The record that `read_record` makes the document of again; mentions come in the order of passages."""
    passages = list(_passages(document))
    taken: set[str] = set()
    for sentence in document.sentences:
        around = next((p for p in passages if p.offset <= sentence.start and sentence.end <= _end(p)), None)
        if around is None:
            lost["sentence offsets (sentences that cross passages)"] += 1
            continue
        prefix = f"{_SENTENCE} {sentence.start} "
        own = {key.removeprefix(prefix): v for key, v in document.infons.items() if key.startswith(prefix)}
        taken |= {prefix + key for key in own}
        around.parts.append(Part(sentence.start, sentence.of(document.text), own))
    marked = (replace(a, infons=a.infons.with_(**{_MARK: "alternative"})) for a in document.alternatives)
    ends = [_end(passage) for passage in passages]
    entities = sorted((*document.entities, *marked), key=lambda e: bisect_right(ends, e.start))
    for number, entity in enumerate(entities):
        passages[bisect_right(ends, entity.start)].annotations.append(_annotation(number, entity, document.text))
    known = {entity.infons["id"] for entity in entities if "id" in entity.infons}
    infons = [part.infons for parts in (document.passages, document.entities, document.relations) for part in parts]
    add(lost, "infons called type", sum("type" in own for own in infons))
    add(lost, "infons called score", sum(e.score is not None and "score" in e.infons for e in document.entities))
    relations = [_link(number, relation, known) for number, relation in enumerate(document.relations)]
    return Record(document.id, dict(document.infons.without(*taken)), passages, relations=relations)


def _end(passage: Part) -> int:
    return passage.offset + len(passage.text or "")


def _passages(document: Document) -> Iterator[Part]:
    """The passages, and marked ones for text that they leave out."""
    at = 0
    for passage in document.passages:
        between = document.text[at : passage.span.start]
        if between != _padding(len(between)):
            yield Part(at, between, {_MARK: "text"})
        infons = {**({"type": passage.kind} if passage.kind else {}), **passage.infons.without("type")}
        yield Part(passage.span.start, passage.span.of(document.text), infons)
        at = passage.span.end
    if at < len(document.text):
        yield Part(at, document.text[at:], {_MARK: "text"})


def _annotation(number: int, entity: Entity, text: str) -> Annotation:
    infons = {**({"type": entity.type} if entity.type else {}), **_with_ids(entity)}
    if entity.score is not None:
        infons["score"] = repr(float(entity.score))
    name = infons.pop("id", str(number))
    locations = [(span.start, len(span)) for span in entity.spans]
    return Annotation(name, infons, locations, entity.mention(text))


def _with_ids(entity: Entity) -> dict[str, str]:
    """The infons from which `_ids` gives the entity's identifiers and leaves its own infons."""
    infons = dict(entity.infons.without("type"))
    joined = {**infons, "identifier": "|".join(entity.ids)}
    for candidate in (infons, joined):
        left = dict(candidate)
        if _ids(left) == entity.ids and left == infons:
            return candidate
    return {**infons, _IDS: json.dumps(entity.ids, ensure_ascii=False)}


def _link(number: int, relation: Relation, known: set[str]) -> Link:
    """Nodes where the arguments are annotations, or where infons cannot hold them."""
    infons = {"type": relation.type, **relation.infons.without("type")}
    name = infons.pop("id", f"R{number}")
    named = {role or f"entity{place}": id for place, (role, id) in enumerate(relation.arguments, 1)}
    plain = len(named) == len(relation.arguments) and not any(
        re.match(r"entity\d", role) for role, _ in relation.arguments
    )
    plain = plain and set(infons) <= set(_NO_ARGUMENTS) and not set(named) & {*_NO_ARGUMENTS, "id"}
    if plain and not all(id in known for _, id in relation.arguments):
        return Link(name, {**infons, **named}, [])
    return Link(name, infons, list(relation.arguments))
