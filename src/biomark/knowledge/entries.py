"""Entries: the concepts of a source with their names, links and definitions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class NameKind(IntEnum):
    """The relation of a name to its concept, the closest first; it ranks concepts that share a name."""

    PREFERRED = 0
    EXACT = 1
    ABBREVIATION = 2
    MENTION = 3
    """A mention in an annotated corpus."""
    RELATED = 4
    """A related or narrower term, which the source has for search."""
    BROAD = 5


class Link(IntEnum):
    """The relation of another identifier to a concept."""

    SAME = 0
    """A cross-reference: the same concept in another terminology."""
    FORMER = 1
    """An identifier that was merged into this one."""
    PARENT = 2


@dataclass(frozen=True, slots=True)
class Name:
    """A name of a concept.

    Attributes:
        text: the name as the source spells it.
        kind: the relation of the name to the concept.
        count: the number of mentions in annotated corpora with this name and identifier.
    """

    text: str
    kind: NameKind = NameKind.EXACT
    count: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """Facts of a source about a concept; several entries with one identifier are merged.

    A source that has very many names for one concept yields them in several entries, so that memory
    stays bounded.

    Attributes:
        identifier: the identifier in canonical spelling, see `biomark.identifiers.canonical`.
        type: the entity type, biomark's or the user's own; "": none of biomark's types; None: unknown.
        names: any number of names.
        definition: a sentence, or None.
        links: other identifiers, each with its relation to this one.
        taxon: the species of a gene, such as `NCBITaxon:9606`, or None.
        semantic_types: the source's own types, such as `Sign or Symptom`; they contain no `|`.
    """

    identifier: str
    type: str | None = None
    names: tuple[Name, ...] = ()
    definition: str | None = None
    links: tuple[tuple[Link, str], ...] = ()
    taxon: str | None = None
    semantic_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Description:
    """The metadata of a source.

    Attributes:
        name: the file's name, or a corpus and split of the catalogue.
        format: the name of its format in `biomark.knowledge.sources.FORMATS`.
        version: the version or date in the source; empty if it has none.
        licence: the licence in the source; empty if it has none.
    """

    name: str
    format: str
    version: str = ""
    licence: str = ""
