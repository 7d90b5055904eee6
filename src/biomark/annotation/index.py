"""Which of the documents with one id a run takes: an index of all its inputs, on the disk.

Of PubMed's articles, the highest version counts, and of a version the last one in the order of the inputs; a version
that was deleted (`DeleteCitation`) counts no more, unless it comes again. Of all other documents with one id the first
one counts, and the others are rejected.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum
from pathlib import Path

from biomark.annotation.jobs import Input, Job, Reader, opened
from biomark.errors import BiomarkError, FormatError
from biomark.formats import medline_xml
from biomark.formats.medline_xml import Deletion, version_of
from biomark.runtime.interrupts import check
from biomark.spans import Document, Rejected

_MEDLINE = medline_xml.FORMAT.name
_INPUT = 1 << 40  # a place is the number of an input times this, and the number of a document in it
_AT_ONCE = 20_000  # documents whose rows are put on the disk together
_CACHE = 64 * 1024  # KiB
_TABLES = """
CREATE TABLE IF NOT EXISTS places (id TEXT, version INTEGER, place INTEGER, PRIMARY KEY (id, version)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (inputs INTEGER, documents INTEGER);
INSERT INTO state SELECT 0, NULL WHERE NOT EXISTS (SELECT * FROM state);
"""


class Verdict(Enum):
    """What becomes of a document."""

    TAKEN = "taken"
    SUPERSEDED = "superseded"
    DELETED = "deleted"
    REPEATED = "repeated"


class Index:
    """See the module.

    Args:
        path: of the file, which an earlier process may have begun.
        job: whose inputs are read.

    Attributes:
        documents: how many are taken; known after `build`.
    """

    def __init__(self, path: Path, job: Job) -> None:
        self._path = path
        self._job = job
        self.documents = 0
        with self._explained():
            self._database = sqlite3.connect(path, isolation_level=None)
            self._database.execute(f"PRAGMA cache_size = -{_CACHE}")
            self._database.executescript(_TABLES)

    def build(self, watch: Callable[[int], None] = lambda documents: None) -> None:
        """Read the inputs that have not been read before.

        Args:
            watch: is called now and then with the number of documents that this call has read.

        Raises:
            FormatError: if the index cannot be written.
        """
        with self._explained():
            first, documents = self._database.execute("SELECT inputs, documents FROM state").fetchone()
            if documents is None:
                self._read(first, watch)
                with self._transaction():
                    query = "UPDATE state SET documents = (SELECT count(DISTINCT id) FROM places)"
                    self._database.execute(query)
            (self.documents,) = self._database.execute("SELECT documents FROM state").fetchone()

    def _read(self, first: int, watch: Callable[[int], None]) -> None:
        every = waiting = 0
        self._database.execute("BEGIN")
        try:
            for number, given in enumerate(self._job.inputs[first:], first):
                for count, event in enumerate(self._events(given), 1):
                    check()
                    self._note(event, number)
                    if count % 1_000 == 0:
                        watch(every + count)
                    waiting += 1
                    every += 1
                self._database.execute("UPDATE state SET inputs = ?", (number + 1,))
                if waiting >= _AT_ONCE:
                    self._database.execute("COMMIT")
                    self._database.execute("BEGIN")
                    waiting = 0
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    def _events(self, given: Input) -> Iterator[tuple[Document | Deletion, int, bool]]:
        """The documents and deletions of an input: each with its number among the documents, and whether PubMed's."""
        number = 0
        medline = self.is_medline(given)
        try:
            for event in self._stream(given, medline=medline):
                yield event, number, medline
                number += isinstance(event, Document)
        except (BiomarkError, OSError):  # whoever reads the input for its documents rejects it
            return

    def _stream(self, given: Input, *, medline: bool) -> Iterator[Document | Deletion]:
        if medline and not isinstance(given, str):
            yield from medline_xml.events(opened(self._job, given)[0], _pass_over)
        else:
            yield from Reader(replace(self._job, inputs=(given,), batch=True), _pass_over, repeated=True)

    def is_medline(self, given: Input) -> bool:
        """Whether an input has PubMed's articles, of which later ones supersede earlier ones."""
        try:
            return not isinstance(given, str) and opened(self._job, given)[1] == _MEDLINE
        except (BiomarkError, OSError):
            return False

    def _note(self, event: tuple[Document | Deletion, int, bool], input: int) -> None:
        found, number, medline = event
        if isinstance(found, Deletion):
            self._database.execute("DELETE FROM places WHERE id = ? AND version = ?", (found.id, found.version))
            return
        # Half characters are no text for SQLite
        id = found.id.encode("utf-8", "backslashreplace").decode()
        version = version_of(found) if medline else 0
        conflict = "REPLACE" if medline else "IGNORE"
        row = (id, version, input * _INPUT + number)
        self._database.execute(f"INSERT OR {conflict} INTO places VALUES (?, ?, ?)", row)

    def verdict(self, document: Document, input: int, number: int, *, medline: bool) -> Verdict:
        """What becomes of a document.

        Args:
            document: of the input.
            input: the input's number, from 0.
            number: the document's among all of the input, from 0.
            medline: see `is_medline`.
        """
        id = document.id.encode("utf-8", "backslashreplace").decode()
        with self._explained():
            query = "SELECT version, place FROM places WHERE id = ? ORDER BY version DESC"
            rows: dict[int, int] = dict(self._database.execute(query, (id,)).fetchall())
        if next(iter(rows.values()), None) == input * _INPUT + number:
            return Verdict.TAKEN
        if not medline:
            return Verdict.REPEATED
        return Verdict.SUPERSEDED if version_of(document) in rows else Verdict.DELETED

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN")
        yield
        self._database.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise FormatError(f"{self._path}: the index of the run's documents cannot be used: {error}") from error


def _pass_over(rejected: Rejected) -> None:
    """The reading after this one rejects it."""


__all__ = ["Index", "Verdict"]
