"""Entity types: biomark's names, their other spellings, and their labels, definitions and guidelines for prompts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from biomark.errors import UsageError
from biomark.runtime.toml import packaged
from biomark.spans import Document


@dataclass(frozen=True, slots=True)
class EntityType:
    """A row of `entity_types.toml`, which explains the fields."""

    name: str
    label: str
    definition: str
    guideline: str
    aliases: tuple[str, ...]


@cache
def entity_types() -> dict[str, EntityType]:
    """Return all types by name."""
    return packaged("biomark", "entity_types.toml", dict[str, EntityType], named=True)


def canonical(name: str) -> str:
    """Return biomark's name for a type as any corpus or format spells it; unknown names are returned unchanged."""
    return _aliases().get(_key(name), name)


def one_of(name: str, names: Iterable[str]) -> str:
    """Return the member of `names` that equals biomark's name of a type except for case; otherwise biomark's name."""
    own = canonical(name)
    return {known.casefold(): known for known in names}.get(own.casefold(), own)


def distinct(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names without those that equal an earlier one except for case."""
    unique: dict[str, str] = {}
    for name in names:
        unique.setdefault(name.casefold(), name)
    return tuple(unique.values())


def label(name: str) -> str:
    """Return the name of a type in prompts; for a user's own type, its name with blanks in place of underscores."""
    entity_type = entity_types().get(name)
    return entity_type.label if entity_type else name.replace("_", " ")


def types_wanted(types: Iterable[str] | None, known: Sequence[str]) -> tuple[str, ...]:
    """Return the types to annotate: the requested types, or all known types.

    Args:
        types: the requested types; None: all known types.
        known: the types to choose from.

    Raises:
        UsageError: if a requested type is not known.
    """
    wanted = tuple(known if types is None else types)
    if unknown := [entity_type for entity_type in wanted if entity_type not in known]:
        s = "s" if len(unknown) > 1 else ""
        choice = f"choose from {', '.join(known)}" if known else "there is none to choose from"
        raise UsageError(f"unknown type{s} {', '.join(map(repr, unknown))}; {choice}")
    return wanted


def parse_types(names: str) -> tuple[str, ...]:
    """Return the distinct types of a comma-separated list, under biomark's names.

    Raises:
        UsageError: if the list names none.
    """
    types = distinct(canonical(name.strip()) for name in names.split(",") if name.strip())
    if not types:
        raise UsageError("`types` names no type; name some, for instance `types=disease,chemical`")
    return types


def parse_type_map(pairs: list[str]) -> dict[str, str]:
    """Return the `A=B` pairs of a type map as a dictionary.

    Raises:
        UsageError: if a pair is not of that form.
    """
    type_map = {}
    for pair in pairs:
        name, equals, other = pair.partition("=")
        if not (name and equals and other):
            raise UsageError(f"`type_map` must have the form A=B, got {pair!r}")
        type_map[name] = other
    return type_map


def with_canonical_types(
    document: Document, type_map: Mapping[str, str] | None = None, names: Iterable[str] = ()
) -> Document:
    """Return the document with biomark's names of entity types.

    Args:
        document: a document with any spelling of types.
        type_map: spelling in the file → name; it takes precedence over biomark's aliases.
        names: spellings of a user's own types, which replace spellings of the document that differ in case alone.
    """
    mapping = type_map or {}
    folded = {spelling.casefold(): name for spelling, name in mapping.items()}
    own_names = {name.casefold(): name for name in names}

    def name(entity_type: str) -> str:
        other = mapping.get(entity_type, folded.get(entity_type.casefold(), entity_type))
        own = (
            other if mapping.get(other) == other else canonical(other)
        )  # a type that is mapped to itself stays distinct
        return own_names.setdefault(own.casefold(), own)

    return replace(document, entities=tuple(replace(e, type=name(e.type)) for e in document.entities))


@cache
def _aliases() -> dict[str, str]:
    return {_key(alias): t.name for t in entity_types().values() for alias in (t.name, t.label, *t.aliases)}


def _key(name: str) -> str:
    return "".join(character for character in name.casefold() if character not in " -_")
