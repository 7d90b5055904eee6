"""Conversion of BioC records from and to a `Document`, shared by `bioc_xml` and `bioc_json`.

The text is laid out by the offsets of passages and sentences, which need not start at 0 or be adjacent: a gap is
filled with blanks and a line end. Offsets are code points, and an annotation whose text is not at its offsets is
rejected. Identifiers are read from the infons that `_ID_KEYS` lists; an infon is dropped only if it merely repeats
`Entity.ids`.

Information that BioC cannot represent is kept in infons of biomark's own: the infon `biomark` is `text` for passages
that only hold text outside passages, and `alternative` for annotations that are alternatives.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from biomark.errors import FormatError
from biomark.formats.identifiers import split_ids, variant_id
from biomark.formats.json_values import parsed
from biomark.formats.losses import add
from biomark.formats.parts import PartContext, placed
from biomark.formats.placing import short
from biomark.spans import Document, Entity, Infons, Passage, Relation, Span

_ID_KEYS = ("identifier", "mesh", "omim", "ncbigene", "geneid", "ncbitaxonomy", "ncbitaxon", "taxonomyid", "rsid")
_MARK = "biomark"
_IDS = "biomark ids"
_SENTENCE = "sentence"
_NODES = "biomark nodes"
# Relations without nodes name their arguments in infons; the infons with these keys are not arguments.
_NO_ARGUMENTS = ("type", "relation", "novel", "score")
_MOST_BLANKS = 1_000_000  # code points between passages; an offset that needs more is an error


@dataclass(slots=True)
class Annotation:
    """A BioC annotation; `locations` are pairs of offset and length in code points."""

    id: str
    infons: dict[str, str]
    locations: list[tuple[int, int]]
    text: str | None
    line: int | None = None


@dataclass(slots=True)
class RelationRecord:
    """A BioC relation; `nodes` are pairs of role and identifier."""

    id: str
    infons: dict[str, str]
    nodes: list[tuple[str, str]]


@dataclass(slots=True)
class PassageRecord:
    """A BioC passage, whose sentences are its `parts`, or a sentence."""

    offset: int
    text: str | None
    infons: dict[str, str]
    annotations: list[Annotation] = field(default_factory=list)
    relations: list[RelationRecord] = field(default_factory=list)
    parts: list[PassageRecord] = field(default_factory=list)


@dataclass(slots=True)
class Record:
    """A BioC document; `annotations` and `relations` are those outside its passages."""

    id: str
    infons: dict[str, str]
    passages: list[PassageRecord]
    annotations: list[Annotation] = field(default_factory=list)
    relations: list[RelationRecord] = field(default_factory=list)
    line: int | None = None


def read_record(record: Record, parts: PartContext) -> Document:
    """Convert a record into a document; sentences and annotations that do not fit the text are rejected.

    Raises:
        FormatError: if passages or sentences overlap, or are too far apart, so that there is no text.
    """
    text, passages, sentences, infons = _layout(record, parts)
    everything = [part for passage in record.passages for part in (passage, *passage.parts)]
    links = [*(link for part in everything for link in part.relations), *record.relations]
    targets = {target for link in links for _, target in link.nodes}
    entities: list[Entity] = []
    alternatives: list[Entity] = []
    annotations = [*(a for part in everything for a in part.annotations), *record.annotations]

    def read(numbered: tuple[int, Annotation]) -> Entity:
        number, annotation = numbered
        entity = _entity(annotation, text)
        if annotation.id == str(number) and annotation.id not in targets:
            return entity
        return replace(entity, infons=entity.infons.with_(id=annotation.id))

    for entity in parts.each(read, enumerate(annotations), raw=lambda n: n[1].text or "", line=lambda n: n[1].line):
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
    """A text that is assembled from pieces at given offsets."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0
        self._blanks = 0

    def lay(self, offset: int, text: str) -> Span | None:
        """Add `text` at `offset` and return its span; None if it is empty.

        Raises:
            FormatError: if the offset lies inside the piece before, or too far behind it.
        """
        if not text:
            return None
        gap = offset - self._length
        if gap < 0:
            raise FormatError(f"the passage at offset {offset} begins before the previous one ends ({self._length})")
        self._blanks += gap
        if self._blanks > _MOST_BLANKS:
            raise FormatError(
                f"the passage at offset {offset} is too far behind the end of the previous one ({self._length}); "
                f"a document may have at most {_MOST_BLANKS:,} blanks between its passages"
            )
        self._pieces += (_padding(gap), text)
        self._length = offset + len(text)
        return Span(offset, self._length)

    def __str__(self) -> str:
        return "".join(self._pieces)


def _padding(length: int) -> str:
    """Return the text that fills a gap between passages."""
    return " " * (length - 1) + "\n" if length else ""


