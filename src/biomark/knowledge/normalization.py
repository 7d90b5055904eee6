"""Identifiers for mentions, whoever found them.

A mention goes through steps until one has an answer: its form is a name of the store (`exact`,
`normalised`); the same words in another order (`order`); the same keys of words (`words`); a short form that the
text defines (`abbreviation`); several concepts in one mention (`composite`); the likeliest of the names
that are nearly the same (`fuzzy`, see `biomark.knowledge.reranking`). The last one may find that none fits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np

from biomark.entity_types import canonical as canonical_type
from biomark.identifiers import namespace
from biomark.knowledge import fuzzy, species
from biomark.knowledge.abbreviations import abbreviations
from biomark.knowledge.composites import readings
from biomark.knowledge.entries import Kind, Link
from biomark.knowledge.forms import bag, form
from biomark.knowledge.reranking import FEATURES, Vector, Weights, packaged, term_features
from biomark.knowledge.store import Store, Term
from biomark.spans import Document, Entity

THRESHOLD = 0.1
"""The least score of an answer of the step `fuzzy`; chosen on the development splits (docs/experiments.md)."""
# How often the first candidate of a step is right; measured on the development splits.
RELIABILITY = {"exact": 0.97, "normalised": 0.95, "abbreviation": 0.95, "order": 0.9, "words": 0.85, "composite": 0.9}
MOST = 5
"""Candidates of a mention."""
_KIND_WEIGHTS = {Kind.PREFERRED: 0.5, Kind.EXACT: 0.4, Kind.ABBREVIATION: 0.3, Kind.MENTION: 0.3}
_AS_WRITTEN = 3  # how much more a name counts that is written as the mention is
_NEXT_LINK = 0.9  # what each further cross-reference counts, as a share of the one before
_RARE = 20  # names that have a key; of rarer ones, other spellings are tried
_SPELLINGS = 4
_READ = 4000  # names that are looked at for one mention
_GENERATIONS = 2
_CACHED = 1 << 14
BOOST = 5.0
CLEAR = 0.8


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


@dataclass(frozen=True, slots=True)
class DocumentContext:
    """What a document says of its mentions.

    Attributes:
        long_forms: short forms that it defines → their long forms.
        known: the identifiers that its mentions of a type have for sure.
        taxa: the species that it names, the nearest to the mention first.
    """

    long_forms: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, frozenset[str]] = field(default_factory=dict)
    taxa: tuple[str, ...] = ()

    @classmethod
    def of(cls, document: Document) -> DocumentContext:
        """What a document defines; `known` and `taxa` are for `Normalizer` to fill."""
        defined = {a.short.of(document.text): a.long.of(document.text) for a in abbreviations(document.text)}
        for short, long in _appositions(document):
            defined.setdefault(short, long)
        plurals = {f"{short}s": long for short, long in defined.items()}
        return cls({**plurals, **defined})

    def spelled_out(self, mention: str) -> str | None:
        """The mention with its short forms replaced by the long ones; None if it has none."""
        if mention in self.long_forms:
            return self.long_forms[mention]
        if not any(short in mention for short in self.long_forms):
            return None
        either = "|".join(re.escape(short) for short in sorted(self.long_forms, key=len, reverse=True))
        changed = re.sub(rf"(?<!\w)(?:{either})(?!\w)", lambda found: self.long_forms[found.group()], mention)
        return changed if changed != mention else None


def _appositions(document: Document) -> Iterator[tuple[str, str]]:
    """Pairs of mentions of one type, `long (short)`, whatever their letters."""
    entities = sorted(document.entities, key=lambda entity: entity.start)
    for before, inside in pairwise(entities):
        between = document.text[before.end : inside.start]
        if between.strip() == "(" and document.text[inside.end : inside.end + 1] == ")" and before.type == inside.type:
            short, long = inside.mention(document.text), before.mention(document.text)
            if len(short) < len(long):
                yield short, long


@dataclass(frozen=True, slots=True)
class _Found:
    """An identifier, how much speaks for it, and the species of its gene."""

    identifier: str
    weight: float
    taxon: str | None


@dataclass(frozen=True, slots=True)
class _Sure:
    """What the steps before `fuzzy` say of a text; nothing if `step` is empty."""

    step: str = ""
    found: tuple[_Found, ...] = ()


class Normalizer:
    """Gives mentions identifiers from a store; holds what it found for the last few thousand texts.

    Args:
        store: open.
        namespaces: for a type, those of which identifiers are wanted, the best first: a concept of another
            one is given under its cross-reference, and only if it has none under its own identifier. None, or a
            type that is left out: those that the store's corpora use.
        threshold: answers of the step `fuzzy` with a lower score are none.
    """

    def __init__(
        self,
        store: Store,
        *,
        namespaces: Mapping[str, Sequence[str]] | None = None,
        threshold: float = THRESHOLD,
        weights: Weights | None = None,
    ) -> None:
        self._store = store
        self._namespaces = {**store.namespaces, **{type: tuple(names) for type, names in (namespaces or {}).items()}}
        self._threshold = threshold
        self._weights = weights or packaged()
        self._sure = lru_cache(_CACHED)(self._find_sure)
        self._near = lru_cache(_CACHED)(self._find_near)
        self._wanted = lru_cache(_CACHED)(self._find_wanted)
        self._weight = lru_cache(_CACHED)(self._find_weight)
        self._seen = lru_cache(_CACHED)(self._store.seen)

    def normalize(self, document: Document) -> Document:
        """The document with identifiers for all entities whose types the store has.

        An entity's infons say how: `normalized` (the step), `identifier_score`, and `candidates` (up to five,
        best first, joined by blanks; a composite one as `A|B`). An entity without an answer has no identifier.
        Entities of other types stay as they are.
        """
        texts = [entity.mention(document.text) for entity in document.entities]
        types = [canonical_type(entity.type) for entity in document.entities]
        context = DocumentContext.of(document)
        mentions = species.mentions(document) if "gene" in types and "gene" in self._store.types else ()
        contexts = [
            replace(context, taxa=species.nearest(mentions, entity.start, document)) if mentions else context
            for entity in document.entities
        ]
        known: dict[str, set[str]] = {}
        for text, type, near in zip(texts, types, contexts, strict=True):
            found = self._before_fuzzy(text, type, near)
            if found and found[0].score >= CLEAR * RELIABILITY[found[0].step]:
                known.setdefault(type, set()).update(found[0].identifiers)
        for_sure = {type: frozenset(ids) for type, ids in known.items()}
        return replace(
            document,
            entities=tuple(
                self._with_answer(entity, self.candidates(text, type, replace(near, known=for_sure)))
                if type in self._store.types
                else entity
                for entity, text, type, near in zip(document.entities, texts, types, contexts, strict=True)
            ),
        )

    def candidates(
        self, mention: str, type: str, context: DocumentContext = DocumentContext()
    ) -> tuple[Candidate, ...]:
        """What a mention may be, best first; none if the store has nothing like it.

        Args:
            mention: its text.
            type: biomark's name of its type, or the user's own.
            context: what its document says.
        """
        return self._before_fuzzy(mention, type, context) or self._fuzzy(mention, type, context)

    def _with_answer(self, entity: Entity, found: tuple[Candidate, ...]) -> Entity:
        infons = entity.infons.without("normalized", "identifier_score", "candidates")
        if found:
            infons = infons.with_(candidates=" ".join("|".join(candidate.identifiers) for candidate in found))
        if not found or (found[0].step == "fuzzy" and found[0].score < self._threshold):
            return replace(entity, ids=(), infons=infons)
        best = found[0]
        infons = infons.with_(normalized=best.step, identifier_score=f"{best.score:.3f}")
        return replace(entity, ids=best.identifiers, infons=infons)

    def _before_fuzzy(self, mention: str, type: str, context: DocumentContext) -> tuple[Candidate, ...]:
        long = context.spelled_out(mention)
        texts = (mention,) if long is None else (long, mention)
        for text in texts:
            sure = self._sure(text, type)
            if sure.found:
                step = sure.step if text is mention else "abbreviation"
                ranked = _by_species(_known_first(sure.found, context.known.get(type, frozenset())), context.taxa)
                return _as_candidates(ranked, step)
        return next((found for text in texts if (found := self._composite(text, type))), ())

    def _composite(self, text: str, type: str) -> tuple[Candidate, ...]:
        for parts in readings(text):
            found = [self._sure(part, type).found for part in parts]
            if all(found):
                identifiers = dict.fromkeys(i for one in found for i in one[0].identifier.split("|"))
                return (Candidate(tuple(identifiers), RELIABILITY["composite"], "composite"),)
        return ()

    def _fuzzy(self, mention: str, type: str, context: DocumentContext) -> tuple[Candidate, ...]:
        identifiers, features = self.compared(mention, type, context)
        if not identifiers:
            return ()
        shares = self._weights.probabilities(features)
        ranked = sorted(zip(shares.tolist(), identifiers, strict=True), key=lambda pair: -pair[0])
        return tuple(Candidate((identifier,), share, "fuzzy") for share, identifier in ranked[:MOST])

    def compared(self, mention: str, type: str, context: DocumentContext) -> tuple[tuple[str, ...], Vector]:
        """What the step `fuzzy` chooses from: identifiers, and float64 (identifiers, features)."""
        near = dict(self._near(context.spelled_out(mention) or mention, type))
        known = context.known.get(type, frozenset())
        nothing = (0.0,) * (len(FEATURES) - 4)
        rows = {
            identifier: (
                *(found := near.get(identifier, nothing)),
                math.log1p(self._seen(identifier)) / 5,
                float(identifier in known),
                float(identifier in known) * found[0],
                float(identifier in known) * found[1],
            )
            for identifier in (*near, *sorted(known))
        }
        return tuple(rows), np.array(list(rows.values())).reshape(-1, len(FEATURES))

    def _find_sure(self, text: str, type: str) -> _Sure:
        """The identifiers of the names that say the same, by the first step that has any."""
        asked = form(text)
        steps = (
            ("normalised", lambda: self._store.by_form(asked)),
            ("order", lambda: self._store.by_bag(bag(asked))),
            ("words", lambda: self._same_keys(asked, type)),
        )
        foreign = _Sure()
        for step, terms in steps:
            weights: dict[tuple[str, str | None], float] = {}
            written = set()
            for term in terms():
                if term.concept.type != type or term.kind not in _KIND_WEIGHTS:
                    continue
                weight = term.count * (_AS_WRITTEN if term.text == text else 1) + _KIND_WEIGHTS[term.kind]
                for place, identifier in enumerate(self._wanted(term.concept.identifier, type)):
                    found = (identifier, term.concept.taxon)
                    weights[found] = weights.get(found, 0.0) + weight * _NEXT_LINK**place
                    if term.text == text:
                        written.add(identifier)
            ranked = sorted((_Found(i, w, taxon) for (i, taxon), w in weights.items()), key=lambda f: -f.weight)
            if not ranked:
                continue
            named = "exact" if ranked[0].identifier in written and step == "normalised" else step
            if self._is_wanted(ranked[0].identifier, type):
                return _Sure(named, tuple(ranked[:MOST]))
            foreign = foreign if foreign.found else _Sure(named, tuple(ranked[:MOST]))
        return foreign if not self._namespaces.get(type) else _Sure()

    def _same_keys(self, asked: str, type: str) -> Iterator[Term]:
        wanted = frozenset(fuzzy.keys(asked))
        return (term for term in self._terms_near(asked, type) if frozenset(fuzzy.keys(term.form)) == wanted)

    def _find_near(self, text: str, type: str) -> tuple[tuple[str, tuple[float, ...]], ...]:
        """For each identifier that has a name near a text, the features of the nearest such name."""
        asked = form(text)
        best: dict[str, tuple[float, tuple[float, ...]]] = {}
        support: dict[str, float] = {}
        for term in self._terms_near(asked, type):
            alike = fuzzy.compare(asked, term.form, self._weight)
            for identifier, generations in self._wanted_or_parents(term.concept.identifier, type):
                value = alike[2] + alike[3] / 2 - 0.2 * generations
                support[identifier] = support.get(identifier, 0.0) + alike[2] ** 3
                if identifier not in best or value > best[identifier][0]:
                    best[identifier] = value, (*alike, *term_features(term, generations))
        return tuple((i, (*features, math.log1p(support[i]))) for i, (_, features) in best.items())

    def _terms_near(self, asked: str, type: str) -> tuple[Term, ...]:
        """The names that share keys with a form, or have keys like its own."""
        weights: dict[str, float] = {}
        for key in fuzzy.keys(asked):
            weights[key] = self._weight(key)
        for key in list(weights):
            others = [*fuzzy.equivalents().near.get(key, ())]
            if len(key) > 4 and not key.isdigit() and self._store.holders(key) < _RARE:
                alike = sorted(self._store.spelled_like(key), key=lambda other: -fuzzy.likeness(key, other))
                others += alike[:_SPELLINGS]
            for other in others:
                if like := fuzzy.likeness(key, other):
                    weight = like * min(self._weight(other), self._weight(key))
                    weights[other] = max(weights.get(other, 0.0), weight)
        chosen: dict[str, float] = {}
        read = 0
        for key in sorted(weights, key=self._store.holders):
            read += (holders := self._store.holders(key))
            if chosen and read > _READ:
                break
            if holders:
                chosen[key] = weights[key]
        return self._store.by_keys(chosen, type)

    def _find_weight(self, key: str) -> float:
        return fuzzy.weight_of(key, math.log((self._store.names + 1) / (self._store.holders(key) + 0.5)))

    def _find_wanted(self, identifier: str, type: str) -> tuple[str, ...]:
        """A concept's identifiers in the namespaces wanted, or its own."""
        wanted = self._namespaces.get(type, ())
        if namespace(identifier) in wanted or not wanted:
            return (identifier,)
        links = self._store.linked(identifier, Link.SAME)
        found = [link for name in wanted for link in links if namespace(link) == name]
        return tuple(found) or (identifier,)

    def _is_wanted(self, identifier: str, type: str) -> bool:
        wanted = self._namespaces.get(type)
        return not wanted or namespace(identifier) in wanted

    def _wanted_or_parents(self, identifier: str, type: str) -> Iterator[tuple[str, int]]:
        """A concept's identifiers as wanted, or else those of its parents, each with the generations between."""
        level = [identifier]
        for generation in range(_GENERATIONS + 1):
            found = [i for one in level for i in self._wanted(one, type) if self._is_wanted(i, type)]
            if found:
                yield from ((i, generation) for i in dict.fromkeys(found))
                return
            level = [parent for one in level for parent in self._store.linked(one, Link.PARENT)]


def _known_first(found: Sequence[_Found], known: frozenset[str]) -> Sequence[_Found]:
    """The found ones, with more weight for those that other mentions of the document have."""
    weighed = [replace(one, weight=one.weight * (BOOST if one.identifier in known else 1.0)) for one in found]
    return sorted(weighed, key=lambda one: -one.weight) if len(found) > 1 else found


def _by_species(found: Sequence[_Found], taxa: Sequence[str]) -> Sequence[_Found]:
    """The found ones, those of the species that come first in `taxa` before others; then human ones."""
    order = {taxon: place for place, taxon in enumerate(dict.fromkeys((*taxa, species.HUMAN)))}
    return sorted(found, key=lambda one: order.get(one.taxon or "", len(order)) if one.taxon else 0)


def _as_candidates(found: Iterable[_Found], step: str) -> tuple[Candidate, ...]:
    total = sum(one.weight for one in found)
    return tuple(
        Candidate(tuple(one.identifier.split("|")), RELIABILITY[step] * one.weight / total, step) for one in found
    )
