"""Split a text into units: wrapped lines of prose are joined; items, cells and headings are units of their own.

Plain text does not mark whether a line break was inserted by wrapping. This module joins two lines if the next word
would not have fitted on the first one (the longest line of the paragraph defines its width), if the paragraph reads
like prose, or if the first line ends in the middle of a phrase. An empty line always separates units.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from biomark.spans import Span

_LAYOUT = re.compile(r"[\n\r\v\f\x85\u2028\u2029\t|]|  ")
_LINE_END = re.compile(r"\r\n|[\n\r\v\f\x85\u2028\u2029]")

# - * • 1. 2) (3) a) iv) [12]
_ITEM = re.compile(
    r"[*•·‣▪■●○◦►▶➢✓✔☐☑]|[-–—+>](?![-–—+>])|\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{2,4})\)(?=\s|[^\W\d])|\d{1,3}\.(?=\s)|\[\d{1,4}\]"
)
_HEADING = re.compile(r"[A-Z][\w,/&()'’-]*(?: [\w,/&()'’-]+){0,5} ?:(?=\s|$)")
_STOP = re.compile(r"""[.!?…]["'”’)\]}»]*$""")
_INNER_STOP = re.compile(r"[.!?]\s")
_UNFINISHED = re.compile(
    r"(?:[,(\[{/=&+<>≤≥±×–—-]|\b(?:an?|the|of|in|on|at|by|for|from|to|with|without|within|and|or|nor|but|as|than|that|which|"
    r"who|whose|between|after|before|during|against|among|under|over|through|via|per|into|is|are|was|were|be|been|"
    r"has|have|had|may|can|could|will|would|should|not|their|its|his|her|this|these|those|both|either|versus|vs\.?))$",
    re.IGNORECASE,
)
_FUNCTION_WORD = re.compile(
    r"\b(?:the|of|in|and|or|with|for|to|by|was|were|is|are|that|from|we|he|she|had|has|been|at|on|as|who|which|an?)\b",
    re.IGNORECASE,
)
_PIPE = re.compile(r"(?<!\S)\|(?!\S)")  # a pipe of a table, unlike those in |r| > 0.5, P(A|B) or <|end|>
_GAP = re.compile(r"[^\S\t]{2,}|\s*\t\s*|(?<=\|)\s*|\s+(?=\|)")

_NARROW, _WIDE = 45, 130  # columns; prose is wrapped between them
_SLACK = 0.85  # the share of the width above which a line together with the next word counts as full
_CELL = 60  # the largest mean number of characters in the cells of a row


def units(text: str) -> Iterator[Span]:
    """Yield the units of a text, no sentence of which crosses a border, in order and without surrounding white space.

    The units cover all text except white space. A unit is a paragraph of wrapped lines, a line that is an item of a
    list, a heading or one of several short lines, or a cell of a table.

    Args:
        text: the text of a passage; the time is linear in its length.
    """
    if _LAYOUT.search(text) is None:
        yield from _stripped(text, 0, len(text))
        return
    block: list[_LayoutLine] = []
    for line in _lines(text):
        if line is not None:
            block.append(line)
        elif block:
            yield from _Paragraph(block).units()
            block = []
    if block:
        yield from _Paragraph(block).units()


@dataclass(frozen=True, slots=True)
class _LayoutLine:
    """A line without surrounding white space.

    Attributes:
        span: the span of the line in the text.
        indent: the number of white-space characters before it.
        text: the text of the line.
        is_item: whether it begins like an item of a list.
        cells: the spans of its cells; a line that is not a row of a table has one.
    """

    span: Span
    indent: int
    text: str
    is_item: bool
    cells: tuple[Span, ...]

    @property
    def is_row(self) -> bool:
        return len(self.cells) > 1

    @property
    def is_lower(self) -> bool:
        return self.text[0].islower()

    @property
    def has_stop(self) -> bool:
        return _STOP.search(self.text, max(0, len(self.text) - 20)) is not None

    @classmethod
    def of(cls, text: str, start: int, span: Span) -> _LayoutLine:
        own = span.of(text)
        return cls(span, span.start - start, own, _ITEM.match(own) is not None, tuple(_cells(own, span.start)))


def _lines(text: str) -> Iterator[_LayoutLine | None]:
    """Yield the lines of a text; None for an empty line."""
    start = 0
    for end in _LINE_END.finditer(text):
        yield _line(text, start, end.start())
        start = end.end()
    yield _line(text, start, len(text))


def _line(text: str, start: int, end: int) -> _LayoutLine | None:
    span = next(_stripped(text, start, end), None)
    return None if span is None else _LayoutLine.of(text, start, span)


def _stripped(text: str, start: int, end: int) -> Iterator[Span]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield Span(start, end)


def _cells(line: str, offset: int) -> Iterator[Span]:
    """Yield the cells of a row of a table; a line that is not a row is a single cell."""
    if "\t" not in line and "|" not in line and "  " not in line:
        yield Span(offset, offset + len(line))
        return
    pipes = len(_PIPE.findall(line))
    gaps = [gap for gap in _GAP.finditer(line) if _divides(line, gap, pipes=pipes > 1)]
    blanks = [gap for gap in gaps if "\t" not in gap[0]] if not pipes else []
    mistake = [len(gap[0]) for gap in blanks] == [2]
    if mistake or (blanks and len(blanks) * _CELL < len(line) - _CELL) or _is_justified(line, blanks):
        gaps = [gap for gap in gaps if "\t" in gap[0]]
    start = 0
    for gap in gaps:
        yield from _stripped_at(line, start, gap.start(), offset)
        start = gap.end()
    yield from _stripped_at(line, start, len(line), offset)


