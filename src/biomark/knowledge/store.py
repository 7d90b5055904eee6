"""The term store: names, types, identifiers, links and definitions in one SQLite file.

A store is read-only. Its memory is that of SQLite's pages alone, which processes share.
`biomark.knowledge.building` writes it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from types import TracebackType

from biomark.embedding.exported import Exported
from biomark.errors import KnowledgeError
from biomark.identifiers import COMPOSITE, namespace
from biomark.knowledge.caution import Caution
from biomark.knowledge.database import Cells, Database
from biomark.knowledge.entries import Description, Link, NameKind
from biomark.knowledge.forms import form


@dataclass(frozen=True, slots=True)
class Concept:
    """A concept of a store.

    Attributes:
        identifier: the canonical identifier, such as `MESH:D010300`.
        type: the entity type, biomark's or the user's own; "": neither.
        definition: a sentence, or None.
        taxon: the species of a gene, such as `NCBITaxon:9606`, or None.
        semantic_types: its source's own types, such as `Sign or Symptom`.
    """

    identifier: str
    type: str
    definition: str | None = None
    taxon: str | None = None
    semantic_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Term:
    """A name of a concept.

    Attributes:
        text: the name as its source spells it.
        form: its normalised form.
        concept: the concept that it names.
        kind: its relation to the concept.
        count: the number of mentions in annotated corpora with this name and identifier.
        caution: how strictly it is matched in texts.
        source: the name of its source.
    """

    text: str
    form: str
    concept: Concept
    kind: NameKind
    count: int
    caution: Caution
    source: str


@dataclass(frozen=True, slots=True)
class Used:
    """A source that a store was built of, with the number of its entries, names and rejects."""

    description: Description
    entries: int
    names: int
    rejected: int


_TERMS = """
SELECT name.text, name.form, concept.identifier, concept.type, concept.definition, concept.taxon, concept.semantic,
       name.kind, name.count, name.caution, source.name
