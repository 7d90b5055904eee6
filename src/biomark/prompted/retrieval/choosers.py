"""The choosers of demonstrations from a pool of examples."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from biomark import embedding
from biomark.embedding import Embedder
from biomark.errors import UsageError
from biomark.prompted.retrieval.pool import Example
from biomark.prompted.retrieval.similarity import Bm25, Entities, MentionFinder, Places, Sentences, Similarities, TfIdf
from biomark.text.sentences import split

MOST = 32
_CANDIDATES = 10  # candidates for each demonstration, for a choice with diversity
_DIGITS = 5  # significant decimals of a score; later ones are rounding errors of float32


class Chooser(Protocol):
    """Chooses demonstrations from a pool."""

    def choose(self, text: str, document_id: str, k: int, around: str = "") -> tuple[Example, ...]:
        """Return the demonstrations for a sentence, the most similar one last.

        No two of them have the same text; differences of case and white space are ignored.

        Args:
            text: one or more sentences; none of them is a demonstration.
            document_id: the id of their document; no demonstration is from it.
            k: the number of demonstrations, from 0 to `MOST`; fewer are returned if the pool has no more.
            around: the longer text of which `text` is a part; none of its sentences is a demonstration.

        Raises:
            UsageError: if k is out of range.
        """
        ...


def chooser(
    how: str,
    pool: Iterable[Example],
    *,
    seed: int = 0,
    diversity: float = 0.0,
    embedder: Embedder | None = None,
    mentions: MentionFinder | None = None,
    cache: Path | None = None,
) -> Chooser:
    """Create a chooser of demonstrations from a pool.

    Args:
        how: one of `CHOOSERS`.
        pool: the examples; of several with the same text, the first is used (`first`), or that of the first document.
        seed: the seed of `random`; the choice for a sentence does not depend on earlier choices.
        diversity: in [0, 1), for choices by cosine (`tfidf`, `knn`, `entity-knn`): 1 - λ of maximal marginal
            relevance (Carbonell & Goldstein 1998). An example is worth λ × its score - (1 - λ) × its cosine to
            the nearest of those already chosen; the 10 k most similar ones are candidates.
        embedder: the encoder of `knn` and `entity-knn`; None: `biomark.embedding.load()`.
        mentions: returns the mentions in a sentence, for `entity-knn`.
        cache: the folder that stores vectors of the pool; see `biomark.embedding.cached`.

    Raises:
        UsageError: if there is no such chooser, or an option does not suit it.
        MissingExtraError: if embeddings are needed and transformers is not installed.
    """
    if how not in CHOOSERS:
        raise UsageError(f"unknown chooser {how!r}; choose from {', '.join(CHOOSERS)}")
    if not 0 <= diversity < 1:
        raise UsageError(f"`diversity` must be in [0, 1), got {diversity}")
    if diversity and how not in BY_COSINE:
        raise UsageError(f"`diversity` is for the choosers {', '.join(BY_COSINE)}, not for {how}")
    if how == "entity-knn" and mentions is None:
        raise UsageError("entity-knn needs a function that finds mentions (`mentions`)")
    if how == "first":
        return _First(_Pool(pool))
    sorted_pool = _Pool(sorted(pool, key=_order))
    if how == "random":
        return _Random(sorted_pool, seed)
    texts = [example.text for example in sorted_pool.examples]
    if how == "bm25":
        return _Nearest(sorted_pool, Bm25(texts).scores)
    if how == "tfidf":
        by_words = TfIdf(texts)
        return _Nearest(sorted_pool, by_words.scores, diversity, by_words.between)
    embedder = embedder or embedding.load()
    sentences = Sentences(texts, embedder, cache)
    scores = sentences.scores
    if how == "entity-knn" and mentions:
        scores = Entities(sorted_pool.examples, sentences, embedder, mentions, cache).scores
    return _Nearest(sorted_pool, scores, diversity, sentences.between)


CHOOSERS: Mapping[str, str] = {
    "random": "any",
    "first": "the first of the pool, always the same",
    "tfidf": "cosine of the words, each weighed by how rare it is",
    "bm25": "words in common (Robertson & Zaragoza 2009)",
    "knn": "cosine of sentence embeddings",
    "entity-knn": "cosine of embeddings of mentions, and of sentences",
}
BY_EMBEDDING = ("knn", "entity-knn")
BY_COSINE = ("tfidf", *BY_EMBEDDING)


def _order(example: Example) -> tuple[object, ...]:
    return example.document_id, example.text, tuple((e.spans, e.type) for e in example.entities)


def _folded(text: str) -> str:
    return "".join(text.casefold().split())


class _Pool:
    """Examples without duplicate texts."""

    def __init__(self, pool: Iterable[Example]) -> None:
        by_text: dict[str, Example] = {}
        for example in pool:
            by_text.setdefault(_folded(example.text), example)
        self.examples = tuple(by_text.values())
        self._of_text = {text: place for place, text in enumerate(by_text)}
        self._of_document: dict[str, list[int]] = {}
        for place, example in enumerate(self.examples):
            self._of_document.setdefault(example.document_id, []).append(place)

    def barred(self, text: str, document_id: str, around: str) -> list[int]:
        """Return the indices of examples that must not be shown with a text; see `Chooser`."""
        whole = around or text
        asked = {text, whole, *(sentence.of(whole) for sentence in split(whole))}
        places = {self._of_text.get(_folded(part)) for part in asked}
        return sorted({*self._of_document.get(document_id, ()), *(place for place in places if place is not None)})


def _check(k: int) -> None:
    if not 0 <= k <= MOST:
        raise UsageError(f"the number of demonstrations must be from 0 to {MOST}, got {k}")


@dataclass(frozen=True, slots=True)
class _First:
    pool: _Pool

    def choose(self, text: str, document_id: str, k: int, around: str = "") -> tuple[Example, ...]:
        """See `Chooser`; the examples come in the order of the pool."""
        _check(k)
        barred = set(self.pool.barred(text, document_id, around))
        # As many as could be barred, and k more
        head = range(min(len(self.pool.examples), k + len(barred)))
        return tuple(self.pool.examples[place] for place in head if place not in barred)[:k]


@dataclass(frozen=True, slots=True)
class _Random:
    pool: _Pool
    seed: int

    def choose(self, text: str, document_id: str, k: int, around: str = "") -> tuple[Example, ...]:
        """See `Chooser`; the choice depends on the seed, the text and the pool."""
        _check(k)
        barred = set(self.pool.barred(text, document_id, around))
        size = len(self.pool.examples)
        drawn = random.Random(f"{self.seed} {text}").sample(range(size), min(size, k + len(barred)))
        return tuple(self.pool.examples[place] for place in drawn if place not in barred)[:k]


class _Nearest:
    """The examples with the highest scores.

    Args:
        pool: the N examples.
        scores: returns the scores (N,) of a text, higher for more similar examples.
        diversity: see `chooser`.
        between: returns the cosines between the example at one index and those at others; needed for a diversity.
    """

    def __init__(
        self,
        pool: _Pool,
        scores: Callable[[str], Similarities],
        diversity: float = 0.0,
        between: Callable[[int, Places], Similarities] | None = None,
    ) -> None:
        self._pool = pool
        self._scores = scores
        self._diversity = diversity
        self._between = between

    def choose(self, text: str, document_id: str, k: int, around: str = "") -> tuple[Example, ...]:
        """See `Chooser`."""
        _check(k)
        if not k or not self._pool.examples:
            return ()
        scores = np.round(self._scores(text), _DIGITS)
        scores[self._pool.barred(text, document_id, around)] = -np.inf
        if self._diversity and self._between:
            best = self._unlike(scores, _best(scores, _CANDIDATES * k), k, self._between)
        else:
            best = _best(scores, k)
        return tuple(self._pool.examples[place] for place in reversed(best))

    def _unlike(
        self, scores: Similarities, candidates: Places, k: int, between: Callable[[int, Places], Similarities]
    ) -> Places:
        """Return up to k candidates by maximal marginal relevance, in the order of their scores."""
        if k >= len(candidates):
            return candidates
        relevance = (1 - self._diversity) * scores[candidates]
        worth, nearest = relevance.copy(), np.full(len(candidates), -1.0)
        chosen: list[int] = []
        for _ in range(k):
            chosen.append(int(np.argmax(worth)))  # the first of equal values
            nearest = np.maximum(nearest, between(int(candidates[chosen[-1]]), candidates))
            worth = relevance - self._diversity * nearest
            worth[chosen] = -np.inf
        return candidates[sorted(chosen)]


def _best(scores: Similarities, most: int) -> Places:
    """Return the indices of up to `most` highest scores, in descending order, without those of -inf."""
    border = max(0, len(scores) - most)
    candidates = np.flatnonzero((scores >= np.partition(scores, border)[border]) & (scores > -np.inf))
    order: Places = candidates[np.argsort(-scores[candidates], kind="stable")][:most]
    return order
