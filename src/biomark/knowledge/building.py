"""Build a term store: entries of any number of sources → one file, in bounded memory."""

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
from biomark.knowledge.entries import Description, Entry, Name, NameKind
from biomark.knowledge.forms import bag, form
from biomark.knowledge.fuzzy import keys
from biomark.spans import Rejected

# Code points. The longest names of MeSH and UMLS, systematic chemical names, have a few hundred.
LONGEST_NAME = 2000
_EXAMPLES = 3
_TYPED = "SELECT id FROM concept WHERE type <> ''"


class TermSource(Protocol):
    """A source of entries; see `biomark.knowledge.sources`."""

    def entries(self, reject: Reject) -> Iterator[Entry]:
        """Yield all entries; call `reject` with each one that cannot be used."""
        ...

    @property
    def description(self) -> Description:
        """The source's name, format, version and licence; complete after all entries have been read."""
        ...

    @property
    def left_out(self) -> Counter[str]:
        """Counts of contents that entries cannot hold, by kind; complete after all entries have been read."""
        ...

    def position(self) -> int:
        """Return the number of bytes read so far."""
        ...


@dataclass(slots=True)
class Built:
    """The result of building a store.

    Attributes:
        concepts: the number of concepts in the store, including those without one of biomark's types.
        names: the number of distinct names.
        notes: remarks for the user, a sentence each: contradictions between sources, and contents that were left out.
    """

    concepts: int = 0
    names: int = 0
    notes: list[str] = field(default_factory=list)


def build(
    sources: Sequence[TermSource],
    path: Path,
    *,
    entity_type: str | None = None,
    reject: Reject,
    progress: Callable[[int], None] = lambda position: None,
    encoder: Exported | None = None,
    encoding: Callable[[int], Callable[[int], None]] = lambda names: lambda done: None,
) -> Built:
    """Build a store of sources; where they contradict each other, the first source takes precedence.

    The store is written to a temporary file beside `path`, so that an interrupted run leaves an older store unchanged.

    Args:
        sources: one or more sources, in the order of their authority.
        path: the file to write.
        entity_type: the type of concepts whose type follows neither from their source nor from their identifier.
            Concepts that the source excludes from biomark's types get no type.
        reject: receives each entry or name that cannot be used, and each source that cannot be read.
        progress: receives the number of bytes read so far from all sources.
        encoder: the encoder to keep in the store, with the vectors of all names; see `biomark.knowledge.neighbours`.
        encoding: receives the number of names to encode, after all sources have been read, and returns a function
            that receives the number of names encoded so far.

    Raises:
        KnowledgeError: if no name could be used, or the file cannot be written.
        ModelError: if the encoder cannot be used.
    """
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(part, isolation_level=None)) as database:
            writer = _Writer(database, entity_type)
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
            raise KnowledgeError(f"{path}: the sources have no usable name; see the rejected entries")
        os.replace(part, path)
    except (sqlite3.OperationalError, OSError) as error:
        raise KnowledgeError(f"{path}: cannot be written ({error})") from error
    finally:
        part.unlink(missing_ok=True)
    return built


class _Writer:
    """Writer of one store."""

    def __init__(self, database: sqlite3.Connection, entity_type: str | None) -> None:
        self._database = database
        self._type = entity_type
        self._types_differ = _ExampleCount()
        self._notes: list[str] = []
        # A crash loses only the temporary file, so no write has to be synchronised. Names are collected in a
        # temporary database, where duplicates are merged at the end.
        database.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-65536;")
        database.executescript(schema())
        database.executescript(
            "ATTACH '' AS heap;"
            "CREATE TABLE heap.name (concept, text, form, kind, count, source);"
            "CREATE TABLE heap.link (concept, identifier, kind, source);"
            "BEGIN;"
        )

    def add(self, number: int, source: TermSource, reject: Reject) -> Iterator[int]:
        """Add all entries of a source; yield the number of entries added so far, after each one."""
        entries = names = rejects = 0

        def rejected(item: Rejected) -> None:
            nonlocal rejects
            rejects += 1
            reject(item)

        try:
            for entry in source.entries(rejected):
                usable = tuple(self._usable(entry, source.description.name, rejected))
                self._put(entry, usable, number)
                entries += 1
                names += len(usable)
                yield entries
        except KnowledgeError as error:  # the store is still built of the other sources
            rejected(Rejected(str(error)))
        description = source.description
        self._notes += [f"{description.name}: {count} {kind} left out" for kind, count in source.left_out.items()]
        self._database.execute(
            "INSERT INTO source VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                number,
                description.name,
                description.format,
                description.version,
                description.licence,
                entries,
                names,
                rejects,
            ),
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
        entity_type = entry.type or type_of(entry.identifier) or entry.type
        if COMPOSITE in entry.identifier and all(name.kind is NameKind.MENTION for name in entry.names):
            self._database.executemany(
                "INSERT INTO composite VALUES (?, ?, ?, ?)"
                " ON CONFLICT (form, type, identifiers) DO UPDATE SET count = count + excluded.count",
                [(form, entity_type or self._type or "", entry.identifier, name.count) for name, form in names],
            )
            return
        ((concept, known, first),) = self._database.execute(
            "INSERT INTO concept (identifier, type, definition, taxon, semantic, source) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (identifier) DO UPDATE SET"
            " type = coalesce(nullif(type, ''), nullif(excluded.type, ''), type, excluded.type),"
            " definition = coalesce(definition, excluded.definition), taxon = coalesce(taxon, excluded.taxon),"
            " semantic = coalesce(nullif(semantic, ''), excluded.semantic)"
            " RETURNING id, type, source",
            (
                entry.identifier,
                entity_type,
                entry.definition,
                entry.taxon,
                COMPOSITE.join(entry.semantic_types),
                source,
            ),
        ).fetchall()
        if entity_type and entity_type != known and first != source:
            self._types_differ.add(f"{entry.identifier} ({known} and {entity_type})")
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
        """Merge duplicate names, build the indexes, and return the counts and notes."""
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
            "INSERT INTO name_key VALUES (?, ?)", ((k, name_id) for name_id, form in forms for k in keys(form))
        )
        statements = (
            *INDEXES,
            "INSERT INTO spelled (key) SELECT DISTINCT key FROM name_key",
            "INSERT INTO words (words) VALUES ('rebuild')",
        )
        for statement in statements:
            self._database.execute(statement)

    def _ambiguous(self) -> Iterator[str]:
        """Yield a sentence about names that two sources give to different concepts of one type and namespace."""
        examples = _ExampleCount()
        for name, identifiers in self._database.execute(
            "SELECT min(text), group_concat(DISTINCT identifier) FROM name JOIN concept ON concept.id = name.concept"
            " WHERE name.kind <= ? AND type <> '' GROUP BY form, type, substr(identifier, 1, instr(identifier, ':'))"
            " HAVING count(DISTINCT identifier) > 1 AND count(DISTINCT name.source) > 1",
            (int(NameKind.MENTION),),
        ):
            examples.add(f"{name} ({identifiers.replace(',', ' and ')})")
        return examples.sentences("names have different identifiers in different sources, and keep all of them")


@dataclass(slots=True)
class _ExampleCount:
    """A count of examples, of which the first few are kept."""

    count: int = 0
    kept: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        self.count += 1
        if self.count <= _EXAMPLES:
            self.kept.append(example)

    def sentences(self, what: str) -> Iterator[str]:
        if self.count:
            yield f"{self.count} {what}: {', '.join(self.kept)}{', …' if self.count > _EXAMPLES else ''}"
