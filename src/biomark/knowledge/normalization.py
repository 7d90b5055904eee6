"""Normalisation: identifiers for the mentions of any recognizer.

A mention passes through steps until one has an answer. A short form that the document defines is first
looked up by its long form (`abbreviation`):

- `exact`, `normalised`: the store has a name with the mention's spelling or form; `order`: with its words in another
  order; `words`: with the same keys of words (`biomark.knowledge.fuzzy`);
- `composite`: the mention names several concepts, each of which has an answer;
- `fuzzy`: the likeliest of the similar names (`biomark.knowledge.reranking`), if its probability reaches a threshold;
- `embedding`: the identifier of the nearest name by an encoder, if the store was built with one and the probability
  reaches a threshold (`biomark.knowledge.neighbours`).
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
from biomark.knowledge.lookup import Lookup, SameNames, SimilarIdentifier, WeightedIdentifiers
from biomark.knowledge.neighbours import Neighbours, probability
from biomark.knowledge.reranking import FEATURES, NOTHING_NEAR, Vector, Weights, packaged
from biomark.knowledge.store import Store
from biomark.spans import Document, Entity
from biomark.text.sentences import with_sentences

ABBREVIATION, COMPOSITE_STEP, FUZZY, EMBEDDING = "abbreviation", "composite", "fuzzy", "embedding"
# The share of correct first candidates of each step, on the development splits (docs/experiments.md).
RELIABILITY = {
    lookup.EXACT: 0.98,
    lookup.NORMALISED: 0.95,
    ABBREVIATION: 0.98,
    lookup.ORDER: 0.8,
    lookup.WORDS: 0.87,
    COMPOSITE_STEP: 0.83,
}
THRESHOLD = 0.4
"""The minimum score of an answer of the step `fuzzy`, chosen on the development splits (docs/experiments.md)."""
EMBEDDING_THRESHOLD = 0.7
"""The minimum score of an answer of the step `embedding`, chosen on the development splits."""
_LIKELY: Mapping[str, float] = {FUZZY: THRESHOLD, EMBEDDING: EMBEDDING_THRESHOLD}
MOST = 5
"""The largest number of candidates of a mention."""
_KNOWN = 5.0  # the factor on the weight of an identifier that an unambiguous mention of the document has
_CLEAR = 0.8  # the share of the weight above which an identifier is unambiguous
_INFONS = ("normalized", "identifier_score", "candidates")
_NO_CONTEXT = DocumentContext()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate for the identifiers of a mention.

    Attributes:
        identifiers: one identifier, or several for a composite mention.
        score: the estimated probability in [0, 1] that the identifiers are correct.
        step: the step that proposed them.
    """

    identifiers: tuple[str, ...]
    score: float
    step: str


