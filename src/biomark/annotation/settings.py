"""Settings of runs into a folder and of their workers.

This module imports no heavy library, so that the command line starts quickly.
"""

from __future__ import annotations

from dataclasses import dataclass

from biomark.errors import UsageError
from biomark.runtime.options import option

LOCAL, RAY = "local", "ray"  # engines
_MOST = 10_000  # cores or GPUs of one worker


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The size of shards and the form of progress in a run into a folder; each field carries its meaning."""

    shard: int = option(10_000, "The number of documents in a shard.")
    json_progress: bool = option(
        False, "Write progress to standard output every 10 seconds, as one JSON object on a line."
    )


@dataclass(frozen=True, slots=True)
class RayOptions:
    """What each worker of `--engine ray` takes of its machine; each field carries its meaning.

    Raises:
        UsageError: if Ray cannot reserve so much.
    """

    actor_cpus: float = option(1.0, "The cores of a worker: at most 1, or a whole number.")
    actor_gpus: float | None = option(
        None,
        "The GPUs of a worker: at most 1, or a whole number. Default: 1 for a model that needs torch, if the cluster "
        "has GPUs, else 0.",
    )

    def __post_init__(self) -> None:
        for name, value in (("actor_cpus", self.actor_cpus), ("actor_gpus", self.actor_gpus or 0.0)):
            if not 0 <= value <= _MOST or (value > 1 and value != int(value)):
                raise UsageError(f"`{name}` must be between 0 and 1, or a whole number, got {value}")
