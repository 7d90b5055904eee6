"""A store's file as it is read: it may be damaged, or made to harm.

SQLite stops at most damage by itself. What is added: a file whose tables, indexes, views or triggers are
others than `biomark knowledge build` makes is refused before any of them is used; a query that takes more
steps than the file's size explains is stopped; and whatever SQLite or Python make of damaged bytes is one error.
"""

from __future__ import annotations

import reprlib
import sqlite3
import weakref
from collections.abc import Iterable
from contextlib import closing
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import UnionType
from urllib.parse import quote

from biomark.errors import KnowledgeError

FORMAT = "3"
"""What `about` says of the tables; a store of another number is built anew."""

INDEXES = (
    "CREATE INDEX name_form ON name (form)",
    "CREATE INDEX name_bag ON name (bag)",
    "CREATE INDEX name_concept ON name (concept)",
    "CREATE INDEX link_concept ON link (concept)",
    "CREATE INDEX link_identifier ON link (identifier)",
    "CREATE INDEX concept_type ON concept (type)",
    "CREATE VIRTUAL TABLE words USING fts5 (form, content='name', content_rowid='id', detail=none)",
)
"""What is made once all names are there."""

Cells = tuple["type | UnionType", ...]
"""The kinds of a row's cells."""

_ABOUT = "CREATE TABLE about "
_MAPPED = 1 << 31  # bytes of the file at most
# Steps of SQLite's virtual machine. A scan of a whole table with its joins takes fewer than one a byte.
_STEPS_AT_LEAST, _STEPS_PER_BYTE = 50_000_000, 10
_STEPS_BETWEEN_CHECKS = 1_000_000
_DAMAGE = (sqlite3.Error, UnicodeDecodeError, OverflowError, MemoryError)


def schema() -> str:
    """The statements that make a store's tables."""
    return files("biomark.knowledge").joinpath("schema.sql").read_text("utf-8")


class Database:
    """A store's file, opened for reading; several threads may use it at once.

    Args:
        path: the file.

    Raises:
        KnowledgeError: if it is no database, holds other tables than stores do, or is a store of another format.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # The file is never written to again, so SQLite needs no locks.
        address = f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"
        self._connection = sqlite3.connect(address, uri=True, check_same_thread=False)
        weakref.finalize(self, self._connection.close)  # for those who do not close it
        self._limit = max(_STEPS_AT_LEAST, _STEPS_PER_BYTE * path.stat().st_size)
        self._steps = 0
        self._connection.set_progress_handler(self._goes_on_too_long, _STEPS_BETWEEN_CHECKS)
        try:
            # Pages are read where the system holds them for all processes, not copied for each.
            self._connection.execute(f"PRAGMA mmap_size={_MAPPED}")
            self._connection.execute("PRAGMA trusted_schema=OFF")
            self._connection.execute("PRAGMA cell_size_check=ON")
            rows = self._connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
            tables = {_spaced(sql) for (sql,) in rows}
            others = tables - _expected()
            written = self._format() if any(sql.startswith(_ABOUT) for sql in tables & _expected()) else None
        except _DAMAGE as error:
            self.close()
            raise KnowledgeError(f"{path}: is no store of terms, or it is damaged ({_told(error)})") from error
        if isinstance(written, str) and written != FORMAT:
            self.close()
            raise KnowledgeError(
                f"{path}: was built by another version of biomark (format {written[:9]}, not {FORMAT}); build it anew: "
                f"biomark knowledge build SOURCE... -o {path}"
            )
        if others:
            self.close()
            raise KnowledgeError(
                f"{path}: is damaged, or no store of terms: it holds what biomark does not write "
                f"({_shown(min(others))}); build it anew"
            )

    def _format(self) -> object:
        """What the store says of its format; None if nothing."""
        row = self._connection.execute("SELECT value FROM about WHERE key = 'format'").fetchone()
        return row[0] if row else None

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def rows(self, cells: Cells, query: str, *values: object) -> list[tuple]:  # type: ignore[type-arg]
        """All rows of a query.

        Args:
            cells: what each column holds; SQLite itself lets any column hold anything.
            query: with question marks for the values.
            values: one for each question mark.

        Raises:
            KnowledgeError: if the file is damaged, or the query would take longer than its size explains.
        """
        self._steps = 0
        try:
            rows = self._connection.execute(query, values).fetchall()
        except _DAMAGE as error:
            raise self.damaged(_told(error)) from error
        for row in rows:
            for cell, kind in zip(row, cells, strict=True):
                if not isinstance(cell, kind):
                    raise self.damaged(f"{reprlib.repr(cell)} stands where something else should")
        return rows

    def damaged(self, reason: object) -> KnowledgeError:
        """The error that says so."""
        return KnowledgeError(f"{self._path}: is damaged ({reason}); build it anew")

    def _goes_on_too_long(self) -> bool:
        self._steps += _STEPS_BETWEEN_CHECKS
        return self._steps > self._limit


@cache
def _expected() -> frozenset[str]:
    """The statements that SQLite keeps of a store's tables and indexes, those that it makes by itself included."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(schema())
        for statement in INDEXES:
            database.execute(statement)
        rows: Iterable[tuple[str]] = database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
        return frozenset(_spaced(sql) for (sql,) in rows)


def _spaced(sql: object) -> str:
    """A statement with single blanks: how it is broken into lines makes no difference."""
    return " ".join(str(sql).split())


def _told(error: BaseException) -> str:
    if isinstance(error, sqlite3.OperationalError) and str(error) == "interrupted":
        return "a search in it does not end"
    return "bytes that are no text" if isinstance(error, UnicodeDecodeError) else str(error) or type(error).__name__


def _shown(sql: str) -> str:
    return sql if len(sql) <= 80 else sql[:79] + "…"
