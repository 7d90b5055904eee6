"""Demonstrations for a prompt: annotated sentences, those chosen that suit the sentence asked about.

The most similar one comes last, next to the question (KATE: Liu et al. 2022, arXiv 2101.06804). No
choice ever has the sentence itself or one from its document. Equal scores go by document and text, and
so a choice depends on what the pool holds, not on its order, save that of `first`.
"""

from __future__ import annotations

import math
import random
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from biomark import embedding
from biomark.corpora import read_corpus, wanted_types
from biomark.embedding import Embedder, Vectors
from biomark.entity_types import with_canonical_types
from biomark.errors import UsageError
from biomark.formats import Reject, raise_rejected
from biomark.knowledge.forms import words
from biomark.spans import Document, Entity
from biomark.text.sentences import split, with_sentences

Scores = NDArray[np.float64]
Places = NDArray[np.intp]  # of examples in a pool
Mentions = Callable[[str], Sequence[str]]
"""The mentions that a cheap recognizer finds in a sentence, as they are written there."""

MOST = 32
_CANDIDATES = 10  # for each demonstration asked for, where unlike ones are wanted
_DIGITS = 5  # of a score; what comes after them is rounding error of float32


@dataclass(frozen=True, slots=True)
class Example:
    """An annotated sentence.

    Attributes:
        text: the sentence.
        entities: its mentions, with biomark's names of types and offsets in the sentence.
        document_id: where it is from.
        types: those whose mentions are all annotated.
    """

    text: str
    entities: tuple[Entity, ...]
    document_id: str
    types: tuple[str, ...] = ()


class Chooser(Protocol):
    """Chooses demonstrations from a pool."""

    def choose(self, text: str, document_id: str, k: int, around: str = "") -> tuple[Example, ...]:
        """The demonstrations for a sentence, the most similar last.

        No two have the same text. Texts that differ in case and white space alone are the same.

        Args:
            text: the sentence, or several; no demonstration has the same text or that of one of them.
            document_id: its document; no demonstration is from there.
            k: how many, from 0 to `MOST`; there are fewer if the pool has no more.
            around: what the text was cut from, if anything; no demonstration is one of its sentences.

        Raises:
            UsageError: if k is none of these.
        """
        ...


def examples(
    corpora: Sequence[str],
    types: Sequence[str] | None = None,
    *,
    reject: Reject = raise_rejected,
    lost: Counter[str] | None = None,
) -> Iterator[Example]:
    """The sentences of several corpora, one after the other, with and without mentions.

    Args:
        corpora: splits of the catalogue or paths; see `biomark.corpora.read_corpus`.
        types: biomark's names; None: all that a corpus annotates.
        reject: as for `biomark.formats.read`.
        lost: counts the mentions that no example holds, by the reason.

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
    """The examples in which all of `types` are annotated, with the mentions of these alone.

    Others would show a model mentions that are not marked.
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


def chooser(
    how: str,
    pool: Iterable[Example],
    *,
    seed: int = 0,
    diversity: float = 0.0,
    embedder: Embedder | None = None,
    mentions: Mentions | None = None,
    cache: Path | None = None,
) -> Chooser:
    """What chooses demonstrations from a pool.

    Args:
        how: one of `CHOOSERS`.
        pool: of examples with the same text the first is taken (for `first`), or that of the first document.
        seed: of `random`; each sentence has its own choice, whatever was asked before.
        diversity: in [0, 1), for choices by cosine (`tfidf`, `knn`, `entity-knn`): 1 - λ of maximal marginal
            relevance (Carbonell & Goldstein 1998). An example is worth λ × its score - (1 - λ) × its cosine to
            the nearest of those already chosen; the 10 k most similar ones are candidates.
        embedder: for `knn` and `entity-knn`; None: `biomark.embedding.load()`.
        mentions: for `entity-knn`.
        cache: where vectors of the pool are kept; see `biomark.embedding.cached`.

    Raises:
        UsageError: if there is no such way, or an option does not suit it.
        MissingExtraError: if embeddings are needed and transformers is not installed.
    """
    if how not in CHOOSERS:
        raise UsageError(f"demonstrations are chosen by {', '.join(CHOOSERS)}, not by {how!r}")
    if not 0 <= diversity < 1:
        raise UsageError(f"a diversity lies from 0 to below 1, not at {diversity}")
    if diversity and how not in BY_COSINE:
        raise UsageError(f"a diversity is for {', '.join(BY_COSINE)}, not for {how}")
    if how == "entity-knn" and mentions is None:
        raise UsageError("entity-knn needs something that finds mentions; give it `mentions`")
    if how == "first":
        return _First(_Pool(pool))
    sorted_pool = _Pool(sorted(pool, key=_order))
    if how == "random":
        return _Random(sorted_pool, seed)
    texts = [example.text for example in sorted_pool.examples]
    if how == "bm25":
        return _Nearest(sorted_pool, _Bm25(texts).scores)
    if how == "tfidf":
        by_words = _TfIdf(texts)
        return _Nearest(sorted_pool, by_words.scores, diversity, by_words.between)
    embedder = embedder or embedding.load()
    sentences = _Sentences(texts, embedder, cache)
    scores = sentences.scores
    if how == "entity-knn" and mentions:
        scores = _Entities(sorted_pool.examples, sentences, embedder, mentions, cache).scores
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
    """Examples of which no two have the same text."""

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
        """The places of examples that must not be shown with a text; see `Chooser`."""
        whole = around or text
        asked = {text, whole, *(sentence.of(whole) for sentence in split(whole))}
        places = {self._of_text.get(_folded(part)) for part in asked}
        return sorted({*self._of_document.get(document_id, ()), *(place for place in places if place is not None)})


