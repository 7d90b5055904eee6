"""Building a store: entries of any number of sources → one file, in bounded memory."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from biomark.embedding.exported import Exported
from biomark.errors import KnowledgeError
from biomark.formats import Reject
from biomark.identifiers import COMPOSITE, type_of
from biomark.knowledge import neighbours
from biomark.knowledge.caution import caution
from biomark.knowledge.database import FORMAT, INDEXES, schema
from biomark.knowledge.entries import Description, Entry, Kind, Name
from biomark.knowledge.forms import bag, form
from biomark.knowledge.fuzzy import keys
from biomark.spans import Rejected

# Code points. The longest names of MeSH and UMLS are systematic ones of a few hundred.
LONGEST_NAME = 2000
_EXAMPLES = 3
_TYPED = "SELECT id FROM concept WHERE type <> ''"


class TermSource(Protocol):
    """What entries come from; see `biomark.knowledge.sources`."""

    def entries(self, reject: Reject) -> Iterator[Entry]:
        """All entries, streamed; what cannot be used goes to `reject`."""
        ...

    @property
    def description(self) -> Description:
        """What the source says of itself; complete once all entries were read."""
        ...

    @property
    def left_out(self) -> Counter[str]:
        """What it has that entries cannot hold, by kind; complete once all entries were read."""
        ...

    def position(self) -> int:
        """The bytes read so far."""
        ...


@dataclass(slots=True)
class Built:
    """What came of building a store.

    Attributes:
        concepts: how many the store has, those of no type of biomark's included.
        names: how many different ones.
        notes: what the user should know, a sentence each: contradictions, what was left out.
    """

    concepts: int = 0
    names: int = 0
    notes: list[str] = field(default_factory=list)


def build(
    sources: Sequence[TermSource],
    path: Path,
    *,
    type: str | None = None,
    reject: Reject,
    progress: Callable[[int], None] = lambda position: None,
    encoder: Exported | None = None,
    encoding: Callable[[int], Callable[[int], None]] = lambda names: lambda done: None,
) -> Built:
    """Build a store of sources; of what they contradict each other in, the first one's word is taken.

    The store is written beside `path` first, so that a run that is stopped leaves an older store as it was.

    Args:
        sources: one or more; the order is that of their authority.
        path: the file to write.
        type: the type of concepts whose type neither their source nor their identifier tells. Concepts of which the
            source knows that they have none of biomark's types keep none.
        reject: is told of each entry or name that cannot be used, and of a source that cannot be read.
        progress: is called with the bytes read so far of all sources.
        encoder: is kept in the store, with the vectors of all names; see `biomark.knowledge.neighbours`.
        encoding: is told how many names are going to have vectors, once all sources are read; what it returns is
            called with how many have.

    Raises:
        KnowledgeError: if nothing could be used, or the file cannot be written.
        ModelError: if the encoder cannot be used.
    """
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(part, isolation_level=None)) as database:
            writer = _Writer(database, type)
            done = 0
            for number, source in enumerate(sources, 1):
                for count in writer.add(number, source, reject):
                    if count % 1000 == 0:
                        progress(done + source.position())
                done += source.position()
            built = writer.finish()
            if encoder and built.names:
                neighbours.write(database, encoder, encoding)
        if not built.names:
            raise KnowledgeError(f"{path}: the sources have no name that could be used; see what was rejected")
        os.replace(part, path)
    except (sqlite3.OperationalError, OSError) as error:
        raise KnowledgeError(f"{path}: cannot be written ({error})") from error
    finally:
        part.unlink(missing_ok=True)
    return built


class _Writer:
    """Writes one store."""

    def __init__(self, database: sqlite3.Connection, type: str | None) -> None:
        self._database = database
        self._type = type
        self._types_differ = _Examples()
        self._notes: list[str] = []
        # A crash costs no more than the part file, so nothing has to reach the disk in between. Names wait in a
        # temporary database until those that say the same can be folded into one.
        database.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-65536;")
        database.executescript(schema())
        database.executescript(
            "ATTACH '' AS heap;"
            "CREATE TABLE heap.name (concept, text, form, kind, count, source);"
            "CREATE TABLE heap.link (concept, identifier, kind, source);"
            "BEGIN;"
        )

    def add(self, number: int, source: TermSource, reject: Reject) -> Iterator[int]:
        """Take in a source; yields how many entries were taken, after each one."""
        entries = names = rejects = 0

        def rejected(what: Rejected) -> None:
            nonlocal rejects
            rejects += 1
            reject(what)

        try:
            for entry in source.entries(rejected):
                usable = tuple(self._usable(entry, source.description.name, rejected))
                self._put(entry, usable, number)
                entries += 1
                names += len(usable)
                yield entries
        except KnowledgeError as error:  # the other sources still make a store
            rejected(Rejected(str(error)))
        told = source.description
        self._notes += [f"{told.name}: {count} {what} left out" for what, count in source.left_out.items()]
        self._database.execute(
            "INSERT INTO source VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (number, told.name, told.format, told.version, told.licence, entries, names, rejects),
        )

    @staticmethod
    def _usable(entry: Entry, source: str, reject: Reject) -> Iterator[tuple[Name, str]]:
        for name in entry.names:
            normalised = form(name.text) if len(name.text) <= LONGEST_NAME else ""
            if normalised:
                yield name, normalised
                continue
            reason = "has no letter and no digit" if name.text.strip() else "is empty"
            if len(name.text) > LONGEST_NAME:
                reason = f"is longer than {LONGEST_NAME} characters"
            reject(Rejected(f"a name of {entry.identifier} {reason}", raw=name.text, source=source))

    def _put(self, entry: Entry, names: Iterable[tuple[Name, str]], source: int) -> None:
        type = entry.type or type_of(entry.identifier) or entry.type
        if COMPOSITE in entry.identifier and all(name.kind is Kind.MENTION for name in entry.names):
            self._database.executemany(
                "INSERT INTO composite VALUES (?, ?, ?, ?)"
                " ON CONFLICT (form, type, identifiers) DO UPDATE SET count = count + excluded.count",
                [(form, type or self._type or "", entry.identifier, name.count) for name, form in names],
            )
            return
        ((concept, known, first),) = self._database.execute(
            "INSERT INTO concept (identifier, type, definition, taxon, semantic, source) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (identifier) DO UPDATE SET"
            " type = coalesce(nullif(type, ''), nullif(excluded.type, ''), type, excluded.type),"
            " definition = coalesce(definition, excluded.definition), taxon = coalesce(taxon, excluded.taxon),"
            " semantic = coalesce(nullif(semantic, ''), excluded.semantic)"
            " RETURNING id, type, source",
            (entry.identifier, type, entry.definition, entry.taxon, COMPOSITE.join(entry.semantic_types), source),
        ).fetchall()
        if type and type != known and first != source:
            self._types_differ.add(f"{entry.identifier} ({known} and {type})")
        self._database.executemany(
            "INSERT INTO heap.name VALUES (?, ?, ?, ?, ?, ?)",
            [(concept, name.text, form, int(name.kind), name.count, source) for name, form in names],
        )
        if entry.links:
            self._database.executemany(
                "INSERT INTO heap.link VALUES (?, ?, ?, ?)",
                [(concept, identifier, int(kind), source) for kind, identifier in entry.links],
            )

    def finish(self) -> Built:
        """Fold, index, and say what came of it."""
        run = self._database.execute
        built = Built(notes=self._notes)
        run("UPDATE concept SET type = ? WHERE type IS NULL", (self._type,))
        run("UPDATE concept SET type = '' WHERE type IS NULL AND semantic <> ''")
        left_out = run("SELECT count(*) FROM concept WHERE type IS NULL").fetchone()[0]
        run("DELETE FROM concept WHERE type IS NULL")
        self._database.create_function("bag", 1, bag, deterministic=True)
        self._database.create_function("caution", 2, caution, deterministic=True)
        run(
            "INSERT INTO name (concept, text, form, bag, kind, count, caution, source)"
            " SELECT concept, text, form, bag(form), min(kind), sum(count), caution(text, sum(count)), min(source)"
            " FROM heap.name WHERE concept IN (SELECT id FROM concept) GROUP BY concept, text"
            " ORDER BY concept, min(kind), min(rowid)"
        )
        run(
            "INSERT INTO link SELECT concept, identifier, kind, min(source) FROM heap.link"
            f" WHERE concept IN ({_TYPED}) GROUP BY concept, identifier, kind ORDER BY concept, min(rowid)"
        )
        built.concepts = run("SELECT count(*) FROM concept").fetchone()[0]
        built.names = run("SELECT count(*) FROM name").fetchone()[0]
        typed = run(f"SELECT count(*) FROM name WHERE concept IN ({_TYPED})").fetchone()[0]
        self._index()
        if left_out:
            built.notes.append(
                f"{left_out} concepts were left out: their type is unknown; name it (`type`) if all have the same one"
            )
        if others := run("SELECT count(*) FROM concept WHERE type = ''").fetchone()[0]:
            built.notes.append(
                f"{others} concepts have none of biomark's types: prompts with an ontology use them, "
                "recognition and normalization skip them"
            )
        built.notes.extend(self._types_differ.sentences("identifiers have different types in different sources"))
        built.notes.extend(self._ambiguous())
        run("INSERT INTO about VALUES ('format', ?), ('names', ?)", (FORMAT, str(typed)))
        run("COMMIT")
        return built

    def _index(self) -> None:
        forms = self._database.execute(f"SELECT id, form FROM name WHERE concept IN ({_TYPED})")
        self._database.executemany(
            "INSERT INTO name_key VALUES (?, ?)", ((k, id) for id, form in forms for k in keys(form))
        )
        rest = (
            "INSERT INTO spelled (key) SELECT DISTINCT key FROM name_key",
            "INSERT INTO words (words) VALUES ('rebuild')",
        )
        for statement in (*INDEXES, *rest):
            self._database.execute(statement)

    def _ambiguous(self) -> Iterator[str]:
        """Names that two sources give to different concepts of one type and namespace."""
        found = _Examples()
        for name, identifiers in self._database.execute(
            "SELECT min(text), group_concat(DISTINCT identifier) FROM name JOIN concept ON concept.id = name.concept"
            " WHERE name.kind <= ? AND type <> '' GROUP BY form, type, substr(identifier, 1, instr(identifier, ':'))"
            " HAVING count(DISTINCT identifier) > 1 AND count(DISTINCT name.source) > 1",
            (int(Kind.MENTION),),
        ):
            found.add(f"{name} ({identifiers.replace(',', ' and ')})")
        return found.sentences("names have different identifiers in different sources, and keep all of them")


@dataclass(slots=True)
class _Examples:
    """Counts, and keeps the first few."""

    count: int = 0
    kept: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        self.count += 1
        if self.count <= _EXAMPLES:
            self.kept.append(example)

    def sentences(self, what: str) -> Iterator[str]:
        if self.count:
            yield f"{self.count} {what}: {', '.join(self.kept)}{', …' if self.count > _EXAMPLES else ''}"
