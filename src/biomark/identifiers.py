"""Identifiers: one spelling for what corpora and terminologies write in many ways."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache

from biomark.runtime.toml import packaged

# A version that a source puts after a namespace's name: SNOMEDCT_US_2025_09_01
_VERSION = re.compile(r"(_\d{4}(_\d{2})*)$")
# NCBI's corpora write D008581+D012008 where a mention is both at once, unlike D001943|D010051, which
# readers take apart: two diseases that one mention names.
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
    """All namespaces by name."""
    return packaged("biomark", "identifiers.toml", dict[str, Namespace], named=True)


@lru_cache(maxsize=1 << 16)
def canonical(identifier: str, type: str | None = None) -> str:
    """biomark's spelling of one identifier: `D010300` and `MSH:D010300` are `MESH:D010300`.

    Args:
        identifier: of one concept; combined ones (`D008581+D012008`) are spelled part by part.
        type: biomark's name of the mention's type, which tells a gene's bare number from a species'.
    """
    if COMBINED in identifier:
        return COMBINED.join(canonical(part, type) for part in identifier.split(COMBINED))
    identifier = identifier.strip()
    prefix, colon, local = identifier.partition(":")
    if colon and (name := _aliases().get(_key(_VERSION.sub("", prefix)))):
        return f"{name}:{local.strip()}"
    for row in namespaces().values():
        if row.bare and re.fullmatch(row.bare, identifier):
            return f"{row.name}:{identifier.removeprefix('CVCL_').removeprefix('CVCL:')}"
        if row.digits and row.digits == type and identifier.isdecimal():
            return f"{row.name}:{identifier}"
    return identifier


def namespace(identifier: str) -> str:
    """The namespace of a canonical identifier; empty if it has none."""
    prefix, colon, _ = identifier.partition(":")
    return prefix if colon else ""


def type_of(identifier: str) -> str | None:
    """The type of a canonical identifier's concept, where its namespace tells."""
    row = namespaces().get(namespace(identifier))
    return row.type if row else None


@cache
def _aliases() -> dict[str, str]:
    return {_key(alias): row.name for row in namespaces().values() for alias in (row.name, *row.aliases)}


def _key(name: str) -> str:
    return "".join(character for character in name.casefold() if character not in " -_")
