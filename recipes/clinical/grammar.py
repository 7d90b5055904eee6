"""Patterns with slots, and texts with mentions made from them.

A pattern is a text with

- `{name}`: an alternative of the symbol `name`, chosen by chance;
- `{3-9}`, `{0.5-2.0}`: a number of this range, with as many decimals;
- `{one|other|}`: one of these patterns, of which any may be empty;
- `<d:...>`, and likewise `c`, `g`, `s` and `v`: a mention of a disease, chemical, gene, species or variant. Mentions
  inside of it are not marked on their own.

Symbols and their alternatives are rows of TSV files: symbol, pattern and, where the whole pattern is a mention, its
type. A symbol `name@topic` holds alternatives of `name` for notes on a topic.
"""

from __future__ import annotations

import csv
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
TYPES = {"d": "disease", "c": "chemical", "g": "gene", "s": "species", "v": "variant"}
ON_TOPIC = 0.6  # the chance that a symbol is read as that of the note's topic
AGAIN = 0.3  # the chance that a note comes back to a name that it has used
OPEN = {"disease": "term-disease", "drug": "term-chemical"}  # where names of open terminologies stand, too
TERMS = 0.33  # the chance of that, where there are such names
FIXED = 6  # letters of a pattern outside its slots that make it a sentence, which a section does not repeat
REMEMBERED = frozenset({"disease", "drug", "organism", "surname", "symptom", "finding"})
# Meanings of abbreviations that are no names with the borders of a mention ("loss of consciousness").
UNFIT = re.compile(
    r",| (and|with|on|stage|of undetermined|from) |^(tear|loss|failure|bright|low|left|right|brief|"
    r"acute (exacerbation|decompensated|hypoxic)) "
)
_RANGE = re.compile(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)$")
_MARK = re.compile(r"<([dcgsv]):")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a note: its text, and the type of the mention that it is (None: it is none)."""

    text: str
    type: str | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    """A symbol to be replaced."""

    symbol: str


@dataclass(frozen=True, slots=True)
class Number:
    """A number from `low` to `high`, both included."""

    low: float
    high: float
    decimals: int


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several sequences."""

    options: tuple[Sequence, ...]


@dataclass(frozen=True, slots=True)
class Mention:
    """A sequence that is a mention of a type as a whole."""

    type: str
    body: Sequence


Sequence = tuple[str | Slot | Number | Choice | Mention, ...]


class PatternError(ValueError):
    """A pattern whose braces or marks do not close, or a symbol that no file has."""


@cache
def parse(pattern: str) -> Sequence:
    """The tree of a pattern.

    Raises:
        PatternError: if a brace or a mark does not close.
    """
    tree, end = _sequence(pattern, 0, "")
    if end != len(pattern):
        raise PatternError(f"{pattern!r}: {pattern[end]!r} at offset {end} closes nothing")
    return tree


def _sequence(pattern: str, at: int, closing: str) -> tuple[Sequence, int]:
    """What stands from an offset to one of the closing characters, and the offset of that character."""
    nodes: list[str | Slot | Number | Choice | Mention] = []
    text = ""
    while at < len(pattern) and pattern[at] not in closing + "}":
        mark = _MARK.match(pattern, at)
        if not mark and pattern[at] != "{":
            text += pattern[at]
            at += 1
            continue
        nodes += [text] if text else []
        text = ""
        if mark:
            body, at = _sequence(pattern, mark.end(), ">")
            nodes.append(Mention(TYPES[mark[1]], body))
        else:
            options, at = _options(pattern, at + 1)
            nodes.append(_braces(options, pattern))
        if at >= len(pattern):
            raise PatternError(f"{pattern!r}: a brace or mark is not closed")
        at += 1
    return tuple([*nodes, text] if text else nodes), at


def _options(pattern: str, at: int) -> tuple[list[Sequence], int]:
    """The sequences between the bars of a pair of braces, and the offset of the closing one."""
    options = []
    while True:
        option, at = _sequence(pattern, at, "|")
        options.append(option)
        if at >= len(pattern) or pattern[at] == "}":
            return options, at
        at += 1


def _braces(options: list[Sequence], pattern: str) -> Slot | Number | Choice:
    """What a pair of braces stands for."""
    if len(options) > 1:
        return Choice(tuple(options))
    if len(options[0]) != 1 or not isinstance(options[0][0], str):
        raise PatternError(f"{pattern!r}: braces need a symbol, a range, or bars between alternatives")
    name = options[0][0]
    if numbers := _RANGE.match(name):
        low, high = numbers[1], numbers[2]
        return Number(float(low), float(high), len(low.partition(".")[2]))
    return Slot(name)


class Grammar:
    """Symbols and their alternatives.

    Args:
        rows: symbol, pattern and type ("" where the pattern is no mention as a whole).
    """

    def __init__(self, rows: Iterable[tuple[str, str, str]]) -> None:
        alternatives: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for symbol, pattern, type in rows:
            alternatives[symbol].append((pattern, type))
        own = set(alternatives)
        for symbol in sorted(own):
            name, _, topic = symbol.partition("@")
            if topic and name not in own:
                alternatives[name] += alternatives[symbol]
        self.alternatives: Mapping[str, list[tuple[str, str]]] = dict(alternatives)

    def check(self) -> None:
        """Parse all patterns, and look that every symbol exists.

        Raises:
            PatternError: at the first that is wrong.
        """
        for symbol, alternatives in self.alternatives.items():
            for pattern, _ in alternatives:
                for name in _names(parse(pattern)):
                    if name not in self.alternatives:
                        raise PatternError(f"{symbol}: {pattern!r} names {name!r}, which no file has")


