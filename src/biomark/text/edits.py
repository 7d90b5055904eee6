"""Documents whose text is changed in places, everything known of them moved along."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from biomark.errors import SpanError
from biomark.spans import Document, Entity, Span


class Edit(NamedTuple):
    """A text that takes the place of a span; an empty one removes it."""

    span: Span
    text: str


def edited(document: Document, edits: Sequence[Edit]) -> Document:
    """The document with texts in the place of spans; passages, sentences and mentions move along.

    A mention around an edit grows or shrinks with it, and one that is an edit's span becomes the new text. Mentions
    are left out that lie elsewhere inside an edit's span, reach over one of its edges or lose a part; so are passages
    and sentences of which nothing is left. Of two passages or sentences that share an edit the first has the new text.

    Args:
        document: stays as it is.
        edits: in order and apart.

    Raises:
        SpanError: if edits overlap, are out of order or lie beyond the end of the text.
    """
    if not edits:
        return document
    if any(a.span.end > b.span.start for a, b in pairwise(edits)) or edits[-1].span.end > len(document.text):
        raise SpanError(f"document {document.id}: edits must be in order, apart and inside the text")
    moves = _Moves(document.text, edits)
    return replace(
        document,
        text=moves.text,
        passages=tuple(replace(p, span=s) for p in document.passages if (s := moves.moved(p.span))),
        sentences=tuple(s for sentence in document.sentences if (s := moves.moved(sentence))),
        entities=moves.entities(document.entities),
        alternatives=moves.entities(document.alternatives),
    )


def without(document: Document, spans: Iterable[Span]) -> Document:
    """The document without some parts of its text, which are in order and apart."""
    return edited(document, [Edit(span, "") for span in spans])


class _Moves:
    """Where the places of a text are once it is edited."""

    def __init__(self, text: str, edits: Sequence[Edit]) -> None:
        self._edits = edits
        self._starts = [edit.span.start for edit in edits]
        self._new: list[tuple[int, int]] = []  # of each edit's text
        pieces: list[str] = []
        length = at = 0
        for span, new in edits:
            pieces += text[at : span.start], new
            length += span.start - at
            self._new.append((length, length + len(new)))
            length += len(new)
            at = span.end
        self.text = "".join((*pieces, text[at:]))

    def moved(self, span: Span) -> Span | None:
        """The span; an edge inside an edit goes to the end of the new text. None if nothing is left."""
        start, end = self._place(span.start), self._place(span.end)
        return Span(start, end) if start < end else None

    def entities(self, entities: Iterable[Entity]) -> tuple[Entity, ...]:
        """The mentions, but for those that are left out."""
        return tuple(moved for entity in entities if (moved := self._entity(entity)))

    def _entity(self, entity: Entity) -> Entity | None:
        spans = [None if self._cuts(span) else self.moved(span) for span in entity.spans]
        kept = tuple(span for span in spans if span)
        return replace(entity, spans=kept) if len(kept) == len(spans) else None

    def _place(self, at: int) -> int:
        n = bisect_right(self._starts, at) - 1
        if n < 0:
            return at
        span = self._edits[n].span
        if at >= span.end:
            return self._new[n][1] + at - span.end
        return self._new[n][at > span.start]

    def _cuts(self, span: Span) -> bool:
        """Whether an edit that is not the whole span takes in its first or last edge."""
        for at in (span.start, span.end):
            n = bisect_right(self._starts, at) - 1
            if n >= 0 and self._inside(self._edits[n].span, at, span):
                return True
        return False

    @staticmethod
    def _inside(edit: Span, at: int, span: Span) -> bool:
        # An edit that begins where the span does may end inside it: then the edit is a part of the span.
        return edit.start < at < edit.end and edit != span
