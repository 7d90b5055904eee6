"""One HTML page for people to read: every mention coloured, whether nested, crossing or in parts.

The page needs no other file and no network, follows the light or dark mode of its reader, and is
written as documents come; the legend, which needs all types, stands at the end of the file and is
moved to the top by the page itself. Output only.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files

from biomark.formats.base import Format, Sink
from biomark.formats.display import (
    DEEPEST,
    LONGEST_TYPE,
    Colours,
    Piece,
    is_begin,
    is_end,
    layered,
    paragraphs,
    pieces,
    shortened,
    words_of,
)
from biomark.screen import visible
from biomark.spans import Document, Entity

_LONGEST_TITLE = 500  # characters: a mention in parts has its title at each of them


def write(documents: Iterable[Document], sink: Sink, lost: Counter[str]) -> None:
    """Write the page; see the module."""
    page = _Page()
    template = files("biomark.formats").joinpath("page.html").read_text("utf-8")
    head, _, tail = template.partition("<!-- documents -->\n")
    with sink.open() as out:
        out.write(head)
        for document in documents:
            out.write(page.article(document))
            lost.update({"relations": len(document.relations), "alternatives": len(document.alternatives)})
        out.write(tail.replace("/* types */", page.rules()).replace("<!-- legend -->", page.legend()))
    for what in [what for what, count in lost.items() if not count]:
        del lost[what]


def page(documents: Iterable[Document] = (), *, api: str = "") -> str:
    """The page as one text.

    Args:
        documents: what it shows at first.
        api: the base of the service's addresses, relative to the page's own (`v1`); empty for a file that asks none.
    """
    stream = io.BytesIO()
    write(documents, Sink(None, stream), Counter())
    return stream.getvalue().decode()


class _Page:
    """Writes articles, and remembers what the legend needs."""

    def __init__(self) -> None:
        self._colours = Colours()
        self._numbers: dict[str, int] = {}  # of types, in the order of their first mention
        self._mentions: Counter[str] = Counter()
        self._documents = 0

    def article(self, document: Document) -> str:
        """A document: its id, its paragraphs with their mentions."""
        self._documents += 1
        for entity in document.entities:
            self._numbers.setdefault(entity.type, len(self._numbers))
            self._mentions[entity.type] += 1
        rows = [f"<article>\n<h2 dir=auto>{_text(document.id)}</h2>\n"]
        shown = layered(document.entities)
        titles = {id(entity): _text(_description(entity, document.text)) for entity in shown}
        found = list(paragraphs(document))
        for (kind, _), paragraph in zip(found, pieces((span for _, span in found), shown), strict=True):
            if kind not in ("", "title", "abstract", "passage"):
                rows.append(f"<h3>{_text(kind)}</h3>\n")
            marked = "".join(self._piece(piece, document.text, titles) for piece in paragraph)
            rows.append(f"<p dir=auto{' class=title' if kind == 'title' else ''}>{marked}</p>\n")
        if hidden := len(document.entities) - len(shown):
            noun = "mention" if hidden == 1 else "mentions"
            rows.append(f"<footer>{hidden:,} {noun} inside {DEEPEST} others or more: not shown</footer>\n")
        rows.append("</article>\n")
        return "".join(rows)

    def _piece(self, piece: Piece, text: str, titles: Mapping[int, str]) -> str:
        """The words of a piece inside a `<mark>` for each mention that covers them, the longest outermost.

        Args:
            titles: what is known of each mention, by its `id()`.
        """
        words = _text(piece.span.of(text))
        for depth, entity in enumerate(reversed(piece.entities)):
            classes = [f"t{self._numbers[entity.type]}", f"d{min(depth, 3)}"]
            if len(entity.spans) > 1:
                classes.append("part")
            if is_begin(entity, piece.span.start):
                classes.append("begin")
            label = ""
            if is_end(entity, piece.span.end):
                classes.append("end")
                label = f' data-type="{_text(shortened(entity.type, LONGEST_TYPE))}"'
            words = f'<mark class="{" ".join(classes)}" title="{titles[id(entity)]}"{label}>{words}</mark>'
        return words

    def legend(self) -> str:
        """A box to tick for each type, and how much there is."""
        rows = [
            f'<label class="t{number}"><input type="checkbox" autocomplete="off" checked value="{number}"> '
            f"{_text(type)} <small>{self._mentions[type]:,}</small></label>\n"
            for type, number in self._numbers.items()
        ]
        noun = "document" if self._documents == 1 else "documents"
        return "".join(rows) + f"<span>{self._documents:,} {noun}</span>"

    def rules(self) -> str:
        """The style of each type: its colours, and what is left of it when its box is not ticked."""
        rows = []
        for type, number in self._numbers.items():
            pale, deep = self._colours[type]
            rows.append(f".t{number} {{ --pale: {pale}; --deep: {deep} }}")
            rows.append(f".hide{number} mark.t{number} {{ all: unset; pointer-events: none }}")
            rows.append(f".hide{number} mark.t{number}::after {{ content: none }}")
        return "\n".join(rows)


def _description(entity: Entity, text: str) -> str:
    """What is known of a mention, in a line."""
    parts = [shortened(entity.type, LONGEST_TYPE)]
    if entity.score is not None:
        parts.append(f"score {entity.score:.3f}")
    parts += entity.ids
    if len(entity.spans) > 1:
        parts.append(f"in {len(entity.spans)} parts: {words_of(entity, text, _LONGEST_TITLE)}")
    return shortened(" · ".join(parts), _LONGEST_TITLE)


def _text(text: str) -> str:
    return escape(visible(text))


FORMAT = Format("html", (".html", ".htm"), write=write)
