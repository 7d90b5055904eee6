"""Documents for people to read in a terminal: mentions with a coloured background and their type.

Where there is no colour (a file, a pipe, `NO_COLOR`), a mention is written `[asthma|disease]`.
Of overlapping mentions the longest is shown, of equally long ones that with the higher score; the head
of the document tells how many are not. Output only.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from biomark.formats.base import Format, Sink
from biomark.formats.display import Colours, paragraphs, pieces, visible
from biomark.spans import Apart, Document, Entity, Span

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


def write(documents: Iterable[Document], sink: Sink, lost: Counter[str]) -> None:
    """Write each document with a head of its own; see the module. Nothing is counted in `lost`."""
    from rich.console import Console

    with sink.open() as out:
        console = Console(file=out, highlight=False, markup=False, emoji=False)
        if not console.is_terminal and "COLUMNS" not in os.environ:
            console.soft_wrap = True
        colours = Colours()
        for document in documents:
            _print(document, console, colours)


def _print(document: Document, console: Console, colours: Colours) -> None:
    painter = _Painter(colours, coloured=console.color_system is not None and not console.no_color)
    shown = _shown(document.entities)
    console.print(painter.head(document, len(document.entities) - len(shown)))
    for kind, paragraph in paragraphs(document):
        if kind not in ("", "title", "abstract", "passage"):
            console.print(painter.text(kind, "dim italic"))
        console.print(painter.paragraph(document.text, paragraph, shown, "bold" if kind == "title" else ""))
    console.print()


class _Painter:
    """Makes rich text of a document's parts."""

    def __init__(self, colours: Colours, *, coloured: bool) -> None:
        self._colours = colours
        self._coloured = coloured

    def text(self, text: str, style: str) -> Text:
        from rich.text import Text

        return Text(visible(text), style=style if self._coloured else "")

    def head(self, document: Document, hidden: int) -> Text:
        """The document's id, and a legend of its types with the number of their mentions."""
        head = self.text("", "")
        head.append(self.text(document.id, "bold underline"))
        for type, count in sorted(Counter(entity.type for entity in document.entities).items()):
            head.append("  ")
            head.append(self.text(f" {count} {type} ", self._style(type)) if self._coloured else f"{count} {type}")
        if hidden:
            head.append(self.text(f"  {hidden} inside or across others, not shown", "dim italic"))
        return head

    def paragraph(self, text: str, paragraph: Span, entities: tuple[Entity, ...], style: str) -> Text:
        """A paragraph with its mentions; `entities` do not overlap."""
        line = self.text("", style)
        for piece in pieces(paragraph, entities):
            words = visible(piece.span.of(text))
            if not piece.entities:
                line.append(words)
                continue
            type = piece.entities[0].type
            if self._coloured:
                line.append(self.text(words, self._style(type)))
                # A thin bar, not a space: the line must not break between the mention and its type.
                line.append(
                    self.text(f"▏{type}", f"not bold italic {self._colours[type][1]} on {self._colours[type][0]}")
                )
            else:
                line.append(f"[{words}|{visible(type)}]")
        return line

    def _style(self, type: str) -> str:
        return f"#111111 on {self._colours[type][0]}"


def _shown(entities: Iterable[Entity]) -> tuple[Entity, ...]:
    """The mentions that do not overlap: of those that do the longest, then the surest; discontinuous ones stay."""
    taken = Apart()
    ranked = sorted(entities, key=lambda e: (-sum(map(len, e.spans)), -(e.score or 0.0), e.start))
    return tuple(entity for entity in ranked if taken.take(entity))


FORMAT = Format("terminal", (".terminal",), write=write)
