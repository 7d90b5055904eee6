"""A benchmark of normalising the gold mentions of a corpus, against alternative methods.

All contestants have the same names and return identifiers in the same namespaces: a plain look-up in lower case,
rapidfuzz, and the nearest name by TF-IDF of character trigrams (scikit-learn; scispacy's candidate generator does
the same, but cannot build an index on Python 3.11). They read only the mention; biomark reads its document, too.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from biomark.embedding.exported import Exported
from biomark.entity_types import canonical as canonical_type
from biomark.errors import MissingExtraError, UsageError
from biomark.evaluation.identifiers import Ids, candidates, identifiers
from biomark.formats import Reject
from biomark.identifiers import namespace
from biomark.knowledge.building import TermSource, build
from biomark.knowledge.normalization import EMBEDDING, EMBEDDING_THRESHOLD, THRESHOLD, Normalizer
from biomark.knowledge.store import Store
from biomark.lab.bench import machine
from biomark.lab.bench.knowledge import GeneratedTerms, generate
from biomark.spans import Document, Entity

_BATCH = 256

Names = dict[str, str]
"""The most frequent identifier of each lower-cased name."""
IdentifierFinder = Callable[[Sequence[str]], Sequence[str | None]]
"""A function from different lower-cased mentions to an identifier, or None, for each."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A gold mention with its text, its type and its gold identifiers."""

    text: str
    type: str
    gold: Ids


def normalization(
    documents: Sequence[Document],
    sources: Sequence[TermSource],
    *,
    terms: int = 0,
    rounds: int = 3,
    others: Sequence[str] = ("lower case",),
    encoder: Exported | None = None,
    reject: Reject,
) -> dict[str, object]:
    """Measure accuracy on the gold mentions whose identifiers the store has, and mentions per second on one core.

    The accuracy of biomark is that of its first candidate, however low its score; `answered` counts only candidates
    above the threshold. Every contestant looks up repeated texts once.

    Args:
        documents: the documents, whose mentions have identifiers.
        sources: the sources from which the store is built.
        terms: the number of generated names that the store has in addition.
        rounds: the number of independent runs of biomark, of which the best counts.
        others: those of `CONTESTANTS` that biomark is compared with.
        encoder: computes vectors of the store's names, whose neighbours are the last step of normalisation.
        reject: is called with each part of the sources that cannot be used.

    Raises:
        UsageError: if there is no such contestant.
        MissingExtraError: if a contestant is not installed.
    """
    if unknown := [name for name in others if name not in CONTESTANTS]:
        raise UsageError(f"unknown contestant {', '.join(unknown)}; choose from {', '.join(CONTESTANTS)}")
    generated = [GeneratedTerms(generate(terms, 0)[0])] if terms else []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.store"
        build([*sources, *generated], path, reject=reject, encoder=encoder)
        begin = time.perf_counter()
        with Store(path) as store:
            Normalizer(store).candidates("fever", "disease")
            opening = time.perf_counter() - begin
            runs = [_run(store, documents) for _ in range(rounds)]
            seconds, ours = min(runs, key=lambda run: run[0])
            mentions = [mention for document in documents for mention in _mentions(document)]
            held = [bool(m.gold) and all(store.has(identifier) for identifier in m.gold) for m in mentions]
            pairs = [(m, e) for m, e, is_held in zip(mentions, ours, held, strict=True) if is_held]
            rows: dict[str, object] = {
                "biomark": _scores(pairs) | {"mentions_per_second": round(len(mentions) / seconds, 1)}
            }
            rows |= {name: _other(CONTESTANTS[name], store, mentions, held) for name in others}
    return {
        "bench": "normalization",
        "mentions": len(mentions),
        "with_identifiers": sum(bool(mention.gold) for mention in mentions),
        "held": len(pairs),
        "generated_terms": terms,
        "opening_seconds": round(opening, 3),
        "contestants": rows,
        **machine("rapidfuzz", "scikit-learn"),
    }


def _run(store: Store, documents: Sequence[Document]) -> tuple[float, list[Entity]]:
    begin = time.perf_counter()
    normalizer = Normalizer(store, namespaces=store.namespaces, threshold=0)
    entities = [entity for document in documents for entity in normalizer.normalize(document).entities]
    return time.perf_counter() - begin, entities


