"""Identifiers for mentions, whoever found them.

A mention goes through steps until one has an answer; a short form that the document defines goes through
them as its long form first (`abbreviation`):

- `exact`, `normalised`: its form is a name of the store; `order`: in another order of words; `words`: its words have
  the same keys (`biomark.knowledge.fuzzy`);
- `composite`: it names several concepts, each of which has an answer;
- `fuzzy`: the likeliest of the names that are nearly the same (`biomark.knowledge.reranking`), if it is likely enough;
- `embedding`: the identifier of the nearest name by an encoder, if the store was built with one, and if it is likely
  enough (`biomark.knowledge.neighbours`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from biomark.entity_types import canonical as canonical_type
from biomark.errors import UsageError
from biomark.identifiers import COMPOSITE, canonical, namespace, namespaces
from biomark.knowledge import lookup, species
from biomark.knowledge.composites import readings
from biomark.knowledge.context import DocumentContext
from biomark.knowledge.lookup import Found, Lookup, Near, Sure
from biomark.knowledge.neighbours import Neighbours, probability
from biomark.knowledge.reranking import FEATURES, NOTHING_NEAR, Vector, Weights, packaged
from biomark.knowledge.store import Store
from biomark.spans import Document, Entity
from biomark.text.sentences import with_sentences

ABBREVIATION, COMPOSITE_STEP, FUZZY, EMBEDDING = "abbreviation", "composite", "fuzzy", "embedding"
# How often the first candidate of a step is right, on the development splits (docs/experiments.md).
RELIABILITY = {
    lookup.EXACT: 0.98,
    lookup.NORMALISED: 0.95,
    ABBREVIATION: 0.98,
    lookup.ORDER: 0.8,
    lookup.WORDS: 0.87,
    COMPOSITE_STEP: 0.83,
}
THRESHOLD = 0.4
"""The least score of an answer of the step `fuzzy`; chosen on the development splits (docs/experiments.md)."""
EMBEDDING_THRESHOLD = 0.7
"""That of the step `embedding`, chosen likewise."""
_LIKELY: Mapping[str, float] = {FUZZY: THRESHOLD, EMBEDDING: EMBEDDING_THRESHOLD}
MOST = 5
"""Candidates of a mention."""
_KNOWN = 5.0  # how much more an identifier counts that another mention of the document clearly has
_CLEAR = 0.8  # the share of the weight that makes an identifier clear
_INFONS = ("normalized", "identifier_score", "candidates")
_NO_CONTEXT = DocumentContext()


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a mention may be.

    Attributes:
        identifiers: several for a composite mention.
        score: in [0, 1], an estimate of the probability that this is right.
        step: what found it.
    """

    identifiers: tuple[str, ...]
    score: float
    step: str


