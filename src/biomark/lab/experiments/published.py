"""The figures that the papers report, read from `published.toml` and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from biomark.errors import UsageError
from biomark.runtime.toml import converted, parse_toml

_ROUNDED = 0.0015  # figures of three digits: F1 may lie so far from what precision and recall give


class PublishedScores(NamedTuple):
    """Precision, recall and F1, in [0, 1]."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """The row of a model in a published table.

    Attributes:
        model: as the paper calls it, with what tells its rows apart.
        strict, partial: figures by corpus (its name in the catalogue); empty: the paper has none.
    """

    model: str
    strict: Mapping[str, PublishedScores] = field(default_factory=dict)
    partial: Mapping[str, PublishedScores] = field(default_factory=dict)

    def figures(self, scheme: str, test: str) -> PublishedScores | None:
        """Return the figures on a test set, which are the same for its tokenised version."""
        figures: Mapping[str, PublishedScores] = getattr(self, scheme)
        return figures.get(corpus_of(test))


@dataclass(frozen=True, slots=True)
class PublishedErrors:
    """The published numbers of sampled errors of a model on a corpus, by their kind."""

    model: str
    set: str
    errors: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Change:
    """A published range of the difference in F1 between two models or settings.

    Attributes:
        what: both, in words.
        range: in points: one number, or the smallest and the largest over corpora or shares.
        sets: the corpora; empty: all of the paper's.
        fraction: the share of the training data; 0: several.
    """

    what: str
    range: tuple[float, ...]
    sets: tuple[str, ...] = ()
    fraction: float = 0.0

    def points(self) -> str:
        """Return the range in words, in points of F1, for pages."""
        return " to ".join(f"{points:+.1f}" for points in self.range) + " points"


@dataclass(frozen=True, slots=True)
class Report:
    """The content of a published table or figure.

    Attributes:
        source: paper and table.
        figures, counts, changes: the content, of one of these kinds.
    """

    source: str
    figures: tuple[PublishedRow, ...] = ()
    counts: tuple[PublishedErrors, ...] = ()
    changes: tuple[Change, ...] = ()


@cache
def reports() -> Mapping[str, Report]:
    """Return all published tables and figures by name."""
    return read_reports(files("biomark.lab.experiments").joinpath("published.toml").read_text("utf-8"))


def read_reports(text: str) -> dict[str, Report]:
    """Parse and check the content of a file like `published.toml`.

    Raises:
        UsageError: if a row has a setting that there is not, or figures that do not belong together.
    """
    by_experiment = converted(parse_toml(text, "published figures"), dict[str, Report], "published figures")
    for row in (row for report in by_experiment.values() for row in report.figures):
        for test_set, (precision, recall, f1) in (*row.strict.items(), *row.partial.items()):
            if abs(2 * precision * recall / (precision + recall) - f1) > _ROUNDED:
                raise UsageError(f"published figures of {row.model} on {test_set}: F1 does not follow from the others")
    return by_experiment


def corpus_of(test: str) -> str:
    """Return the name of a split's corpus, the same for its tokenised version."""
    return test.partition(":")[0].removesuffix("_iob")
