"""Entity types: biomark's names, their spellings elsewhere, and what prompts say of them."""

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
    """All types by name."""
    return packaged("biomark", "entity_types.toml", dict[str, EntityType], named=True)


def canonical(name: str) -> str:
    """biomark's name for a type as any corpus or format spells it; an unknown name stays as it is."""
    return _aliases().get(_key(name), name)


def one_of(name: str, names: Iterable[str]) -> str:
    """The one of `names` that is biomark's name of a type or differs from it in case alone; else biomark's name."""
    own = canonical(name)
    return {known.casefold(): known for known in names}.get(own.casefold(), own)


def distinct(names: Iterable[str]) -> tuple[str, ...]:
    """The names without those that differ from an earlier one in case alone."""
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(name.casefold(), name)
    return tuple(found.values())


def label(name: str) -> str:
    """What prompts call a type; a name of the user's own with blanks for underscores."""
    entity_type = entity_types().get(name)
    return entity_type.label if entity_type else name.replace("_", " ")


def types_wanted(types: Iterable[str] | None, known: Sequence[str]) -> tuple[str, ...]:
    """The types to look for.

    Args:
        types: the wanted ones; None: all that are known.
        known: those to choose from.

    Raises:
        UsageError: if a wanted type is not known.
    """
    wanted = tuple(known if types is None else types)
    if unknown := [type for type in wanted if type not in known]:
        s = "s" if len(unknown) > 1 else ""
        choice = f"choose from {', '.join(known)}" if known else "there is none to choose from"
        raise UsageError(f"unknown type{s} {', '.join(map(repr, unknown))}; {choice}")
    return wanted


def parse_types(names: str) -> tuple[str, ...]:
    """The types of a comma-separated list, under biomark's names, each once.

    Raises:
        UsageError: if the list names none.
    """
    types = distinct(canonical(name.strip()) for name in names.split(",") if name.strip())
    if not types:
        raise UsageError("`types` names no type; name some, for instance `types=disease,chemical`")
    return types


def parse_type_map(pairs: list[str]) -> dict[str, str]:
    """The `A=B` pairs of a map of types.

    Raises:
        UsageError: if one is not of that form.
    """
    type_map = {}
    for pair in pairs:
        name, equals, other = pair.partition("=")
        if not (name and equals and other):
            raise UsageError(f"`type_map` takes A=B, not {pair!r}")
        type_map[name] = other
    return type_map


def with_canonical_types(
    document: Document, type_map: Mapping[str, str] | None = None, names: Iterable[str] = ()
) -> Document:
    """The document with biomark's names of its types.

    Args:
        type_map: spelling in the file → name; goes first.
        names: spellings of a user's own types, which those of the document may differ from in case.
    """
    given = type_map or {}
    folded = {spelling.casefold(): name for spelling, name in given.items()}
    known = {name.casefold(): name for name in names}

    def name(type: str) -> str:
        other = given.get(type, folded.get(type.casefold(), type))
        own = other if given.get(other) == other else canonical(other)  # mapped to itself it is kept apart
        return known.setdefault(own.casefold(), own)

    return replace(document, entities=tuple(replace(e, type=name(e.type)) for e in document.entities))


@cache
def _aliases() -> dict[str, str]:
    return {_key(alias): t.name for t in entity_types().values() for alias in (t.name, t.label, *t.aliases)}


def _key(name: str) -> str:
    return "".join(character for character in name.casefold() if character not in " -_")
