"""Shared by the formats for people: colours of types, paragraphs, and text split where mentions begin and end."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from biomark.entity_types import canonical, entity_types
from biomark.spans import Document, Entity, Span

# A pale colour (behind dark text) and a deep one (behind light text) for each type, in the order of
# entity_types.toml; a user's own types take the next ones in turn. The contrast with the text is at least 7:1.
PALETTE = (
    ("#ffc9c2", "#7d2a25"),
    ("#bfe3ff", "#1c4f7c"),
    ("#cdeeb8", "#2c571e"),
    ("#ffe2a8", "#664600"),
    ("#e3d1ff", "#4d3287"),
    ("#ffcbe6", "#7a2258"),
    ("#ffd5b5", "#6f350c"),
    ("#b8efe6", "#0d524b"),
    ("#dfe3a6", "#4b4f0f"),
    ("#d5dbe6", "#3c485c"),
    ("#f3c7f7", "#66296c"),
    ("#c9f2d2", "#1b5535"),
)
LONGEST_TYPE = 60  # code points; a longer type name is cut off beside its mentions


class Colours:
    """Assigns each type a colour of `PALETTE`, always the same one for the types that biomark knows."""

    def __init__(self) -> None:
        self._places = {name: place for place, name in enumerate(entity_types())}

    def __getitem__(self, entity_type: str) -> tuple[str, str]:
        return PALETTE[self.place(entity_type)]

    def place(self, entity_type: str) -> int:
        """Return the index of a type's colour in `PALETTE`."""
        return self._places.setdefault(canonical(entity_type).casefold(), len(self._places)) % len(PALETTE)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text that is covered by the same mentions, the longest first."""

    span: Span
    entities: tuple[Entity, ...]


def paragraphs(document: Document) -> Iterator[tuple[str, Span]]:
    """Yield the kind and span of each passage, and of text between passages (kind `""`) unless it is blank."""
    end = 0
    for passage in document.passages:
        yield from _between(document.text, end, passage.span.start)
        yield passage.kind, passage.span
        end = passage.span.end
    yield from _between(document.text, end, len(document.text))


def pieces(paragraphs: Iterable[Span], entities: Iterable[Entity]) -> Iterator[list[Piece]]:
    """Yield the pieces of each paragraph, split wherever a mention begins or ends; mentions are cut off at its end.

    Args:
        paragraphs: the spans of the paragraphs in text order, without overlaps.
        entities: the mentions; the time grows with the number of mentions at one place.
    """
    begins: defaultdict[int, list[Entity]] = defaultdict(list)
    ends: defaultdict[int, list[Entity]] = defaultdict(list)
    for entity in entities:
        for span in entity.spans:
            begins[span.start].append(entity)
            ends[span.end].append(entity)
    cuts = deque(sorted({*begins, *ends}))
    active: list[Entity] = []

    def pass_cut() -> int:
        cut = cuts.popleft()
        for entity in ends[cut]:
            active.remove(entity)
        active.extend(begins[cut])
        active.sort(key=lambda e: (-len(e.extent), e.start))
        return cut

    for paragraph in paragraphs:
        while cuts and cuts[0] <= paragraph.start:
            pass_cut()
        parts, start, covering = [], paragraph.start, tuple(active)
        while cuts and cuts[0] < paragraph.end:
            cut = pass_cut()
            parts.append(Piece(Span(start, cut), covering))
            start, covering = cut, tuple(active)
        yield [*parts, Piece(Span(start, paragraph.end), covering)]


def shortened(text: str, most: int) -> str:
    """Return the text, cut off with `…` if it has more than `most` code points."""
    return text if len(text) <= most else text[: most - 1] + "…"


def words_of(entity: Entity, text: str, most: int) -> str:
    """Return a mention's text, cut off with `…` after `most` code points; text beyond them is not copied."""
    words, left = [], most + 1
    for span in entity.spans:
        if left <= 0:
            break
        words.append(text[span.start : min(span.end, span.start + left)])
        left -= len(words[-1]) + 1
    return shortened(" ".join(words) + (" …" if len(words) < len(entity.spans) else ""), most)


def _between(text: str, start: int, end: int) -> Iterator[tuple[str, Span]]:
    if text[start:end].strip():
        yield "", Span(start, end)
