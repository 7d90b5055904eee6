"""What a shell completes after an option: names of formats, types and models.

Each function takes what is typed so far and gives the words that it may become. They run at each
press of the tab key and thus import what they need only then.
"""

from __future__ import annotations


def read_formats(incomplete: str) -> list[str]:
    """Formats that can be read."""
    from biomark.formats import FORMATS

    return [f.name for f in FORMATS.values() if f.read is not None and f.name.startswith(incomplete)]


def write_formats(incomplete: str) -> list[str]:
    """Formats that can be written."""
    from biomark.formats import FORMATS

    return [f.name for f in FORMATS.values() if f.write is not None and f.name.startswith(incomplete)]


def types(incomplete: str) -> list[str]:
    """A comma-separated list whose last type may become any that is not in it yet."""
    from biomark.entity_types import entity_types

    before, comma, last = incomplete.rpartition(",")
    given = before.split(",")
    return [f"{before}{comma}{name}" for name in entity_types() if name.startswith(last) and name not in given]


def models(incomplete: str) -> list[str]:
    """Models at hand, and what the names of prompted ones begin with."""
    from biomark.models import DICTIONARY, GIVEN, PROMPTED, names

    return [name for name in (*names(), DICTIONARY, GIVEN, *PROMPTED) if name.startswith(incomplete)]
