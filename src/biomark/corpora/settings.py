"""When sentences of two corpora count as the same: settings behind the command line's options.

Only data, so that the command line starts quickly.
"""

from __future__ import annotations

from dataclasses import dataclass

from biomark.runtime.options import option


@dataclass(frozen=True, slots=True)
class OverlapOptions:
    """When sentences of two corpora count as the same; each field says what it means."""

    letters: int = option(40, "Letters and digits of the shortest sentence that is compared, at least 8.")
    similarity: float = option(0.8, "The share of runs of 8 letters that both have, above 0; 1: all.")
