"""Settings of identifiers, of runs and of their workers.

This module imports no heavy library, so that the command line starts quickly.
"""

from __future__ import annotations

from dataclasses import dataclass

from biomark.errors import UsageError
from biomark.runtime.options import option

LOCAL, RAY = "local", "ray"  # engines
_MOST = 10_000  # cores or GPUs of one worker


@dataclass(frozen=True, slots=True)
class NormalizationOptions:
    """The settings for assigning identifiers with `normalize`; each field has its meaning.

    Raises:
        UsageError: if the score is not between 0 and 1.
    """

    min_identifier_score: float | None = option(
        None,
        "Assign no identifier with a lower score, from 0 to 1. Default: 0.4 for a fuzzy answer, 0.7 for an embedding.",
    )

    def __post_init__(self) -> None:
        if self.min_identifier_score is not None and not 0 <= self.min_identifier_score <= 1:
            raise UsageError(f"`min_identifier_score` must be between 0 and 1, got {self.min_identifier_score}")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The display of progress, and the size of shards in a run into a folder; each field carries its meaning."""

    progress: bool | None = option(None, "Show progress. Default: only in a terminal.")
    shard: int = option(10_000, "In a run into a folder: the number of documents in a shard.")
    json_progress: bool = option(
        False,
        "In a run into a folder: write progress to standard output every 10 seconds, as one JSON object on a line.",
    )


@dataclass(frozen=True, slots=True)
class RayOptions:
    """The resources that each Ray worker reserves; each field has its meaning.

    Raises:
        UsageError: if Ray cannot reserve so much.
    """

    actor_cpus: float = option(1.0, "The cores of a worker: at most 1, or a whole number.")
    actor_gpus: float | None = option(
        None,
        "The GPUs of a worker: at most 1, or a whole number. Default: 1 for a model that needs torch, if the cluster "
        "has GPUs; otherwise 0.",
    )

    def __post_init__(self) -> None:
        for name, value in (("actor_cpus", self.actor_cpus), ("actor_gpus", self.actor_gpus or 0.0)):
            if not 0 <= value <= _MOST or (value > 1 and value != int(value)):
                raise UsageError(f"`{name}` must be between 0 and 1, or a whole number, got {value}")
