"""What sources of terms say, as the store takes it in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Kind(IntEnum):
    """How near a name is to its concept; of a name that several concepts have, the nearest comes first."""

    PREFERRED = 0
    EXACT = 1
    ABBREVIATION = 2
    MENTION = 3
    """Seen in an annotated corpus."""
    RELATED = 4
    """A related or narrower term, which the source keeps for search."""
    BROAD = 5


class Link(IntEnum):
    """What another identifier is to a concept."""

    SAME = 0
    """A cross-reference: the same concept in another terminology."""
    FORMER = 1
    """An identifier that was merged into this one."""
    PARENT = 2


@dataclass(frozen=True, slots=True)
class Name:
    """A name of a concept.

    Attributes:
        text: as the source writes it.
        kind: what it is to the concept.
        count: how often it was seen in annotated corpora with this identifier.
    """

    text: str
    kind: Kind = Kind.EXACT
    count: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """What a source says of a concept; several entries with one identifier add up.

    A source that has very many names for one concept gives them in several entries, so that memory
    stays bounded.

    Attributes:
        identifier: under biomark's spelling, see `biomark.identifiers.canonical`.
        type: biomark's name of its type, or the user's own; "": none of biomark's; None: the source does not say.
        names: any number.
        definition: a sentence, or None.
        links: other identifiers, each with what it is to this one.
        taxon: the species of a gene, such as `NCBITaxon:9606`, or None.
        semantic_types: its types in the source's own words, such as `Sign or Symptom`; none holds a bar.
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
    """A source as a whole.

    Attributes:
        name: the file's name, or a corpus and split of the catalogue.
        format: the name of its format in `biomark.knowledge.sources.FORMATS`.
        version: what the source says of its version or date; empty if nothing.
        licence: what it says of its licence; empty if nothing.
    """

    name: str
    format: str
    version: str = ""
    licence: str = ""