def _layout(record: Record, parts: PartContext) -> tuple[str, list[Passage], list[Span], Infons]:
    """Return the text, passages, sentences and infons of the document."""
    text = _Text()
    passages: list[Passage] = []
    sentences: list[Span] = []
    infons = dict(record.infons)
    for passage in record.passages:
        whole = text.lay(passage.offset, passage.text or "")
        for sentence in passage.parts:
            try:
                span = _inside(sentence, passage) if passage.text else text.lay(sentence.offset, sentence.text or "")
                if span and sentences and span.start < sentences[-1].end:
                    raise FormatError(f"the sentence at offset {span.start} begins before the previous one ends")
            except FormatError as error:
                if not passage.text:
                    raise
                parts.reject_part(str(error), raw=sentence.text or "")
                continue
            if span:
                sentences.append(span)
                whole = whole or span
                whole = Span(whole.start, max(whole.end, span.end))
                infons |= {f"{_SENTENCE} {span.start} {key}": value for key, value in sentence.infons.items()}
        if whole and passage.infons.get(_MARK) != "text":
            others = {key: value for key, value in passage.infons.items() if key != "type"}
            passages.append(Passage(whole, passage.infons.get("type", ""), Infons(others)))
    return str(text), passages, sentences, Infons(infons)


def _inside(sentence: PassageRecord, passage: PassageRecord) -> Span | None:
    """Return the span of a sentence in a passage that has a text of its own; None if the sentence is empty."""
    text = passage.text or ""
    start = sentence.offset - passage.offset
    end = start + len(sentence.text or "")
    if not sentence.text:
        return None
    if start < 0 or text[start:end] != sentence.text:
        raise FormatError(f"the text of the sentence at offset {sentence.offset} differs from that of its passage")
    return Span(sentence.offset, passage.offset + end)


def _entity(annotation: Annotation, text: str) -> Entity:
    if not annotation.locations:
        raise FormatError(f"annotation {short(annotation.id)} has no location")
    order = [Span(offset, offset + length) for offset, length in annotation.locations]
    infons = dict(annotation.infons)
    entity_type = infons.pop("type", "")
    score = _score(infons)
    entity = Entity(tuple(sorted(order)), entity_type, _ids(infons), score, Infons(infons))
    return placed(entity, text, annotation.text, order=order)


def _score(infons: dict[str, str]) -> float | None:
    """Remove and return the score in the infons if biomark wrote it (a number in [0, 1]); otherwise return None."""
    try:
        score = float(infons["score"])
    except (KeyError, ValueError):
        return None
    if not 0.0 <= score <= 1.0 or repr(score) != infons["score"]:
        return None
    del infons["score"]
    return score


def _ids(infons: dict[str, str]) -> tuple[str, ...]:
    """Return the identifiers in the infons, and remove the infons that hold nothing else."""
    if _IDS in infons:
        return tuple(_listed(infons.pop(_IDS), f"infon {_IDS!r}"))
    ids: list[str] = []
    for key, value in infons.items():
        if _is_id(key):
            listed = _listed(value, f"infon {key!r}") if value.startswith("[") else split_ids(value)
            ids += [identifier for identifier in listed if identifier not in ids] if ids else listed
    if ids and "|".join(ids) == infons.get("identifier"):
        del infons["identifier"]
    return tuple(ids)


def _listed(ids: str, what: str) -> list[str]:
    try:
        listed = parsed(ids)
    except FormatError as error:
        raise FormatError(f"{what} {error}") from error
    if not isinstance(listed, list) or not all(isinstance(identifier, (str, int)) for identifier in listed):
        raise FormatError(f"{what} must be a list of texts")
    return list(map(str, listed))


def _is_id(key: str) -> bool:
    return key.casefold().replace(" ", "").replace("_", "") in _ID_KEYS


def _relation(number: int, link: RelationRecord) -> Relation:
    infons = dict(link.infons)
    name = "type" if "type" in infons else "relation"
    relation_type = infons.pop(name, "")
    if link.id != f"R{number}":
        infons["id"] = link.id
    if roles := _roles(infons):
        if link.nodes:
            infons[_NODES] = json.dumps(link.nodes, ensure_ascii=False)
        return Relation(relation_type, roles, Infons(infons))
    if link.nodes:
        return Relation(relation_type, tuple(link.nodes), Infons(infons))
    keys = [key for key in link.infons if key not in (*_NO_ARGUMENTS, "id")]
    arguments = tuple(("" if key == f"entity{place}" else key, infons.pop(key)) for place, key in enumerate(keys, 1))
    return Relation(relation_type, arguments, Infons(infons))


