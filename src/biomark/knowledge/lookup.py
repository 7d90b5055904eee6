"""Identifiers of texts by the names of a store, without regard to where the texts stand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from biomark.identifiers import namespace
from biomark.knowledge import fuzzy
from biomark.knowledge.entries import Kind, Link
from biomark.knowledge.forms import bag, form
from biomark.knowledge.keys import Keys
from biomark.knowledge.neighbours import LAST_KIND, Neighbours
from biomark.knowledge.reranking import term_features
from biomark.knowledge.store import Store, Term

EXACT, NORMALISED, ORDER, WORDS = "exact", "normalised", "order", "words"
_KIND_WEIGHTS = {Kind.PREFERRED: 0.5, Kind.EXACT: 0.4, Kind.ABBREVIATION: 0.3, Kind.MENTION: 0.3}
_AS_WRITTEN = 3  # how much more a name counts that is written as the mention is
_NEXT_LINK = 0.9  # what each further cross-reference counts, as a share of the one before
_MOST = 5
_READ = 4000  # names that are looked at for one text
_GENERATIONS = 2
_CACHED = 1 << 14

Identifiers = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """Identifiers (several for a composite mention), how much speaks for them, and a gene's species."""

    identifiers: Identifiers
    weight: float
    taxon: str | None = None


@dataclass(frozen=True, slots=True)
class Sure:
    """What names say that are the same as a text.

    Attributes:
        step: in what way they are the same; empty if there are none.
        found: the likeliest first.
    """

    step: str = ""
    found: tuple[Found, ...] = ()


@dataclass(frozen=True, slots=True)
class Near:
    """An identifier with a name like a text.

    Attributes:
        features: of the name that is most like it: `fuzzy.FEATURES`, then `reranking.OF_TERMS`.
        support: the logarithm of 1 + the sum of how much all its names near the text cover it, each to the third power.
    """

    identifier: str
    features: tuple[float, ...]
    support: float


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An identifier with a name whose vector is near a text's, and the cosine of the nearest one."""

    identifier: str
    cosine: float


