"""What the formats for people share: colours of types, paragraphs, and text cut where mentions begin and end."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from biomark.entity_types import canonical, entity_types
from biomark.spans import Document, Entity, Span

# A pale colour (behind dark text) and a deep one (behind light text) for each type, in the order of
# entity_types.toml; a user's own types take the rest in turn. All pairs with their text keep a
# contrast of at least 7:1.
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
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]|\r(?!\n)")


class Colours:
    """Gives each type a place in `PALETTE`; the types that biomark knows always have the same."""

    def __init__(self) -> None:
        self._places = {name: place for place, name in enumerate(entity_types())}

    def __getitem__(self, type: str) -> tuple[str, str]:
        place = self._places.setdefault(canonical(type), len(self._places))
        return PALETTE[place % len(PALETTE)]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text that the same mentions cover (`entities`, the longest first)."""

    span: Span
    entities: tuple[Entity, ...]


def paragraphs(document: Document) -> Iterator[tuple[str, Span]]:
    """Kind and place of each passage, and of text between passages (kind `""`) unless it is blank."""
    end = 0
    for passage in document.passages:
        yield from _rest(document.text, end, passage.span.start)
        yield passage.kind, passage.span
        end = passage.span.end
    yield from _rest(document.text, end, len(document.text))


def pieces(paragraph: Span, entities: Iterable[Entity]) -> Iterator[Piece]:
    """The paragraph, cut wherever a mention begins or ends; mentions beyond it are cut off there."""
    begins: defaultdict[int, list[Entity]] = defaultdict(list)
    ends: defaultdict[int, list[Entity]] = defaultdict(list)
    for entity in entities:
        for span in entity.spans:
            if span.overlaps(paragraph):
                begins[max(span.start, paragraph.start)].append(entity)
                ends[min(span.end, paragraph.end)].append(entity)
    active: list[Entity] = []
    for start, end in pairwise(sorted({paragraph.start, paragraph.end, *begins, *ends})):
        for entity in ends[start]:
            active.remove(entity)
        active += begins[start]
        yield Piece(Span(start, end), tuple(sorted(active, key=lambda e: (-len(e.extent), e.start))))


def visible(text: str) -> str:
    """The text with a symbol in place of each control character, so that none reaches a terminal or a page.

    Every code point stays one code point; tabs and line ends stay as they are.
    """
    return _CONTROL.sub(lambda match: chr(0x2400 + ord(match[0])) if match[0] < " " else "\ufffd", text)


def _rest(text: str, start: int, end: int) -> Iterator[tuple[str, Span]]:
    if text[start:end].strip():
        yield "", Span(start, end)