def _roles(infons: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the identifiers that a PubTator3 relation connects; empty for any other relation.

    Its nodes are ignored, because they name only one of the annotations with these identifiers. A role is an object in
    JSON, and `TYPE|IDENTIFIER` in XML.
    """
    ids = []
    for key in ("role1", "role2"):
        value = infons.get(key, "")
        identifier: object = value.partition("|")[2]
        if value.startswith("{"):
            try:
                role = parsed(value)
            except FormatError:
                return ()
            identifier = role.get("identifier") if isinstance(role, dict) else None
        if not isinstance(identifier, str) or not identifier:
            return ()
        ids.append(("", variant_id(identifier) or identifier))
    return tuple(ids)


def write_record(document: Document, lost: Counter[str]) -> Record:
    """Convert a document into a record, the inverse of `read_record`; mentions come in the order of passages."""
    passages = list(_passages(document))
    ends = [_end(passage) for passage in passages]
    infons, of_sentences = _by_sentence(document)
    for sentence in document.sentences:
        place = bisect_right(ends, sentence.start)
        if place == len(passages) or sentence.start < passages[place].offset or sentence.end > ends[place]:
            lost["sentence offsets (sentences that cross passages)"] += 1
            continue
        own = of_sentences.pop(sentence.start, {})
        passages[place].parts.append(PassageRecord(sentence.start, sentence.of(document.text), own))
    infons |= {f"{_SENTENCE} {start} {key}": v for start, own in of_sentences.items() for key, v in own.items()}
    marked = (replace(a, infons=a.infons.with_(**{_MARK: "alternative"})) for a in document.alternatives)
    entities = sorted((*document.entities, *marked), key=lambda e: bisect_right(ends, e.start))
    for number, entity in enumerate(entities):
        passages[bisect_right(ends, entity.start)].annotations.append(_annotation(number, entity, document.text))
    known = {entity.infons["id"] for entity in entities if "id" in entity.infons}
    others = [part.infons for parts in (document.passages, document.entities, document.relations) for part in parts]
    add(lost, "infons called type", sum("type" in own for own in others))
    add(lost, "infons called score", sum(e.score is not None and "score" in e.infons for e in document.entities))
    relations = [_link(number, relation, known) for number, relation in enumerate(document.relations)]
    return Record(document.id, infons, passages, relations=relations)


def _by_sentence(document: Document) -> tuple[dict[str, str], dict[int, dict[str, str]]]:
    """Return the infons of the document itself, and those of its sentences by the offset of the sentence."""
    own: dict[str, str] = {}
    starts = {sentence.start for sentence in document.sentences}
    of_sentences: dict[int, dict[str, str]] = {}
    for key, value in document.infons.items():
        match = re.fullmatch(rf"{_SENTENCE} (\d{{1,18}}) (.*)", key, re.DOTALL | re.ASCII)
        if match and int(match[1]) in starts and str(int(match[1])) == match[1]:
            of_sentences.setdefault(int(match[1]), {})[match[2]] = value
        else:
            own[key] = value
    return own, of_sentences


def _end(passage: PassageRecord) -> int:
    return passage.offset + len(passage.text or "")


def _passages(document: Document) -> Iterator[PassageRecord]:
    """Yield the passages, and passages with the infon `biomark` for text outside them."""
    at = 0
    for passage in document.passages:
        between = document.text[at : passage.span.start]
        if between != _padding(len(between)):
            yield PassageRecord(at, between, {_MARK: "text"})
        infons = {**({"type": passage.kind} if passage.kind else {}), **passage.infons.without("type")}
        yield PassageRecord(passage.span.start, passage.span.of(document.text), infons)
        at = passage.span.end
    if at < len(document.text):
        yield PassageRecord(at, document.text[at:], {_MARK: "text"})


def _annotation(number: int, entity: Entity, text: str) -> Annotation:
    infons = {**({"type": entity.type} if entity.type else {}), **_with_ids(entity)}
    if entity.score is not None:
        infons["score"] = repr(float(entity.score))
    name = infons.pop("id", str(number))
    locations = [(span.start, len(span)) for span in entity.spans]
    return Annotation(name, infons, locations, entity.mention(text))


def _with_ids(entity: Entity) -> dict[str, str]:
    """Return the infons from which `_ids` restores the entity's identifiers and its own infons."""
    infons = dict(entity.infons.without("type"))
    joined = {**infons, "identifier": "|".join(entity.ids)}
    for candidate in (infons, joined):
        remaining = dict(candidate)
        if _ids(remaining) == entity.ids and remaining == infons:
            return candidate
    return {**infons, _IDS: json.dumps(entity.ids, ensure_ascii=False)}


def _link(number: int, relation: Relation, known: set[str]) -> RelationRecord:
    """Convert a relation: with nodes if its arguments are annotations, or if infons cannot hold them."""
    infons = {"type": relation.type, **relation.infons.without("type")}
    name = infons.pop("id", f"R{number}")
    if relation.arguments and _roles(infons) == relation.arguments:
        return RelationRecord(name, infons, _nodes(infons.pop(_NODES, "[]")))
    named = {role or f"entity{place}": target for place, (role, target) in enumerate(relation.arguments, 1)}
    plain = len(named) == len(relation.arguments) and not any(
        re.match(r"entity\d", role) for role, _ in relation.arguments
    )
    plain = plain and set(infons) <= set(_NO_ARGUMENTS) and not set(named) & {*_NO_ARGUMENTS, "id"}
    if plain and not all(target in known for _, target in relation.arguments):
        return RelationRecord(name, {**infons, **named}, [])
    return RelationRecord(name, infons, list(relation.arguments))


def _nodes(listed: str) -> list[tuple[str, str]]:
    """Return the nodes that `_relation` put into an infon; empty if the infon holds anything else."""
    try:
        nodes = parsed(listed)
    except FormatError:
        return []
    pairs = nodes if isinstance(nodes, list) else []
    return [(str(pair[0]), str(pair[1])) for pair in pairs if isinstance(pair, list) and len(pair) == 2]