class Lookup:
    """Looks texts up; remembers the last 16,384 of them.

    Args:
        store: open.
        vectors: of the store.
        namespaces: for a type, those in which its concepts are given, the best first; of types that are left out each
            concept is given under its own identifier.
    """

    def __init__(self, store: Store, vectors: Neighbours, namespaces: Mapping[str, Sequence[str]]) -> None:
        self._store = store
        self._vectors = vectors
        self._namespaces = {type: tuple(names) for type, names in namespaces.items()}
        self.sure: Callable[[str, str], Sure] = lru_cache(_CACHED)(self._find_sure)
        self.near: Callable[[str, str], tuple[Near, ...]] = lru_cache(_CACHED)(self._find_near)
        self.neighbours: Callable[[str, str], tuple[Neighbour, ...]] = lru_cache(_CACHED)(self._find_neighbours)
        self.seen: Callable[[str], int] = lru_cache(_CACHED)(store.seen)
        self._terms_near = lru_cache(_CACHED)(self._find_terms_near)
        self._wanted = lru_cache(_CACHED)(self._find_wanted)
        self._keys = Keys(store)

    def _find_sure(self, text: str, type: str) -> Sure:
        """By the first step that has anything."""
        asked = form(text)
        steps: tuple[tuple[str, Callable[[], Iterable[Term]]], ...] = (
            (NORMALISED, lambda: self._store.by_form(asked)),
            (NORMALISED, lambda: self._store.by_form(form(text.replace("-", ""))) if "-" in text else ()),
            (ORDER, lambda: self._store.by_bag(bag(asked))),
            (WORDS, lambda: self._same_keys(asked, type)),
        )
        composites = self._store.composites(asked, type)
        for step, terms in steps:
            usable = [term for term in terms() if term.concept.type == type and term.kind in _KIND_WEIGHTS]
            ranked = self._ranked(usable, text, type, composites)
            composites = ()
            if ranked:
                as_written = any(
                    term.text == text and ranked[0].identifiers[0] in self._wanted(term.concept.identifier, type)
                    for term in usable
                )
                return Sure(EXACT if as_written and step == NORMALISED else step, tuple(ranked[:_MOST]))
        return Sure()

    def _ranked(
        self, terms: Sequence[Term], text: str, type: str, composites: Sequence[tuple[Identifiers, int]]
    ) -> list[Found]:
        weights: dict[tuple[Identifiers, str | None], float] = {}
        for identifiers, count in composites:
            parts = [self._wanted(identifier, type) for identifier in identifiers]
            if all(parts):
                row = tuple(dict.fromkeys(part[0] for part in parts))
                weights[row, None] = weights.get((row, None), 0.0) + count
        for term in terms:
            weight = term.count * (_AS_WRITTEN if term.text == text else 1) + _KIND_WEIGHTS[term.kind]
            for place, identifier in enumerate(self._wanted(term.concept.identifier, type)):
                found = (identifier,), term.concept.taxon
                weights[found] = weights.get(found, 0.0) + weight * _NEXT_LINK**place
        return sorted((Found(ids, weight, taxon) for (ids, taxon), weight in weights.items()), key=lambda f: -f.weight)

    def _same_keys(self, asked: str, type: str) -> Iterator[Term]:
        wanted = frozenset(fuzzy.keys(asked))
        return (term for term in self._terms_near(asked, type) if frozenset(fuzzy.keys(term.form)) == wanted)

    def _find_near(self, text: str, type: str) -> tuple[Near, ...]:
        """The identifiers of the names that are most like a text, in no order."""
        asked = form(text)
        best: dict[str, tuple[float, tuple[float, ...]]] = {}
        support: dict[str, float] = {}
        for term in self._terms_near(asked, type):
            alike = fuzzy.compare(asked, term.form, self._keys.weight)
            covered, dice = alike[2:4]
            for identifier, generations in self._wanted_or_parents(term.concept.identifier, type):
                support[identifier] = support.get(identifier, 0.0) + covered**3
                value = covered + dice / 2 - 0.2 * generations
                if identifier not in best or value > best[identifier][0]:
                    best[identifier] = value, (*alike, *term_features(term, generations))
        return tuple(Near(one, features, math.log1p(support[one])) for one, (_, features) in best.items())

    def _find_neighbours(self, text: str, type: str) -> tuple[Neighbour, ...]:
        """The identifiers of the names whose vectors are nearest to a text's, the nearest first."""
        best: dict[str, float] = {}
        for name, cosine in self._vectors.near(form(text), type):
            terms = (t for t in self._store.same_form(name) if t.concept.type == type and t.kind <= LAST_KIND)
            for term in terms:
                for identifier, _ in self._wanted_or_parents(term.concept.identifier, type):
                    best.setdefault(identifier, cosine)
        return tuple(Neighbour(*found) for found in best.items())

    def _find_terms_near(self, asked: str, type: str) -> tuple[Term, ...]:
        """The names that share keys with a form, or have keys like its own."""
        return self._store.by_keys(self._keys.of(asked, _READ), type)

    def _find_wanted(self, identifier: str, type: str) -> Identifiers:
        """A concept's identifiers in the namespaces wanted: its own one and its cross-references, the best first."""
        names = self._namespaces.get(type)
        if not names or namespace(identifier) == names[0]:
            return (identifier,)
        known = (identifier, *self._store.linked(identifier, Link.SAME))
        return tuple(one for name in names for one in known if namespace(one) == name)

    def _wanted_or_parents(self, identifier: str, type: str) -> Iterator[tuple[str, int]]:
        """A concept's identifiers as wanted, or else those of its parents, each with the generations between."""
        level = [identifier]
        for generation in range(_GENERATIONS + 1):
            if found := dict.fromkeys(i for one in level for i in self._wanted(one, type)):
                yield from ((identifier, generation) for identifier in found)
                return
            level = [parent for one in level for parent in self._store.linked(one, Link.PARENT)]
