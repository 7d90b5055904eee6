"""Look up identifiers for a text among the names of a store, without regard to the text's document."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from biomark.identifiers import namespace
from biomark.knowledge import fuzzy
from biomark.knowledge.entries import Link, NameKind
from biomark.knowledge.forms import bag, form
from biomark.knowledge.keys import Keys
from biomark.knowledge.neighbours import LAST_KIND, Neighbours
from biomark.knowledge.reranking import term_features
from biomark.knowledge.store import Store, Term

EXACT, NORMALISED, ORDER, WORDS = "exact", "normalised", "order", "words"
_KIND_WEIGHTS = {NameKind.PREFERRED: 0.5, NameKind.EXACT: 0.4, NameKind.ABBREVIATION: 0.3, NameKind.MENTION: 0.3}
_AS_WRITTEN = 3  # the factor on the count of a name with the exact spelling of the mention
_NEXT_LINK = 0.9  # the factor on the weight of each further cross-reference
_MOST = 5
_READ = 4000  # the largest number of names to read for one text
_GENERATIONS = 2
_CACHED = 1 << 14

Identifiers = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WeightedIdentifiers:
    """Identifiers (several for a composite mention), their weight of evidence, and a gene's species."""

    identifiers: Identifiers
    weight: float
    taxon: str | None = None


@dataclass(frozen=True, slots=True)
class SameNames:
    """Identifiers of the names that equal a text.

    Attributes:
        step: the kind of equality (`exact`, `normalised`, `order` or `words`); empty if no name equals the text.
        answers: the identifiers with their weights, the likeliest first.
    """

    step: str = ""
    answers: tuple[WeightedIdentifiers, ...] = ()


@dataclass(frozen=True, slots=True)
class SimilarIdentifier:
    """An identifier with a name similar to a text.

    Attributes:
        identifier: the identifier.
        features: the features of its most similar name: `fuzzy.FEATURES`, then `reranking.OF_TERMS`.
        support: log(1 + the sum over its similar names of the feature `covered` cubed).
    """

    identifier: str
    features: tuple[float, ...]
    support: float


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An identifier with the cosine of a text's vector and the vector of its nearest name."""

    identifier: str
    cosine: float


