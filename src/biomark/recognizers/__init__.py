"""What finds mentions: one protocol, and a module for each way of doing it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from biomark.spans import Document, Rejected


@dataclass(frozen=True, slots=True)
class Annotated:
    """A document with the entities that a recognizer found, and what it could not place."""

    document: Document
    rejected: tuple[Rejected, ...] = ()


class Recognizer(Protocol):
    """Finds mentions in documents."""

    @property
    def types(self) -> tuple[str, ...] | None:
        """The types that it knows, under biomark's names; None if it takes any."""
        ...

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        """Annotate a stream: every document comes back once and in order, whatever happens to it.

        Entities that the documents bring along are replaced.

        Args:
            documents: any number; not held in memory.
            types: the types to look for; None: all that the recognizer knows.
            min_score: mentions with a lower score are left out; None: the recognizer's own choice.

        Raises:
            UsageError: if it does not know a type.
        """
        ...


def types_known(recognizer: Recognizer, types: Sequence[str]) -> list[str]:
    """Those of the types that a recognizer knows; all of them if it takes any."""
    return [type for type in types if recognizer.types is None or type in recognizer.types]


def in_groups(documents: Iterable[Document], characters: int) -> Iterator[list[Document]]:
    """Documents in a row of about `characters` code points together."""
    group: list[Document] = []
    size = 0
    for document in documents:
        group.append(document)
        size += len(document.text) + 1
        if size >= characters:
            yield group
            group, size = [], 0
    if group:
        yield group


def mentions_of(recognizer: Recognizer, types: Sequence[str]) -> Callable[[str], list[str]]:
    """What finds mentions in a single text, as they are written there.

    Args:
        types: that are looked for; those that the recognizer does not know are left out.
    """
    known = types_known(recognizer, types)

    def find(text: str) -> list[str]:
        (found,) = recognizer.annotate([Document("", text)], known) if known else (Annotated(Document("", text)),)
        return [entity.mention(text) for entity in found.document.entities]

    return find