FROM name JOIN concept ON concept.id = name.concept JOIN source ON source.id = name.source
"""
# The Python types of the cells of these rows
_CONCEPT: Cells = (str, str, str | None, str | None, str)
_TERM: Cells = (str, str, *_CONCEPT, int, int, int, str)
# Names of one form: the most frequent in corpora first, then the closest to their concepts, then by source.
_ORDER = " ORDER BY name.count DESC, name.kind, name.source, concept.identifier, name.id"


class Store:
    """A term store, opened for reading; a context manager that closes it.

    Several threads and processes may use a store at once; a pickled store opens its file again.

    Args:
        path: the file.

    Raises:
        KnowledgeError: if the file does not exist, is not a store, or has the format of another version of biomark.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise KnowledgeError(f"{path}: no such store; make one with: biomark knowledge build SOURCE -o {path}")
        self._database = Database(self.path)
        about = dict(self._rows((str, str), "SELECT key, value FROM about"))
        if "format" not in about:
            self.close()
            raise self._database.damaged("it has no format version")
        self.encoder: str | None = about.get("encoder")
        """The name of the encoder that the store contains; None if the store has no vectors."""

    def __reduce__(self) -> tuple[type[Store], tuple[Path]]:
        return Store, (self.path,)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def damaged(self, reason: object) -> KnowledgeError:
        """Return an error about a damaged file; see `Database.damaged`."""
        return self._database.damaged(reason)

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The entity types of the store's concepts, in alphabetical order, without the type ""."""
        all_types = tuple(row[0] for row in self._rows((str,), "SELECT DISTINCT type FROM concept ORDER BY type"))
        if not all_types:
            raise self._database.damaged("it has no concepts")
        return tuple(filter(None, all_types))

    def sources(self) -> tuple[Used, ...]:
        """Return the sources of the store."""
        cells = (str, str, str, str, int, int, int)
        rows = self._rows(
            cells, "SELECT name, format, version, licence, entries, names, rejected FROM source ORDER BY id"
        )
        return tuple(Used(Description(*row[:4]), *row[4:]) for row in rows)

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return the numbers of concepts and names by type; "" is the type of concepts without one."""
        rows = self._rows(
            (str, int, int),
            "SELECT type, count(DISTINCT concept.id), count(name.id) FROM concept"
            " LEFT JOIN name ON name.concept = concept.id GROUP BY type ORDER BY type",
        )
        return {entity_type: (concepts, names) for entity_type, concepts, names in rows}

    def concept(self, identifier: str) -> Concept | None:
        """Return the concept with an identifier, which may be a former one that was merged into it; otherwise None."""
        query = "SELECT identifier, type, definition, taxon, semantic FROM concept WHERE "
        former = "id IN (SELECT concept FROM link WHERE identifier = ? AND kind = ?)"
        rows = self._rows(_CONCEPT, query + "identifier = ?", identifier)
        rows = rows or self._rows(_CONCEPT, query + former, identifier, Link.FORMER)
        return _concept(*rows[0]) if rows else None

    def has(self, identifier: str) -> bool:
        """Return whether an identifier is that of a concept, a cross-reference, or a former identifier."""
        links = "SELECT 1 FROM link WHERE identifier = ? AND kind IN (?, ?)"
        query = f"SELECT 1 FROM concept WHERE identifier = ? UNION {links}"
        return bool(self._rows((int,), query, identifier, identifier, Link.SAME, Link.FORMER))

    def has_namespace(self, name: str) -> bool:
        """Return whether any identifier of a concept or a link is in a namespace."""
        query = "SELECT 1 FROM {} WHERE identifier >= ? AND identifier < ? LIMIT 1"
        bounds = f"{name}:", f"{name};"  # the next character
        return any(self._rows((int,), query.format(table), *bounds) for table in ("concept", "link"))

    def all_terms(self, entity_type: str) -> Iterator[Term]:
        """Yield all names of the concepts of a type, which are held in memory."""
        yield from self._terms(f"{_TERMS} WHERE concept.type = ? ORDER BY name.id", entity_type)

    def terms(self, identifier: str) -> tuple[Term, ...]:
        """Return the names of a concept, the preferred ones first."""
        order = " ORDER BY name.kind, name.count DESC, name.id"
        return self._terms(f"{_TERMS} WHERE concept.identifier = ?{order}", identifier)

    def by_form(self, form: str) -> tuple[Term, ...]:
        """Return the names with a normalised form (see `biomark.knowledge.forms`), the closest first."""
        return self._terms(f"{_TERMS} WHERE name.form = ?{_ORDER}", form)

    def by_bag(self, bag: str) -> tuple[Term, ...]:
        """Return the names with the words of a bag in any order (`biomark.knowledge.forms.bag`), the closest first."""
        return self._terms(f"{_TERMS} WHERE name.bag = ?{_ORDER}", bag)

    def next_form(self, form: str) -> str | None:
        """Return the first form, in code-point order, that is equal to or after `form`; None if there is none."""
        rows = self._rows((str,), "SELECT form FROM name WHERE form >= ? ORDER BY form LIMIT 1", form)
        return rows[0][0] if rows else None

    def has_word(self, word: str) -> bool:
        """Return whether any form contains a word."""
        return bool(self._rows((int,), "SELECT 1 FROM words WHERE words MATCH ? LIMIT 1", f'"{word}"'))

    def linked(self, identifier: str, kind: Link = Link.SAME) -> tuple[str, ...]:
        """Return the identifiers of a concept's links of a kind; for `Link.SAME`, links in both directions."""
        query = (
            "SELECT {} FROM link JOIN concept ON concept.id = link.concept WHERE {} = ? AND kind = ?"
            " ORDER BY link.rowid"
        )
        own, other = "link.identifier", "concept.identifier"
        rows = self._rows((str,), query.format(own, other), identifier, kind)
        if kind is Link.SAME:
            rows += self._rows((str,), query.format(other, own), identifier, kind)
        return tuple(dict.fromkeys(row[0] for row in rows))

    def search(self, text: str, limit: int = 20, *, types: Sequence[str] | None = None) -> tuple[Term, ...]:
        """Return names that share words with a text: those with its form first, the others ranked by BM25.

        Args:
            text: any text.
            limit: the largest number of names.
            types: the entity types to search; None: all.
        """
        text_form = form(text)
        exact = [term for term in self.by_form(text_form) if types is None or term.concept.type in types]
        words = " OR ".join(f'"{word}"' for word in text_form.split())
        wanted = f" AND concept.type IN ({', '.join('?' * len(types))})" if types is not None else ""
        ranked = (
            f"{_TERMS} JOIN words ON words.rowid = name.id WHERE words MATCH ?{wanted}"
            " ORDER BY bm25(words), name.id LIMIT ?"
        )
        near = self._terms(ranked, words, *(types or ()), limit) if words else ()
        return tuple(dict.fromkeys((*exact, *near)))[:limit]

    def composites(self, form: str, entity_type: str) -> tuple[tuple[tuple[str, ...], int], ...]:
        """Return the sets of identifiers of composite mentions in corpora with a form, each with its frequency."""
        query = "SELECT identifiers, count FROM composite WHERE form = ? AND type = ? ORDER BY count DESC, identifiers"
        rows = self._rows((str, int), query, form, entity_type)
        return tuple((tuple(ids.split(COMPOSITE)), count) for ids, count in rows)

    def holders(self, key: str) -> int:
        """Return the number of names that have a word with a key (`biomark.knowledge.fuzzy.key`)."""
        return int(self._rows((int,), "SELECT count(*) FROM name_key WHERE key = ?", key)[0][0])

    def spelled_like(self, key: str, limit: int = 12) -> tuple[str, ...]:
        """Return the keys that share trigrams with a key of at least 3 characters, ranked by BM25."""
        trigrams = " OR ".join(f'"{key[start : start + 3]}"' for start in range(len(key) - 2))
        query = "SELECT key FROM spelled WHERE spelled MATCH ? ORDER BY bm25(spelled), rowid LIMIT ?"
        return tuple(row[0] for row in self._rows((str,), query, trigrams, limit))

    def by_keys(self, weights: Mapping[str, float], entity_type: str, limit: int = 100) -> tuple[Term, ...]:
        """Return the names of a type with the largest sum of the weights of their keys; shorter names break ties.

        Args:
            weights: key → weight.
            entity_type: the entity type.
            limit: the largest number of names.
        """
        if not weights:
            return ()
        ranked = (
            f"WITH asked (key, weight) AS (VALUES {', '.join(['(?, ?)'] * len(weights))}), found AS ("
            " SELECT name.id, sum(weight) AS total, length(form) AS size FROM asked"
            " JOIN name_key ON name_key.key = asked.key JOIN name ON name.id = name_key.name"
            " JOIN concept ON concept.id = name.concept WHERE type = ?"
            " GROUP BY name.id ORDER BY total DESC, size, name.id LIMIT ?) "
        )
        last = " JOIN found ON found.id = name.id ORDER BY total DESC, size, name.id"
        return self._terms(f"{ranked}{_TERMS}{last}", *chain.from_iterable(weights.items()), entity_type, limit)

    def near(self, weights: Mapping[str, float], each: int) -> tuple[Term, ...]:
        """Return the names with the largest sum of the weights of their keys, at most `each` of every type."""
        if not weights:
            return ()
        ranked = (
            f"WITH asked (key, weight) AS (VALUES {', '.join(['(?, ?)'] * len(weights))}), found AS ("
            " SELECT name.id, type, sum(weight) AS total, length(form) AS size FROM asked"
            " JOIN name_key ON name_key.key = asked.key JOIN name ON name.id = name_key.name"
            " JOIN concept ON concept.id = name.concept GROUP BY name.id), ranked AS ("
            " SELECT id, total, size, row_number() OVER (PARTITION BY type ORDER BY total DESC, size, id) AS place"
            " FROM found) "
        )
        last = " JOIN ranked ON ranked.id = name.id WHERE place <= ? ORDER BY total DESC, size, name.id"
        return self._terms(f"{ranked}{_TERMS}{last}", *chain.from_iterable(weights.items()), each)

    def seen(self, identifier: str) -> int:
        """Return the number of mentions in annotated corpora with an identifier."""
        query = "SELECT total(count) FROM name JOIN concept ON concept.id = name.concept WHERE identifier = ?"
        return int(self._rows((float,), query, identifier)[0][0])

    @cached_property
    def names(self) -> int:
        """The number of names of concepts that have a type."""
        rows = self._rows((int,), "SELECT CAST(value AS INTEGER) FROM about WHERE key = 'names'")
        return int(rows[0][0]) if rows else 0

    @cached_property
    def namespaces(self) -> dict[str, tuple[str, ...]]:
        """Entity type → the namespaces of its identifiers in annotated corpora, the most frequent first."""
        rows = self._rows(
            (str, str, int),
            "SELECT type, identifier, sum(count) FROM name JOIN concept ON concept.id = name.concept"
            " WHERE count > 0 AND type <> '' GROUP BY concept",
        )
        counts: dict[str, Counter[str]] = {}
        for entity_type, identifier, count in rows:
            counts.setdefault(entity_type, Counter())[namespace(identifier)] += count
        return {
            entity_type: tuple(name for name, _ in counter.most_common()) for entity_type, counter in counts.items()
        }

    def exported_encoder(self) -> Exported | None:
        """Return the encoder that the store contains; None if it has none."""
        if not self.encoder:
            return None
        rows = self._rows((str, bytes, str, int), "SELECT name, weights, tokenizer, max_tokens FROM encoder")
        return Exported(*rows[0]) if rows else None

    def vectors(self, entity_type: str) -> Iterator[tuple[bytes, bytes]]:
        """Yield blocks of ids of names of a type and their vectors, as bytes; see `biomark.knowledge.neighbours`."""
        for (block,) in self._rows((int,), "SELECT rowid FROM vectors WHERE type = ? ORDER BY rowid", entity_type):
            yield from self._rows((bytes, bytes), "SELECT names, vectors FROM vectors WHERE rowid = ?", block)

    def same_form(self, name: int) -> tuple[Term, ...]:
        """Return the names that have the form of the name with an id, the closest first."""
        return self._terms(f"{_TERMS} WHERE name.form = (SELECT form FROM name WHERE id = ?){_ORDER}", name)

    def sample(self, entity_type: str, count: int, seed: int | str, *, other: bool = False) -> tuple[Term, ...]:
        """Return preferred names of different concepts of a type, drawn at random without replacement.

        Args:
            entity_type: the type.
            count: the number of names; the result has fewer if the store has fewer.
            seed: the seed of the random generator; equal seeds draw equal names from the same store.
            other: draw from all other types instead.
        """
        if other:
            ids = [one for name, concepts in self._named.items() if name != entity_type for one in concepts]
        else:
            ids = self._named[entity_type]
        chosen = random.Random(seed).sample(ids, min(count, len(ids)))
        first = f"{_TERMS} WHERE name.concept = ? ORDER BY name.kind, name.id LIMIT 1"
        return tuple(term for concept_id in chosen for term in self._terms(first, concept_id))

    @cached_property
    def _named(self) -> dict[str, list[int]]:
        """The ids of the concepts that have names, by type."""
        concepts: dict[str, list[int]] = {entity_type: [] for entity_type in self.types}
        rows = self._rows(
            (str, int),
            "SELECT type, id FROM concept WHERE type <> '' AND id IN (SELECT concept FROM name) ORDER BY type, id",
        )
        for entity_type, concept_id in rows:
            concepts[entity_type].append(concept_id)
        return concepts

    def _terms(self, query: str, *values: object) -> tuple[Term, ...]:
        try:
            return tuple(
                Term(text, form, _concept(*concept), NameKind(kind), count, Caution(caution), source)
                for text, form, *concept, kind, count, caution, source in self._rows(_TERM, query, *values)
            )
        except ValueError as error:  # an unknown kind or caution
            raise self._database.damaged(error) from error

    def _rows(self, cells: Cells, query: str, *values: object) -> list[tuple]:  # type: ignore[type-arg]
        return self._database.rows(cells, query, *values)


def _concept(identifier: str, entity_type: str, definition: str | None, taxon: str | None, semantic: str) -> Concept:
    return Concept(identifier, entity_type, definition, taxon, tuple(filter(None, semantic.split(COMPOSITE))))
