"""When sentences of two corpora count as the same: settings behind the command line's options.

Only data, so that the command line starts quickly.
"""

from __future__ import annotations

from dataclasses import dataclass

from biomark.runtime.options import option


@dataclass(frozen=True, slots=True)
class OverlapOptions:
    """When sentences of two corpora count as the same; each field has its meaning."""

    letters: int = option(40, "Length of the shortest sentence that is compared, in letters and digits; at least 8.")
    similarity: float = option(0.8, "Share of runs of 8 letters that two alike sentences have in common, in (0, 1].")
