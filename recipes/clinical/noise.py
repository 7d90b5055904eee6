"""What real notes have beside their content: capitals, typing mistakes, odd signs, lines broken anywhere."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from biomark import Document, Entity, Span
from clinical.grammar import Piece

Line = list[Piece]
_WORD = re.compile(r"[A-Za-z]{5,}")
SIGNS = str.maketrans({"'": "’", "-": "–"})
HYPHEN = str.maketrans({"'": "’", "-": "‐"})


@dataclass(frozen=True, slots=True)
class Noise:
    """How a note deviates from clean text.

    Attributes:
        case: "as written", "upper", "lower", or "mixed": some lines in capitals.
        typing: the share of words of five letters or more with a typing mistake.
        width: the column at which lines are broken (0: they are not).
        signs: what is put in place of single characters.
        double: the share of blanks that are doubled.
    """

    case: str = "as written"
    typing: float = 0.0
    width: int = 0
    signs: dict[int, str] | None = None
    double: float = 0.0

    @classmethod
    def by(cls, chance: random.Random) -> Noise:
        """Noise by chance; most notes have little."""
        return cls(
            case=chance.choices(["as written", "upper", "lower", "mixed"], [74, 10, 8, 8])[0],
            typing=chance.choices([0.0, 0.01, 0.03], [60, 30, 10])[0],
            width=chance.choices([0, 60, 72, 80], [75, 6, 10, 9])[0],
            signs=chance.choices([None, SIGNS, HYPHEN], [90, 6, 4])[0],
            double=chance.choices([0.0, 0.02], [85, 15])[0],
        )

    def document(self, id: str, lines: list[Line], chance: random.Random) -> Document:
        """The document of a note's lines, with the noise in it."""
        text, entities = "", []
        for number, line in enumerate(lines):
            text += "\n" if number else ""
            upper = self.case == "upper" or (self.case == "mixed" and chance.random() < 0.3)
            for piece in line:
                changed = self._changed(piece, chance, upper=upper)
                if piece.type:
                    entities.append(Entity((Span(len(text), len(text) + len(changed)),), piece.type))
                text += changed
        if self.signs:
            text = text.translate(self.signs)
        return Document(id, wrapped(text, self.width), entities=tuple(entities))

    def _changed(self, piece: Piece, chance: random.Random, *, upper: bool) -> str:
        text = piece.text
        if self.typing:
            text = _WORD.sub(lambda word: mistyped(word[0], chance) if chance.random() < self.typing else word[0], text)
        if self.double and not piece.type:
            text = re.sub(" ", lambda _: "  " if chance.random() < self.double else " ", text)
        if upper:
            return text.upper()
        return text.lower() if self.case == "lower" else text


def mistyped(word: str, chance: random.Random) -> str:
    """A word with two letters exchanged, one left out, or one doubled; its first letter stays."""
    at = chance.randint(1, len(word) - 2)
    match chance.randint(0, 2):
        case 0:
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        case 1:
            return word[:at] + word[at + 1 :]
    return word[:at] + word[at] + word[at:]


def wrapped(text: str, width: int) -> str:
    """A text whose lines are broken at blanks before a column; offsets stay as they are."""
    if not width:
        return text
    signs, begin, blank = list(text), 0, None
    for at, sign in enumerate(text):
        if sign == "\n":
            begin, blank = at + 1, None
        elif sign == " ":
            if at - begin >= width and blank is not None:
                signs[blank] = "\n"
                begin = blank + 1
            blank = at
    return "".join(signs)
