"""From counts to scores, each with its interval and the signature of what was scored."""

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
    """What a number was computed from; two scores compare only where their signatures agree.

    Attributes:
        corpus: the gold file's name without its folder, or a corpus of the catalogue.
        split: as far as that name tells; "unknown" otherwise.
        gold: the first digits of the SHA-256 of the gold mentions, with identifiers where they are scored.
        types: those scored.
        scheme: strict, partial, identifiers, or those of them that were scored.
        style: standard or bc2gm.
        documents: how many gold has.
        procedure: bootstrap or permutation test, with its draws and seed.
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
        """The signature of a score against `gold`, for all schemes."""
        name, split = Path(corpus).name, "unknown"
        if named := _CATALOGUE_NAME.fullmatch(name):
            name, split = named.groups()
        elif found := _SPLIT.search(name):
            split = found[1].lower()
        scheme = "+".join(SCHEMES)
        return cls(name, split, gold.digest(), tuple(types), scheme, gold.style, len(gold), procedure)

    def with_identifiers(self, tally: IdentifierTally) -> Signature:
        """The signature of scores of which identifiers are a part."""
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
    """A score in [0, 1] with all that it takes to read it.

    Attributes:
        precision: right predicted mentions of all predicted ones; 0 if there are none.
        recall: found gold mentions of all gold ones; 0 if there are none.
        f1: their harmonic mean; 0 if both are.
        low: the lower end of the 95 % interval of `f1`.
        high: its upper end.
        counts: what they were computed from.
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
        mention: of mentions with the right spans, type and set of identifiers.
        document: of the distinct identifiers of each document.
        accuracy: of the identifiers of gold mentions whose spans and type were predicted.
    """

    mention: Score
    document: Score
    accuracy: Accuracy


@dataclass(frozen=True, slots=True)
class Scores:
    """All scores of one type, or of all types together; `identifiers` only if they were asked for."""

    strict: Score
    partial: Score
    semeval: Mapping[str, SchemaCounts]
    identifiers: IdentifierScores | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The scores of one system.

    Attributes:
        overall: of all types together (micro-averaged: their counts are added).
        types: of each type on its own.
        mistakes: every error, in the order of the documents.
        documents: how many were scored.
        corpus: how gold is called, as in the signature.
        signature: see `Signature`.
        notes: what the reader should know: missing documents, types left out, merged mentions.
        calibration: of the mentions' scores, if it was asked for.
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
        predicted: the same documents with a system's mentions; a stream, in any order.
        types: the types to score; empty: those that gold annotates.
        type_map: spelling in the files → name of the type.
        style: "bc2gm" accepts alternatives as BioCreative II does.
        corpus: how the signature calls gold, such as `ncbi_disease:test`.
        identifiers: score the mentions' identifiers as well; all predictions are then held in memory.
        calibrated: look at the mentions' scores as well; all predictions are then held in memory.

    Raises:
        SpanError: if the texts of a document differ.
        UsageError: if two documents have the same id, no document has an id of gold, a mention has no score that is to
            be looked at, or there are too many mentions over one place of a text or too many types.
    """
    notes: list[str] = []
    reference = Gold(gold, types=types, type_map=type_map, style=style, tell=notes.append)
    pairs: Iterable[Pair] = reference.pair(predicted, tell=notes.append)
    if identifiers or calibrated:
        pairs = tuple(pairs)
    tally = gather(pairs, reference.types)
    named = gather_identifiers(pairs, tally.types) if identifiers else None
    found = score(tally, reference, corpus=corpus, notes=notes, identifiers=named)
    if not calibrated:
        return found
    pairs = tuple(pairs)
    return replace(found, calibration=replace(calibration(*judged(pairs)), curve=curve(pairs)))


def score(
    tally: Tally,
    gold: Gold,
    *,
    corpus: str = "",
    notes: Sequence[str] = (),
    identifiers: IdentifierTally | None = None,
) -> Evaluation:
    """The scores that follow from gathered counts; see `evaluate`."""
    signature = Signature.of(gold, tally.types, corpus, f"bootstrap,resamples={RESAMPLES},seed={SEED}")
    rows = _table_scores(tally.table(), [replace(signature, scheme=scheme) for scheme in SCHEMES])
    semeval = (tally.semeval, *(tally.semeval_by_type[type] for type in tally.types))
    found = [Scores(strict, partial, counts) for (strict, partial), counts in zip(rows, semeval, strict=True)]
    if identifiers is not None:
        signature = signature.with_identifiers(identifiers)
        named = _identifier_scores(identifiers, signature)
        found = [replace(scores, identifiers=more) for scores, more in zip(found, named, strict=True)]
        notes = (*notes, *identifiers.notes)
    return Evaluation(
        found[0],
        dict(zip(tally.types, found[1:], strict=True)),
        tally.mistakes,
        len(tally.documents),
        Path(corpus).name,
        str(signature),
        tuple(notes),
    )


def _identifier_scores(tally: IdentifierTally, signature: Signature) -> list[IdentifierScores]:
    """Of all types together, then of each one."""
    rows = _table_scores(tally.table(), [replace(signature, scheme=f"identifiers,{level}") for level in LEVELS])
    accuracy = (sum(tally.accuracy.values(), Accuracy()), *tally.accuracy.values())
    return [IdentifierScores(mention, document, a) for (mention, document), a in zip(rows, accuracy, strict=True)]


def _table_scores(table: NDArray[np.int64], signatures: Sequence[Signature]) -> list[list[Score]]:
    """A score for each row and column of counts.

    Args:
        table: (documents, rows, columns, 4).
        signatures: one for each column.
    """
    totals, intervals = table.sum(axis=0), bootstrap_intervals(table)
    points, told = precision_recall_f1(totals), [str(signature) for signature in signatures]

    def one(row: int, column: int) -> Score:
        precision, recall, f1 = points[row, column].tolist()
        low, high = intervals[row, column].tolist()
        return Score(precision, recall, f1, low, high, Counts(*totals[row, column].tolist()), told[column])

    return [[one(row, column) for column in range(len(signatures))] for row in range(table.shape[1])]
