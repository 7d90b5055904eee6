"""The types that all stages exchange, and all arithmetic on offsets.

Offsets are half-open intervals of Unicode code points: `text[span.start:span.end]` is the
mention. Formats with other offsets (bytes, UTF-16 units, inclusive ends, no white space)
convert them when they read and write. This module needs nothing beyond the standard library.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from numbers import Real
from typing import Any

from biomark.errors import SpanError
from biomark.runtime.values import NO_INFONS, Infons, filled, infons_of, of_form, put, text_of, tuple_of, whole
from biomark.screen import visible


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open interval of code points, from `start` (included) to `end` (excluded); `0 <= start < end`.

    Integers of other types, such as numpy's, become `int`.

    Raises:
        SpanError: if the span is empty, reversed or negative, or an offset is not an integer.
    """

    start: int
    end: int

    def __post_init__(self) -> None:
        if type(self.start) is not int or type(self.end) is not int:
            object.__setattr__(self, "start", whole(self.start))
            object.__setattr__(self, "end", whole(self.end))
        if not 0 <= self.start < self.end:
            raise SpanError(f"a span needs 0 <= start < end, got start {self.start} and end {self.end}")

    def __len__(self) -> int:
        return self.end - self.start

    def shift(self, by: int) -> Span:
        """Return this span moved by a number of code points, which may be negative."""
        return Span(self.start + by, self.end + by)

    def overlaps(self, other: Span) -> bool:
        """Return whether both spans share at least one code point; spans that only touch do not overlap."""
        return self.start < other.end and other.start < self.end

    def contains(self, other: Span) -> bool:
        """Return whether `other` lies inside this span or equals it."""
        return self.start <= other.start and other.end <= self.end

    def of(self, text: str) -> str:
        """Return the part of `text` that this span covers."""
        return text[self.start : self.end]


