"""Settings of the comparison of sentences of two corpora.

This module has data alone, so that the command line starts quickly.
"""

from __future__ import annotations

from dataclasses import dataclass

from biomark.runtime.options import option


@dataclass(frozen=True, slots=True)
class OverlapOptions:
    """Criteria by which sentences of two corpora count as the same; each field has its description."""

    letters: int = option(40, "Length of the shortest sentence that is compared, in letters and digits; at least 8.")
    similarity: float = option(0.8, "Share of runs of 8 letters that two alike sentences have in common, in (0, 1].")
