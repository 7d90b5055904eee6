"""More to learn from, made of a knowledge store: lists of names (DBR), and other names in place of mentions.

All that is random depends on the seed and the epoch alone, so that a run that is resumed sees the same.
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

# Names of a type that an epoch draws from, and code points of the longest one.
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
        types: that it is known to be of.
        known: the types of which it is known whether it is of them; None: of all.
    """

    text: str
    types: frozenset[str]
    known: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Pools:
    """Names by the type that they are of (`own`), or are not of (`others`)."""

    own: Mapping[str, Sequence[Listed]]
    others: Mapping[str, Sequence[Listed]]

    def draw(self, type: str, count: int, chance: random.Random) -> list[Listed]:
        """Names, half of them of a type; all of them if the store has no other types."""
        found = []
        for _ in range(count):
            pool = self.own[type] if chance.random() < 0.5 else self.others[type]
            if pool := pool or self.own[type]:
                found.append(chance.choice(pool))
        return found


def read_pools(path: Path, types: Sequence[str], seed: str, *, size: int = POOL) -> Pools:
    """Names that an epoch draws from.

    Args:
        path: of a store.
        types: that are learnt.
        seed: the same seed takes the same names.
        size: how many of each type, at most.

    Raises:
        UsageError: if the store has names of none of the types.
        KnowledgeError: if it cannot be read.
    """
    with Store(path) as store:
        there = [type for type in types if type in store.types]
        if not there:
            raise UsageError(f"{path}: has names of {', '.join(store.types) or 'nothing'}, none of {', '.join(types)}")
        own = {type: _listed(store, store.sample(type, size, f"{seed} {type}")) for type in there}
        others = {type: _listed(store, store.sample(type, size, f"{seed} {type}", other=True)) for type in there}
    return Pools(own, others)


def _listed(store: Store, terms: Iterable[Term]) -> tuple[Listed, ...]:
    """Names that a sentence could hold, each with all its types."""
    return tuple(
        Listed(term.text, frozenset(other.concept.type for other in store.by_form(term.form)))
        for term in terms
        if len(term.text) <= LONGEST
    )


def mentions_of(documents: Iterable[Document], types: Iterable[str]) -> tuple[Listed, ...]:
    """The different mentions of a corpus, contiguous ones, with the types as which it has them.

    Args:
        documents: of the corpus.
        types: that it annotates; of others nothing is known.
    """
    known = frozenset(types)
    found: dict[str, set[str]] = {}
    for document in documents:
        for entity in document.entities:
            text = entity.mention(document.text)
            if entity.type in known and len(entity.spans) == 1 and len(text) <= LONGEST:
                found.setdefault(text, set()).add(entity.type)
    return tuple(Listed(text, frozenset(kinds), known) for text, kinds in found.items())


def as_list(names: Sequence[Listed], separator: str) -> tuple[str, list[Span]]:
    """A text that lists names, and where each stands in it."""
    text, spans = "", []
    for name in names:
        text += separator if text else ""
        spans.append(Span(len(text), len(text) + len(name.text)))
        text += name.text
    return text, spans


def recased(document: Document, chance: random.Random) -> Document:
    """The document in lower case or, in one case of three, with a capital at the beginning of each longer word.

    All offsets stay: a letter whose other case is longer than one character keeps its own.
    """
    if chance.random() < 1 / 3:
        text = _WORD.sub(lambda word: word[0][0].upper() + word[0][1:] if word[0].islower() else word[0], document.text)
    else:
        text = "".join(lower if len(lower := c.lower()) == 1 else c for c in document.text)
    return replace(document, text=text)


def swapped(document: Document, pools: Pools, chance: random.Random) -> Document:
    """The document with other names of the same types in the place of its mentions.

    Equal mentions get equal names, but for case. Mentions that overlap others partly, that cross the end of
    a sentence or passage, or that are discontinuous stay; of nested ones the outer is replaced, and what was
    inside is gone.
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
    return replace(edited(document, edits), alternatives=(), relations=())  # they are about the old names


def _like(name: str, mention: str) -> str:
    """The name, with a capital where the mention has one as the first word of a sentence has."""
    capital = mention[:1].isupper() and mention[1:2].islower() and name.islower()
    return name[:1].upper() + name[1:] if capital else name


def _replaceable(document: Document) -> list[Entity]:
    """Contiguous mentions, apart and in order, that hold no end of a sentence or passage and no part of another one."""
    spans = [*document.sentences, *(passage.span for passage in document.passages)]
    edges = sorted({edge for span in spans for edge in (span.start, span.end)})
    others = sorted(entity.extent for entity in document.entities)
    starts = [other.start for other in others]
    reach = [0, *accumulate((other.end for other in others), max)]  # of those before each

    def stays(entity: Entity) -> bool:
        first, last = bisect_left(starts, entity.start), bisect_left(starts, entity.end)
        crossing = reach[first] > entity.start or any(other.end > entity.end for other in others[first:last])
        return crossing or bisect_right(edges, entity.start) < bisect_left(edges, entity.end)

    return [entity for entity in flat(document.entities) if not stays(entity)]
