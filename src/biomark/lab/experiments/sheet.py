"""Look-up of the figures in an experiment's JSON file, the only input of pages and verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from biomark.errors import UsageError
from biomark.lab.experiments.findings import Estimate
from biomark.lab.experiments.published import corpus_of
from biomark.lab.experiments.specs import Experiment, Setting

NAMES = {
    "ncbi_disease": "NCBI-disease",
    "bc5cdr_chemical": "BC5CDR-chemical",
    "bc5cdr_disease": "BC5CDR-disease",
    "bc2gm": "BC2GM",
    "nlm_chem": "NLM-Chem",
    "nlm_gene": "NLM-Gene",
    "s800": "S800",
    "linnaeus": "LINNAEUS",
    "bioid": "BioID",
    "tmvar3": "tmVar3",
}
_DIFFERENCES = ("contrasts", "pairs")
UNPAIRED = "unpaired"  # the interval of a difference that was computed without the answers

Cell = Mapping[str, Any]
"""The scores of a model on a test set, in the form of the JSON file."""


def short(test: str) -> str:
    """Return the name of a test set on pages."""
    corpus = corpus_of(test)
    return NAMES.get(corpus, corpus) + (" (tokenised)" if test.startswith(f"{corpus}_iob") else "")


def page_facts(path: Path) -> Mapping[str, Any] | None:
    """Return the figures of the JSON file of a page; None if it is a file of another kind.

    Raises:
        UsageError: if the file cannot be read.
    """
    try:
        facts = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    return facts if isinstance(facts, dict) and {"scale", "models", "cells"} <= facts.keys() else None


class Sheet:
    """The figures of an experiment at a scale.

    Args:
        experiment: the row of the experiment.
        data: what `biomark.lab.experiments.facts.gather` makes of its results, or the JSON file that was made of that.
    """

    def __init__(self, experiment: Experiment, data: Mapping[str, Any]) -> None:
        self.experiment = experiment
        self.data = data
        self.scale: str = data["scale"]
        self.tests: Sequence[str] = data["tests"]
        self.fractions: Sequence[float] = data["fractions"]
        self.models: Mapping[str, Mapping[str, Any]] = data["models"]
        self.all_cells: Sequence[Cell] = data["cells"]

    @property
    def setting(self) -> Setting:
        """The experiment's models and test sets at this scale."""
        return self.experiment.scales[self.scale]

    def title(self, model: str) -> str:
        """Return the name of a model on pages."""
        return str(self.models[model]["title"])

    def cells(self, model: str, test: str, fraction: float = 1.0) -> list[Cell]:
        """Return the cells of a model on a test set, one for each seed."""
        wanted = (model, test, fraction)
        return [cell for cell in self.all_cells if (cell["model"], cell["test"], cell["fraction"]) == wanted]

    def meant(self, model: str, test: str) -> bool:
        """Return whether a model is to read a test set, whose type some models do not know."""
        return test in self.models[model]["tests"]

    def f1(self, model: str, test: str, fraction: float = 1.0) -> float | None:
        """Return the mean strict F1 over seeds, in [0, 1]; None if the cells have not been run."""
        cells = self.cells(model, test, fraction)
        return sum(cell["strict"]["f1"] for cell in cells) / len(cells) if cells else None

    def type_of(self, test: str) -> str:
        """Return the only type of a test set, or "" if it has several or has not been read."""
        types: Sequence[str] = next((cell["types"] for cell in self.all_cells if cell["test"] == test), [])
        return types[0] if len(types) == 1 else ""

    def documents(self, test: str) -> int:
        """Return the number of documents of a test set that were read; 0 if it has not been read."""
        return max((cell["documents"] for cell in self.all_cells if cell["test"] == test), default=0)

    def speed(self, model: str) -> float | None:
        """Return the mean speed of a model in sentences per second; None if it was not measured.

        Answers from the cache, such as those of an interrupted run, are not counted, because they take no time.
        """
        speeds = [
            cell["sentences"] * share / max(cell["seconds"], 1e-3)
            for cell in self.all_cells
            if cell["model"] == model and (share := _new_share(cell)) > 0
        ]
        return sum(speeds) / len(speeds) if speeds else None

    def difference(
        self, first: str, second: str, test: str, shares: tuple[float, float] = (1.0, 1.0), scheme: str = "strict"
    ) -> Estimate | None:
        """Return the F1 of the second model minus that of the first one, each tuned on a share of its data."""
        for row in self.differences():
            of = (row.get("a_fraction", 1.0), row.get("b_fraction", 1.0))
            if row["test"] != test:
                continue
            estimate = Estimate(*(row[scheme][end] for end in ("value", "low", "high")))
            if (row["a"], row["b"], of) == (first, second, shares):
                return estimate
            if (row["b"], row["a"], (of[1], of[0])) == (first, second, shares):
                return Estimate(-estimate.value, -estimate.high, -estimate.low)
        return None

    def differences(self) -> Iterator[Mapping[str, Any]]:
        """Return all differences in the JSON file."""
        for name in _DIFFERENCES:
            yield from self.data.get(name, ())


def _new_share(cell: Cell) -> float:
    """Return the share of new answers among those of a cell, in [0, 1]; 1 for models that are not prompted."""
    new, cached = (cell.get(f"{name}_answers", 0) for name in ("new", "cached"))
    return float(new / (new + cached)) if cached else 1.0
