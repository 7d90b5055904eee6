"""Compute scores from counts, each with its confidence interval and a signature of the data and the scheme."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from biomark.evaluation.counts import SCHEMES, Counts, Tally, gather
from biomark.evaluation.identifiers import LEVELS, Accuracy, IdentifierTally, gather_identifiers
from biomark.evaluation.mistakes import Mistake
from biomark.evaluation.pairs import Gold, Pair
from biomark.evaluation.reliability import Calibration, calibration, curve, judged
from biomark.evaluation.semeval import SchemaCounts
from biomark.evaluation.significance import RESAMPLES, SEED, bootstrap_intervals, precision_recall_f1
from biomark.spans import Document

_CATALOGUE_NAME = re.compile(r"(\w+):([\w+]+)")
_SPLIT = re.compile(r"(?<![a-z])(train|training|devel|dev|development|valid|validation|test)(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Signature:
    """The origin of a score; two scores are comparable only if their signatures agree.

    Attributes:
        corpus: the gold file's name without its folder, or a corpus of the catalogue.
        split: the split that this name contains, such as `test`; otherwise "unknown".
        gold: 12 hexadecimal digits of the SHA-256 of the gold mentions, with their identifiers if these are scored.
        types: the scored types.
        scheme: the scored schemes (strict, partial, identifiers), joined by `+`.
        style: "standard" or "bc2gm".
        documents: the number of gold documents.
        procedure: bootstrap or permutation test, with its number of draws and its seed.
    """

    corpus: str
    split: str
    gold: str
    types: tuple[str, ...]
    scheme: str
    style: str
    documents: int
    procedure: str

    @classmethod
    def of(cls, gold: Gold, types: Sequence[str], corpus: str, procedure: str) -> Signature:
        """Return the signature of the strict and partial scores against `gold`."""
        name, split = Path(corpus).name, "unknown"
        if named := _CATALOGUE_NAME.fullmatch(name):
            name, split = named.groups()
        elif match := _SPLIT.search(name):
            split = match[1].lower()
        scheme = "+".join(SCHEMES)
        return cls(name, split, gold.digest(), tuple(types), scheme, gold.style, len(gold), procedure)

    def with_identifiers(self, tally: IdentifierTally) -> Signature:
        """Return the signature of scores that include identifiers."""
        gold = hashlib.sha256("\n".join((self.gold, *tally.gold)).encode()).hexdigest()
        return replace(self, gold=gold[:12], scheme=f"{self.scheme}+identifiers")

    def __str__(self) -> str:
        fields = {
            "corpus": self.corpus,
            "split": self.split,
            "gold": self.gold,
            "types": ",".join(self.types),
            "scheme": self.scheme,
            "style": self.style,
            "documents": self.documents,
            "procedure": self.procedure,
            "version": version("biomark"),
        }
        return "|".join(f"{name}:{value}" for name, value in fields.items())


@dataclass(frozen=True, slots=True)
class Score:
    """Precision, recall and F1 in [0, 1], with the counts and the signature behind them.

    Attributes:
        precision: the share of correct mentions among all predicted mentions; 0 if there are none.
        recall: the share of matched mentions among all gold mentions; 0 if there are none.
        f1: the harmonic mean of both; 0 if both are 0.
        low: the lower end of the 95 % interval of `f1`.
        high: the upper end of that interval.
        counts: the counts from which the scores were computed.
        signature: see `Signature`.
    """

    precision: float
    recall: float
    f1: float
    low: float
    high: float
    counts: Counts
    signature: str


@dataclass(frozen=True, slots=True)
class IdentifierScores:
    """The scores of identifiers of one type, or of all types together.

    Attributes:
        mention: the score over mentions, which must agree in spans, type and set of identifiers.
        document: the score over the distinct identifiers of each document.
        accuracy: the accuracy of identifiers on gold mentions whose spans and type were predicted.
    """

    mention: Score
    document: Score
    accuracy: Accuracy


@dataclass(frozen=True, slots=True)
class Scores:
    """All scores of one type, or of all types together; `identifiers` is None unless they were scored."""

    strict: Score
    partial: Score
    semeval: Mapping[str, SchemaCounts]
    identifiers: IdentifierScores | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The scores of one system.

    Attributes:
        overall: the scores over all types together (micro-averaged: their counts are added).
        types: entity type → scores.
        mistakes: every error, in the order of the documents.
        documents: the number of scored documents.
        corpus: the name of the gold corpus, as in the signature.
        signature: see `Signature`.
        notes: remarks for the reader: missing documents, types that were not scored, merged mentions.
        calibration: the calibration of the mentions' scores; None unless it was requested.
    """

    overall: Scores
    types: Mapping[str, Scores]
    mistakes: tuple[Mistake, ...]
    documents: int
    corpus: str
    signature: str
    notes: tuple[str, ...] = field(default=())
    calibration: Calibration | None = None


