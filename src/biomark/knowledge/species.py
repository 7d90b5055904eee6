"""Which species a text speaks of, for genes that many species have under one name."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from functools import cache

from biomark.entity_types import canonical as canonical_type
from biomark.identifiers import canonical
from biomark.knowledge.forms import words
from biomark.runtime.toml import packaged
from biomark.spans import Document, Span

HUMAN = "NCBITaxon:9606"

Mention = tuple[int, str]
"""Where a species is named (code points), and its identifier."""


def mentions(document: Document) -> tuple[Mention, ...]:
    """Where a document names species: its mentions of them, and the common names of `species.toml`."""
    found = [
        (entity.start, canonical(entity.ids[0], "species"))
        for entity in document.entities
        if entity.ids and canonical_type(entity.type) == "species"
    ]
    before = ""
    for word in words(document.text):
        for name in (f"{before} {word.form}", word.form):
            if name in _names():
                found.append((word.start, _names()[name]))
                break
        before = word.form
    return tuple(sorted(found))


def nearest(named: Sequence[Mention], place: int, sentences: Sequence[Span]) -> tuple[str, ...]:
    """The species that a document names, best first: those of the place's sentence, then the commonest.

    Args:
        named: from `mentions`.
        place: where the gene stands, in code points.
        sentences: of the document, in order.
    """
    before = bisect_right(sentences, place, key=lambda span: span.start)
    own = sentences[before - 1 : before] if before else ()
    around = [(abs(place - start), taxon) for start, taxon in named for span in own if span.start <= start < span.end]
    counts = Counter(taxon for _, taxon in named)
    return tuple(dict.fromkeys([taxon for _, taxon in sorted(around)] + [taxon for taxon, _ in counts.most_common()]))


@cache
def _names() -> dict[str, str]:
    rows = packaged("biomark.knowledge", "species.toml", dict[str, list[str]])
    return {" ".join(word.form for word in words(name)): taxon for taxon, names in rows.items() for name in names}
