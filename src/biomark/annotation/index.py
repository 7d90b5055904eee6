"""An index, on disk, of the document ids in all inputs of a run, which decides between documents with the same id.

Of a PubMed article, a run takes the highest version, and of that version the last one in the order of the inputs; a
deleted version (`DeleteCitation`) is not taken unless it occurs again later. Of all other documents with the same id,
the run takes the first and rejects the others.
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
_INPUT = 1 << 40  # a place in the index is the number of the input times this, plus the document's number in the input
_TRANSACTION = 20_000  # documents in a transaction, at least
_CACHE = 8 * 1024  # KiB
_TABLES = """
CREATE TABLE IF NOT EXISTS places (id TEXT, version INTEGER, place INTEGER, PRIMARY KEY (id, version)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (inputs INTEGER, documents INTEGER);
INSERT INTO state SELECT 0, NULL WHERE NOT EXISTS (SELECT * FROM state);
"""


class Verdict(Enum):
    """The decision of a run about a document: it is taken, or the reason why not."""

    TAKEN = "taken"
    SUPERSEDED = "superseded"
    DELETED = "deleted"
    REPEATED = "repeated"


class DocumentIndex:
    """The index of a job's documents, in an SQLite file; see the module.

    Args:
        path: the file, which an earlier process may have begun.
        job: the job whose inputs are indexed.

    Attributes:
        documents: the number of documents that the run takes; 0 before `build`.

    Raises:
        FormatError: if the file cannot be opened.
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
        """Index the inputs that no earlier process has indexed.

        Args:
            watch: is called every 1,000 documents with the number of documents that this call has read.

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
        total = waiting = 0
        self._database.execute("BEGIN")
        try:
            for number, source in enumerate(self._job.inputs[first:], first):
                for count, event in enumerate(self._events(source), 1):
                    check()
                    self._add(event, number)
                    if count % 1_000 == 0:
                        watch(total + count)
                    waiting += 1
                    total += 1
                self._database.execute("UPDATE state SET inputs = ?", (number + 1,))
                if waiting >= _TRANSACTION:
                    self._database.execute("COMMIT")
                    self._database.execute("BEGIN")
                    waiting = 0
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    def _events(self, source: Input) -> Iterator[tuple[Document | Deletion, int, bool]]:
        """Yield the documents and deletions of an input, with the document's number and whether the input is PubMed's.

        The number of a document is its position among the input's documents, from 0.
        """
        number = 0
        medline = self.is_medline(source)
        try:
            for event in self._stream(source, medline=medline):
                yield event, number, medline
                number += isinstance(event, Document)
        except (BiomarkError, OSError):  # the run itself rejects the input when it reads the documents
            return

    def _stream(self, source: Input, *, medline: bool) -> Iterator[Document | Deletion]:
        if medline and not isinstance(source, str):
            yield from medline_xml.events(opened(self._job, source)[0], _ignore)
        else:
            yield from Reader(replace(self._job, inputs=(source,), batch=True), _ignore, repeated=True)

    def is_medline(self, source: Input) -> bool:
        """Return whether an input has PubMed's articles, of which later ones supersede earlier ones."""
        try:
            return not isinstance(source, str) and opened(self._job, source)[1] == _MEDLINE
        except (BiomarkError, OSError):
            return False

    def _add(self, event: tuple[Document | Deletion, int, bool], input_number: int) -> None:
        item, number, medline = event
        if isinstance(item, Deletion):
            self._database.execute("DELETE FROM places WHERE id = ? AND version = ?", (item.id, item.version))
            return
        version = version_of(item) if medline else 0
        conflict = "REPLACE" if medline else "IGNORE"
        row = (_key(item), version, input_number * _INPUT + number)
        self._database.execute(f"INSERT OR {conflict} INTO places VALUES (?, ?, ?)", row)

    def verdict(self, document: Document, input_number: int, number: int, *, medline: bool) -> Verdict:
        """Return what the run does with a document.

        Args:
            document: a document of the input.
            input_number: the input's number, from 0.
            number: the document's number in the input, from 0.
            medline: whether the input has PubMed's articles; see `is_medline`.

        Raises:
            FormatError: if the index cannot be read.
        """
        with self._explained():
            query = "SELECT version, place FROM places WHERE id = ? ORDER BY version DESC"
            rows: dict[int, int] = dict(self._database.execute(query, (_key(document),)).fetchall())
        if next(iter(rows.values()), None) == input_number * _INPUT + number:
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


def _key(document: Document) -> str:
    """Return a document's id with lone surrogates escaped, which SQLite cannot store."""
    return document.id.encode("utf-8", "backslashreplace").decode()


def _ignore(rejected: Rejected) -> None:
    """Ignore a reject: the run reports it when it reads the input again."""


__all__ = ["DocumentIndex", "Verdict"]
