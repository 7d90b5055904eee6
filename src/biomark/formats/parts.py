"""Reading the parts of a document one by one, so that an error in one part does not affect the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from biomark.errors import FormatError, SpanError
from biomark.formats.base import Reject, Source
from biomark.formats.json_values import shown
from biomark.formats.placing import beyond, fits, misplaced, unit_hint
from biomark.spans import Entity, Span

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class PartContext:
    """The context in which the parts of one document are read.

    Attributes:
        source: the document's file.
        reject: is called for each part that cannot be read.
        document_id: the document's id.
        line: the line on which the document begins, from 1; None if it is unknown.
    """

    source: Source
    reject: Reject
    document_id: str
    line: int | None = None

    def each(
        self,
        read: Callable[[A], B],
        parts: Iterable[A],
        *,
        raw: Callable[[A], str] = shown,
        line: Callable[[A], int | None] = lambda part: None,
    ) -> Iterator[B]:
        """Yield the result of `read` for each part, and reject parts for which it raises `FormatError` or `SpanError`.

        Args:
            read: converts one part.
            parts: the parts of the document.
            raw: returns a part as a message shows it.
            line: returns the line on which a part begins, or None if it is unknown.
        """
        for part in parts:
            try:
                yield read(part)
            except (FormatError, SpanError) as error:
                self.reject_part(str(error), raw=raw(part), line=line(part))

    def reject_part(self, reason: str, *, raw: str = "", line: int | None = None) -> None:
        """Reject a part of the document with a reason."""
        self.source.reject(
            self.reject, reason, raw=raw, document_id=self.document_id, line=self.line if line is None else line
        )


def placed(entity: Entity, text: str, mention: str | None = None, *, order: Sequence[Span] = ()) -> Entity:
    """Return an entity after a check of its offsets against the text and the mention in its file.

    Args:
        entity: the mention with its offsets.
        text: the text of the document.
        mention: the words of the mention in the file; None if the file has none.
        order: the parts of a discontinuous mention in the order of the file, which its words may follow.

    Raises:
        SpanError: if the offsets lie beyond the text, or the text has other words there; the message has the offsets.
    """
    where = " and ".join(f"{span.start}-{span.end}" for span in entity.spans)
    spans = [(span.start, span.end) for span in entity.spans]
    if entity.end > len(text):
        raise SpanError(beyond(where, len(text), unit_hint(text, spans, mention)))
    words = entity.mention(text)
    if mention is not None and not fits(words, mention) and not fits(" ".join(s.of(text) for s in order), mention):
        raise SpanError(misplaced(where, words, mention, unit_hint(text, spans, mention)))
    return entity
