"""The term store: names, types, identifiers, links and definitions in one SQLite file.

A store is read-only and holds nothing in memory but SQLite's pages, which processes share.
`biomark.knowledge.building` makes it.
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
from biomark.knowledge.entries import Description, Kind, Link
from biomark.knowledge.forms import form


@dataclass(frozen=True, slots=True)
class Concept:
    """A concept of a store.

    Attributes:
        identifier: such as `MESH:D010300`.
        type: biomark's name of its type, or the user's own; "": neither.
        definition: a sentence, or None.
        taxon: the species of a gene, or None.
        semantic_types: its types in the words of its source, such as `Sign or Symptom`.
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
        text: the name as its source writes it.
        form: its normalised form.
        concept: what it names.
        kind: what it is to the concept.
        count: how often annotated corpora have it with this identifier.
        caution: how it is looked for in texts.
        source: the name of its source.
    """

    text: str
    form: str
    concept: Concept
    kind: Kind
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
# What the cells of these rows hold
_CONCEPT: Cells = (str, str, str | None, str | None, str)
_TERM: Cells = (str, str, *_CONCEPT, int, int, int, str)
# Of a form's names: what corpora use most, then the nearest, then the first source.
_ORDER = " ORDER BY name.count DESC, name.kind, name.source, concept.identifier, name.id"


class Store:
    """A store of terms, opened for reading; a context manager that closes it.

    Several threads and processes may use it at once; a pickled store opens its file anew.

    Args:
        path: the file.

    Raises:
        KnowledgeError: if it is not there, is no store, or was made by a version of biomark with another format.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise KnowledgeError(f"{path}: no such store; make one with: biomark knowledge build SOURCE -o {path}")
        self._database = Database(self.path)
        about = dict(self._rows((str, str), "SELECT key, value FROM about"))
        if "format" not in about:
            self.close()
            raise self._database.damaged("it does not tell its format")
        self.encoder: str | None = about.get("encoder")
        """The name of the encoder that it was built with; None: it has no vectors."""

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
        """The error for what the file should not hold."""
        return self._database.damaged(reason)

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The types of its concepts, in alphabetical order; those that biomark and the user have no name for apart."""
        found = tuple(row[0] for row in self._rows((str,), "SELECT DISTINCT type FROM concept ORDER BY type"))
        if not found:
            raise self._database.damaged("it holds no concepts")
        return tuple(filter(None, found))

    def sources(self) -> tuple[Used, ...]:
        """What it was built of."""
        cells = (str, str, str, str, int, int, int)
        rows = self._rows(
            cells, "SELECT name, format, version, licence, entries, names, rejected FROM source ORDER BY id"
        )
        return tuple(Used(Description(*row[:4]), *row[4:]) for row in rows)

    def counts(self) -> dict[str, tuple[int, int]]:
        """The number of concepts and of names of each type, and under "" of those that have none."""
        rows = self._rows(
            (str, int, int),
            "SELECT type, count(DISTINCT concept.id), count(name.id) FROM concept"
            " LEFT JOIN name ON name.concept = concept.id GROUP BY type ORDER BY type",
        )
        return {type: (concepts, names) for type, concepts, names in rows}

    def concept(self, identifier: str) -> Concept | None:
        """The concept with an identifier, also with one that was merged into it."""
        query = "SELECT identifier, type, definition, taxon, semantic FROM concept WHERE "
        former = "id IN (SELECT concept FROM link WHERE identifier = ? AND kind = ?)"
        rows = self._rows(_CONCEPT, query + "identifier = ?", identifier)
        rows = rows or self._rows(_CONCEPT, query + former, identifier, Link.FORMER)
        return _concept(*rows[0]) if rows else None

    def has(self, identifier: str) -> bool:
        """Whether an identifier is a concept's own one, a cross-reference, or a former one."""
        links = "SELECT 1 FROM link WHERE identifier = ? AND kind IN (?, ?)"
        query = f"SELECT 1 FROM concept WHERE identifier = ? UNION {links}"
        return bool(self._rows((int,), query, identifier, identifier, Link.SAME, Link.FORMER))

    def has_namespace(self, name: str) -> bool:
        """Whether any identifier, of a concept or of a link, is of a namespace."""
        query = "SELECT 1 FROM {} WHERE identifier >= ? AND identifier < ? LIMIT 1"
        bounds = f"{name}:", f"{name};"  # the next character
        return any(self._rows((int,), query.format(table), *bounds) for table in ("concept", "link"))

    def all_terms(self, type: str) -> Iterator[Term]:
        """All names of the concepts of a type; held in memory."""
        yield from self._terms(f"{_TERMS} WHERE concept.type = ? ORDER BY name.id", type)

    def terms(self, identifier: str) -> tuple[Term, ...]:
        """The names of a concept, the preferred ones first."""
        order = " ORDER BY name.kind, name.count DESC, name.id"
        return self._terms(f"{_TERMS} WHERE concept.identifier = ?{order}", identifier)

    def by_form(self, form: str) -> tuple[Term, ...]:
        """The names with a normalised form (see `biomark.knowledge.forms`), the nearest first."""
        return self._terms(f"{_TERMS} WHERE name.form = ?{_ORDER}", form)

    def by_bag(self, bag: str) -> tuple[Term, ...]:
        """The names with a form's words in any order (`biomark.knowledge.forms.bag`), the nearest first."""
        return self._terms(f"{_TERMS} WHERE name.bag = ?{_ORDER}", bag)

    def next_form(self, form: str) -> str | None:
        """The first form in alphabetical order that is `form` or comes after it."""
        rows = self._rows((str,), "SELECT form FROM name WHERE form >= ? ORDER BY form LIMIT 1", form)
        return rows[0][0] if rows else None

    def has_word(self, word: str) -> bool:
        """Whether any form has a word."""
        return bool(self._rows((int,), "SELECT 1 FROM words WHERE words MATCH ? LIMIT 1", f'"{word}"'))

    def linked(self, identifier: str, kind: Link = Link.SAME) -> tuple[str, ...]:
        """The identifiers that a concept has as links of a kind; of `Link.SAME` those that link to it as well."""
        query = (
            "SELECT {} FROM link JOIN concept ON concept.id = link.concept WHERE {} = ? AND kind = ?"
            " ORDER BY link.rowid"
        )
        own, other = "link.identifier", "concept.identifier"
        found = self._rows((str,), query.format(own, other), identifier, kind)
        if kind is Link.SAME:
            found += self._rows((str,), query.format(other, own), identifier, kind)
        return tuple(dict.fromkeys(row[0] for row in found))

    def search(self, text: str, limit: int = 20, *, types: Sequence[str] | None = None) -> tuple[Term, ...]:
        """Names that share words with a text: those with its form first, then by BM25; of all types or some."""
        asked = form(text)
        exact = [term for term in self.by_form(asked) if types is None or term.concept.type in types]
        words = " OR ".join(f'"{word}"' for word in asked.split())
        wanted = f" AND concept.type IN ({', '.join('?' * len(types))})" if types is not None else ""
        ranked = (
            f"{_TERMS} JOIN words ON words.rowid = name.id WHERE words MATCH ?{wanted}"
            " ORDER BY bm25(words), name.id LIMIT ?"
        )
        near = self._terms(ranked, words, *(types or ()), limit) if words else ()
        return tuple(dict.fromkeys((*exact, *near)))[:limit]

    def composites(self, form: str, type: str) -> tuple[tuple[tuple[str, ...], int], ...]:
        """The rows of identifiers that corpora give to one mention with a form, each with how often they do."""
        query = "SELECT identifiers, count FROM composite WHERE form = ? AND type = ? ORDER BY count DESC, identifiers"
        rows = self._rows((str, int), query, form, type)
        return tuple((tuple(ids.split(COMPOSITE)), count) for ids, count in rows)

    def holders(self, key: str) -> int:
        """How many names have a word with a key (`biomark.knowledge.fuzzy.key`)."""
        return int(self._rows((int,), "SELECT count(*) FROM name_key WHERE key = ?", key)[0][0])

    def spelled_like(self, key: str, limit: int = 12) -> tuple[str, ...]:
        """Keys that share trigrams with a key, by BM25; it has at least 3 characters."""
        trigrams = " OR ".join(f'"{key[start : start + 3]}"' for start in range(len(key) - 2))
        query = "SELECT key FROM spelled WHERE spelled MATCH ? ORDER BY bm25(spelled), rowid LIMIT ?"
        return tuple(row[0] for row in self._rows((str,), query, trigrams, limit))

    def by_keys(self, weights: Mapping[str, float], type: str, limit: int = 100) -> tuple[Term, ...]:
        """The names of a type whose keys weigh most together, the shortest first of those that weigh the same."""
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
        return self._terms(f"{ranked}{_TERMS}{last}", *chain.from_iterable(weights.items()), type, limit)

    def near(self, weights: Mapping[str, float], each: int) -> tuple[Term, ...]:
        """The names whose keys weigh most together, as for `by_keys`; of each type at most so many."""
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
        """How often annotated corpora have an identifier."""
        query = "SELECT total(count) FROM name JOIN concept ON concept.id = name.concept WHERE identifier = ?"
        return int(self._rows((float,), query, identifier)[0][0])

    @cached_property
    def names(self) -> int:
        """How many names it has of concepts that have a type."""
        rows = self._rows((int,), "SELECT CAST(value AS INTEGER) FROM about WHERE key = 'names'")
        return int(rows[0][0]) if rows else 0

    @cached_property
    def namespaces(self) -> dict[str, tuple[str, ...]]:
        """For each type the namespaces that annotated corpora take its identifiers from, the commonest first."""
        rows = self._rows(
            (str, str, int),
            "SELECT type, identifier, sum(count) FROM name JOIN concept ON concept.id = name.concept"
            " WHERE count > 0 AND type <> '' GROUP BY concept",
        )
        counts: dict[str, Counter[str]] = {}
        for type, identifier, count in rows:
            counts.setdefault(type, Counter())[namespace(identifier)] += count
        return {type: tuple(name for name, _ in found.most_common()) for type, found in counts.items()}

    def exported_encoder(self) -> Exported | None:
        """The encoder that it was built with."""
        if not self.encoder:
            return None
        rows = self._rows((str, bytes, str, int), "SELECT name, weights, tokenizer, max_tokens FROM encoder")
        return Exported(*rows[0]) if rows else None

    def vectors(self, type: str) -> Iterator[tuple[bytes, bytes]]:
        """What `biomark.knowledge.neighbours` has written of a type: ids of names and their vectors, in blocks."""
        for (block,) in self._rows((int,), "SELECT rowid FROM vectors WHERE type = ? ORDER BY rowid", type):
            yield from self._rows((bytes, bytes), "SELECT names, vectors FROM vectors WHERE rowid = ?", block)

    def same_form(self, name: int) -> tuple[Term, ...]:
        """The names with the form of the one with an id, the nearest first."""
        return self._terms(f"{_TERMS} WHERE name.form = (SELECT form FROM name WHERE id = ?){_ORDER}", name)

    def sample(self, type: str, count: int, seed: int | str, *, other: bool = False) -> tuple[Term, ...]:
        """Preferred names of different concepts of a type, drawn at random.

        Args:
            type: the type.
            count: how many; fewer if the store has fewer.
            seed: the same seed draws the same names from the same store.
            other: draw from all other types instead.
        """
        ids = self._named[type] if not other else [id for t, some in self._named.items() if t != type for id in some]
        chosen = random.Random(seed).sample(ids, min(count, len(ids)))
        first = f"{_TERMS} WHERE name.concept = ? ORDER BY name.kind, name.id LIMIT 1"
        return tuple(term for id in chosen for term in self._terms(first, id))

    @cached_property
    def _named(self) -> dict[str, list[int]]:
        """The concepts that have names, by type."""
        found: dict[str, list[int]] = {type: [] for type in self.types}
        rows = self._rows(
            (str, int),
            "SELECT type, id FROM concept WHERE type <> '' AND id IN (SELECT concept FROM name) ORDER BY type, id",
        )
        for type, id in rows:
            found[type].append(id)
        return found

    def _terms(self, query: str, *values: object) -> tuple[Term, ...]:
        try:
            return tuple(
                Term(text, form, _concept(*concept), Kind(kind), count, Caution(caution), source)
                for text, form, *concept, kind, count, caution, source in self._rows(_TERM, query, *values)
            )
        except ValueError as error:  # of a kind or caution that there is not
            raise self._database.damaged(error) from error

    def _rows(self, cells: Cells, query: str, *values: object) -> list[tuple]:  # type: ignore[type-arg]
        return self._database.rows(cells, query, *values)


def _concept(identifier: str, type: str, definition: str | None, taxon: str | None, semantic: str) -> Concept:
    return Concept(identifier, type, definition, taxon, tuple(filter(None, semantic.split(COMPOSITE))))
