"""Edit the text of documents, and move passages, sentences and mentions along."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from biomark.errors import SpanError
from biomark.spans import Document, Entity, Span


class Edit(NamedTuple):
    """A span and the text that replaces it; an empty text removes the span."""

    span: Span
    text: str


def edited(document: Document, edits: Sequence[Edit]) -> Document:
    """Return the document with edits applied; passages, sentences and mentions move along.

    A mention around an edit grows or shrinks with it, and a mention with the span of an edit becomes the new text.
    Mentions that lie otherwise inside an edit, cross one of its edges or lose a part are left out, and so are empty
    passages and sentences. If an edit covers the border of two passages or sentences, the first gets the new text.

    Args:
        document: a document, which is not changed.
        edits: the edits, in order and without overlaps.

    Raises:
        SpanError: if edits overlap, are out of order or lie beyond the end of the text.
    """
    if not edits:
        return document
    if any(a.span.end > b.span.start for a, b in pairwise(edits)) or edits[-1].span.end > len(document.text):
        raise SpanError(f"document {document.id}: edits must be in order, without overlaps, and inside the text")
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
    """Return the document without parts of its text, whose spans are in order and without overlaps."""
    return edited(document, [Edit(span, "") for span in spans])


class _Moves:
    """The map from offsets of a text to offsets of the edited text."""

    def __init__(self, text: str, edits: Sequence[Edit]) -> None:
        self._edits = edits
        self._starts = [edit.span.start for edit in edits]
        self._new: list[tuple[int, int]] = []  # start and end of each edit's new text
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
        """Return the span in the edited text, or None if empty; an edge inside an edit moves to the new text's end."""
        start, end = self._place(span.start), self._place(span.end)
        return Span(start, end) if start < end else None

    def entities(self, entities: Iterable[Entity]) -> tuple[Entity, ...]:
        """Return the mentions in the edited text, without those that `edited` leaves out."""
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
        """Return whether an edit other than the whole span contains one of its edges."""
        for at in (span.start, span.end):
            n = bisect_right(self._starts, at) - 1
            if n >= 0 and self._inside(self._edits[n].span, at, span):
                return True
        return False

    @staticmethod
    def _inside(edit: Span, at: int, span: Span) -> bool:
        # An edit that begins with the span may end inside it: then the edit is a part of the span.
        return edit.start < at < edit.end and edit != span
