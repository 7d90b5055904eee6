"""Split composite mentions, which name several concepts: `breast and ovarian cancer`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from biomark.text.typography import HYPHENS

# Runs of blanks match from their beginnings alone; otherwise long runs would take quadratic time.
_BETWEEN = re.compile(
    r"(?:(?<!\s)\s++)?+(?:[,，]\s*+(?:and/or|and|or)\s++|[,，/／⁄∕&]\s*+)"
    r"|(?<!\s)\s++(?:and/or|and|or|plus|as\s++well\s++as)\s++",
    re.IGNORECASE,
)
# A part has no white space, hyphens or brackets at its ends.
_EDGE = rf"\s\-{HYPHENS}()\[\]"
_PART = re.compile(rf"[^{_EDGE}](?:.*[^{_EDGE}])?", re.DOTALL)
_NUMBERED = re.compile(r"(.*\D)\d+")
_MOST_PARTS = 6


def readings(mention: str) -> Iterator[tuple[str, ...]]:
    """Yield the ways to split a composite mention into names, the likelier ones first.

    Commas, slashes, "and", "or" and the like separate the parts. The parts may share their end (`ocular
    and auditory toxicity`), their beginning (`cancer of the breast and ovary`, `BRCA1/2`), or nothing. A
    mention without separators has no readings.
    """
    parts = [found[0] for piece in _BETWEEN.split(mention) if (found := _PART.search(piece))]
    if not 2 <= len(parts) <= _MOST_PARTS:
        return
    first, last = parts[0].split(), parts[-1].split()
    for shared in range(1, len(last)):
        end = " ".join(last[-shared:])
        yield (*(f"{part} {end}" for part in parts[:-1]), parts[-1])
    for shared in range(len(first) - 1, 0, -1):
        beginning = " ".join(first[:shared])
        yield (parts[0], *(f"{beginning} {part}" for part in parts[1:]))
    yield tuple(parts)
    if (numbered := _NUMBERED.fullmatch(parts[0])) and all(part.isdecimal() for part in parts[1:]):
        yield (parts[0], *(numbered[1] + part for part in parts[1:]))