def evaluate(
    gold: Iterable[Document],
    predicted: Iterable[Document],
    *,
    types: Sequence[str] = (),
    type_map: Mapping[str, str] | None = None,
    style: str = "standard",
    corpus: str = "",
    identifiers: bool = False,
    calibrated: bool = False,
) -> Evaluation:
    """Score predicted mentions against gold ones.

    Args:
        gold: the reference documents.
        predicted: the same documents with a system's mentions, as a stream in any order.
        types: the types to score; empty: those that gold annotates.
        type_map: spelling in the files → name of the type.
        style: "bc2gm" accepts alternatives as BioCreative II does.
        corpus: the name of gold for the signature, such as `ncbi_disease:test`.
        identifiers: score the mentions' identifiers as well; all predictions are then held in memory.
        calibrated: compute the calibration of the mentions' scores; all predictions are then held in memory.

    Raises:
        SpanError: if the texts of a document differ.
        UsageError: if two documents have the same id, no document has an id of gold, a mention lacks the score that
            calibration needs, too many mentions cover one offset, or there are too many types.
    """
    notes: list[str] = []
    reference = Gold(gold, types=types, type_map=type_map, style=style, tell=notes.append)
    pairs: Iterable[Pair] = reference.pair(predicted, tell=notes.append)
    if identifiers or calibrated:
        pairs = tuple(pairs)
    tally = gather(pairs, reference.types)
    named = gather_identifiers(pairs, tally.types) if identifiers else None
    evaluation = score(tally, reference, corpus=corpus, notes=notes, identifiers=named)
    if not calibrated:
        return evaluation
    pairs = tuple(pairs)
    return replace(evaluation, calibration=replace(calibration(*judged(pairs)), curve=curve(pairs)))


def score(
    tally: Tally,
    gold: Gold,
    *,
    corpus: str = "",
    notes: Sequence[str] = (),
    identifiers: IdentifierTally | None = None,
) -> Evaluation:
    """Compute scores from gathered counts.

    Args:
        tally: the counts of all documents.
        gold: the gold documents.
        corpus: the name of gold for the signature.
        notes: remarks for the reader of the scores.
        identifiers: the counts of identifiers, if they are scored.
    """
    signature = Signature.of(gold, tally.types, corpus, f"bootstrap,resamples={RESAMPLES},seed={SEED}")
    rows = _table_scores(tally.table(), [replace(signature, scheme=scheme) for scheme in SCHEMES])
    semeval = (tally.semeval, *(tally.semeval_by_type[entity_type] for entity_type in tally.types))
    scores_of_rows = [Scores(strict, partial, counts) for (strict, partial), counts in zip(rows, semeval, strict=True)]
    if identifiers is not None:
        signature = signature.with_identifiers(identifiers)
        named = _identifier_scores(identifiers, signature)
        scores_of_rows = [replace(scores, identifiers=more) for scores, more in zip(scores_of_rows, named, strict=True)]
        notes = (*notes, *identifiers.notes)
    return Evaluation(
        scores_of_rows[0],
        dict(zip(tally.types, scores_of_rows[1:], strict=True)),
        tally.mistakes,
        len(tally.documents),
        Path(corpus).name,
        str(signature),
        tuple(notes),
    )


def _identifier_scores(tally: IdentifierTally, signature: Signature) -> list[IdentifierScores]:
    """Return the scores of identifiers over all types together, then of each type."""
    rows = _table_scores(tally.table(), [replace(signature, scheme=f"identifiers,{level}") for level in LEVELS])
    accuracy = (sum(tally.accuracy.values(), Accuracy()), *tally.accuracy.values())
    return [IdentifierScores(mention, document, a) for (mention, document), a in zip(rows, accuracy, strict=True)]


def _table_scores(table: NDArray[np.int64], signatures: Sequence[Signature]) -> list[list[Score]]:
    """Return a score for each row and column of a table of counts.

    Args:
        table: int64 (documents, rows, columns, 4).
        signatures: one for each column.
    """
    totals, intervals = table.sum(axis=0), bootstrap_intervals(table)
    points, signature_texts = precision_recall_f1(totals), [str(signature) for signature in signatures]

    def one(row: int, column: int) -> Score:
        precision, recall, f1 = points[row, column].tolist()
        low, high = intervals[row, column].tolist()
        return Score(precision, recall, f1, low, high, Counts(*totals[row, column].tolist()), signature_texts[column])

    return [[one(row, column) for column in range(len(signatures))] for row in range(table.shape[1])]
