"""How a run into a folder is cut and watched: settings behind the command line's options.

Only data, so that the command line starts quickly.
"""

from __future__ import annotations

from dataclasses import dataclass

from biomark.runtime.options import option


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a run into a folder is cut and watched; each field has its meaning."""

    shard: int = option(10_000, "Documents a shard.")
    json_progress: bool = option(
        False, "Write the progress as a JSON object a line to standard output, every 10 seconds."
    )
