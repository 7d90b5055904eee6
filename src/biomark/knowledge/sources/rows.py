"""Rows of text files whose first line names the columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from biomark.errors import KnowledgeError
from biomark.formats import Reject
from biomark.formats import Source as File

_SHOWN = 20  # columns that a message lists


@dataclass(frozen=True, slots=True)
class Header:
    """The columns of a file.

    Attributes:
        delimiter: the character between fields.
        columns: the names of the columns in order.
    """

    delimiter: str
    columns: tuple[str, ...]


@dataclass(slots=True)
class TableRow:
    """A row of a table; `row["name"]` is its field in that column, empty if the file has no such column.

    Attributes:
        line: the line number, counted from 1.
        raw: the line without changes.
        fields: the fields of the row.
        places: column → index of its field.
    """

    line: int
    raw: str
    fields: list[str]
    places: Mapping[str, int]

    def __getitem__(self, column: str) -> str:
        place = self.places.get(column)
        return self.fields[place].strip() if place is not None else ""


def rows(
    file: File,
    reject: Reject,
    header: Callable[[str], Header | None],
    *,
    needed: tuple[tuple[str, ...], ...],
    comment: str | None = None,
) -> Iterator[TableRow]:
    """Yield the rows of a file; call `reject` with those that have too few or too many fields.

    A field may be in quotes, with quotes inside it doubled; a field cannot continue on the next line.

    Args:
        file: the file to read.
        reject: receives each line that is not a row.
        header: returns the columns that a line names, or None if it is a comment; all later lines are rows.
        needed: groups of column names; the file needs at least one column of each group.
        comment: the beginning of lines that are skipped after the header.

    Raises:
        KnowledgeError: if a needed column is missing.
    """
    columns: Header | None = None
    places: dict[str, int] = {}
    for line in file.lines(reject):
        if not line.text.strip() or (columns is not None and comment and line.text.startswith(comment)):
            continue
        if columns is None:
            columns = header(line.text)
            if columns is not None:
                _check(file, columns, needed)
                places = {name: place for place, name in reversed(list(enumerate(columns.columns)))}
            continue
        if line.problem:
            file.reject(reject, line.problem, raw=line.text, line=line.number)
            continue
        fields = split(line.text, columns.delimiter)
        width = len(columns.columns)
        if len(fields) < width or any(field.strip() for field in fields[width:]):
            file.reject(reject, _width(fields, width), raw=line.text, line=line.number)
        else:
            yield TableRow(line.number, line.text, fields, places)
    if columns is None and file.line is not None:
        raise KnowledgeError(f"{file.name}: no line names the columns; add a header with {_names(needed)}")


def split(line: str, delimiter: str) -> list[str]:
    """Split a line into fields; a quote that is not closed before a delimiter is part of the text."""
    if '"' not in line:
        return line.split(delimiter)
    fields = []
    for match in _fields(delimiter).finditer(line):
        quoted, plain = match.groups()
        fields.append(plain if quoted is None else quoted.replace('""', '"'))
    return fields


@cache
def _fields(delimiter: str) -> re.Pattern[str]:
    end = re.escape(delimiter)
    return re.compile(rf'(?:^|{end})(?:"([^"]*(?:""[^"]*)*)"(?={end}|$)|([^{end}]*))')


def _check(file: File, header: Header, needed: tuple[tuple[str, ...], ...]) -> None:
    if all(any(name in header.columns for name in group) for group in needed):
        return
    shown = ", ".join(repr(name) for name in header.columns[:_SHOWN])
    more = ", …" if len(header.columns) > _SHOWN else ""
    raise KnowledgeError(f"{file.name}: has the columns {shown[:1000]}{more}; add {_names(needed)}")


def _names(needed: tuple[tuple[str, ...], ...]) -> str:
    return " and ".join(" or ".join(group) for group in needed)


def _width(fields: list[str], width: int) -> str:
    return f"the line has {len(fields)} fields, but the header has {width} columns"
