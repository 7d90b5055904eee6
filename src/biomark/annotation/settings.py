"""Settings of runs into a folder.

This module imports no heavy library, so that the command line starts quickly.
"""

from __future__ import annotations

from dataclasses import dataclass

from biomark.runtime.options import option


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The size of shards and the form of progress in a run into a folder; each field carries its meaning."""

    shard: int = option(10_000, "The number of documents in a shard.")
    json_progress: bool = option(
        False, "Write progress to standard output every 10 seconds, as one JSON object on a line."
    )
