"""Agreement with scorers that we did not write, on flat mentions: all that they can score."""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest
from evaluation_cases import TYPES, WORDS, flat_corpora, of_words, perturbed
from hypothesis import given, settings
from nervaluate import Evaluator

from biomark import formats
from biomark.entity_types import with_canonical_types
from biomark.evaluation import evaluate
from biomark.spans import Document, flat

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from seqeval.metrics import classification_report
    from seqeval.scheme import IOB2

SCHEMA_NAMES = {"strict": "strict", "exact": "exact", "partial": "partial", "type": "ent_type"}


def _tags(mentions: Sequence[tuple[int, int, str]]) -> list[str]:
    tags = ["O"] * WORDS
    for first, end, type in mentions:
        tags[first:end] = [f"B-{type}", *[f"I-{type}"] * (end - first - 1)]
    return tags


@settings(max_examples=80, deadline=None)
@given(flat_corpora)
def test_strict_agrees_with_seqeval(corpus: list) -> None:
    gold, predicted = ([pair[side] for pair in corpus] for side in (0, 1))
    ours = evaluate(
        [of_words(mentions, str(i)) for i, mentions in enumerate(gold)],
        [of_words(mentions, str(i)) for i, mentions in enumerate(predicted)],
        types=TYPES,
    )
    tags = [[_tags(mentions) for mentions in side] for side in (gold, predicted)]
    if not any(gold) and not any(predicted):
        assert ours.overall.strict.f1 == 0.0  # seqeval has no report of nothing
        return
    theirs = classification_report(*tags, mode="strict", scheme=IOB2, output_dict=True, zero_division=0)
    rows = {"micro avg": ours.overall, **ours.types}
    for name in theirs.keys() - {"macro avg", "weighted avg"}:
        score = rows[name].strict
        assert score.precision == pytest.approx(theirs[name]["precision"])
        assert score.recall == pytest.approx(theirs[name]["recall"])
        assert score.f1 == pytest.approx(theirs[name]["f1-score"])


def _check_nervaluate(gold: Sequence[Document], predicted: Sequence[Document], types: Sequence[str]) -> None:
    """Compare all SemEval counts, overall and by type."""
    ours = evaluate(gold, predicted, types=types)

    def spans(documents: Sequence[Document]) -> list[list[dict[str, object]]]:
        return [
            [{"label": e.type, "start": e.start, "end": e.end - 1} for e in sorted(d.entities, key=lambda e: e.start)]
            for d in documents
        ]

    theirs = Evaluator(spans(gold), spans(predicted), tags=list(types), loader="dict").evaluate()
    rows = [(ours.overall.semeval, theirs["overall"])]
    rows += [(ours.types[type].semeval, theirs["entities"][type]) for type in theirs["entities"]]
    for counts, results in rows:
        for schema, name in SCHEMA_NAMES.items():
            mine, other = counts[schema], results[name]
            assert (mine.correct, mine.incorrect, mine.partial, mine.missing, mine.spurious) == (
                other.correct,
                other.incorrect,
                other.partial,
                other.missed,
                other.spurious,
            )
            assert (mine.precision, mine.recall, mine.f1) == pytest.approx((other.precision, other.recall, other.f1))


@settings(max_examples=80, deadline=None)
@given(flat_corpora)
def test_semeval_counts_agree_with_nervaluate(corpus: list) -> None:
    gold, predicted = ([of_words(pair[side], str(i)) for i, pair in enumerate(corpus)] for side in (0, 1))
    _check_nervaluate(gold, predicted, TYPES)


@pytest.mark.parametrize("file", ["ncbi_disease/test.pubtator", "bc5cdr/devel.pubtator", "nlm_gene/test.pubtator"])
def test_semeval_counts_agree_with_nervaluate_on_real_corpora(corpora: Path, file: str) -> None:
    rng = random.Random(file)

    def plain(document: Document) -> Document:
        document = with_canonical_types(document)
        entities = tuple(e for e in flat(document.entities) if e.type in TYPES and len(e.extent) < 100)
        return Document(document.id, document.text, entities=entities)

    gold = [plain(document) for document in formats.read(corpora / file, reject=lambda _: None)]
    predicted = [plain(perturbed(document, rng)) for document in gold]
    _check_nervaluate(gold, predicted, TYPES)