def _mentions(document: Document) -> Iterable[Mention]:
    for entity in document.entities:
        entity_type = canonical_type(entity.type)
        yield Mention(entity.mention(document.text), entity_type, identifiers(replace(entity, type=entity_type)))


def _scores(pairs: Sequence[tuple[Mention, Entity]]) -> dict[str, object]:
    """Return the accuracy of biomark's answers, and the share of mentions with an answer, for each type."""
    figures: dict[str, object] = {}
    for entity_type in sorted({mention.type for mention, _ in pairs}):
        mine = [(m, replace(e, type=entity_type)) for m, e in pairs if m.type == entity_type]
        first = [m.gold == identifiers(e) for m, e in mine]
        sure = [_is_sure(e) for _, e in mine]
        five = [right or m.gold in candidates(e) for right, (m, e) in zip(first, mine, strict=True)]
        figures[entity_type] = {
            "mentions": len(mine),
            "accuracy_at_1": round(sum(first) / len(mine), 4),
            "accuracy_at_5": round(sum(five) / len(mine), 4),
            "answered": round(sum(sure) / len(mine), 4),
            "right": round(sum(a and b for a, b in zip(first, sure, strict=True)) / len(mine), 4),
        }
    return figures


def _is_sure(entity: Entity) -> bool:
    """Return whether the score of an answer reaches the threshold of its step."""
    least = EMBEDDING_THRESHOLD if entity.infons.get("normalized") == EMBEDDING else THRESHOLD
    return float(entity.infons.get("identifier_score", 0)) >= least


def _other(
    make: Callable[[Names], IdentifierFinder], store: Store, mentions: Sequence[Mention], held: Sequence[bool]
) -> object:
    """Return the scores of another contestant; the time for building its index is not counted."""
    figures: dict[str, object] = {}
    seconds = 0.0
    for entity_type in sorted({mention.type for mention in mentions}):
        answer = make(_names(store, entity_type))
        texts = list(dict.fromkeys(mention.text.lower() for mention in mentions if mention.type == entity_type))
        begin = time.perf_counter()
        answers = dict(zip(texts, answer(texts), strict=True))
        seconds += time.perf_counter() - begin
        mine = [m for m, is_held in zip(mentions, held, strict=True) if is_held and m.type == entity_type]
        right = sum(m.gold == {answers[m.text.lower()]} for m in mine)
        figures[entity_type] = {"mentions": len(mine), "accuracy_at_1": round(right / len(mine), 4) if mine else 0.0}
    return figures | {"mentions_per_second": round(len(mentions) / seconds, 1)}


def _names(store: Store, entity_type: str) -> Names:
    wanted = store.namespaces.get(entity_type, ())
    counts: dict[str, Counter[str]] = {}
    for term in store.all_terms(entity_type):
        own = term.concept.identifier
        known = (own,) if not wanted or namespace(own) in wanted else store.linked(own)
        for identifier in known:
            if not wanted or namespace(identifier) in wanted:
                counts.setdefault(term.text.lower(), Counter())[identifier] += term.count
    return {text: identifiers.most_common(1)[0][0] for text, identifiers in counts.items()}


def _lower_case(names: Names) -> IdentifierFinder:
    return lambda texts: [names.get(text) for text in texts]


def _rapidfuzz(names: Names) -> IdentifierFinder:
    try:
        from rapidfuzz import fuzz, process
    except ImportError as error:
        raise MissingExtraError("rapidfuzz", "bench") from error
    known = list(names)
    return lambda texts: [names[process.extractOne(text, known, scorer=fuzz.ratio)[0]] for text in texts]


def _tfidf(names: Names) -> IdentifierFinder:
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "bench") from error
    known = list(names)
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3))
    vectors = vectorizer.fit_transform(known).T.tocsr()

    def answer(texts: Sequence[str]) -> Sequence[str | None]:
        identifiers: list[str | None] = []
        for start in range(0, len(texts), _BATCH):
            alike = vectorizer.transform(texts[start : start + _BATCH]) @ vectors
            identifiers += [names[known[place]] for place in np.asarray(alike.argmax(axis=1)).ravel().tolist()]
        return identifiers

    return answer


CONTESTANTS: dict[str, Callable[[Names], IdentifierFinder]] = {
    "lower case": _lower_case,
    "rapidfuzz": _rapidfuzz,
    "tf-idf": _tfidf,
}
