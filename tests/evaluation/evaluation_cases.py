"""Documents for the tests of evaluation: written by hand, generated, and real ones with random errors."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace

from hypothesis import strategies as st

from biomark.spans import Document, Entity, Infons, Span

TEXT = "Aspirin and severe asthma in mice. TNF-α, also in asthma."
TYPES = ("chemical", "disease", "gene")


def mention(type: str, *offsets: int) -> Entity:
    """A mention with its offsets: start, end, start, end …"""
    return Entity(tuple(Span(a, b) for a, b in zip(offsets[::2], offsets[1::2], strict=True)), type)


def document(*entities: Entity, id: str = "1", text: str = TEXT) -> Document:
    return Document(id, text, entities=entities)


@st.composite
def flat_mentions(draw: st.DrawFn, words: int) -> list[tuple[int, int, str]]:
    """Mentions that do not overlap: first word, one past the last word, type."""
    cuts = sorted(draw(st.lists(st.integers(0, words), unique=True, max_size=words)))
    return [(a, b, draw(st.sampled_from(TYPES))) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]


WORDS = 12
WORD_TEXT = "abc " * WORDS


def of_words(mentions: Iterable[tuple[int, int, str]], id: str) -> Document:
    """A document of `WORDS` words with mentions counted in words."""
    return document(*(mention(type, 4 * a, 4 * b - 1) for a, b, type in mentions), id=id, text=WORD_TEXT)


flat_corpora = st.lists(st.tuples(flat_mentions(WORDS), flat_mentions(WORDS)), min_size=1, max_size=4)


@st.composite
def any_mentions(draw: st.DrawFn) -> tuple[Entity, ...]:
    """Mentions that may nest, cross, repeat and have several parts."""
    found = []
    for _ in range(draw(st.integers(0, 6))):
        cuts = sorted(draw(st.sets(st.integers(0, len(TEXT)), min_size=2, max_size=4)))
        cuts = cuts[: len(cuts) // 2 * 2]
        found.append(mention(draw(st.sampled_from(TYPES)), *cuts))
    return tuple(found)


def perturbed(document: Document, random: random.Random) -> Document:
    """The document as a mediocre system would annotate it: mentions lost, moved, mistyped, made up."""
    entities: list[Entity] = []
    for entity in document.entities:
        fate = random.random()
        if 0.1 <= fate < 0.25:
            start = max(0, entity.start + random.randint(-4, 4))
            end = max(start + 1, min(len(document.text), entity.end + random.randint(-4, 4)))
            entities.append(replace(entity, spans=(Span(start, end),)))
        elif 0.25 <= fate < 0.3:
            entities.append(replace(entity, type=random.choice(TYPES)))
        elif fate >= 0.3:
            entities.append(entity)
    if random.random() < 0.3 and len(document.text) > 10:
        start = random.randrange(len(document.text) - 9)
        entities.append(Entity((Span(start, start + random.randint(1, 9)),), "Disease"))
    return replace(document, entities=tuple(entities), alternatives=())


def named(type: str, start: int, end: int, ids: str = "", candidates: str = "") -> Entity:
    """A mention with identifiers between bars, and candidates between blanks."""
    infons = Infons({"candidates": candidates} if candidates else {})
    return replace(mention(type, start, end), ids=tuple(ids.split("|") if ids else ()), infons=infons)