class Lookup:
    """Lookup of texts among the names of a store; the last 16,384 texts are cached.

    Args:
        store: an open store.
        vectors: the vectors of the store's names.
        namespaces: entity type → the namespaces of the identifiers to return, the preferred ones first; concepts of
            other types are returned under their own identifiers.
    """

    def __init__(self, store: Store, vectors: Neighbours, namespaces: Mapping[str, Sequence[str]]) -> None:
        self._store = store
        self._vectors = vectors
        self._namespaces = {entity_type: tuple(names) for entity_type, names in namespaces.items()}
        self.sure: Callable[[str, str], SameNames] = lru_cache(_CACHED)(self._find_sure)
        self.near: Callable[[str, str], tuple[SimilarIdentifier, ...]] = lru_cache(_CACHED)(self._find_near)
        self.neighbours: Callable[[str, str], tuple[Neighbour, ...]] = lru_cache(_CACHED)(self._find_neighbours)
        self.seen: Callable[[str], int] = lru_cache(_CACHED)(store.seen)
        self._terms_near = lru_cache(_CACHED)(self._find_terms_near)
        self._wanted = lru_cache(_CACHED)(self._find_wanted)
        self._keys = Keys(store)

    def _find_sure(self, text: str, entity_type: str) -> SameNames:
        """Return the identifiers of the first step with an equal name."""
        text_form = form(text)
        steps: tuple[tuple[str, Callable[[], Iterable[Term]]], ...] = (
            (NORMALISED, lambda: self._store.by_form(text_form)),
            (NORMALISED, lambda: self._store.by_form(form(text.replace("-", ""))) if "-" in text else ()),
            (ORDER, lambda: self._store.by_bag(bag(text_form))),
            (WORDS, lambda: self._same_keys(text_form, entity_type)),
        )
        composites = self._store.composites(text_form, entity_type)
        for step, terms in steps:
            usable = [term for term in terms() if term.concept.type == entity_type and term.kind in _KIND_WEIGHTS]
            ranked = self._ranked(usable, text, entity_type, composites)
            composites = ()
            if ranked:
                as_written = any(
                    term.text == text and ranked[0].identifiers[0] in self._wanted(term.concept.identifier, entity_type)
                    for term in usable
                )
                return SameNames(EXACT if as_written and step == NORMALISED else step, tuple(ranked[:_MOST]))
        return SameNames()

    def _ranked(
        self, terms: Sequence[Term], text: str, entity_type: str, composites: Sequence[tuple[Identifiers, int]]
    ) -> list[WeightedIdentifiers]:
        weights: dict[tuple[Identifiers, str | None], float] = {}
        for identifiers, count in composites:
            parts = [self._wanted(identifier, entity_type) for identifier in identifiers]
            if all(parts):
                row = tuple(dict.fromkeys(part[0] for part in parts))
                weights[row, None] = weights.get((row, None), 0.0) + count
        for term in terms:
            weight = term.count * (_AS_WRITTEN if term.text == text else 1) + _KIND_WEIGHTS[term.kind]
            for place, identifier in enumerate(self._wanted(term.concept.identifier, entity_type)):
                answer = (identifier,), term.concept.taxon
                weights[answer] = weights.get(answer, 0.0) + weight * _NEXT_LINK**place
        return sorted(
            (WeightedIdentifiers(ids, weight, taxon) for (ids, taxon), weight in weights.items()),
            key=lambda f: -f.weight,
        )

    def _same_keys(self, text_form: str, entity_type: str) -> Iterator[Term]:
        wanted = frozenset(fuzzy.keys(text_form))
        return (term for term in self._terms_near(text_form, entity_type) if frozenset(fuzzy.keys(term.form)) == wanted)

    def _find_near(self, text: str, entity_type: str) -> tuple[SimilarIdentifier, ...]:
        """Return the identifiers of the names that are most similar to a text, in no particular order."""
        text_form = form(text)
        best: dict[str, tuple[float, tuple[float, ...]]] = {}
        support: dict[str, float] = {}
        for term in self._terms_near(text_form, entity_type):
            alike = fuzzy.compare(text_form, term.form, self._keys.weight)
            covered, dice = alike[2:4]
            for identifier, generations in self._wanted_or_parents(term.concept.identifier, entity_type):
                support[identifier] = support.get(identifier, 0.0) + covered**3
                value = covered + dice / 2 - 0.2 * generations
                if identifier not in best or value > best[identifier][0]:
                    best[identifier] = value, (*alike, *term_features(term, generations))
        return tuple(
            SimilarIdentifier(identifier, features, math.log1p(support[identifier]))
            for identifier, (_, features) in best.items()
        )

    def _find_neighbours(self, text: str, entity_type: str) -> tuple[Neighbour, ...]:
        """Return the identifiers of the names whose vectors are nearest to a text's, the nearest first."""
        best: dict[str, float] = {}
        for name, cosine in self._vectors.near(form(text), entity_type):
            terms = (t for t in self._store.same_form(name) if t.concept.type == entity_type and t.kind <= LAST_KIND)
            for term in terms:
                for identifier, _ in self._wanted_or_parents(term.concept.identifier, entity_type):
                    best.setdefault(identifier, cosine)
        return tuple(Neighbour(*pair) for pair in best.items())

    def _find_terms_near(self, text_form: str, entity_type: str) -> tuple[Term, ...]:
        """Return the names that share keys with a form, or have similar keys."""
        return self._store.by_keys(self._keys.of(text_form, _READ), entity_type)

    def _find_wanted(self, identifier: str, entity_type: str) -> Identifiers:
        """Return a concept's identifier and cross-references in the wanted namespaces, the preferred ones first."""
        names = self._namespaces.get(entity_type)
        if not names or namespace(identifier) == names[0]:
            return (identifier,)
        known = (identifier, *self._store.linked(identifier, Link.SAME))
        return tuple(one for name in names for one in known if namespace(one) == name)

    def _wanted_or_parents(self, identifier: str, entity_type: str) -> Iterator[tuple[str, int]]:
        """Yield a concept's wanted identifiers, or else those of its ancestors, each with its number of generations."""
        level = [identifier]
        for generation in range(_GENERATIONS + 1):
            if identifiers := dict.fromkeys(i for one in level for i in self._wanted(one, entity_type)):
                yield from ((identifier, generation) for identifier in identifiers)
                return
            level = [parent for one in level for parent in self._store.linked(one, Link.PARENT)]
