"""The species that a text names, to disambiguate genes that have the same name in several species."""

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

SpeciesMention = tuple[int, str]
"""The offset of a species name in code points, and its identifier."""


def mentions(document: Document) -> tuple[SpeciesMention, ...]:
    """Return the species that a document names, from its entities and from the common names in `species.toml`."""
    places = [
        (entity.start, canonical(entity.ids[0], "species"))
        for entity in document.entities
        if entity.ids and canonical_type(entity.type) == "species"
    ]
    before = ""
    for word in words(document.text):
        for name in (f"{before} {word.form}", word.form):
            if name in _names():
                places.append((word.start, _names()[name]))
                break
        before = word.form
    return tuple(sorted(places))


def nearest(named: Sequence[SpeciesMention], place: int, sentences: Sequence[Span]) -> tuple[str, ...]:
    """Return the species of a document, best first: those in the gene's sentence by distance, then the most frequent.

    Args:
        named: the result of `mentions`.
        place: the offset of the gene in code points.
        sentences: the spans of the document's sentences, in order.
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
