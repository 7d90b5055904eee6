"""The signs around a mention, such as `<mark>` and `</mark>`, and the names of types in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from biomark.entity_types import canonical

OPEN = "<mark>"
CLOSE = "</mark>"


@dataclass(frozen=True, slots=True)
class Signs:
    """The signs around a mention.

    Attributes:
        before: the sign before a mention; `{}` in it or in `after` is the place of the type's name.
        after: the sign after a mention.
        loose: a regular expression for both signs in a careless answer; its group `opens` matches in a sign before
            a mention, and `name` is the type's name.
        names: type → its name in the signs, "" if they have no place for a name.
    """

    before: str
    after: str
    loose: str
    names: Mapping[str, str]

    def around(self, entity_type: str) -> tuple[str, str]:
        """Return the signs before and after a mention of a type."""
        name = self.names.get(entity_type, "")
        return self.before.replace("{}", name), self.after.replace("{}", name)

    @property
    def typed(self) -> bool:
        """Return whether the signs contain the type's name."""
        return "{}" in self.before + self.after


def mark(entity_type: str) -> Signs:
    """Return marks as the signs of mentions of one type."""
    return Signs(OPEN, CLOSE, r"(?P<opens><\s*mark\s*>)|<\s*/\s*mark\s*>", {entity_type: ""})


def type_named(name: str, types: Iterable[str]) -> str | None:
    """Return the type with a name, also in another spelling, in the plural, or as an alias; None if there is none."""
    types = tuple(types)
    if name in types:
        return name
    for spelling in (name.strip(), name.strip().removesuffix("s")):
        for entity_type in types:
            if spelling and _key(canonical(spelling)) == _key(canonical(entity_type)):
                return entity_type
    return None


def _key(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.casefold())