def _stripped_at(line: str, start: int, end: int, offset: int) -> Iterator[Span]:
    return (span.shift(offset) for span in _stripped(line, start, end))


def _divides(line: str, gap: re.Match[str], *, pipes: bool) -> bool:
    """Return whether white space separates cells: a tab, white space beside a pipe, or several deliberate blanks."""
    before, behind = line[gap.start() - 1 : gap.start()], line[gap.end() : gap.end() + 1]
    if "\t" in gap[0]:
        return True
    if before == "|" or behind == "|":
        return pipes and before == "|"
    if before in (",", ";", ":", ".", "?", "!", "") or _UNFINISHED.search(line, max(0, gap.start() - 20), gap.start()):
        return False
    return not (len(gap[0]) == 2 and before.islower() and behind.islower())


def _is_justified(line: str, gaps: Sequence[re.Match[str]]) -> bool:
    """Return whether the blanks only justify the line."""
    lower = sum(line[gap.start() - 1].islower() and line[gap.end()].islower() for gap in gaps)
    return len(gaps) > 2 and lower * 2 > len(gaps)


class _Paragraph:
    """Consecutive lines without an empty line between them."""

    def __init__(self, lines: Sequence[_LayoutLine]) -> None:
        self._lines = lines
        self._width = max(len(line.text) for line in lines)

    def units(self) -> Iterator[Span]:
        """Yield the units of the block; see the function `units`."""
        if len(self._lines) == 1:
            yield from self._lines[0].cells
            return
        start = 0
        for n in range(1, len(self._lines) + 1):
            if n < len(self._lines) and self._joins(n):
                continue
            if n == start + 1:
                yield from self._lines[start].cells
            else:
                yield Span(self._lines[start].span.start, self._lines[n - 1].span.end)
            start = n

    def _joins(self, n: int) -> bool:
        """Return whether line n continues the line before it."""
        line, following = self._lines[n - 1 : n + 1]
        if line.is_row or following.is_row:
            return False
        if following.is_item and not self._is_wrapped_sign(n):
            return False
        if line.text.endswith(("-", "‐", "\xad")) and following.is_lower:
            return True
        if line.text.endswith(":"):
            return self._prose and self._is_full(n)
        if _UNFINISHED.search(line.text, max(0, len(line.text) - 20)):
            return True
        if line.is_item and following.indent > line.indent:
            return True
        if _HEADING.match(following.text):
            return self._prose and self._is_full(n) and not line.has_stop
        return self._goes_on(n)

    def _is_wrapped_sign(self, n: int) -> bool:
        """Return whether line n begins like an item only by wrapping: after a full line, with no item beside it."""
        line, beside = self._lines[n - 1], (self._lines[n - 1], *self._lines[n + 1 : n + 2])
        return (
            self._prose
            and self._is_full(n)
            and not line.has_stop
            and not line.text.endswith((":", ";"))
            and not any(other.is_item for other in beside)
        )

    def _goes_on(self, n: int) -> bool:
        """Return whether line n continues the line before it, if the end of that line is not decisive."""
        line, following = self._lines[n - 1 : n + 1]
        full = self._is_full(n)
        if line.text.isupper() and not following.text.isupper() and len(line.text) > 3 and not full:  # a heading
            return False
        if following.is_lower:
            return self._prose or (full and self._width >= _NARROW)
        return self._prose and (full or len(line.text) >= self._width / 2 or not following.text[0].isupper())

    def _is_full(self, n: int) -> bool:
        """Return whether the first word of line n would not have fitted on the line before it."""
        line, following = self._lines[n - 1 : n + 1]
        word = following.text.split(maxsplit=1)[0] if len(following.text) < 1000 else following.text[:20]
        return len(line.text) + 1 + len(word) > _SLACK * self._width

    @cached_property
    def _prose(self) -> bool:
        """Return whether the lines look like one wrapped text.

        Lines of a wrapped text often begin in lower case (except in a text in capitals), contain function words, and
        are full unless they were broken by hand.
        """
        if any(line.is_item for line in self._lines):
            return self._lines_are_full and self._lower >= 0.3
        words = sum(len(line.text.split()) for line in self._lines)
        function = sum(len(_FUNCTION_WORD.findall(line.text)) for line in self._lines) / words
        if self._lines_are_full and self._width <= _WIDE:
            capitals = all(line.text.isupper() for line in self._lines)
            return function >= (0.12 if capitals else 0.18) or (self._lower >= 0.4 and function >= 0.05)
        stops = self._lines[-1].has_stop or any(_INNER_STOP.search(line.text) for line in self._lines)
        return stops and self._lower >= 0.4 and function >= 0.1

    @cached_property
    def _lines_are_full(self) -> bool:
        return sum(map(self._is_full, self._open)) >= 0.6 * len(self._open)

    @cached_property
    def _lower(self) -> float:
        """The share of the lines `_open` that begin in lower case."""
        return sum(self._lines[n].is_lower for n in self._open) / max(1, len(self._open))

    @cached_property
    def _open(self) -> list[int]:
        """The indices of the lines whose previous line has no stop (`.`, `!`, `?` or `…`) at its end."""
        return [n for n in range(1, len(self._lines)) if not self._lines[n - 1].has_stop]


__all__ = ["units"]
