"""Contents of a store for the command line: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from biomark.errors import KnowledgeError
from biomark.identifiers import canonical
from biomark.knowledge.entries import Link
from biomark.knowledge.store import Concept, Store, Term

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_LINKS = {Link.SAME: "same as", Link.FORMER: "formerly", Link.PARENT: "is a"}
_OTHERS = "none of biomark's"


def terms_json(terms: Sequence[Term]) -> list[dict[str, object]]:
    """Return names with their concepts as JSON objects."""
    return [
        {
            "identifier": term.concept.identifier,
            "type": term.concept.type or None,
            "semantic_types": list(term.concept.semantic_types),
            "name": term.text,
            "kind": term.kind.name.lower(),
            "count": term.count,
            "caution": term.caution.meaning,
            "source": term.source,
            "definition": term.concept.definition,
        }
        for term in terms
    ]


def terms_table(terms: Sequence[Term]) -> Table:
    """Return a table of names with their concepts; a definition is below the first name of its concept."""
    from rich.table import Table
    from rich.text import Text

    table = Table("identifier", "type", "name", "kind", "in texts", "source")
    table.columns[0].no_wrap = True
    described: set[str] = set()
    for term in terms:
        concept = term.concept
        # Text, not str: rich would interpret brackets in names as markup.
        row = (concept.identifier, _type(concept), term.text, _kind(term), term.caution.meaning, term.source)
        table.add_row(*map(Text, row))
        if concept.definition and concept.identifier not in described:
            table.add_row("", "", Text(concept.definition, style="dim"))
        described.add(concept.identifier)
    return table


def store_json(store: Store) -> dict[str, object]:
    """Return the sources and sizes of a store as a JSON object."""
    counts = {
        entity_type: {"concepts": concepts, "names": names} for entity_type, (concepts, names) in store.counts().items()
    }
    return {
        "sources": [
            {
                "name": used.description.name,
                "format": used.description.format,
                "version": used.description.version,
                "licence": used.description.licence,
                "entries": used.entries,
                "names": used.names,
                "rejected": used.rejected,
            }
            for used in store.sources()
        ],
        "types": {entity_type: sizes for entity_type, sizes in counts.items() if entity_type},
        "other_types": counts.get("", {"concepts": 0, "names": 0}),
        "encoder": store.encoder,
    }


def store_tables(store: Store) -> Iterator[RenderableType]:
    """Yield tables of the sources and sizes of a store, and a line about the encoder of its vectors."""
    from rich.table import Table
    from rich.text import Text

    sources = Table("source", "format", "version", "licence", "entries", "names", "rejected")
    for used in store.sources():
        description = used.description
        words = (description.name, description.format, description.version, description.licence)
        sources.add_row(*map(Text, words), f"{used.entries:,}", f"{used.names:,}", f"{used.rejected:,}")
    yield sources
    types = Table("type", "concepts", "names")
    for entity_type, (concepts, names) in store.counts().items():
        types.add_row(Text(entity_type or _OTHERS), f"{concepts:,}", f"{names:,}")
    yield types
    if store.encoder:
        yield Text(f"vectors of names by {store.encoder}")


def concept_named(store: Store, identifier: str) -> Concept:
    """Return the concept with an identifier in any spelling.

    Raises:
        KnowledgeError: if the store has no such concept.
    """
    concept = store.concept(identifier) or store.concept(canonical(identifier))
    if concept is None:
        raise KnowledgeError(f"{store.path} has no {identifier}; search by name with: biomark knowledge search")
    return concept


def concept_json(store: Store, concept: Concept) -> dict[str, object]:
    """Return a concept with all its names and links as a JSON object."""
    return {
        "identifier": concept.identifier,
        "type": concept.type or None,
        "semantic_types": list(concept.semantic_types),
        "definition": concept.definition,
        "taxon": concept.taxon,
        "links": {words: list(store.linked(concept.identifier, link)) for link, words in _LINKS.items()},
        "names": terms_json(store.terms(concept.identifier)),
    }


def concept_tables(store: Store, concept: Concept) -> tuple[Table, Table]:
    """Return a table of the facts about a concept, and a table of its names."""
    from rich.table import Table
    from rich.text import Text

    facts = Table.grid(padding=(0, 2))
    rows = [
        ("identifier", concept.identifier),
        ("type", concept.type or _OTHERS),
        ("semantic types", "; ".join(concept.semantic_types)),
        ("definition", concept.definition or ""),
        ("taxon", concept.taxon or ""),
        *((words, ", ".join(store.linked(concept.identifier, link))) for link, words in _LINKS.items()),
    ]
    for name, value in rows:
        if value:
            facts.add_row(name, Text(value))
    names = Table("name", "kind", "in texts", "source")
    for term in store.terms(concept.identifier):
        names.add_row(*map(Text, (term.text, _kind(term), term.caution.meaning, term.source)))
    return facts, names


def _type(concept: Concept) -> str:
    """Return the concept's type, or else its semantic types in brackets."""
    return concept.type or f"({'; '.join(concept.semantic_types)})"


def _kind(term: Term) -> str:
    times = {0: "", 1: ", once"}.get(term.count, f", {term.count:,} times")
    return term.kind.name.lower() + times
