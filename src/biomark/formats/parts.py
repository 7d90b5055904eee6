"""The parts of a document read one by one, so that what is wrong with one of them costs the others nothing."""

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
class Parts:
    """The document whose parts are read.

    Attributes:
        source: its file.
        reject: is given the parts that cannot be read.
        document_id: its id.
        line: where in the file it begins; None where nobody knows.
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
        """What `read` makes of each part; a part at which it raises one of our errors is rejected.

        Args:
            raw: a part as a message shows it.
            line: where a part begins, if that is known.
        """
        for part in parts:
            try:
                yield read(part)
            except (FormatError, SpanError) as error:
                self.tell(str(error), raw=raw(part), line=line(part))

    def tell(self, reason: str, *, raw: str = "", line: int | None = None) -> None:
        """Reject something of the document."""
        self.source.reject(
            self.reject, reason, raw=raw, document_id=self.document_id, line=self.line if line is None else line
        )


def placed(entity: Entity, text: str, told: str | None = None, *, order: Sequence[Span] = ()) -> Entity:
    """The entity, if it lies in the text and its words are those that its file gives.

    Args:
        told: the words in the file; None if it has none.
        order: the parts of a discontinuous mention as the file orders them, in which its words may stand too.

    Raises:
        SpanError: if not; the message has the offsets.
    """
    where = " and ".join(f"{span.start}-{span.end}" for span in entity.spans)
    spans = [(span.start, span.end) for span in entity.spans]
    if entity.end > len(text):
        raise SpanError(beyond(where, len(text), unit_hint(text, spans, told)))
    there = entity.mention(text)
    if told is not None and not fits(there, told) and not fits(" ".join(span.of(text) for span in order), told):
        raise SpanError(misplaced(where, there, told, unit_hint(text, spans, told)))
    return entity
