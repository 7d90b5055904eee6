"""Whole notes from the grammar: sections under headings, in the layouts that clinicians use."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from biomark import Document
from clinical.grammar import HERE, Grammar, Piece, Writer, rows, vocabulary
from clinical.noise import Noise

Line = list[Piece]
INSTEAD = 0.2  # the chance that a section consists of what stands for nothing
LIST_STOP = 0.6  # of lists on one line, in notes whose sentences end with a full stop
FILLED = frozenset({"hpi", "plan", "course", "subjective", "nursing", "operation", "instruct", "image"})
FILLING = 0.3  # the chance that a sentence without any mention follows one of theirs
BULLETS = ("- ", "- ", "-", "* ", "• ", "> ", "+ ", "o ", "")


@dataclass(frozen=True, slots=True)
class Section:
    """A section: its possible headings, how it is laid out, and what its sentences or items are.

    `instead`, where there is one, is a symbol whose text stands for the whole section at times (`NKDA`).
    """

    headings: tuple[str, ...]
    form: str
    symbol: str
    fewest: int
    most: int
    instead: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of note; a section whose name ends in `?` is left out at times."""

    topics: tuple[str, ...]
    titles: tuple[str, ...]
    sections: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lab:
    """An analyte with the range that its values are drawn from; its type is "" if it is no mention."""

    name: str
    type: str
    low: float
    high: float
    decimals: int
    unit: str


@dataclass(frozen=True, slots=True)
class Layout:
    """The habits of whoever writes a note; they hold for all of it."""

    heading: str  # "upper", "as written" or "lower"
    colon: str
    below: bool  # whether the text of a section begins on a line of its own
    blank: bool  # whether an empty line stands between sections
    bullet: str
    stops: bool  # whether sentences end with a full stop

    @classmethod
    def by(cls, chance: random.Random) -> Layout:
        """A layout by chance."""
        return cls(
            heading=chance.choice(["upper", "as written", "as written", "as written", "lower"]),
            colon=chance.choice([":", ":", ":", ":", " -", "", " :"]),
            below=chance.random() < 0.45,
            blank=chance.random() < 0.5,
            bullet=chance.choice(BULLETS),
            stops=chance.random() < 0.85,
        )


def split(cell: str) -> tuple[str, ...]:
    """The alternatives of a table's cell."""
    return tuple(part for part in cell.split(" | ") if part != "-")


class NoteWriter:
    """Writes notes.

    Args:
        diseases: names from open terminologies, for about a third of the places that take any disease.
        chemicals: likewise.
        folder: the tables.
    """

    def __init__(self, diseases: Iterable[str] = (), chemicals: Iterable[str] = (), folder: Path = HERE) -> None:
        vocabulary_rows = list(vocabulary(folder))
        for symbol, type, names in (("term-disease", "disease", diseases), ("term-chemical", "chemical", chemicals)):
            known = [(symbol, name, type) for name in names if not set(name) & set("{}<>|")]
            vocabulary_rows += known
        self.grammar = Grammar(vocabulary_rows)
        self.grammar.check()
        self.sections = {
            name: Section(split(headings), form, symbol, int(fewest), int(most), instead.strip("-"))
            for name, headings, form, symbol, fewest, most, instead in rows(folder / "sections.tsv")
        }
        self.kinds = [
            Kind(tuple(topics.split()), split(titles), tuple(sections.split()))
            for _, topics, titles, sections in rows(folder / "kinds.tsv")
        ]
        self.labs = [
            Lab(name, "" if type == "none" else type, float(low), float(high), int(decimals), (*unit, "")[0])
            for name, type, low, high, decimals, *unit in rows(folder / "labs.tsv")
        ]

    def note(self, id: str, chance: random.Random) -> Document:
        """A note; the same state of chance gives the same one."""
        kind = chance.choice(self.kinds)
        page = Page(self, Writer(self.grammar, chance, chance.choice(kind.topics)), chance)
        page.fill(kind)
        return Noise.by(chance).document(id, page.lines, chance)


