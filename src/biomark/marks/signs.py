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
    """What sets a mention off from the text around it.

    Attributes:
        before: stands before a mention; `{}` in it or in `after` is the place of the type's name.
        after: stands after it.
        loose: a regular expression for what passes for either in a careless answer; its group `opens`
            takes part if it is the one before, `name` holds the type's name.
        names: type → its name in the signs, "" where they have no place for one.
    """

    before: str
    after: str
    loose: str
    names: Mapping[str, str]

    def around(self, entity_type: str) -> tuple[str, str]:
        """The signs before and after a mention of a type."""
        name = self.names.get(entity_type, "")
        return self.before.replace("{}", name), self.after.replace("{}", name)

    @property
    def typed(self) -> bool:
        """Whether they say the type."""
        return "{}" in self.before + self.after


def mark(entity_type: str) -> Signs:
    """The marks around mentions of the one type that was asked for."""
    return Signs(OPEN, CLOSE, r"(?P<opens><\s*mark\s*>)|<\s*/\s*mark\s*>", {entity_type: ""})


def type_named(name: str, types: Iterable[str]) -> str | None:
    """Which of the types an answer means by a name: spelled otherwise, in the plural, or by an alias; or None."""
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
