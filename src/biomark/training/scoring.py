"""How a checkpoint is chosen: strict F1 on development splits, the same for all trainers."""

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
    """What checkpoints are scored on.

    Attributes:
        name: of the split, or the path of a file.
        types: that are scored, under biomark's names.
        documents: with their gold mentions.
        lost: gold mentions that are in none of the documents, because they cross the end of a sentence.
    """

    name: str
    types: tuple[str, ...]
    documents: tuple[Document, ...]
    lost: int = 0

    def digest(self) -> str:
        """The sha256 of texts and gold mentions, in hexadecimal."""
        found = hashlib.sha256()
        for document in self.documents:
            mentions = [[e.type, [[s.start, s.end] for s in e.spans]] for e in document.entities]
            found.update(json.dumps([document.text, mentions], ensure_ascii=False).encode() + b"\n")
        return found.hexdigest()


def read_devel(
    names: Sequence[str],
    types: Sequence[str],
    *,
    sentences: int = 0,
    seed: int = 0,
    split_by: str = OWN,
    reject: Reject,
) -> list[Devel]:
    """The development splits of a recipe.

    Args:
        names: splits of the catalogue, or files; see `biomark.corpora.read_corpus`.
        types: that are learnt; of a split those are scored that it annotates. Empty: all of these.
        sentences: how many sentences to take of each split, chosen at random, as documents of their own,
            in their order; 0: all documents as they are.
        seed: of the choice.
        split_by: what splits texts into these sentences; one of `biomark.text.sentences.SPLITTERS`.
        reject: is called with what cannot be read.

    Raises:
        UsageError: if a split annotates none of the types, or there is no such split.
    """
    found = []
    for name in names:
        annotated = corpora.corpus_types(name, types)
        scored = tuple(entity_type for entity_type in annotated if not types or entity_type in types)
        if not scored:
            raise UsageError(f"{name} annotates {', '.join(annotated) or 'nothing'}, none of {', '.join(types)}")
        read = corpora.read_corpus(name, reject=reject)
        documents = [with_canonical_types(document, names=annotated) for document in read]
        lost = 0
        if sentences:
            parts, lost = _sentences(documents, split_by)
            chosen = sorted(random.Random(f"{seed} {name}").sample(range(len(parts)), min(sentences, len(parts))))
            documents = [parts[n] for n in chosen]
        found.append(Devel(name, scored, tuple(documents), lost))
    return found


def _sentences(documents: Sequence[Document], split_by: str = OWN) -> tuple[list[Document], int]:
    """Each sentence as a document, and how many mentions cross the end of one."""
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
    """Strict precision, recall and F1 of a recognizer on each split, by the split's name."""
    found = {}
    for split in devel:
        predicted = (annotated.document for annotated in recognizer.annotate(split.documents, split.types))
        score = evaluation.evaluate(split.documents, predicted, types=split.types, corpus=split.name).overall.strict
        found[split.name] = {"precision": score.precision, "recall": score.recall, "f1": score.f1}
    return found


def mean_f1(scores: Mapping[str, Mapping[str, float]]) -> float:
    """The mean strict F1 over the development splits, by which a checkpoint is chosen."""
    return sum(score["f1"] for score in scores.values()) / len(scores)


def shown(scores: Mapping[str, Mapping[str, float]]) -> str:
    """Precision, recall and F1 of each split in a line."""
    each = (f"{name} {s['precision']:.4f}/{s['recall']:.4f}/{s['f1']:.4f}" for name, s in scores.items())
    return f"{'  '.join(each)}  mean {mean_f1(scores):.4f}"