def _check(k: int) -> None:
    if not 0 <= k <= MOST:
        raise UsageError(f"a prompt has from 0 to {MOST} demonstrations, not {k}")


@dataclass(frozen=True, slots=True)
class _First:
    pool: _Pool

    def choose(self, text: str, document_id: str, k: int, around: str = "") -> tuple[Example, ...]:
        """See `Chooser`; they come in the order of the pool."""
        _check(k)
        barred = set(self.pool.barred(text, document_id, around))
        # As many as could be barred, and k more.
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
        scores: of a text, one for each of the N examples, higher for more similar ones.
        diversity: see `chooser`.
        between: the cosine of the example at a place to those at some others; for a diversity.
    """

    def __init__(
        self,
        pool: _Pool,
        scores: Callable[[str], Scores],
        diversity: float = 0.0,
        between: Callable[[int, Places], Scores] | None = None,
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

    def _unlike(self, scores: Scores, candidates: Places, k: int, between: Callable[[int, Places], Scores]) -> Places:
        """Up to k of the candidates by maximal marginal relevance, in the order of their scores."""
        if k >= len(candidates):
            return candidates
        relevance = (1 - self._diversity) * scores[candidates]
        worth, nearest = relevance.copy(), np.full(len(candidates), -1.0)
        chosen: list[int] = []
        for _ in range(k):
            chosen.append(int(np.argmax(worth)))  # the first of equal ones
            nearest = np.maximum(nearest, between(int(candidates[chosen[-1]]), candidates))
            worth = relevance - self._diversity * nearest
            worth[chosen] = -np.inf
        return candidates[sorted(chosen)]


def _best(scores: Scores, most: int) -> Places:
    """The places of the highest scores, highest first and the first of equal ones; never those at -inf."""
    border = max(0, len(scores) - most)
    found = np.flatnonzero((scores >= np.partition(scores, border)[border]) & (scores > -np.inf))
    order: Places = found[np.argsort(-scores[found], kind="stable")][:most]
    return order


class _Words:
    """Which of N texts has which word how often; words are those of `biomark.knowledge.forms`.

    With its weights it takes 16 bytes for each different word of each text, about 35 MB for 100,000 sentences.

    Attributes:
        texts: N of them.
        lengths: words of each text (N,).
        rows, counts: a text and how often it has a word, word by word (P,).
        column: of each of the P pairs, its word's number.
        frequency: how many texts have each of the V words (V,).
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self._numbers: dict[str, int] = {}
        columns, rows, counts = array("i"), array("i"), array("i")
        for row, text in enumerate(texts):
            for form, count in _counts(text).items():
                columns.append(self._numbers.setdefault(form, len(self._numbers)))
                rows.append(row)
                counts.append(count)
        order = np.argsort(np.asarray(columns), kind="stable")
        self.column, self.rows, self.counts = (np.asarray(a, dtype=np.int32)[order] for a in (columns, rows, counts))
        self.lengths = np.bincount(self.rows, self.counts, minlength=len(texts))
        self.frequency = np.bincount(self.column, minlength=len(self._numbers))
        self._ends = np.cumsum(self.frequency)

    def frequency_of(self, form: str) -> int:
        """How many texts have a word."""
        number = self._numbers.get(form)
        return 0 if number is None else int(self.frequency[number])

    def products(self, weights: Vectors, query: Mapping[str, float]) -> Scores:
        """Of each text (N,), the sum over the words of a query of their weights in the text (P,) and in the query."""
        found = np.zeros(len(self.texts))
        for form, weight in query.items():
            number = self._numbers.get(form)
            if number is not None:
                end = self._ends[number]
                pairs = slice(end - self.frequency[number], end)
                found[self.rows[pairs]] += weight * weights[pairs]
        return found


def _counts(text: str) -> Counter[str]:
    return Counter(word.form for word in words(text))


