"""Mentions by the names of a term store: no model, any type that a source describes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from biomark.errors import UsageError
from biomark.knowledge.matcher import Match, Matcher
from biomark.knowledge.store import Store
from biomark.recognizers import Annotated
from biomark.spans import Document, Entity, Infons
from biomark.text.sentences import with_sentences

CANDIDATES = 5


class DictionaryRecognizer:
    """Marks the names of a store, with the identifiers of what they name.

    A mention's score tells how clear its identifier is, not how sure it is that this is a mention: with
    n concepts that have the name, (times that annotated corpora use the name for the chosen one + 1) /
    (times that they use it for any of them + n); so it is 1 for a name that only one concept has.
    The infon `candidates` has the identifiers that the name may mean, the likeliest first.

    Args:
        store: is not closed.
        any_order: see `Matcher`.
    """

    def __init__(self, store: Store, *, any_order: bool = False) -> None:
        self._store = store
        self._any_order = any_order

    @property
    def types(self) -> tuple[str, ...]:
        """The types that the store has."""
        return self._store.types

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        """See `biomark.recognizers.Recognizer`; a mention lies within a sentence."""
        if not self.types:
            raise UsageError(f"{self._store.path} has names of none of biomark's types; build it with a type (`type`)")
        return self._stream(documents, Matcher(self._store, types, any_order=self._any_order), min_score or 0.0)

    def _stream(self, documents: Iterable[Document], matcher: Matcher, least: float) -> Iterator[Annotated]:
        for document in (document.bare() for document in documents):
            found = matcher.find(document.text, with_sentences(document).sentences)
            entities = [_entity(match) for match in found]
            kept = tuple(entity for entity in entities if entity.score is None or entity.score >= least)
            yield Annotated(replace(document, entities=kept))


def _entity(match: Match) -> Entity:
    counts: dict[str, int] = {}
    for term in match.terms:
        counts[term.concept.identifier] = counts.get(term.concept.identifier, 0) + term.count
    ranked = sorted(counts, key=lambda identifier: -counts[identifier])  # of equal ones the matcher's first
    best = ranked[0]
    score = (counts[best] + 1) / (sum(counts.values()) + len(counts))
    infons = Infons({"candidates": " ".join(ranked[:CANDIDATES])})
    return Entity((match.span,), match.type, (best,), score, infons)
