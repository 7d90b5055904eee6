"""Safe reading of a store's file, which may be damaged or malicious.

SQLite itself detects most damage. This module adds three checks: it refuses a file with tables, indexes, views
or triggers that `biomark knowledge build` does not create; it stops a query that takes more steps than the size
of the file explains; and it raises one error for whatever SQLite or Python raise on damaged bytes.
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
"""The version of the tables, kept in `about`; a store of another version has to be rebuilt."""

INDEXES = (
    "CREATE INDEX name_form ON name (form)",
    "CREATE INDEX name_bag ON name (bag)",
    "CREATE INDEX name_concept ON name (concept)",
    "CREATE INDEX link_concept ON link (concept)",
    "CREATE INDEX link_identifier ON link (identifier)",
    "CREATE INDEX concept_type ON concept (type)",
    "CREATE VIRTUAL TABLE words USING fts5 (form, content='name', content_rowid='id', detail=none)",
)
"""The statements that create the indexes, after all names have been inserted."""

Cells = tuple["type | UnionType", ...]
"""The Python types of a row's cells."""

_ABOUT = "CREATE TABLE about "
_MAPPED = 1 << 31  # the largest number of bytes of the file to map into memory
# Steps of SQLite's virtual machine. A scan of a whole table with its joins takes less than one step per byte.
_STEPS_AT_LEAST, _STEPS_PER_BYTE = 50_000_000, 10
_STEPS_BETWEEN_CHECKS = 1_000_000
_DAMAGE = (sqlite3.Error, UnicodeDecodeError, OverflowError, MemoryError)


def schema() -> str:
    """Return the statements that create a store's tables."""
    return files("biomark.knowledge").joinpath("schema.sql").read_text("utf-8")


class Database:
    """A store's file, opened for reading; several threads may use it at once.

    Args:
        path: the file.

    Raises:
        KnowledgeError: if the file is not a database, has other tables than a store, or is a store of another format.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # The file is never modified again, so SQLite needs no locks.
        address = f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"
        self._connection = sqlite3.connect(address, uri=True, check_same_thread=False)
        weakref.finalize(self, self._connection.close)  # closes it for callers that do not
        self._limit = max(_STEPS_AT_LEAST, _STEPS_PER_BYTE * path.stat().st_size)
        self._steps = 0
        self._connection.set_progress_handler(self._goes_on_too_long, _STEPS_BETWEEN_CHECKS)
        try:
            # Memory mapping lets processes share the pages that the system caches.
            self._connection.execute(f"PRAGMA mmap_size={_MAPPED}")
            self._connection.execute("PRAGMA trusted_schema=OFF")
            self._connection.execute("PRAGMA cell_size_check=ON")
            rows = self._connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
            tables = {_spaced(sql) for (sql,) in rows}
            others = tables - _expected()
            written = self._format() if any(sql.startswith(_ABOUT) for sql in tables & _expected()) else None
        except _DAMAGE as error:
            self.close()
            raise KnowledgeError(f"{path}: is not a term store, or is damaged ({_reason(error)})") from error
        if isinstance(written, str) and written != FORMAT:
            self.close()
            raise KnowledgeError(
                f"{path}: was built by another version of biomark (format {written[:9]}, not {FORMAT}); rebuild it: "
                f"biomark knowledge build SOURCE... -o {path}"
            )
        if others:
            self.close()
            raise KnowledgeError(
                f"{path}: is damaged, or not a term store: it contains a statement that biomark does not write "
                f"({_shown(min(others))}); rebuild it"
            )

    def _format(self) -> object:
        """Return the format in the table `about`; None if there is none."""
        row = self._connection.execute("SELECT value FROM about WHERE key = 'format'").fetchone()
        return row[0] if row else None

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def rows(self, cells: Cells, query: str, *values: object) -> list[tuple]:  # type: ignore[type-arg]
        """Return all rows of a query.

        Args:
            cells: the Python type of each column, which SQLite itself does not enforce.
            query: an SQL statement with question marks in place of values.
            values: one value for each question mark.

        Raises:
            KnowledgeError: if the file is damaged, or the query takes more steps than the file's size explains.
        """
        self._steps = 0
        try:
            rows = self._connection.execute(query, values).fetchall()
        except _DAMAGE as error:
            raise self.damaged(_reason(error)) from error
        for row in rows:
            for cell, kind in zip(row, cells, strict=True):
                if not isinstance(cell, kind):
                    raise self.damaged(f"the cell {reprlib.repr(cell)} has the wrong type")
        return rows

    def damaged(self, reason: object) -> KnowledgeError:
        """Return an error about a damaged file, which names the file, the reason and the remedy."""
        return KnowledgeError(f"{self._path}: is damaged ({reason}); rebuild it")

    def _goes_on_too_long(self) -> bool:
        self._steps += _STEPS_BETWEEN_CHECKS
        return self._steps > self._limit


@cache
def _expected() -> frozenset[str]:
    """Return the statements in SQLite's schema of a store, including those of the tables that SQLite adds."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(schema())
        for statement in INDEXES:
            database.execute(statement)
        rows: Iterable[tuple[str]] = database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
        return frozenset(_spaced(sql) for (sql,) in rows)


def _spaced(sql: object) -> str:
    """Return a statement with single blanks, so that line breaks make no difference."""
    return " ".join(str(sql).split())


def _reason(error: BaseException) -> str:
    if isinstance(error, sqlite3.OperationalError) and str(error) == "interrupted":
        return "a search does not end"
    return "bytes that are not text" if isinstance(error, UnicodeDecodeError) else str(error) or type(error).__name__


def _shown(sql: str) -> str:
    return sql if len(sql) <= 80 else sql[:79] + "…"
