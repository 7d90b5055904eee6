"""Shell completion of the names of formats, types and models.

Each function takes the incomplete word and returns the words that complete it. A shell calls them at each press of
the tab key, so they import heavy modules only when they run.
"""

from __future__ import annotations


def read_formats(incomplete: str) -> list[str]:
    """Complete the name of a format that biomark reads."""
    from biomark.formats import FORMATS

    return [f.name for f in FORMATS.values() if f.read is not None and f.name.startswith(incomplete)]


def write_formats(incomplete: str) -> list[str]:
    """Complete the name of a format that biomark writes."""
    from biomark.formats import FORMATS

    return [f.name for f in FORMATS.values() if f.write is not None and f.name.startswith(incomplete)]


def types(incomplete: str) -> list[str]:
    """Complete the last type of a comma-separated list with a type that the list does not have yet."""
    from biomark.entity_types import entity_types

    before, comma, last = incomplete.rpartition(",")
    listed = before.split(",")
    return [f"{before}{comma}{name}" for name in entity_types() if name.startswith(last) and name not in listed]


def models(incomplete: str) -> list[str]:
    """Complete the name of a local model, or the prefix of the names of prompted models."""
    from biomark.models import DICTIONARY, GIVEN, PROMPTED, names

    return [name for name in (*names(), DICTIONARY, GIVEN, *PROMPTED) if name.startswith(incomplete)]