class _Bm25:
    """BM25 with the constants of Robertson & Zaragoza 2009, and an idf that is never negative."""

    k1, b = 1.2, 0.75

    def __init__(self, texts: Sequence[str]) -> None:
        self._words = words = _Words(texts)
        average = words.lengths.mean() if words.lengths.any() else 1.0
        idf = np.log1p((len(texts) - words.frequency + 0.5) / (words.frequency + 0.5))
        damping = self.k1 * (1 - self.b + self.b * words.lengths / average)
        saturated = words.counts * (self.k1 + 1) / (words.counts + damping[words.rows])
        self._weights: Vectors = (idf[words.column] * saturated).astype(np.float32)

    def scores(self, text: str) -> Scores:
        """A score for each of the N texts."""
        return self._words.products(self._weights, _counts(text))


class _TfIdf:
    """Cosine of (1 + ln tf) × idf, with idf = 1 + ln((1 + N) / (1 + df))."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._words = words = _Words(texts)
        idf = 1 + np.log((1 + len(texts)) / (1 + words.frequency))
        weights = (1 + np.log(words.counts)) * idf[words.column]
        lengths = np.sqrt(np.bincount(words.rows, weights**2, minlength=len(texts)))
        self._weights: Vectors = (weights / lengths[words.rows]).astype(np.float32)

    def scores(self, text: str) -> Scores:
        """The cosine of a text to each of the N."""
        size, words = len(self._words.texts), self._words
        query = {
            form: (1 + math.log(count)) * (1 + math.log((1 + size) / (1 + words.frequency_of(form))))
            for form, count in _counts(text).items()
        }
        length = math.sqrt(sum(weight**2 for weight in query.values())) or 1.0
        return words.products(self._weights, {form: weight / length for form, weight in query.items()})

    def between(self, place: int, others: Places) -> Scores:
        """The cosine of one text to each of some others."""
        return self.scores(self._words.texts[place])[others]


class _Sentences:
    """Cosine of sentence embeddings: 4 × H bytes an example, 154 MB for 100,000 of 384 values."""

    def __init__(self, texts: Sequence[str], embedder: Embedder, cache: Path | None) -> None:
        self._vectors = embedding.cached(embedder, texts, cache)
        # A sentence is often asked about once for each type.
        self._embed = lru_cache(maxsize=1024)(lambda text: embedder.embed([text])[0])

    def scores(self, text: str) -> Scores:
        """The cosine of a text to each of the N."""
        return np.asarray(self._vectors @ self._embed(text), dtype=np.float64)

    def between(self, place: int, others: Places) -> Scores:
        """The cosine of one text to each of some others."""
        return np.asarray(self._vectors[others] @ self._vectors[place], dtype=np.float64)


class _Entities:
    """Sentences whose mentions are like those that a recognizer finds in the one asked about.

    After the entity-level retrieval of GPT-NER (Wang et al. 2023, arXiv 2304.10428), which compares tokens;
    here it is mentions. A score is the mean, over the mentions found, of the cosine to the nearest gold
    mention of the example (-1 if it has none), and with `SENTENCE` of the weight the cosine of the sentences,
    which decides among the many that have the same mention. Without a mention found it is the latter alone.
    """

    SENTENCE = 0.25

    def __init__(
        self,
        pool: Sequence[Example],
        sentences: _Sentences,
        embedder: Embedder,
        mentions: Mentions,
        cache: Path | None,
    ) -> None:
        self._sentences = sentences
        self._mentions = mentions
        self._embed = lru_cache(maxsize=1024)(embedder.embed)
        gold = [{_spoken(e.mention(example.text)) for e in example.entities} for example in pool]
        names = sorted(set().union(*gold))
        numbers = {name: number for number, name in enumerate(names)}
        self._vectors = embedding.cached(embedder, names, cache)  # (U, H)
        self._with = np.flatnonzero([bool(mentions) for mentions in gold])  # examples that have mentions
        self._of = np.array([numbers[name] for name in chain.from_iterable(map(sorted, gold))], dtype=np.intp)
        self._starts = np.cumsum([0, *(len(gold[place]) for place in self._with)])[:-1]

    def scores(self, text: str) -> Scores:
        """A score for each of the N examples."""
        nearest = self._sentences.scores(text)
        found = tuple(dict.fromkeys(map(_spoken, self._mentions(text))))
        if not found or not len(self._with):
            return nearest
        alike = self._vectors @ self._embed(found).T  # (U, Q)
        best = np.full((len(nearest), len(found)), -1.0)  # (N, Q)
        best[self._with] = np.maximum.reduceat(alike[self._of], self._starts, axis=0)
        mean: Scores = best.mean(axis=1)
        return (1 - self.SENTENCE) * mean + self.SENTENCE * nearest


def _spoken(mention: str) -> str:
    """A mention without differences of case and white space."""
    return " ".join(mention.casefold().split())
