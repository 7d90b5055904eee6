"""How similar a sentence is to each example of a pool: by its words, or by embeddings of it or of its mentions."""

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

Scores = NDArray[np.float64]
Places = NDArray[np.intp]  # of examples in a pool
Mentions = Callable[[str], Sequence[str]]
"""The mentions that a cheap recognizer finds in a sentence, as they are written there."""


class Words:
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


class Bm25:
    """BM25 with the constants of Robertson & Zaragoza 2009, and an idf that is never negative."""

    k1, b = 1.2, 0.75

    def __init__(self, texts: Sequence[str]) -> None:
        self._words = words = Words(texts)
        average = words.lengths.mean() if words.lengths.any() else 1.0
        idf = np.log1p((len(texts) - words.frequency + 0.5) / (words.frequency + 0.5))
        damping = self.k1 * (1 - self.b + self.b * words.lengths / average)
        saturated = words.counts * (self.k1 + 1) / (words.counts + damping[words.rows])
        self._weights: Vectors = (idf[words.column] * saturated).astype(np.float32)

    def scores(self, text: str) -> Scores:
        """A score for each of the N texts."""
        return self._words.products(self._weights, _counts(text))


class TfIdf:
    """Cosine of (1 + ln tf) × idf, with idf = 1 + ln((1 + N) / (1 + df))."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._words = words = Words(texts)
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


class Sentences:
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


class Entities:
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
        sentences: Sentences,
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
