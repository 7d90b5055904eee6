"""The pool of annotated sentences from which demonstrations are chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from biomark.corpora import read_corpus, wanted_types
from biomark.entity_types import with_canonical_types
from biomark.formats import Reject, raise_rejected
from biomark.spans import Document, Entity
from biomark.text.sentences import with_sentences


@dataclass(frozen=True, slots=True)
class Example:
    """An annotated sentence.

    Attributes:
        text: the sentence.
        entities: its mentions, with biomark's names of types and offsets in the sentence.
        document_id: the id of its document.
        types: the types of which all mentions are annotated.
    """

    text: str
    entities: tuple[Entity, ...]
    document_id: str
    types: tuple[str, ...] = ()


def examples(
    corpora: Sequence[str],
    types: Sequence[str] | None = None,
    *,
    reject: Reject = raise_rejected,
    lost: Counter[str] | None = None,
) -> Iterator[Example]:
    """Yield the sentences of several corpora, one after the other, with and without mentions.

    Args:
        corpora: splits of the catalogue or paths; see `biomark.corpora.read_corpus`.
        types: biomark's names of types; None: all types that a corpus annotates.
        reject: see `biomark.formats.read`.
        lost: counts of the mentions that are in no example, by reason.

    Raises:
        UsageError: if a corpus is unknown, or annotates none of the types.
    """
    wanted = wanted_types(corpora, types)
    return (
        example
        for corpus in corpora
        for document in read_corpus(corpus, reject=reject)
        for example in _examples(
            with_canonical_types(document, names=wanted[corpus]), wanted[corpus], Counter() if lost is None else lost
        )
    )


def of_types(pool: Iterable[Example], types: Sequence[str]) -> tuple[Example, ...]:
    """Return the examples in which all of `types` are annotated, with the mentions of these types alone.

    In other examples, some mentions would not be marked, which would mislead a model.
    """
    return tuple(
        replace(example, entities=tuple(e for e in example.entities if e.type in types), types=tuple(types))
        for example in pool
        if set(types) <= set(example.types)
    )


def _examples(document: Document, types: tuple[str, ...], lost: Counter[str]) -> Iterator[Example]:
    document = with_sentences(replace(document, entities=tuple(e for e in document.entities if e.type in types)))
    crossing = len(document.entities)
    for sentence in document.sentences:
        part = document.slice(sentence)
        crossing -= len(part.entities)
        yield Example(part.text, part.entities, document.id, types)
    lost["mentions that cross a sentence boundary"] += crossing