@dataclass(frozen=True, slots=True)
class Entity:
    """A mention of an entity.

    Attributes:
        spans: the spans of its parts, in order and without overlaps; several for a discontinuous mention.
        type: the entity type, spelled as in its file (`biomark.entity_types.canonical` maps spellings
            to biomark's own names).
        ids: identifiers; several for a composite mention.
        score: the recognizer's probability in [0, 1], or None.
        infons: further facts in its file, kept so that nothing is lost in a round trip.

    Lists become tuples, and numpy's numbers become Python's.

    Raises:
        SpanError: if there is no span, the parts overlap or are out of order, the score is not in [0, 1] (NaN is not),
            or a value has the wrong type.
    """

    spans: tuple[Span, ...]
    type: str
    ids: tuple[str, ...] = ()
    score: float | None = None
    infons: Infons = NO_INFONS

    def __post_init__(self) -> None:
        if not (
            type(self.spans) is tuple
            and type(self.ids) is tuple
            and type(self.type) is str
            and type(self.infons) is Infons
            and (self.score is None or type(self.score) in (float, int))
            and all(type(span) is Span for span in self.spans)
            and all(type(identifier) is str for identifier in self.ids)
        ):
            self._tidy()
        if not self.spans:
            raise SpanError(f"an entity of type {self.type!r} needs at least one span")
        if any(a.end > b.start for a, b in pairwise(self.spans)):
            raise SpanError(f"the parts of an entity must be in order and must not overlap, got {self.spans}")
        if self.score is not None and not 0.0 <= self.score <= 1.0:
            raise SpanError(f"the score of an entity must be in [0, 1], got {self.score}")

    def _tidy(self) -> None:
        """Convert values of other types to the types of the attributes."""
        ids = tuple_of(self.ids, object, "the ids of an entity")
        if self.score is not None and (isinstance(self.score, bool) or not isinstance(self.score, Real)):
            raise SpanError(f"the score of an entity must be a number in [0, 1] or None, got {self.score!r:.80}")
        put(
            self,
            spans=tuple_of(self.spans, Span, "the spans of an entity"),
            type=text_of(self.type, "the type of an entity"),
            ids=tuple(text_of(identifier, "an identifier") for identifier in ids),
            score=self.score if self.score is None or type(self.score) is int else float(self.score),
            infons=infons_of(self.infons),
        )

    @property
    def start(self) -> int:
        """The first code point of the first part."""
        return self.spans[0].start

    @property
    def end(self) -> int:
        """One past the last code point of the last part."""
        return self.spans[-1].end

    @property
    def extent(self) -> Span:
        """The span from the first part's start to the last part's end."""
        return Span(self.start, self.end)

    def shift(self, by: int) -> Entity:
        """Return this entity moved by a number of code points, which may be negative."""
        return replace(self, spans=tuple(span.shift(by) for span in self.spans))

    def overlaps(self, other: Entity) -> bool:
        """Return whether any part of one entity shares a code point with any part of the other."""
        if len(self.spans) == 1 and len(other.spans) == 1:
            return self.spans[0].overlaps(other.spans[0])
        mine, others = iter(self.spans), iter(other.spans)  # both are in order, so one pass over both is enough
        a, b = next(mine, None), next(others, None)
        while a is not None and b is not None:
            if a.overlaps(b):
                return True
            if a.end <= b.start:
                a = next(mine, None)
            else:
                b = next(others, None)
        return False

    def mention(self, text: str) -> str:
        """Return the mention's text; the parts of a discontinuous mention are joined by blanks."""
        return " ".join(span.of(text) for span in self.spans)

    def to_dict(self, text: str) -> dict[str, object]:
        """Return the mention as a JSON object; `text` is that of its document. See `Document.to_dict`."""
        return {
            "spans": [[span.start, span.end] for span in self.spans],
            "text": self.mention(text),
            "type": self.type,
            **filled(ids=list(self.ids), infons=dict(self.infons)),
            **({} if self.score is None else {"score": self.score}),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Entity:
        """Return the mention from which `to_dict` made `values`; the key `text` is ignored.

        Raises:
            SpanError: if `values` have another form.
        """
        with of_form("a mention"):
            spans = tuple(Span(start, end) for start, end in values["spans"])
            return cls(spans, values["type"], values.get("ids", ()), values.get("score"), values.get("infons", {}))


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a document; its `kind` is for instance `title` or `abstract`."""

    span: Span
    kind: str
    infons: Infons = NO_INFONS

    def __post_init__(self) -> None:
        if not isinstance(self.span, Span):
            raise SpanError(f"the span of a passage must be a Span, got {self.span!r:.80}")
        put(self, kind=text_of(self.kind, "the kind of a passage"), infons=infons_of(self.infons))


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation between identifiers or mentions, kept for formats that have them.

    Attributes:
        type: the type of the relation, such as `CID`.
        arguments: the role and the identifier of each argument; the role is "" if the format has none.
    """

    type: str
    arguments: tuple[tuple[str, str], ...]
    infons: Infons = NO_INFONS

    def __post_init__(self) -> None:
        with of_form("a relation", "its arguments must be pairs of a role and an identifier"):
            pairs = [(role, argument) for role, argument in self.arguments]
        arguments = tuple((text_of(role, "a role"), text_of(argument, "an argument")) for role, argument in pairs)
        put(self, type=text_of(self.type, "the type of a relation"), arguments=arguments, infons=infons_of(self.infons))


@dataclass(frozen=True, slots=True)
class Document:
    """A text with its annotations.

    Attributes:
        id: the identifier of the document, unique in its file.
        text: the whole text; every offset counts its code points.
        passages: title, abstract, sections …, in order and without overlaps; empty if unknown.
        sentences: the spans of sentences, in order and without overlaps; empty if the text has not been split.
        entities: the mentions, in the order of their file; they may nest and overlap.
        alternatives: mentions that are accepted in place of the entities they overlap (BC2GM's `ALTGENE`).
        relations: see `Relation`.
        infons: further facts in its file.

    Lists become tuples, and an integer as an id becomes a string.

    Raises:
        SpanError: if an offset lies beyond the end of the text, passages or sentences overlap or are out of order, or
            a value has the wrong type.
    """

    id: str
    text: str
    passages: tuple[Passage, ...] = ()
    sentences: tuple[Span, ...] = ()
    entities: tuple[Entity, ...] = ()
    alternatives: tuple[Entity, ...] = ()
    relations: tuple[Relation, ...] = ()
    infons: Infons = NO_INFONS

    def __post_init__(self) -> None:
        if type(self.id) is not str or type(self.infons) is not Infons:
            put(self, id=text_of(self.id, "the id of a document"), infons=infons_of(self.infons))
        if not isinstance(self.text, str):
            got = f"{self.text!r:.80} ({type(self.text).__name__})"
            raise SpanError(f"document {self.id}: the text must be a str, got {got}")
        for name, kind in _MEMBERS.items():
            members = getattr(self, name)
            if type(members) is not tuple or (members and not all(type(member) is kind for member in members)):
                put(self, **{name: tuple_of(members, kind, f"document {self.id}: {name}")})
        length = len(self.text)
        for entity in (*self.entities, *self.alternatives):
            if entity.end > length:
                raise SpanError(
                    f"document {self.id}: {entity.type} at {entity.start}-{entity.end} "
                    f"lies beyond the end of the text ({length} code points)"
                )
        parts = [passage.span for passage in self.passages]
        for name, spans in (("passages", parts), ("sentences", list(self.sentences))):
            if spans and spans[-1].end > length:
                raise SpanError(f"document {self.id}: {name} reach beyond the end of the text ({length} code points)")
            if any(a.end > b.start for a, b in pairwise(spans)):
                raise SpanError(f"document {self.id}: {name} must be in order and must not overlap")

    def to_dict(self) -> dict[str, object]:
        """Return the document as an object of biomark's JSON Lines, ready for `json.dumps`.

        The keys are `id`, `text` and `entities`, and those of `passages`, `sentences`, `alternatives`, `relations` and
        `infons` that are not empty. A mention has the keys `spans` (pairs of offsets), `text` and `type`, and `ids`,
        `score` and `infons` if it has any. `from_dict` returns an equal document.
        """
        return {
            "id": self.id,
            "text": self.text,
            **filled(
                passages=[
                    {"start": p.span.start, "end": p.span.end, **filled(kind=p.kind, infons=dict(p.infons))}
                    for p in self.passages
                ],
                sentences=[[span.start, span.end] for span in self.sentences],
            ),
            "entities": [entity.to_dict(self.text) for entity in self.entities],
            **filled(
                alternatives=[entity.to_dict(self.text) for entity in self.alternatives],
                relations=[
                    {"type": r.type, **filled(arguments=list(map(list, r.arguments)), infons=dict(r.infons))}
                    for r in self.relations
                ],
                infons=dict(self.infons),
            ),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Document:
        """Return the document from which `to_dict` made `values`; unknown keys are ignored.

        Raises:
            SpanError: if `values` have another form, or offsets lie beyond the end of the text.
        """
        with of_form("a document"):
            return cls(
                id=values["id"],
                text=values["text"],
                passages=tuple(
                    Passage(Span(p["start"], p["end"]), p.get("kind", ""), p.get("infons", {}))
                    for p in values.get("passages", ())
                ),
                sentences=tuple(Span(start, end) for start, end in values.get("sentences", ())),
                entities=tuple(Entity.from_dict(entity) for entity in values.get("entities", ())),
                alternatives=tuple(Entity.from_dict(entity) for entity in values.get("alternatives", ())),
                relations=tuple(
                    Relation(r["type"], r.get("arguments", ()), r.get("infons", {}))
                    for r in values.get("relations", ())
                ),
                infons=values.get("infons", {}),
            )

    def bare(self) -> Document:
        """Return the same document without mentions: no entities, alternatives or relations."""
        return replace(self, entities=(), alternatives=(), relations=())

    def slice(self, window: Span) -> Document:
        """Return the part of the document inside `window`, with offsets from the start of the window.

        Entities and alternatives that are not wholly inside the window are left out, and so are
        relations; sentences and passages are cut to the window.
        """

        def inside(entities: tuple[Entity, ...]) -> tuple[Entity, ...]:
            return tuple(e.shift(-window.start) for e in entities if window.contains(e.extent))

        def cut(span: Span) -> Span | None:
            start, end = max(span.start, window.start), min(span.end, window.end)
            return Span(start - window.start, end - window.start) if start < end else None

        return Document(
            id=self.id,
            text=window.of(self.text),
            passages=tuple(replace(p, span=s) for p in self.passages if (s := cut(p.span))),
            sentences=tuple(s for sentence in self.sentences if (s := cut(sentence))),
            entities=inside(self.entities),
            alternatives=inside(self.alternatives),
            infons=self.infons,
        )


_MEMBERS = {"passages": Passage, "sentences": Span, "entities": Entity, "alternatives": Entity, "relations": Relation}


@dataclass(frozen=True, slots=True)
class Rejected:
    """A part of a file or answer that could not be read or placed, with the reason.

    Attributes:
        reason: the problem and its remedy, as a sentence without a full stop.
        raw: the original line or answer; `__str__` shortens it and replaces control characters.
        document_id: the id of the document, or None if unknown.
        source: the name of the file, or None.
        line: the line in that file, counted from 1, or None.
        window: the code points of the document that are concerned, or None.
    """

    reason: str
    raw: str = ""
    document_id: str | None = None
    source: str | None = None
    line: int | None = None
    window: Span | None = None

    def __str__(self) -> str:
        place = self.source or ""
        if self.line is not None:
            place += f":{self.line}" if place else f"line {self.line}"
        parts = [place] if place else []
        if self.document_id is not None:
            parts.append(f"document {self.document_id}")
        if self.window is not None:
            parts.append(f"offsets {self.window.start}-{self.window.end}")
        parts.append(self.reason)
        raw = " ".join(self.raw[:200].split("\n"))
        raw = raw if len(raw) <= 120 else raw[:117] + "..."
        return visible(": ".join(parts).replace("\n", " ") + (f" [{raw}]" if raw else ""))


class Apart:
    """A set of spans of a text that do not overlap.

    A lookup compares a span with its neighbours alone, so that large sets are as fast as small ones.
    """

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._spans = sorted(spans)

    def is_free(self, span: Span) -> bool:
        """Return whether a span overlaps none of the set."""
        place = bisect_right(self._spans, span)
        return not any(span.overlaps(other) for other in self._spans[max(0, place - 1) : place + 1])

    def take(self, entity: Entity) -> bool:
        """Add all parts of an entity unless one of them overlaps the set; return whether they were added."""
        if not all(map(self.is_free, entity.spans)):
            return False
        for span in entity.spans:
            insort(self._spans, span)
        return True


def flat(entities: Iterable[Entity]) -> tuple[Entity, ...]:
    """Return the contiguous entities without overlaps, in text order; of overlapping ones the longest is kept.

    Of equally long ones the first is kept. Marks and BIO tags cannot represent the entities left out.
    """
    taken = Apart()
    ranked = sorted(entities, key=lambda e: (-len(e.extent), e.start, e.type))
    return tuple(sorted((e for e in ranked if len(e.spans) == 1 and taken.take(e)), key=lambda e: e.start))


def whole_text(document: Document) -> tuple[Span, ...]:
    """Return the spans of the document's passages, or one span of its whole text; empty if the text is empty."""
    if document.passages:
        return tuple(passage.span for passage in document.passages)
    return (Span(0, len(document.text)),) if document.text else ()


def halves(text: str, span: Span) -> tuple[Span, Span]:
    """Split a span of at least two code points at the white space nearest to its middle, or else in the middle."""
    middle = (span.start + span.end) // 2
    blanks = [n for n in range(span.start + 1, span.end) if text[n].isspace()]
    cut = min(blanks, key=lambda n: abs(n - middle), default=middle)
    return Span(span.start, cut), Span(cut, span.end)


__all__ = [
    "NO_INFONS",
    "Document",
    "Entity",
    "Infons",
    "Passage",
    "Rejected",
    "Relation",
    "Span",
    "flat",
    "halves",
    "whole_text",
]
