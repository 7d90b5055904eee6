"""The choice of a checkpoint by strict F1 on the development splits, the same for all trainers."""

from __future__ import annotations

import hashlib
import json
import random
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from biomark import corpora, evaluation
from biomark.entity_types import with_canonical_types
from biomark.errors import UsageError
from biomark.formats import Reject
from biomark.recognizers import Recognizer
from biomark.spans import Document, Entity
from biomark.text.sentences import OWN, with_sentences


@dataclass(frozen=True, slots=True)
class Devel:
    """A development split, on which checkpoints are scored.

    Attributes:
        name: the name of the split, or the path of a file.
        types: the types that are scored, under biomark's names.
        documents: the documents, with their gold mentions.
        lost: the number of gold mentions that are in none of the documents, because they cross the end of a sentence.
    """

    name: str
    types: tuple[str, ...]
    documents: tuple[Document, ...]
    lost: int = 0

    def digest(self) -> str:
        """Return the sha256 of the texts and gold mentions, in hexadecimal."""
        digest = hashlib.sha256()
        for document in self.documents:
            mentions = [[e.type, [[s.start, s.end] for s in e.spans]] for e in document.entities]
            digest.update(json.dumps([document.text, mentions], ensure_ascii=False).encode() + b"\n")
        return digest.hexdigest()


def read_devel(
    names: Sequence[str],
    types: Sequence[str],
    *,
    sentences: int = 0,
    seed: int = 0,
    split_by: str = OWN,
    reject: Reject,
) -> list[Devel]:
    """Read the development splits of a recipe.

    Args:
        names: splits of the catalogue, or files; see `biomark.corpora.read_corpus`.
        types: the types to learn, of which a split is scored on those that it annotates. Empty: all that it annotates.
        sentences: the number of sentences to choose from each split at random, each as a document of its own, in text
            order; 0: all documents as they are.
        seed: the seed of the random choice.
        split_by: the sentence splitter, one of `biomark.text.sentences.SPLITTERS`.
        reject: is called with each part of the splits that cannot be read.

    Raises:
        UsageError: if a split annotates none of the types, or there is no such split.
    """
    splits = []
    for name in names:
        annotated = corpora.corpus_types(name, types)
        scored = tuple(entity_type for entity_type in annotated if not types or entity_type in types)
        if not scored:
            raise UsageError(f"{name}: annotates {', '.join(annotated) or 'nothing'}, but none of {', '.join(types)}")
        read = corpora.read_corpus(name, reject=reject)
        documents = [with_canonical_types(document, names=annotated) for document in read]
        lost = 0
        if sentences:
            parts, lost = _sentences(documents, split_by)
            chosen = sorted(random.Random(f"{seed} {name}").sample(range(len(parts)), min(sentences, len(parts))))
            documents = [parts[n] for n in chosen]
        splits.append(Devel(name, scored, tuple(documents), lost))
    return splits


def _sentences(documents: Sequence[Document], split_by: str = OWN) -> tuple[list[Document], int]:
    """Return each sentence as a document, and the number of mentions that cross the end of a sentence."""
    parts: list[Document] = []
    lost = 0
    for document in (with_sentences(document, split_by) for document in documents):
        starts = [sentence.start for sentence in document.sentences]
        inside: dict[int, list[Entity]] = {}
        for entity in document.entities:
            number = bisect_right(starts, entity.start) - 1
            if number >= 0 and document.sentences[number].contains(entity.extent):
                inside.setdefault(number, []).append(entity.shift(-starts[number]))
            else:
                lost += 1
        for number, sentence in enumerate(document.sentences):
            text = sentence.of(document.text)
            parts.append(Document(f"{document.id}:{number}", text, entities=tuple(inside.get(number, ()))))
    return parts, lost


def strict_scores(recognizer: Recognizer, devel: Sequence[Devel]) -> dict[str, dict[str, float]]:
    """Return strict precision, recall and F1, in [0, 1], of a recognizer on each split, by the split's name."""
    scores = {}
    for split in devel:
        predicted = (annotated.document for annotated in recognizer.annotate(split.documents, split.types))
        score = evaluation.evaluate(split.documents, predicted, types=split.types, corpus=split.name).overall.strict
        scores[split.name] = {"precision": score.precision, "recall": score.recall, "f1": score.f1}
    return scores


def mean_f1(scores: Mapping[str, Mapping[str, float]]) -> float:
    """Return the mean strict F1 over the development splits, by which a checkpoint is chosen."""
    return sum(score["f1"] for score in scores.values()) / len(scores)


def shown(scores: Mapping[str, Mapping[str, float]]) -> str:
    """Format precision, recall and F1 of each split as a line of text."""
    each = (f"{name} {s['precision']:.4f}/{s['recall']:.4f}/{s['f1']:.4f}" for name, s in scores.items())
    return f"{'  '.join(each)}  mean {mean_f1(scores):.4f}"
