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
        delimiter: one character.
        columns: their names in order.
    """

    delimiter: str
    columns: tuple[str, ...]


@dataclass(slots=True)
class Row:
    """A row: `row["name"]` is its field of that column, empty where the file has no such column.

    Attributes:
        line: counted from 1.
        raw: the line as it stands.
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
) -> Iterator[Row]:
    """The rows of a file; those with too few or too many fields go to `reject`.

    A field may stand in quotes, a quote in it is then written twice; it does not go beyond its line.

    Args:
        file: what is read.
        reject: is given what is no row.
        header: the columns that a line names, or None if it is a comment; what comes next are rows.
        needed: the columns without which nothing can be read; of each group one is enough.
        comment: what lines begin with that are passed over after the header.

    Raises:
        KnowledgeError: if a needed column is not there.
    """
    found: Header | None = None
    places: dict[str, int] = {}
    for line in file.lines(reject):
        if not line.text.strip() or (found is not None and comment and line.text.startswith(comment)):
            continue
        if found is None:
            found = header(line.text)
            if found is not None:
                _check(file, found, needed)
                places = {name: place for place, name in reversed(list(enumerate(found.columns)))}
            continue
        if line.problem:
            file.reject(reject, line.problem, raw=line.text, line=line.number)
            continue
        fields = split(line.text, found.delimiter)
        width = len(found.columns)
        if len(fields) < width or any(field.strip() for field in fields[width:]):
            file.reject(reject, _width(fields, width), raw=line.text, line=line.number)
        else:
            yield Row(line.number, line.text, fields, places)
    if found is None and file.line is not None:
        raise KnowledgeError(f"{file.name}: no line names its columns; needed are {_names(needed)}")


def split(line: str, delimiter: str) -> list[str]:
    """The fields of a line; a quote that is not closed before a delimiter is part of the text."""
    if '"' not in line:
        return line.split(delimiter)
    fields = []
    for found in _fields(delimiter).finditer(line):
        quoted, plain = found.groups()
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
    raise KnowledgeError(f"{file.name}: has the columns {shown[:1000]}{more}; needed are {_names(needed)}")


def _names(needed: tuple[tuple[str, ...], ...]) -> str:
    return " and ".join(" or ".join(group) for group in needed)


def _width(fields: list[str], width: int) -> str:
    return f"the line has {len(fields)} fields, the header names {width} columns"
