"""Recognizers, which find mentions in documents: the protocol, and a module for each implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from biomark.spans import Document, Rejected

GROUP = 15_000
"""Characters of the documents that a worker annotates together, about ten abstracts.

A recognizer whose scores depend on its batches makes them within the same groups, so that workers find the same."""


@dataclass(frozen=True, slots=True)
class Annotated:
    """A document with the entities of a recognizer, and the parts of its answers that could not be placed."""

    document: Document
    rejected: tuple[Rejected, ...] = ()


class Recognizer(Protocol):
    """Finds mentions in documents."""

    @property
    def types(self) -> tuple[str, ...] | None:
        """The types that the recognizer knows, under biomark's names; None if it accepts any type."""
        ...

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        """Annotate a stream; every document is returned once and in order, even if its annotation fails.

        Existing entities of the documents are replaced.

        Args:
            documents: any number of documents, which are not held in memory.
            types: the types to annotate; None: all that the recognizer knows.
            min_score: the minimum score in [0, 1] of mentions; None: the recognizer's default.

        Raises:
            UsageError: if the recognizer does not know a type.
        """
        ...


def types_known(recognizer: Recognizer, types: Sequence[str]) -> list[str]:
    """Return those of the types that a recognizer knows; all of them if it accepts any type."""
    return [entity_type for entity_type in types if recognizer.types is None or entity_type in recognizer.types]


def types_by_default(recognizer: Recognizer) -> tuple[str, ...] | None:
    """Return the types that a recognizer looks for if its caller names none; None if it accepts any type.

    They are its property `default_types`, or all types that it knows if it has no such property.
    """
    default: tuple[str, ...] | None = getattr(recognizer, "default_types", recognizer.types)
    return None if recognizer.types is None else default


def in_groups(documents: Iterable[Document], characters: int) -> Iterator[list[Document]]:
    """Yield groups of consecutive documents with about `characters` code points in total."""
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
    """Return a function that returns the mentions of a single text as strings.

    Args:
        recognizer: the recognizer to use.
        types: the types to annotate; those that the recognizer does not know are ignored.
    """
    known = types_known(recognizer, types)

    def find(text: str) -> list[str]:
        (annotated,) = recognizer.annotate([Document("", text)], known) if known else (Annotated(Document("", text)),)
        return [entity.mention(text) for entity in annotated.document.entities]

    return find
