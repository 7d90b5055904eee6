"""Experiments: tables of papers, each made again by one command (`biomark reproduce NAME`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from biomark.errors import UsageError
from biomark.experiments import hu2024
from biomark.experiments.outcome import Outcome, Table

SCALES = ("small", "paper")
EXPERIMENTS: Mapping[str, Callable[[str], Outcome]] = {"hu2024": hu2024.run}
"""What runs each experiment, by its name; it takes one of `SCALES`."""


def reproduce(name: str, scale: str = "paper") -> Outcome:
    """Run an experiment.

    Args:
        name: one of `EXPERIMENTS`.
        scale: `paper` for all that the paper did, `small` for what a laptop does in minutes.

    Raises:
        UsageError: if there is no such experiment or scale.
        CorpusError: if its data are not there.
    """
    if name not in EXPERIMENTS:
        raise UsageError(f"no experiment {name!r}; there are {', '.join(EXPERIMENTS)}")
    if scale not in SCALES:
        raise UsageError(f"--scale is {' or '.join(SCALES)}, not {scale!r}")
    return EXPERIMENTS[name](scale)


__all__ = ["EXPERIMENTS", "SCALES", "Outcome", "Table", "reproduce"]