class Normalizer:
    """Assign identifiers of a store to mentions.

    Args:
        store: an open store, which the normalizer does not close.
        namespaces: entity type → the namespaces of the wanted identifiers, the preferred ones first. A concept
            gets its own identifier or a cross-reference in these namespaces, or no identifier. For other types,
            the namespaces of the corpora in the store take precedence, and a name without an identifier in them
            gets its own identifier.
        threshold: the minimum score in [0, 1] of answers of the steps `fuzzy` and `embedding`; None: 0.4 and 0.7.
        weights: the weights of the step `fuzzy`; None: those in the package.

    Attributes:
        left_out: counts of mentions whose name the store has, but with no identifier in a wanted namespace.
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
        self._asked = {entity_type: tuple(names) for entity_type, names in (namespaces or {}).items()}
        self._preferred = {**store.namespaces, **self._asked}
        vectors = Neighbours(store)
        self._lookup = Lookup(store, vectors, self._preferred)
        self._any = Lookup(store, vectors, {})
        self._least = _LIKELY if threshold is None else dict.fromkeys(_LIKELY, threshold)
        self._weights = weights or packaged()

    def normalize(self, document: Document) -> Document:
        """Return the document with new identifiers for all entities of the store's types.

        The infons of an entity record the result: `normalized` (the step), `identifier_score`, and `candidates`
        (up to five, best first, joined by blanks; `A|B` for a composite mention). An entity without an answer
        has no identifier, and `candidates` alone.
        """
        return replace(
            document,
            entities=tuple(
                entity if context is None else self._identified(entity, text, entity_type, context)
                for entity, text, entity_type, context in self.contexts(document)
            ),
        )

    def contexts(self, document: Document) -> Iterator[tuple[Entity, str, str, DocumentContext | None]]:
        """Yield each entity with its text, its canonical type, and its context; None if the store lacks the type."""
        mentions = [(e, e.mention(document.text), canonical_type(e.type)) for e in document.entities]
        context = DocumentContext.of(document)
        genes = any(entity_type == "gene" for *_, entity_type in mentions)
        named = species.mentions(document) if genes else ()
        sentences = with_sentences(document).sentences if named else ()
        contexts = [
            replace(context, taxa=species.nearest(named, e.start, sentences))
            if entity_type == "gene" and named
            else context
            for e, _, entity_type in mentions
        ]
        known: dict[str, set[str]] = {}
        for (_, text, entity_type), near in zip(mentions, contexts, strict=True):
            answers = self._sure(self._lookup, text, entity_type, near)
            if answers and answers[0].score >= _CLEAR * RELIABILITY[answers[0].step]:
                known.setdefault(entity_type, set()).update(answers[0].identifiers)
        clear = {entity_type: frozenset(identifiers) for entity_type, identifiers in known.items()}
        for (entity, text, entity_type), near in zip(mentions, contexts, strict=True):
            yield entity, text, entity_type, replace(near, known=clear) if entity_type in self._types else None

    def candidates(
        self, mention: str, entity_type: str, context: DocumentContext = _NO_CONTEXT
    ) -> tuple[Candidate, ...]:
        """Return up to five candidates for a mention, best first; empty if the store has no similar name.

        Args:
            mention: the text of the mention.
            entity_type: biomark's name of its type, or the user's own.
            context: the context of the mention in its document.
        """
        answers = self._ranked_candidates(self._lookup, mention, entity_type, context)
        if self._is_likely(answers) or entity_type in self._asked or entity_type not in self._preferred:
            return answers
        others = self._ranked_candidates(self._any, mention, entity_type, context)
        return others if self._is_likely(others) else answers

    def _ranked_candidates(
        self, lookup: Lookup, mention: str, entity_type: str, context: DocumentContext
    ) -> tuple[Candidate, ...]:
        """Return the candidates for a mention in the namespaces of a lookup."""
        if sure := self._sure(lookup, mention, entity_type, context):
            return sure
        by_likeness = self._fuzzy(lookup, mention, entity_type, context)
        if self._is_likely(by_likeness):
            return by_likeness
        return self._with_neighbours(lookup, by_likeness, context.spelled_out(mention) or mention, entity_type)

    def _is_likely(self, answers: Sequence[Candidate]) -> bool:
        """Return whether the first candidate reaches both the default threshold and the user's."""
        return bool(answers) and answers[0].score >= max(
            self._least.get(answers[0].step, 0.0), _LIKELY.get(answers[0].step, 0.0)
        )

    def compared(self, mention: str, entity_type: str, context: DocumentContext) -> tuple[tuple[str, ...], Vector]:
        """Return the candidates of the step `fuzzy`: N identifiers, and their features, float64 (N, features)."""
        return self._compared(self._lookup, mention, entity_type, context)

    def _compared(
        self, lookup: Lookup, mention: str, entity_type: str, context: DocumentContext
    ) -> tuple[tuple[str, ...], Vector]:
        near = {one.identifier: one for one in lookup.near(context.spelled_out(mention) or mention, entity_type)}
        known = context.known.get(entity_type, frozenset())
        for identifier in sorted(known):
            near.setdefault(identifier, SimilarIdentifier(identifier, NOTHING_NEAR, 0.0))
        rows = [self._features(one, one.identifier in known) for one in near.values()]
        return tuple(near), np.array(rows).reshape(-1, len(FEATURES))

    def _features(self, near: SimilarIdentifier, known: bool) -> tuple[float, ...]:
        of_mention, of_name = near.features[:2]
        seen = math.log1p(self._lookup.seen(near.identifier)) / 5
        return (*near.features, near.support, seen, float(known), known * of_mention, known * of_name)

    def _fuzzy(self, lookup: Lookup, mention: str, entity_type: str, context: DocumentContext) -> tuple[Candidate, ...]:
        identifiers, features = self._compared(lookup, mention, entity_type, context)
        shares = self._weights.probabilities(features).tolist()
        ranked = sorted(zip(shares, identifiers, strict=True), key=lambda pair: (-pair[0], pair[1]))
        return tuple(Candidate((identifier,), share, FUZZY) for share, identifier in ranked[:MOST])

    def _with_neighbours(
        self, lookup: Lookup, fuzzy: Sequence[Candidate], text: str, entity_type: str
    ) -> tuple[Candidate, ...]:
        """Return the candidates of `fuzzy` and `embedding`; identifiers of both have the score of `embedding`."""
        near = lookup.neighbours(text, entity_type)
        answers = {candidate.identifiers: candidate for candidate in fuzzy}
        for place, one in enumerate(near[:MOST]):
            other = near[0 if place else 1].cosine if len(near) > 1 else 0.0
            likeness = answers[key].score if (key := (one.identifier,)) in answers else 0.0
            answers[key] = Candidate(key, probability(one.cosine, one.cosine - other, likeness), EMBEDDING)
        return tuple(sorted(answers.values(), key=lambda one: -one.score)[:MOST])

    def _sure(self, lookup: Lookup, mention: str, entity_type: str, context: DocumentContext) -> tuple[Candidate, ...]:
        """Return the candidates of all steps except `fuzzy` and `embedding`."""
        long = context.spelled_out(mention)
        texts = (mention,) if long is None else (long, mention)
        for text in texts:
            sure = lookup.sure(text, entity_type)
            if sure.answers:
                return _as_candidates(
                    _ranked(sure, entity_type, context), sure.step if text is mention else ABBREVIATION
                )
        composites = (_composite(lookup, text, entity_type, context) for text in texts)
        return next(filter(None, composites), ())

    def _identified(self, entity: Entity, text: str, entity_type: str, context: DocumentContext) -> Entity:
        identified = self._with_answer(entity, self.candidates(text, entity_type, context))
        if not identified.ids and entity_type in self._asked and self._sure(self._any, text, entity_type, context):
            names = ", ".join(self._asked[entity_type])
            self.left_out[
                f"mentions of {entity_type} whose name the store has, but not with an identifier of {names}"
            ] += 1
        return identified

    def _with_answer(self, entity: Entity, candidates: Sequence[Candidate]) -> Entity:
        infons = entity.infons.without(*_INFONS)
        if candidates:
            names = (COMPOSITE.join(candidate.identifiers) for candidate in candidates)
            infons = infons.with_(candidates=" ".join(dict.fromkeys(names)))
        if not candidates or candidates[0].score < self._least.get(candidates[0].step, 0.0):
            return replace(entity, ids=(), infons=infons)
        best = candidates[0]
        infons = infons.with_(normalized=best.step, identifier_score=f"{best.score:.3f}")
        return replace(entity, ids=best.identifiers, infons=infons)


