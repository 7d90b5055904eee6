"""Settings of the comparison of sentences of two corpora.

This module has data alone, so that the command line starts quickly.
"""

from __future__ import annotations

from dataclasses import dataclass

from biomark.runtime.options import option


@dataclass(frozen=True, slots=True)
class OverlapOptions:
    """Criteria by which sentences of two corpora count as the same; each field has its description."""

    letters: int = option(40, "Letters and digits of the shortest sentence that is compared, at least 8.")
    similarity: float = option(0.8, "The share of runs of 8 letters that both have, above 0; 1: all.")
