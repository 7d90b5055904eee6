"""Identifiers: one canonical spelling for the different spellings of corpora and terminologies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache

from biomark.runtime.toml import packaged

# A version that some sources append to the name of a namespace: SNOMEDCT_US_2025_09_01
_VERSION = re.compile(r"(_\d{4}(_\d{2})*)$")
# NCBI's corpora write D008581+D012008 for a mention that is both concepts at once, and D001943|D010051,
# which readers split, for a mention of two separate diseases.
COMBINED = "+"
COMPOSITE = "|"


@dataclass(frozen=True, slots=True)
class Namespace:
    """A row of `identifiers.toml`, which explains the fields."""

    name: str
    aliases: tuple[str, ...] = ()
    bare: str | None = None
    digits: str | None = None
    type: str | None = None


@cache
def namespaces() -> dict[str, Namespace]:
    """Return all namespaces by name."""
    return packaged("biomark", "identifiers.toml", dict[str, Namespace], named=True)


@lru_cache(maxsize=1 << 16)
def canonical(identifier: str, entity_type: str | None = None) -> str:
    """Return the canonical spelling of an identifier: `MESH:D010300` for `D010300` and `MSH:D010300`.

    Args:
        identifier: the identifier of one concept, or several joined by `+` (`D008581+D012008`).
        entity_type: biomark's name of the mention's type, which distinguishes a bare number of a gene from one of a
            species.
    """
    if COMBINED in identifier:
        return COMBINED.join(canonical(part, entity_type) for part in identifier.split(COMBINED))
    identifier = identifier.strip()
    prefix, colon, local = identifier.partition(":")
    if colon and (name := _aliases().get(_key(_VERSION.sub("", prefix)))):
        return f"{name}:{local.strip()}"
    for row in namespaces().values():
        if row.bare and re.fullmatch(row.bare, identifier):
            return f"{row.name}:{identifier.removeprefix('CVCL_').removeprefix('CVCL:')}"
        if row.digits and row.digits == entity_type and identifier.isdecimal():
            return f"{row.name}:{identifier}"
    return identifier


def namespace(identifier: str) -> str:
    """Return the namespace of a canonical identifier; empty if it has none."""
    prefix, colon, _ = identifier.partition(":")
    return prefix if colon else ""


def type_of(identifier: str) -> str | None:
    """Return the entity type that the namespace of a canonical identifier implies, or None."""
    row = namespaces().get(namespace(identifier))
    return row.type if row else None


@cache
def _aliases() -> dict[str, str]:
    return {_key(alias): row.name for row in namespaces().values() for alias in (row.name, *row.aliases)}


def _key(name: str) -> str:
    return "".join(character for character in name.casefold() if character not in " -_")
