"""The types that all stages exchange, and all arithmetic on offsets.

Offsets are half-open intervals of Unicode code points: `text[span.start:span.end]` is the
mention. Formats that count otherwise (bytes, UTF-16 units, inclusive ends, no white space)
convert at their edge. This module uses the standard library only.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from biomark.errors import SpanError


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Code points `start` (included) to `end` (excluded); `0 <= start < end`.

    Raises:
        SpanError: if it is empty, reversed or negative.
    """

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise SpanError(f"a span needs 0 <= start < end, not {self.start} and {self.end}")

    def __len__(self) -> int:
        return self.end - self.start

    def shift(self, by: int) -> Span:
        """The same span, `by` code points further on."""
        return Span(self.start + by, self.end + by)

    def overlaps(self, other: Span) -> bool:
        """Whether both share at least one code point; spans that only touch do not."""
        return self.start < other.end and other.start < self.end

    def contains(self, other: Span) -> bool:
        """Whether `other` lies inside this span (or equals it)."""
        return self.start <= other.start and other.end <= self.end

    def of(self, text: str) -> str:
        """The piece of `text` that this span covers."""
        return text[self.start : self.end]


class Infons(Mapping[str, str]):
    """An immutable, ordered, hashable mapping of what a file says beside text and mentions."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        self._pairs: dict[str, str] = dict(pairs)

    def __getitem__(self, key: str) -> str:
        return self._pairs[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __hash__(self) -> int:
        return hash(frozenset(self._pairs.items()))

    def __repr__(self) -> str:
        return f"Infons({self._pairs!r})"

    def with_(self, **more: str) -> Infons:
        """A copy with `more` added or replaced."""
        return Infons({**self._pairs, **more})

    def without(self, *keys: str) -> Infons:
        """A copy without `keys`."""
        return Infons({key: value for key, value in self._pairs.items() if key not in keys})


NO_INFONS = Infons()


@dataclass(frozen=True, slots=True)
class Entity:
    """A mention of an entity.

    Attributes:
        spans: where it stands, in order; several for a discontinuous mention.
        type: the name of its type, spelled as in its file (`biomark.entity_types.canonical`
            maps spellings to biomark's own names).
        ids: identifiers; several for a composite mention.
        score: the recognizer's probability in [0, 1], or None.
        infons: what else its file says of it, kept so that nothing is lost in a round trip.
    """

    spans: tuple[Span, ...]
    type: str
    ids: tuple[str, ...] = ()
    score: float | None = None
    infons: Infons = NO_INFONS

    def __post_init__(self) -> None:
        if not self.spans:
            raise SpanError(f"an entity of type {self.type!r} needs at least one span")
        if any(a.end > b.start for a, b in pairwise(self.spans)):
            raise SpanError(f"the parts of an entity must be in order and apart: {self.spans}")
        if self.score is not None and not 0.0 <= self.score <= 1.0:
            raise SpanError(f"a score lies in [0, 1], not at {self.score}")

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
        """From the first part's start to the last part's end."""
        return Span(self.start, self.end)

    def shift(self, by: int) -> Entity:
        """The same entity, `by` code points further on."""
        return replace(self, spans=tuple(span.shift(by) for span in self.spans))

    def overlaps(self, other: Entity) -> bool:
        """Whether any part of one shares a code point with any part of the other."""
        return any(a.overlaps(b) for a in self.spans for b in other.spans)

    def mention(self, text: str) -> str:
        """The mention's text; the parts of a discontinuous one are joined by spaces."""
        return " ".join(span.of(text) for span in self.spans)


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a document, such as its title or abstract (`kind`)."""

    span: Span
    kind: str
    infons: Infons = NO_INFONS


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation between identifiers or mentions, kept for formats that have them.

    Attributes:
        type: its name, such as `CID`.
        arguments: role and identifier of each argument; the role is "" where the format has none.
    """

    type: str
    arguments: tuple[tuple[str, str], ...]
    infons: Infons = NO_INFONS


@dataclass(frozen=True, slots=True)
class Document:
    """A text and what is known about it.

    Attributes:
        id: its name, unique in its file.
        text: all its text; every offset counts its code points.
        passages: title, abstract, section …, in order and apart; empty where unknown.
        sentences: in order and apart; empty where nobody has split the text yet.
        entities: mentions, in the order of their file; they may nest and overlap.
        alternatives: spans that may stand for the entity they overlap (BC2GM's `ALTGENE`).
        relations: see `Relation`.
        infons: what else its file says of it.

    Raises:
        SpanError: if any offset lies beyond the end of the text.
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
                raise SpanError(f"document {self.id}: {name} must be in order and apart")

    def slice(self, window: Span) -> Document:
        """The part of the document inside `window`, with offsets counted from its start.

        Entities and alternatives that are not wholly inside are left out; sentences and
        passages are cut to the window; relations are left out.
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


@dataclass(frozen=True, slots=True)
class Rejected:
    """Something that could not be read or placed, and why.

    Attributes:
        reason: what is wrong and what to do, as a sentence without a full stop.
        raw: the line or answer as it was found (shortened by `__str__`, not here).
        document_id: the document, where it is known.
        source: the file's name, where there is one.
        line: the line in that file, counted from 1.
        window: the code points of the document that it concerns.
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
        return ": ".join(parts) + (f" [{raw}]" if raw else "")


class Apart:
    """Places of a text that do not overlap.

    Only the neighbours of a place are looked at, so that thousands are found as quickly as a few.
    """

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._spans = sorted(spans)

    def is_free(self, span: Span) -> bool:
        """Whether a span overlaps none of them."""
        place = bisect_right(self._spans, span)
        return not any(span.overlaps(other) for other in self._spans[max(0, place - 1) : place + 1])

    def take(self, entity: Entity) -> bool:
        """Take all parts of an entity in, unless one of them overlaps what is there; whether that was done."""
        if not all(map(self.is_free, entity.spans)):
            return False
        for span in entity.spans:
            insort(self._spans, span)
        return True


def flat(entities: Iterable[Entity]) -> tuple[Entity, ...]:
    """The contiguous entities that do not overlap, the longest of nested or crossing ones.

    Of two equally long ones the first in the text stays; the result is in text order. What
    marks and tags cannot hold (discontinuous and nested mentions) is thus left out.
    """
    taken = Apart()
    ranked = sorted(entities, key=lambda e: (-len(e.extent), e.start, e.type))
    return tuple(sorted((e for e in ranked if len(e.spans) == 1 and taken.take(e)), key=lambda e: e.start))


def whole_text(document: Document) -> tuple[Span, ...]:
    """The document's passages, or its whole text as one span (none if it is empty)."""
    if document.passages:
        return tuple(passage.span for passage in document.passages)
    return (Span(0, len(document.text)),) if document.text else ()


def halves(text: str, span: Span) -> tuple[Span, Span]:
    """A span of at least two characters in two, at the white space nearest to its middle if there is any inside."""
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