class Normalizer:
    """Gives mentions identifiers from a store.

    Args:
        store: open; it is not closed.
        namespaces: for a type, those of which identifiers are wanted, the best first: a concept is given under its
            own identifier or its cross-references, and not at all if these are of other namespaces. None, or a
            type that is left out: those that the corpora use of which the store was built are tried first; a name
            that has no identifier of theirs is given under its own one.
        threshold: answers of the steps `fuzzy` and `embedding` with a lower score are none; None: 0.4 and 0.7.
        weights: of the step `fuzzy`; None: those that come with the package.

    Attributes:
        left_out: counts mentions without an identifier whose name the store has, but in no namespace that is wanted.
    """

    def __init__(
        self,
        store: Store,
        *,
        namespaces: Mapping[str, Sequence[str]] | None = None,
        threshold: float | None = None,
        weights: Weights | None = None,
    ) -> None:
        self._types = frozenset(store.types)
        self.left_out: Counter[str] = Counter()
        self._asked = {type: tuple(names) for type, names in (namespaces or {}).items()}
        self._preferred = {**store.namespaces, **self._asked}
        vectors = Neighbours(store)
        self._lookup = Lookup(store, vectors, self._preferred)
        self._any = Lookup(store, vectors, {})
        self._least = _LIKELY if threshold is None else dict.fromkeys(_LIKELY, threshold)
        self._weights = weights or packaged()

    def normalize(self, document: Document) -> Document:
        """The document with identifiers for all entities of types that the store has, in place of their own.

        An entity's infons say how: `normalized` (the step), `identifier_score`, and `candidates` (up to five,
        best first, joined by blanks; a composite one as `A|B`). Without an answer it has no identifier, and
        only `candidates`.
        """
        return replace(
            document,
            entities=tuple(
                entity if context is None else self._identified(entity, text, type, context)
                for entity, text, type, context in self.contexts(document)
            ),
        )

    def contexts(self, document: Document) -> Iterator[tuple[Entity, str, str, DocumentContext | None]]:
        """Each entity with its text, its type, and what the document says; None if the store has no such type."""
        mentions = [(e, e.mention(document.text), canonical_type(e.type)) for e in document.entities]
        context = DocumentContext.of(document)
        genes = any(type == "gene" for *_, type in mentions)
        named = species.mentions(document) if genes else ()
        sentences = with_sentences(document).sentences if named else ()
        contexts = [
            replace(context, taxa=species.nearest(named, e.start, sentences)) if type == "gene" and named else context
            for e, _, type in mentions
        ]
        known: dict[str, set[str]] = {}
        for (_, text, type), near in zip(mentions, contexts, strict=True):
            found = self._sure(self._lookup, text, type, near)
            if found and found[0].score >= _CLEAR * RELIABILITY[found[0].step]:
                known.setdefault(type, set()).update(found[0].identifiers)
        clear = {type: frozenset(identifiers) for type, identifiers in known.items()}
        for (entity, text, type), near in zip(mentions, contexts, strict=True):
            yield entity, text, type, replace(near, known=clear) if type in self._types else None

    def candidates(self, mention: str, type: str, context: DocumentContext = _NO_CONTEXT) -> tuple[Candidate, ...]:
        """What a mention may be, best first; none if the store has nothing like it.

        Args:
            mention: its text.
            type: biomark's name of its type, or the user's own.
            context: what its document says.
        """
        found = self._found(self._lookup, mention, type, context)
        if self._is_likely(found) or type in self._asked or type not in self._preferred:
            return found
        others = self._found(self._any, mention, type, context)
        return others if self._is_likely(others) else found

    def _found(self, lookup: Lookup, mention: str, type: str, context: DocumentContext) -> tuple[Candidate, ...]:
        """What a mention may be in the namespaces of a lookup."""
        if sure := self._sure(lookup, mention, type, context):
            return sure
        fuzzy = self._fuzzy(lookup, mention, type, context)
        if self._is_likely(fuzzy):
            return fuzzy
        return self._with_neighbours(lookup, fuzzy, context.spelled_out(mention) or mention, type)

    def _is_likely(self, found: Sequence[Candidate]) -> bool:
        """Whether the first candidate is an answer, whatever threshold lets less likely ones through."""
        return bool(found) and found[0].score >= max(
            self._least.get(found[0].step, 0.0), _LIKELY.get(found[0].step, 0.0)
        )

    def compared(self, mention: str, type: str, context: DocumentContext) -> tuple[tuple[str, ...], Vector]:
        """What the step `fuzzy` chooses from: identifiers, and float64 (identifiers, features)."""
        return self._compared(self._lookup, mention, type, context)

    def _compared(
        self, lookup: Lookup, mention: str, type: str, context: DocumentContext
    ) -> tuple[tuple[str, ...], Vector]:
        near = {one.identifier: one for one in lookup.near(context.spelled_out(mention) or mention, type)}
        known = context.known.get(type, frozenset())
        for identifier in sorted(known):
            near.setdefault(identifier, Near(identifier, NOTHING_NEAR, 0.0))
        rows = [self._features(one, one.identifier in known) for one in near.values()]
        return tuple(near), np.array(rows).reshape(-1, len(FEATURES))

    def _features(self, near: Near, known: bool) -> tuple[float, ...]:
        of_mention, of_name = near.features[:2]
        seen = math.log1p(self._lookup.seen(near.identifier)) / 5
        return (*near.features, near.support, seen, float(known), known * of_mention, known * of_name)

    def _fuzzy(self, lookup: Lookup, mention: str, type: str, context: DocumentContext) -> tuple[Candidate, ...]:
        identifiers, features = self._compared(lookup, mention, type, context)
        shares = self._weights.probabilities(features).tolist()
        ranked = sorted(zip(shares, identifiers, strict=True), key=lambda pair: (-pair[0], pair[1]))
        return tuple(Candidate((identifier,), share, FUZZY) for share, identifier in ranked[:MOST])

    def _with_neighbours(
        self, lookup: Lookup, fuzzy: Sequence[Candidate], text: str, type: str
    ) -> tuple[Candidate, ...]:
        """What the steps `fuzzy` and `embedding` say together; of identifiers that both have, the latter's score."""
        near = lookup.neighbours(text, type)
        found = {candidate.identifiers: candidate for candidate in fuzzy}
        for place, one in enumerate(near[:MOST]):
            other = near[0 if place else 1].cosine if len(near) > 1 else 0.0
            likeness = found[key].score if (key := (one.identifier,)) in found else 0.0
            found[key] = Candidate(key, probability(one.cosine, one.cosine - other, likeness), EMBEDDING)
        return tuple(sorted(found.values(), key=lambda one: -one.score)[:MOST])

    def _sure(self, lookup: Lookup, mention: str, type: str, context: DocumentContext) -> tuple[Candidate, ...]:
        """What all steps but `fuzzy` and `embedding` say."""
        long = context.spelled_out(mention)
        texts = (mention,) if long is None else (long, mention)
        for text in texts:
            sure = lookup.sure(text, type)
            if sure.found:
                return _as_candidates(_ranked(sure, type, context), sure.step if text is mention else ABBREVIATION)
        return next((found for text in texts if (found := _composite(lookup, text, type, context))), ())

    def _identified(self, entity: Entity, text: str, type: str, context: DocumentContext) -> Entity:
        found = self._with_answer(entity, self.candidates(text, type, context))
        if not found.ids and type in self._asked and self._sure(self._any, text, type, context):
            names = ", ".join(self._asked[type])
            self.left_out[f"mentions of {type} whose name the store has, but not with an identifier of {names}"] += 1
        return found

    def _with_answer(self, entity: Entity, found: Sequence[Candidate]) -> Entity:
        infons = entity.infons.without(*_INFONS)
        if found:
            names = (COMPOSITE.join(candidate.identifiers) for candidate in found)
            infons = infons.with_(candidates=" ".join(dict.fromkeys(names)))
        if not found or found[0].score < self._least.get(found[0].step, 0.0):
            return replace(entity, ids=(), infons=infons)
        best = found[0]
        infons = infons.with_(normalized=best.step, identifier_score=f"{best.score:.3f}")
        return replace(entity, ids=best.identifiers, infons=infons)


