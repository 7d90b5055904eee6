"""A benchmark of choosing demonstrations: the share of a sentence's gold mentions that its demonstrations contain."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from biomark import embedding, models
from biomark.lab.bench import machine
from biomark.prompted.retrieval import CHOOSERS, Chooser, Example, chooser
from biomark.recognizers import mentions_of

SIZES = (1, 5, 10, 16)
DIVERSITY = 0.3
WAYS = (*((how, 0.0) for how in CHOOSERS), *((how, DIVERSITY) for how in ("tfidf", "knn", "entity-knn")))


class _Known:
    """The mentions of examples and the words of these mentions, regardless of case and white space."""

    def __init__(self, shown: Iterable[Example]) -> None:
        self.mentions = {mention for example in shown for mention in _mentions(example)}
        self.words = {word for mention in self.mentions for word in _words(mention)}


@dataclass(slots=True)
class _Shown:
    """Sums over sentences: numbers of mentions, of their words, and of those that demonstrations contain, too."""

    sentences: int = 0
    any: int = 0
    mentions: int = 0
    mentions_found: int = 0
    words: int = 0
    words_found: int = 0

    def add(self, asked: Example, known: _Known) -> None:
        """Count a sentence and those of its mentions that its demonstrations contain."""
        gold = _mentions(asked)
        words = [word for mention in gold for word in _words(mention)]
        self.sentences += 1
        self.any += bool(known.mentions)
        self.mentions += len(gold)
        self.mentions_found += sum(mention in known.mentions for mention in gold)
        self.words += len(words)
        self.words_found += sum(word in known.words for word in words)

    def shares(self) -> dict[str, float]:
        """Return the shares of mentions and words in demonstrations, and of sentences whose demonstrations have any."""
        return {
            "mentions": round(self.mentions_found / max(1, self.mentions), 4),
            "words": round(self.words_found / max(1, self.words), 4),
            "any": round(self.any / max(1, self.sentences), 4),
        }


def retrieval(
    asked: Sequence[Example],
    pool: Sequence[Example],
    *,
    sentences: int = 1000,
    model: str = embedding.MODEL,
    drafter: str = models.DEFAULT,
    cache: Path | None = None,
) -> dict[str, object]:
    """Measure the share of gold mentions, and of their words, in the chosen demonstrations, and queries per second.

    Args:
        asked: sentences with their gold mentions.
        pool: the sentences from which demonstrations are chosen.
        sentences: the number of sentences of `asked` to use, chosen at random with a fixed seed; 0: all.
        model: the embedding model; see `biomark.embedding.load`.
        drafter: the model that predicts mentions for `entity-knn`.
        cache: see `biomark.embedding.cached`.

    Raises:
        MissingExtraError: if transformers is not installed.
    """
    if 0 < sentences < len(asked):
        asked = random.Random(0).sample(list(asked), sentences)
    encoder = embedding.load(model)
    find = mentions_of(models.load(drafter), pool[0].types if pool else ())
    ways: dict[str, object] = {}
    for how, diversity in WAYS:
        name = f"{how}, diversity {diversity}" if diversity else how
        ways[name] = _measure(
            lambda how=how, diversity=diversity: chooser(  # type: ignore[misc]
                how, pool, diversity=diversity, embedder=encoder, mentions=find, cache=cache
            ),
            asked,
        )
    return {
        "bench": "retrieval",
        "sentences": len(asked),
        "mentions": sum(len(example.entities) for example in asked),
        "pool": len(pool),
        "pool_with_mentions": sum(bool(example.entities) for example in pool),
        "whole_pool": _shares(asked, [_Known(pool)] * len(asked)),
        "ways": ways,
        **machine("numpy", "torch", "transformers"),
    }


def _measure(make: Callable[[], Chooser], asked: Sequence[Example]) -> dict[str, object]:
    begin = time.perf_counter()
    choose = make().choose
    built = time.perf_counter() - begin
    rates: dict[str, object] = {}
    shares: dict[str, object] = {}
    for k in reversed(SIZES):
        begin = time.perf_counter()
        chosen = [choose(example.text, example.document_id, k) for example in asked]
        # The first query of a sentence computes its embedding.
        rates.setdefault("queries_per_second", round(len(asked) / (time.perf_counter() - begin), 1))
        shares[f"k={k}"] = _shares(asked, map(_Known, chosen))
    return {"seconds_to_build": round(built, 2), **rates, **dict(reversed(shares.items()))}


def _shares(asked: Sequence[Example], known: Iterable[_Known]) -> dict[str, float]:
    shown = _Shown()
    for example, one in zip(asked, known, strict=True):
        shown.add(example, one)
    return shown.shares()


def _mentions(example: Example) -> list[str]:
    return [" ".join(e.mention(example.text).casefold().split()) for e in example.entities]


def _words(mention: str) -> list[str]:
    return re.findall(r"\w+", mention)
