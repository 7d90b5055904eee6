"""Cells: a model, a test set that it reads, and the result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biomark import formats
from biomark.lab.experiments.data import test_documents
from biomark.lab.experiments.specs import ModelSpec
from biomark.spans import Document
from biomark.text.sentences import OWN

PREDICTED = "predicted.jsonl"


@dataclass(frozen=True, slots=True)
class Build:
    """A model cell.

    Attributes:
        model: the row of the model.
        types: the types to learn and annotate; empty: all types that its data annotate.
        fraction: the fraction of the sentences to learn from.
        seed: the seed of sampling and training.
        repeats: the number of times that an epoch has each sentence.
    """

    model: ModelSpec
    types: tuple[str, ...] = ()
    fraction: float = 1.0
    seed: int = 13
    repeats: int = 1

    @property
    def label(self) -> str:
        """The description of the cell for the terminal."""
        more = [*self.types]
        if self.fraction < 1:
            more.append(f"{self.fraction:.0%} of the data")
        if self.model.trained:
            more.append(f"seed {self.seed}")
        return f"{self.model.name} ({', '.join(more)})" if more else self.model.name


@dataclass(frozen=True, slots=True)
class Reading:
    """A test cell: a model reads a test set.

    Attributes:
        build: the model.
        test: the split.
        sentences: the approximate number of sentences of the test set; 0: all.
        splitter: the sentence splitter of texts that the corpus does not split; see `biomark.text.sentences.SPLITTERS`.
    """

    build: Build
    test: str
    sentences: int = 0
    splitter: str = OWN

    def documents(self) -> tuple[Document, ...]:
        """Return the documents of the test set, with sentences and gold mentions."""
        return test_documents(self.test, self.sentences, self.splitter)


@dataclass(frozen=True, slots=True)
class Result:
    """The scores of a model on a test set.

    Attributes:
        reading: the cell.
        facts: the content of `scores.json`.
        folder: the folder of the cell.
    """

    reading: Reading
    facts: Mapping[str, Any]
    folder: Path

    def figure(self, scheme: str, figure: str = "f1") -> float:
        """Precision, recall, F1, or an end of its interval (`low`, `high`), in [0, 1]."""
        return float(self.facts[scheme][figure])

    def predictions(self) -> Iterator[Document]:
        """Return the documents with the predicted mentions."""
        return formats.read(self.folder / PREDICTED)
