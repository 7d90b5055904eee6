"""Data augmentation from a knowledge store: lists of names (DBR), and mentions replaced by other names.

All random choices depend only on the seed and the epoch, so that a resumed run sees the same examples.
"""

from __future__ import annotations

import random
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

from biomark.errors import UsageError
from biomark.knowledge.store import Store, Term
from biomark.spans import Document, Entity, Span, flat
from biomark.text.edits import Edit, edited

# The greatest number of names of a type that an epoch draws from, and of code points of a name.
POOL, LONGEST = 5000, 80
# A mention of capitals and digits alone, up to this length, may be an abbreviation that is defined elsewhere.
ABBREVIATION = 6
SEPARATORS = (", ", "; ", " ")
_WORD = re.compile(r"[^\W\d_ß]{4,}")


@dataclass(frozen=True, slots=True)
class Listed:
    """A name in a list.

    Attributes:
        text: the name.
        types: the types that the name has.
        known: the types that its source covers, so that the name does not have those of them that are not in `types`;
            None: all types.
    """

    text: str
    types: frozenset[str]
    known: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Pools:
    """Names to draw from, by type.

    Attributes:
        own: the names of each type.
        others: for each type, names of other types.
    """

    own: Mapping[str, Sequence[Listed]]
    others: Mapping[str, Sequence[Listed]]

    def draw(self, entity_type: str, count: int, chance: random.Random) -> list[Listed]:
        """Draw names, half of them of a type on average; all of them if the store has no other types."""
        names = []
        for _ in range(count):
            pool = self.own[entity_type] if chance.random() < 0.5 else self.others[entity_type]
            if pool := pool or self.own[entity_type]:
                names.append(chance.choice(pool))
        return names


def read_pools(path: Path, types: Sequence[str], seed: str, *, size: int = POOL) -> Pools:
    """Read the names that an epoch draws from.

    Args:
        path: the path of the knowledge store.
        types: the types to learn.
        seed: the seed of the random choice.
        size: the greatest number of names of each type.

    Raises:
        UsageError: if the store has names of none of the types.
        KnowledgeError: if the store cannot be read.
    """
    with Store(path) as store:
        available = [entity_type for entity_type in types if entity_type in store.types]
        if not available:
            raise UsageError(
                f"{path}: has names of {', '.join(store.types) or 'nothing'}, but none of {', '.join(types)}"
            )
        own = {
            entity_type: _listed(store, store.sample(entity_type, size, f"{seed} {entity_type}"))
            for entity_type in available
        }
        others = {
            entity_type: _listed(store, store.sample(entity_type, size, f"{seed} {entity_type}", other=True))
            for entity_type in available
        }
    return Pools(own, others)


def _listed(store: Store, terms: Iterable[Term]) -> tuple[Listed, ...]:
    """Return the names that are short enough to occur in a sentence, each with all its types."""
    return tuple(
        Listed(term.text, frozenset(other.concept.type for other in store.by_form(term.form)))
        for term in terms
        if len(term.text) <= LONGEST
    )


def mentions_of(documents: Iterable[Document], types: Iterable[str]) -> tuple[Listed, ...]:
    """Return the distinct contiguous mentions of a corpus, each with the types that the corpus gives it.

    Args:
        documents: the documents of the corpus.
        types: the types that the corpus annotates.
    """
    known = frozenset(types)
    types_of: dict[str, set[str]] = {}
    for document in documents:
        for entity in document.entities:
            text = entity.mention(document.text)
            if entity.type in known and len(entity.spans) == 1 and len(text) <= LONGEST:
                types_of.setdefault(text, set()).add(entity.type)
    return tuple(Listed(text, frozenset(own), known) for text, own in types_of.items())


def as_list(names: Sequence[Listed], separator: str) -> tuple[str, list[Span]]:
    """Return a text that lists names, and the span of each name in it."""
    text, spans = "", []
    for name in names:
        text += separator if text else ""
        spans.append(Span(len(text), len(text) + len(name.text)))
        text += name.text
    return text, spans


def recased(document: Document, chance: random.Random) -> Document:
    """Return the document in lower case or, in one of three cases, with each longer word capitalised.

    All offsets stay: a letter whose lower case is longer than one character keeps its case.
    """
    if chance.random() < 1 / 3:
        text = _WORD.sub(lambda word: word[0][0].upper() + word[0][1:] if word[0].islower() else word[0], document.text)
    else:
        text = "".join(lower if len(lower := c.lower()) == 1 else c for c in document.text)
    return replace(document, text=text)


def swapped(document: Document, pools: Pools, chance: random.Random) -> Document:
    """Replace the mentions of a document by other names of the same types.

    Equal mentions, regardless of case, get the same name. Mentions that partly overlap others or have exactly their
    words, that cross the end of a sentence or passage, or that are discontinuous stay. Of nested mentions the outer one
    is replaced and the inner ones are dropped.
    """
    table: dict[tuple[str, str], str] = {}
    edits: list[Edit] = []
    for entity in _replaceable(document):
        text = entity.mention(document.text)
        if not pools.own.get(entity.type) or (len(text) <= ABBREVIATION and text == text.upper()):
            continue
        key = (entity.type, text.casefold())
        if key not in table:
            table[key] = chance.choice(pools.own[entity.type]).text
        edits.append(Edit(entity.extent, _like(table[key], text)))
    return replace(edited(document, edits), alternatives=(), relations=())  # they refer to the old names


def _like(name: str, mention: str) -> str:
    """Return the name, capitalised if the mention is capitalised like the first word of a sentence."""
    capital = mention[:1].isupper() and mention[1:2].islower() and name.islower()
    return name[:1].upper() + name[1:] if capital else name


def _replaceable(document: Document) -> list[Entity]:
    """Return the contiguous mentions, disjoint and in order, that cross no mention and no end of a sentence.

    Mentions with the same words as another one are left out, too.
    """
    spans = [*document.sentences, *(passage.span for passage in document.passages)]
    edges = sorted({edge for span in spans for edge in (span.start, span.end)})
    others = sorted(entity.extent for entity in document.entities)
    starts = [other.start for other in others]
    reach = [0, *accumulate((other.end for other in others), max)]  # the greatest end of the mentions before each one

    def stays(entity: Entity) -> bool:
        first, last = bisect_left(starts, entity.start), bisect_left(starts, entity.end)
        inside = others[first:last]
        crossing = reach[first] > entity.start or any(other.end > entity.end for other in inside)
        crossing = crossing or inside.count(entity.extent) > 1  # the name would have one of several types
        return crossing or bisect_right(edges, entity.start) < bisect_left(edges, entity.end)

    return [entity for entity in flat(document.entities) if not stays(entity)]
