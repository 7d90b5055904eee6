"""Counts of the information that an output format cannot hold: one table of a document's parts for all writers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection

from biomark.formats.identifiers import split_ids
from biomark.spans import Document

GAPS = "gaps of discontinuous mentions (written from first to last part)"

PARTS: dict[str, Callable[[Document], int]] = {
    "passages": lambda d: len(d.passages),
    "passage infons": lambda d: sum(len(p.infons) for p in d.passages),
    "sentence offsets": lambda d: len(d.sentences),
    "mentions": lambda d: len(d.entities),
    GAPS: lambda d: sum(len(e.spans) > 1 for e in d.entities),
    "identifiers": lambda d: sum(len(e.ids) for e in d.entities),
    "scores": lambda d: sum(e.score is not None for e in d.entities),
    "alternatives": lambda d: len(d.alternatives),
    "relations": lambda d: len(d.relations),
    "relation infons": lambda d: sum(len(r.infons.without("id")) for r in d.relations),
    "document infons": lambda d: len(d.infons),
}


def count_losses(
    document: Document, lost: Counter[str], *, holds: Collection[str] = (), infons: Collection[str] = ()
) -> None:
    """Add the parts of a document that a format cannot hold to `lost`.

    Args:
        document: the document that is being written.
        lost: counts by kind; kinds with a count of 0 are left out.
        holds: the parts (see `PARTS`) that the format can hold.
        infons: the keys of the mention infons that it can hold. Infons that only repeat the mention's
            identifiers (BioC's `MESH`) or number it (`id`) do not count as lost.
    """
    for part, count in PARTS.items():
        if part not in holds:
            add(lost, part, count(document))
    if "mention infons" not in holds and "mentions" in holds:
        lost_infons = (
            key
            for e in document.entities
            for key, value in e.infons.items()
            if key not in infons and key != "id" and not (e.ids and split_ids(value) == e.ids)
        )
        add(lost, "mention infons", sum(1 for _ in lost_infons))


def add(lost: Counter[str], kind: str, number: int = 1) -> None:
    """Add `number` losses of a kind to `lost`, unless `number` is 0."""
    if number:
        lost[kind] += number


def one_line(field: str, lost: Counter[str]) -> str:
    """Return a name or identifier with its tabs and line ends replaced, as a format of lines and columns requires."""
    clean = field.replace("\t", " ").replace("\n", " ").replace("\r", " ")
    add(lost, "tabs and line ends in names (written as blanks)", clean != field)
    return clean
