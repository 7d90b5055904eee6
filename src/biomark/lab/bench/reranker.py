"""Learns the weights of normalisation: `python -m biomark.lab.bench.reranker -o src/biomark/knowledge/reranker.json`.

The training splits are divided into folds. For each fold a store is built from the ontologies and all other folds, and
the fold's mentions that no exact step of the normalisation resolves are the training examples.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from biomark import corpora, formats
from biomark.identifiers import COMPOSITE, canonical
from biomark.knowledge.building import build
from biomark.knowledge.normalization import FUZZY, Normalizer
from biomark.knowledge.reranking import RankingExample, learn
from biomark.knowledge.sources import open_source
from biomark.knowledge.store import Store
from biomark.spans import Document, Rejected

CORPORA = ("ncbi_disease:train", "bc5cdr:train")
FOLDS = 4

_LinkedMention = tuple[str, frozenset[str]]


def learn_from(splits: Sequence[str], ontologies: Sequence[str], folds: int = FOLDS) -> dict[str, float]:
    """Learn the weights, by feature, from splits of annotated corpora.

    Args:
        splits: corpora with identifiers, as `biomark.corpora.read_corpus` takes them.
        ontologies: sources of terms, for all stores.
        folds: the number of folds.
    """
    pairs: list[tuple[_LinkedMention, RankingExample]] = []
    documents = [list(corpora.read_corpus(split, reject=_pass_over)) for split in splits]
    with tempfile.TemporaryDirectory() as folder:
        for fold in range(folds):
            store = Path(folder) / f"{fold}.db"
            files = [Path(folder) / f"{fold}-{number}.jsonl" for number in range(len(splits))]
            for file, all_of_it in zip(files, documents, strict=True):
                formats.write((d for place, d in enumerate(all_of_it) if place % folds != fold), file, "jsonl")
            sources = [open_source(name) for name in (*ontologies, *map(str, files))]
            build(sources, store, reject=_pass_over)
            with Store(store) as terms:
                held_out = (d for all_of_it in documents for d in all_of_it[fold::folds])
                pairs += examples(Normalizer(terms), held_out)
    counts = Counter(mention for mention, _ in pairs)
    # A mention that occurs a hundred times counts less than a hundred different ones.
    return learn([replace(e, weight=1 / math.sqrt(counts[mention])) for mention, e in pairs]).as_json()


def examples(normalizer: Normalizer, documents: Iterable[Document]) -> Iterator[tuple[_LinkedMention, RankingExample]]:
    """Yield the mentions that only the step `fuzzy` can resolve, each with a training example."""
    for document in documents:
        for entity, text, entity_type, context in normalizer.contexts(document):
            if context is None or not entity.ids:
                continue
            answers = normalizer.candidates(text, entity_type, context)
            if answers and answers[-1].step != FUZZY:
                continue
            identifiers, features = normalizer.compared(text, entity_type, context)
            gold = frozenset(canonical(identifier, entity_type) for identifier in entity.ids)
            right = next(
                (row for row, identifier in enumerate(identifiers) if {*identifier.split(COMPOSITE)} == gold), None
            )
            if identifiers:
                yield (text, gold), RankingExample(features, right)


def _pass_over(rejected: Rejected) -> None:
    """Ignore a reject, which `biomark knowledge build` reports."""


def main() -> None:
    """Run the command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ontologies", nargs="*", help="term sources that every store includes")
    parser.add_argument(
        "-c", "--corpus", action="append", help=f"a corpus to learn from (repeatable; default: {' and '.join(CORPORA)})"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="the file to write")
    options = parser.parse_args()
    weights = learn_from(options.corpus or CORPORA, options.ontologies)
    options.output.write_text(json.dumps(weights, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
