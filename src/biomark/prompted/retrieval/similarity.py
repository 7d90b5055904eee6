"""Similarity of a sentence to each example of a pool: by words, or by embeddings of the sentence or its mentions."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from biomark import embedding
from biomark.embedding import Embedder, Vectors
from biomark.knowledge.forms import words
from biomark.prompted.retrieval.pool import Example

Similarities = NDArray[np.float64]
Places = NDArray[np.intp]  # indices of examples in a pool
MentionFinder = Callable[[str], Sequence[str]]
"""Returns the texts of the mentions in a sentence, found by a cheap recognizer."""


class WordCounts:
    """The counts of words in N texts, as a sparse matrix; words are those of `biomark.knowledge.forms`.

    With its weights it takes 16 bytes for each different word of each text, about 35 MB for 100,000 sentences.

    Attributes:
        texts: the N texts.
        lengths: the number of words in each text (N,).
        rows, counts: the text and the count of each of the P pairs of a text and a word, sorted by word (P,).
        column: the index of the word of each pair (P,).
        frequency: the number of texts with each of the V words (V,).
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
        """Return the number of texts with a word."""
        number = self._numbers.get(form)
        return 0 if number is None else int(self.frequency[number])

    def products(self, weights: Vectors, query: Mapping[str, float]) -> Similarities:
        """Return the dot product of each text (N,), with weights of its words (P,), and a query."""
        sums = np.zeros(len(self.texts))
        for form, weight in query.items():
            number = self._numbers.get(form)
            if number is not None:
                end = self._ends[number]
                pairs = slice(end - self.frequency[number], end)
                sums[self.rows[pairs]] += weight * weights[pairs]
        return sums


def _counts(text: str) -> Counter[str]:
    return Counter(word.form for word in words(text))


class Bm25:
    """BM25 with the constants of Robertson & Zaragoza 2009, and an idf that is never negative."""

    k1, b = 1.2, 0.75

    def __init__(self, texts: Sequence[str]) -> None:
        self._words = words = WordCounts(texts)
        average = words.lengths.mean() if words.lengths.any() else 1.0
        idf = np.log1p((len(texts) - words.frequency + 0.5) / (words.frequency + 0.5))
        damping = self.k1 * (1 - self.b + self.b * words.lengths / average)
        saturated = words.counts * (self.k1 + 1) / (words.counts + damping[words.rows])
        self._weights: Vectors = (idf[words.column] * saturated).astype(np.float32)

    def scores(self, text: str) -> Similarities:
        """Return a score for each of the N texts."""
        return self._words.products(self._weights, _counts(text))


class TfIdf:
    """Cosine of (1 + ln tf) × idf, with idf = 1 + ln((1 + N) / (1 + df))."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._words = words = WordCounts(texts)
        idf = 1 + np.log((1 + len(texts)) / (1 + words.frequency))
        weights = (1 + np.log(words.counts)) * idf[words.column]
        lengths = np.sqrt(np.bincount(words.rows, weights**2, minlength=len(texts)))
        self._weights: Vectors = (weights / lengths[words.rows]).astype(np.float32)

    def scores(self, text: str) -> Similarities:
        """Return the cosine of a text with each of the N texts."""
        size, words = len(self._words.texts), self._words
        query = {
            form: (1 + math.log(count)) * (1 + math.log((1 + size) / (1 + words.frequency_of(form))))
            for form, count in _counts(text).items()
        }
        length = math.sqrt(sum(weight**2 for weight in query.values())) or 1.0
        return words.products(self._weights, {form: weight / length for form, weight in query.items()})

    def between(self, place: int, others: Places) -> Similarities:
        """Return the cosine of one text with each of some others."""
        return self.scores(self._words.texts[place])[others]


class Sentences:
    """Cosine of sentence embeddings: 4 × H bytes for each example, 154 MB for 100,000 with H = 384."""

    def __init__(self, texts: Sequence[str], embedder: Embedder, cache: Path | None) -> None:
        self._vectors = embedding.cached(embedder, texts, cache)
        # A sentence often occurs once for each type.
        self._embed = lru_cache(maxsize=1024)(lambda text: embedder.embed([text])[0])

    def scores(self, text: str) -> Similarities:
        """Return the cosine of a text with each of the N texts."""
        return np.asarray(self._vectors @ self._embed(text), dtype=np.float64)

    def between(self, place: int, others: Places) -> Similarities:
        """Return the cosine of one text with each of some others."""
        return np.asarray(self._vectors[others] @ self._vectors[place], dtype=np.float64)


class Entities:
    """Cosine of embeddings of the mentions that a recognizer finds in the sentence of the question.

    This follows the entity-level retrieval of GPT-NER (Wang et al. 2023, arXiv 2304.10428), with mentions in place of
    tokens. A score is the mean, over the mentions of the sentence, of the cosine to the nearest gold mention of the
    example (-1 if it has none), plus the cosine of the sentences with the weight `SENTENCE`, which decides between
    examples that have the same mention. For a sentence without mentions it is the cosine of the sentences alone.
    """

    SENTENCE = 0.25

    def __init__(
        self,
        pool: Sequence[Example],
        sentences: Sentences,
        embedder: Embedder,
        mentions: MentionFinder,
        cache: Path | None,
    ) -> None:
        self._sentences = sentences
        self._mentions = mentions
        self._embed = lru_cache(maxsize=1024)(embedder.embed)
        gold = [{_normalised(e.mention(example.text)) for e in example.entities} for example in pool]
        names = sorted(set().union(*gold))
        numbers = {name: number for number, name in enumerate(names)}
        self._vectors = embedding.cached(embedder, names, cache)  # (U, H)
        self._with = np.flatnonzero([bool(mentions) for mentions in gold])  # examples that have mentions
        self._of = np.array([numbers[name] for name in chain.from_iterable(map(sorted, gold))], dtype=np.intp)
        self._starts = np.cumsum([0, *(len(gold[place]) for place in self._with)])[:-1]

    def scores(self, text: str) -> Similarities:
        """Return a score for each of the N examples."""
        by_sentence = self._sentences.scores(text)
        names = tuple(dict.fromkeys(map(_normalised, self._mentions(text))))
        if not names or not len(self._with):
            return by_sentence
        cosines = self._vectors @ self._embed(names).T  # (U, Q)
        best = np.full((len(by_sentence), len(names)), -1.0)  # (N, Q)
        best[self._with] = np.maximum.reduceat(cosines[self._of], self._starts, axis=0)
        mean: Similarities = best.mean(axis=1)
        return (1 - self.SENTENCE) * mean + self.SENTENCE * by_sentence


def _normalised(mention: str) -> str:
    """Normalise case and white space of a mention."""
    return " ".join(mention.casefold().split())