class Page:
    """One note in the making: its lines so far."""

    def __init__(self, notes: NoteWriter, writer: Writer, chance: random.Random) -> None:
        self.notes, self.writer, self.chance = notes, writer, chance
        self.layout = Layout.by(chance)
        self.lines: list[Line] = []

    def fill(self, kind: Kind) -> None:
        """Write all sections of a kind of note."""
        if kind.titles and self.chance.random() < 0.7:
            self.lines.append(self.writer.pattern(self.chance.choice(kind.titles)))
        for name in kind.sections:
            if name.endswith("?") and self.chance.random() < 0.5:
                continue
            section = self.notes.sections[name.removesuffix("?")]
            lines = self.body(section)
            if section.headings:
                lines = self.headed(self.heading(section), lines, inline=section.form == "inline")
            if self.layout.blank and self.lines:
                self.lines.append([])
            self.lines += lines

    def heading(self, section: Section) -> str:
        """A heading in the note's manner."""
        text = self.chance.choice(section.headings)
        match self.layout.heading:
            case "upper":
                text = text.upper()
            case "lower":
                text = text.lower()
        return text + self.layout.colon

    def headed(self, heading: str, lines: list[Line], *, inline: bool) -> list[Line]:
        """Lines below a heading, or after it."""
        if not inline and (self.layout.below or len(lines) > 1):
            return [[Piece(heading)], *lines]
        first, *others = lines
        return [[Piece(heading + " "), *first], *others]

    def body(self, section: Section) -> list[Line]:
        """The lines of a section without its heading."""
        number = self.chance.randint(section.fewest, section.most)
        if section.instead and self.chance.random() < INSTEAD:
            return [self.writer.symbol(section.instead)]
        if section.form == "labs":
            return self.laboratory(section.symbol, number)
        items = self.items(section.symbol, number)
        form = section.form
        if form == "mixed":
            form = self.chance.choice(["prose", "lines", "list"])
        match form:
            case "prose":
                return [self.prose(items)]
            case "story":
                return [self.prose([self.writer.opening(f"{section.symbol}-open"), *items])]
            case "list" | "plan":
                return self.listed(items, plan=form == "plan")
            case "inline":
                return [self.on_one_line(items, ", ")]
        return [self.sentence(item) for item in items]

    def items(self, symbol: str, number: int) -> list[Line]:
        """Sentences or items for a symbol; in running notes some without any mention stand between them."""
        items = self.writer.different(symbol, number)
        if symbol not in FILLED:
            return items
        filling = iter(self.writer.different("filler", number))
        for at in range(len(items), 0, -1):
            if self.chance.random() < FILLING:
                items[at:at] = [line for line in [next(filling, None)] if line]
        return items

    def sentence(self, item: Line) -> Line:
        """An item with a capital at its beginning and, in most notes, without its full stop taken off."""
        return capitalised(item) if self.layout.stops else without_stop(capitalised(item))

    def prose(self, items: list[Line]) -> Line:
        """Items as sentences of a paragraph."""
        line: Line = []
        for item in items:
            text = "".join(piece.text for piece in item)
            stop = "" if text.endswith((".", "?", "!")) else "."
            line += [Piece(" ")] if line else []
            line += [*capitalised(item), Piece(stop)] if stop else capitalised(item)
        return line

    def listed(self, items: list[Line], *, plan: bool) -> list[Line]:
        """Items as a list: numbered, with bullets, bare, or on one line."""
        styles = ["number", "bullet", "bullet", "bare"] + ([] if plan else ["comma", "comma", "semicolon"])
        style = self.chance.choice(styles)
        items = [self.sentence(item) if self.chance.random() < 0.5 else item for item in items]
        if style in ("comma", "semicolon"):
            items = [without_stop(item) for item in items]
            between = ", " if style == "comma" else self.chance.choice(["; ", " ; ", " / ", " | "])
            return [self.on_one_line(items, between)]
        after = self.chance.choice([". ", ") ", ".", ") "])
        signs = [f"{n}{after}" if style == "number" else self.layout.bullet for n in range(1, len(items) + 1)]
        signs = [""] * len(items) if style == "bare" else signs
        return [[Piece(sign), *item] if sign else item for sign, item in zip(signs, items, strict=True)]

    def on_one_line(self, items: list[Line], between: str) -> Line:
        """Items as one line, with a full stop behind it in some of the notes whose sentences have one."""
        line = joined(items, between)
        return [*line, Piece(".")] if self.layout.stops and self.chance.random() < LIST_STOP else line

    def laboratory(self, symbol: str, number: int) -> list[Line]:
        """Laboratory values: lines of panels, a table in one of the usual layouts, or some of both."""
        style = self.chance.choice(["lines", "table", "table", "both", "prose"])
        lines = self.writer.different(symbol, self.chance.randint(2, 6))
        if style == "prose":
            return [joined(lines, ", ")]
        return lines if style == "lines" else [*(lines[:3] if style == "both" else []), *self.table(number)]

    def table(self, number: int) -> list[Line]:
        """A table of laboratory values, in one of the usual layouts."""
        chosen = self.chance.sample(self.notes.labs, number)
        between = self.chance.choice([" ", " ", " ", ": ", "\t", " = ", "  ", ":"])
        units, flags = self.chance.random() < 0.3, self.chance.random() < 0.6
        cells = [self.result(lab, between, units=units, flags=flags) for lab in chosen]
        columns = self.chance.choice([1, 1, 3, 4, 6, 20])
        gap = self.chance.choice(["  ", ", ", "   ", " | ", "; ", "\t", " / "]) if columns > 1 else ""
        return [joined(cells[at : at + columns], gap) for at in range(0, len(cells), columns)]

    def result(self, lab: Lab, between: str, *, units: bool, flags: bool) -> Line:
        """An analyte and its value, with its unit and a flag at times."""
        scale = 10**lab.decimals
        value = self.chance.randint(round(lab.low * scale), round(lab.high * scale)) / scale
        text = f"{between}{value:.{lab.decimals}f}"
        text += f" {lab.unit}" if units and lab.unit else "%" if lab.unit == "%" else ""
        if flags and self.chance.random() < 0.35:
            text += self.chance.choice([" H", " L", " (H)", " (L)", "*", " (high)", " (low)", " ↑", " ↓", " HH"])
        elif self.chance.random() < 0.1:
            earlier = self.chance.randint(round(lab.low * scale), round(lab.high * scale)) / scale
            text += f"{self.chance.choice([' -> ', ' (', '<-', ' from '])}{earlier:.{lab.decimals}f}"
            text += ")" if "(" in text else ""
        return [Piece(lab.name, lab.type or None), Piece(text)]


def without_stop(item: Line) -> Line:
    """An item without the full stop at its end."""
    last = item[-1]
    return item if last.type or not last.text.endswith(".") else [*item[:-1], Piece(last.text[:-1])]


def joined(items: Iterable[Line], between: str) -> Line:
    """Items one after the other, with a sign between them."""
    line: Line = []
    for item in items:
        line += [Piece(between), *item] if line else item
    return line


def capitalised(item: Line) -> Line:
    """An item that begins with a capital, unless its first word has one inside (`pH`, `hs-CRP`)."""
    first, *others = item
    word = first.text.split(" ")[0]
    if not first.text or word != word.lower() or not word.replace("-", "").isalpha():
        return item
    return [Piece(first.text[0].upper() + first.text[1:], first.type), *others]
