"""Recognise mentions by the names of a term store, without a model, for any type of the store."""

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
    """A recognizer of the names of a store, which also assigns identifiers.

    The score of a mention is the probability of its identifier, not that of being a mention. For a name of n
    concepts, it is (frequency of the name for the chosen concept in annotated corpora + 1) / (frequency of the
    name for all n concepts + n); so it is 1 for a name of a single concept. The infon `candidates` has the
    identifiers of all concepts with the name, the likeliest first, at most five.

    Args:
        store: an open store, which the recognizer does not close.
        any_order: see `Matcher`.
    """

    def __init__(self, store: Store, *, any_order: bool = False) -> None:
        self._store = store
        self._any_order = any_order

    @property
    def types(self) -> tuple[str, ...]:
        """The types of the store."""
        return self._store.types

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        """See `biomark.recognizers.Recognizer`; mentions do not cross sentence boundaries."""
        if not self.types:
            raise UsageError(
                f"{self._store.path} has no names with an entity type; build it again with a type (`type`)"
            )
        return self._stream(documents, Matcher(self._store, types, any_order=self._any_order), min_score or 0.0)

    def _stream(self, documents: Iterable[Document], matcher: Matcher, least: float) -> Iterator[Annotated]:
        for document in (document.bare() for document in documents):
            matches = matcher.find(document.text, with_sentences(document).sentences)
            entities = [_entity(match) for match in matches]
            kept = tuple(entity for entity in entities if entity.score is None or entity.score >= least)
            yield Annotated(replace(document, entities=kept))


def _entity(match: Match) -> Entity:
    counts: dict[str, int] = {}
    for term in match.terms:
        counts[term.concept.identifier] = counts.get(term.concept.identifier, 0) + term.count
    ranked = sorted(counts, key=lambda identifier: -counts[identifier])  # equal counts keep the order of the matcher
    best = ranked[0]
    score = (counts[best] + 1) / (sum(counts.values()) + len(counts))
    infons = Infons({"candidates": " ".join(ranked[:CANDIDATES])})
    return Entity((match.span,), match.type, (best,), score, infons)