def _names(tree: Sequence) -> Iterator[str]:
    for node in tree:
        if isinstance(node, Slot):
            yield node.symbol
        elif isinstance(node, Mention):
            yield from _names(node.body)
        elif isinstance(node, Choice):
            for option in node.options:
                yield from _names(option)


def fixed(tree: Sequence) -> int:
    """How many letters a pattern fixes, outside of its slots and alternatives."""
    bodies = [node.body if isinstance(node, Mention) else (node,) for node in tree]
    return sum(len(node.strip()) for body in bodies for node in body if isinstance(node, str))


class Writer:
    """Writes the sentences of one note.

    Args:
        grammar: symbols and their alternatives.
        chance: the source of chance; the same state gives the same text.
        topic: of the note.
    """

    def __init__(self, grammar: Grammar, chance: random.Random, topic: str) -> None:
        self.grammar, self.chance, self.topic = grammar, chance, topic
        self._used: dict[str, list[list[Piece]]] = defaultdict(list)

    def symbol(self, name: str) -> list[Piece]:
        """A text for a symbol; names of diseases, drugs and persons come back within a note."""
        used = self._used[name]
        if name in REMEMBERED and used and self.chance.random() < AGAIN:
            return self.chance.choice(used)
        pattern, type = self._alternative(name)
        pieces = self.sequence(parse(pattern))
        if type:
            pieces = [Piece("".join(piece.text for piece in pieces), type)]
        used.append(pieces)
        return pieces

    def opening(self, name: str) -> list[Piece]:
        """A text for a symbol: that of the note's topic, where there is one."""
        special = f"{name}@{self.topic}"
        return self.symbol(special if special in self.grammar.alternatives else name)

    def different(self, name: str, number: int) -> list[list[Piece]]:
        """Up to so many texts for a symbol, none of which is that of another or the same sentence filled anew."""
        patterns: set[str] = set()
        texts: dict[str, list[Piece]] = {}
        for _ in range(number * 3):
            pattern, type = self._alternative(name)
            if pattern in patterns or len(texts) == number:
                continue
            if fixed(parse(pattern)) >= FIXED:
                patterns.add(pattern)
            pieces = [Piece(pattern, type)] if type else self.sequence(parse(pattern))
            texts.setdefault("".join(piece.text for piece in pieces).lower(), pieces)
        return list(texts.values())

    def _alternative(self, name: str) -> tuple[str, str]:
        """An alternative of a symbol, perhaps that of the note's topic or that of an open terminology."""
        symbol = name
        if f"{name}@{self.topic}" in self.grammar.alternatives and self.chance.random() < ON_TOPIC:
            symbol = f"{name}@{self.topic}"
        if OPEN.get(name) in self.grammar.alternatives and self.chance.random() < TERMS:
            symbol = OPEN[name]
        return self.chance.choice(self.grammar.alternatives[symbol])

    def pattern(self, pattern: str) -> list[Piece]:
        """A text for a pattern."""
        return self.sequence(parse(pattern))

    def sequence(self, tree: Sequence) -> list[Piece]:
        """A text for a parsed pattern."""
        return [piece for node in tree for piece in self._node(node)]

    def _node(self, node: str | Slot | Number | Choice | Mention) -> list[Piece]:
        match node:
            case str():
                return [Piece(node)]
            case Slot(symbol):
                return self.symbol(symbol)
            case Number(low, high, decimals):
                scale = 10**decimals
                return [Piece(f"{self.chance.randint(round(low * scale), round(high * scale)) / scale:.{decimals}f}")]
            case Choice(options):
                return self.sequence(self.chance.choice(options))
            case Mention(type, body):
                return [Piece("".join(piece.text for piece in self.sequence(body)), type)]


def rows(path: Path) -> Iterator[list[str]]:
    """The rows of a TSV file below its heading."""
    with path.open(encoding="utf-8", newline="") as file:
        table = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        next(table, None)
        yield from (row for row in table if row)


def vocabulary(folder: Path = HERE) -> Iterator[tuple[str, str, str]]:
    """The rows of all files with symbols, and those of the list of abbreviations."""
    for path in sorted(folder.glob("symbols-*.tsv")):
        for row in rows(path):
            symbol, pattern, type = (*row, "")[:3]
            yield symbol, pattern, type
    abbreviations = [(name, type, meaning) for name, type, meaning in rows(folder / "abbreviations.tsv")]
    several = Counter(name for name, *_ in abbreviations)
    for name, type, meaning in abbreviations:
        if type != "none":
            yield f"abbreviation-{type}", name, type
        elif several[name] == 1:
            yield "abbreviation-none", name, ""
        if type == "disease" and " " in meaning and not UNFIT.search(meaning):
            yield "definition", f"<d:{meaning}> (<d:{name}>)", ""
