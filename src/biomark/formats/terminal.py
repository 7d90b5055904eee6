"""Documents for people to read in a terminal: mentions with a coloured background and their type; output only.

Without colour (a file, a pipe, `NO_COLOR`), a mention is written `[asthma|disease]`. Of overlapping mentions the
longest is shown, and of equally long ones the one with the highest score; the heading of the document has the number
of mentions that are not shown.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from biomark.formats.base import Format, Sink
from biomark.formats.display import LONGEST_TYPE, PALETTE, Colours, Piece, paragraphs, pieces, shortened
from biomark.screen import visible
from biomark.spans import Apart, Document, Entity

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


# Colours for terminals that cannot show `PALETTE`; Rich would map it to fewer colours than there are types.
# For 256 colours: the background, and the colour of the type's name; contrasts are at least 7:1 and 4.5:1.
INDEXED = (
    (224, 52),
    (117, 239),
    (151, 22),
    (222, 58),
    (189, 53),
    (225, 89),
    (223, 52),
    (159, 23),
    (186, 22),
    (253, 238),
    (182, 53),
    (194, 23),
)
# For 16 colours: text and background; black, white and grey stay reserved for the terminal's own text.
BASIC = (
    ("black", "bright_red"),
    ("bright_white", "bright_blue"),
    ("black", "bright_green"),
    ("black", "bright_yellow"),
    ("bright_white", "magenta"),
    ("black", "bright_magenta"),
    ("black", "yellow"),
    ("black", "bright_cyan"),
    ("black", "green"),
    ("bright_white", "blue"),
    ("bright_white", "red"),
    ("black", "cyan"),
)


def write(documents: Iterable[Document], sink: Sink, lost: Counter[str]) -> None:
    """Write each document under its own heading; see the module. `lost` stays unchanged."""
    from rich.console import Console

    with sink.open(styled=True) as out:
        console = Console(file=out, highlight=False, markup=False, emoji=False)
        if not console.is_terminal and "COLUMNS" not in os.environ:
            console.soft_wrap = True
        colours = Colours()
        for document in documents:
            _print(document, console, colours)


def _print(document: Document, console: Console, colours: Colours) -> None:
    painter = _Painter(colours, None if console.no_color else console.color_system)
    shown = _shown(document.entities)
    console.print(painter.head(document, len(document.entities) - len(shown)))
    parts = list(paragraphs(document))
    for (kind, _), cut in zip(parts, pieces((span for _, span in parts), shown), strict=True):
        if kind not in ("", "title", "abstract", "passage"):
            console.print(painter.text(kind, "dim italic"))
        console.print(painter.paragraph(document.text, cut, "bold" if kind == "title" else ""))
    console.print()


class _Painter:
    """Renders the parts of a document as rich text.

    Args:
        colours: the colour of each type.
        system: Rich's name of the terminal's colours: `truecolor`, `256`, `standard` or `windows`; None: no colour.
    """

    def __init__(self, colours: Colours, system: str | None) -> None:
        self._colours = colours
        self._system = system
        self._coloured = system is not None

    def text(self, text: str, style: str) -> Text:
        from rich.text import Text

        return Text(visible(text), style=style if self._coloured else "")

    def head(self, document: Document, hidden: int) -> Text:
        """Return the document's id, and a legend of its types with the number of their mentions."""
        head = self.text("", "")
        head.append(self.text(document.id, "bold underline"))
        for entity_type, count in sorted(Counter(entity.type for entity in document.entities).items()):
            head.append("  ")
            counted = self.text(f" {count} {entity_type} ", self._style(entity_type))
            head.append(counted if self._coloured else self.text(f"{count} {entity_type}", ""))
        if hidden:
            head.append(self.text(f"  {hidden} inside or across others, not shown", "dim italic"))
        return head

    def paragraph(self, text: str, paragraph: Iterable[Piece], style: str) -> Text:
        """Return a paragraph with its mentions, which must not overlap."""
        line = self.text("", style)
        for piece in paragraph:
            words = visible(piece.span.of(text))
            if not piece.entities:
                line.append(words)
                continue
            entity_type, name = piece.entities[0].type, shortened(piece.entities[0].type, LONGEST_TYPE)
            if self._coloured:
                line.append(self.text(words, self._style(entity_type)))
                # A thin bar instead of a blank, so that the line does not break between the mention and its type
                line.append(self.text(f"▏{name}", f"not bold italic {self._style(entity_type, deep=True)}"))
            else:
                line.append(f"[{words}|{visible(name)}]")
        return line

    def _style(self, entity_type: str, *, deep: bool = False) -> str:
        """Return Rich's style of a mention's words, or of the type after them (`deep`)."""
        place = self._colours.place(entity_type)
        if self._system == "truecolor":
            pale, dark = PALETTE[place]
            return f"{dark if deep else '#111111'} on {pale}"
        if self._system == "256":
            background, dark_index = INDEXED[place]
            return f"color({dark_index if deep else 233}) on color({background})"
        ink, paper = BASIC[place]
        return f"{ink} on {paper}"


def _shown(entities: Iterable[Entity]) -> tuple[Entity, ...]:
    """Select mentions that do not overlap, the longest first, then those with the highest score."""
    taken = Apart()
    ranked = sorted(entities, key=lambda e: (-sum(map(len, e.spans)), -(e.score or 0.0), e.start))
    return tuple(entity for entity in ranked if taken.take(entity))


FORMAT = Format("terminal", (".terminal",), write=write)