def parse_namespaces(
    options: Iterable[str], types: Iterable[str], *, held: Callable[[str], bool] = lambda name: False
) -> dict[str, tuple[str, ...]]:
    """Return the namespaces for each type from options such as `MESH,OMIM` (for all types) and `chemical=CHEBI`.

    Args:
        options: the options; one for a single type takes precedence over one for all types.
        types: the types of the store.
        held: returns whether the store has identifiers of a namespace that `identifiers.toml` does not list.

    Raises:
        UsageError: if an option has no namespace, an unknown namespace, or a type that the store lacks.
    """
    by_type: dict[str, tuple[str, ...]] = {}
    for option in sorted(options, key=lambda option: "=" in option):
        entity_type, _, names = option.rpartition("=")
        wanted = tuple(namespace(canonical(f"{name.strip()}:0")) for name in names.split(",") if name.strip())
        meant = [canonical_type(entity_type.strip())] if entity_type else [*types]
        if not wanted or not set(meant).issubset(types):
            raise UsageError(
                f"`identifiers` {option!r}: write namespaces such as MESH,OMIM, or for one type of the store"
                f" ({', '.join(types)}) for instance disease=MESH"
            )
        if unknown := [name for name in wanted if name not in namespaces() and not held(name)]:
            raise UsageError(
                f"`identifiers` {option!r}: the store has no identifiers of {', '.join(unknown)}; choose from "
                f"{', '.join(namespaces())}, or another prefix of the store's identifiers"
            )
        by_type |= dict.fromkeys(meant, wanted)
    return by_type


def _composite(lookup: Lookup, text: str, entity_type: str, context: DocumentContext) -> tuple[Candidate, ...]:
    for parts in readings(text):
        by_part = [lookup.sure(part, entity_type) for part in parts]
        if all(same.answers for same in by_part):
            best = chain.from_iterable(_ranked(same, entity_type, context)[0].identifiers for same in by_part)
            return (Candidate(tuple(dict.fromkeys(best)), RELIABILITY[COMPOSITE_STEP], COMPOSITE_STEP),)
    return ()


def _ranked(sure: SameNames, entity_type: str, context: DocumentContext) -> Sequence[WeightedIdentifiers]:
    """Rank identifiers by their weights and the context of the mention."""
    return _by_species(_known_first(sure.answers, context.known.get(entity_type, frozenset())), context.taxa)


def _known_first(answers: Sequence[WeightedIdentifiers], known: frozenset[str]) -> Sequence[WeightedIdentifiers]:
    """Sort by weight, after raising the weights of identifiers that other mentions of the document have."""

    def factor(answer: WeightedIdentifiers) -> float:
        return _KNOWN if known.issuperset(answer.identifiers) else 1

    weighted = (replace(answer, weight=answer.weight * factor(answer)) for answer in answers)
    return sorted(weighted, key=lambda answer: -answer.weight)


def _by_species(answers: Sequence[WeightedIdentifiers], taxa: Sequence[str]) -> Sequence[WeightedIdentifiers]:
    """Sort genes by the order of their species in `taxa`, then human ones, then others; the sort is stable."""
    order = {taxon: place for place, taxon in enumerate(dict.fromkeys((*taxa, species.HUMAN)))}
    if not any(answer.taxon for answer in answers):
        return answers
    return sorted(answers, key=lambda answer: order.get(answer.taxon or "", len(order)))


def _as_candidates(answers: Iterable[WeightedIdentifiers], step: str) -> tuple[Candidate, ...]:
    """Return candidates whose scores are their shares of the weight, multiplied by the reliability of the step."""
    ranked = tuple(answers)
    total = sum(answer.weight for answer in ranked)
    return tuple(Candidate(answer.identifiers, RELIABILITY[step] * answer.weight / total, step) for answer in ranked)