def parse_namespaces(
    options: Iterable[str], types: Iterable[str], *, held: Callable[[str], bool] = lambda name: False
) -> dict[str, tuple[str, ...]]:
    """The namespaces wanted for each type, of options such as `MESH,OMIM` (for all types) and `chemical=CHEBI`.

    Args:
        options: what is said of one type goes before what is said of all.
        types: those that a store has.
        held: whether the store has identifiers of a namespace that `identifiers.toml` does not list.

    Raises:
        UsageError: if an option names no namespace, one that nobody knows, or a type that is not there.
    """
    found: dict[str, tuple[str, ...]] = {}
    for option in sorted(options, key=lambda option: "=" in option):
        type, _, names = option.rpartition("=")
        wanted = tuple(namespace(canonical(f"{name.strip()}:0")) for name in names.split(",") if name.strip())
        meant = [canonical_type(type.strip())] if type else [*types]
        if not wanted or not set(meant).issubset(types):
            raise UsageError(
                f"`identifiers` {option!r}: write namespaces such as MESH,OMIM, or for one type of the store"
                f" ({', '.join(types)}) for instance disease=MESH"
            )
        if unknown := [name for name in wanted if name not in namespaces() and not held(name)]:
            raise UsageError(
                f"`identifiers` {option!r}: the store has no identifiers of {', '.join(unknown)}; namespaces are "
                f"{', '.join(namespaces())}, and any other that identifiers of the store begin with"
            )
        found |= dict.fromkeys(meant, wanted)
    return found


def _composite(lookup: Lookup, text: str, type: str, context: DocumentContext) -> tuple[Candidate, ...]:
    for parts in readings(text):
        found = [lookup.sure(part, type) for part in parts]
        if all(one.found for one in found):
            best = chain.from_iterable(_ranked(one, type, context)[0].identifiers for one in found)
            return (Candidate(tuple(dict.fromkeys(best)), RELIABILITY[COMPOSITE_STEP], COMPOSITE_STEP),)
    return ()


def _ranked(sure: Sure, type: str, context: DocumentContext) -> Sequence[Found]:
    """What a name may be, in view of its document."""
    return _by_species(_known_first(sure.found, context.known.get(type, frozenset())), context.taxa)


def _known_first(found: Sequence[Found], known: frozenset[str]) -> Sequence[Found]:
    """Those that other mentions of the document have weigh more."""
    weighed = (replace(one, weight=one.weight * (_KNOWN if known.issuperset(one.identifiers) else 1)) for one in found)
    return sorted(weighed, key=lambda one: -one.weight)


def _by_species(found: Sequence[Found], taxa: Sequence[str]) -> Sequence[Found]:
    """Genes of the species that come first in `taxa` before others, then human ones; only these keep their weight."""
    order = {taxon: place for place, taxon in enumerate(dict.fromkeys((*taxa, species.HUMAN)))}
    if not any(one.taxon for one in found):
        return found
    return sorted(found, key=lambda one: order.get(one.taxon or "", len(order)))


def _as_candidates(found: Iterable[Found], step: str) -> tuple[Candidate, ...]:
    """The candidates, with their shares of the weight as scores."""
    ranked = tuple(found)
    total = sum(one.weight for one in ranked)
    return tuple(Candidate(one.identifiers, RELIABILITY[step] * one.weight / total, step) for one in ranked)
