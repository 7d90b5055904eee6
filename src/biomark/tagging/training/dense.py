"""Lists of names near a sentence, for dense recognition of biomedical entities (DBR, Bian et al. 2024, their code).

For each training sentence VANER's authors look up entries of an ontology near the sentence's own noun phrases. Names of
the requested type (level 0) are the sentence's mentions and names near its phrases, filled up at random to at least
five; names of other types near the same phrases (level 1) are hard negatives. A blank joins the names.

Here a phrase is a run of at most six words without stop words or punctuation between them; of a longer run it is the
last six words. If the store has vectors, a name is near a phrase when its vector is; otherwise, when the two share rare
words or words of similar spelling (see `biomark.knowledge`).
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from biomark.knowledge.forms import form
from biomark.knowledge.keys import Keys
from biomark.knowledge.neighbours import Neighbours
from biomark.knowledge.store import Store, Term
from biomark.spans import Document
from biomark.tagging.training.augmentation import LONGEST, Listed, Pools, mentions_of
from biomark.text.sentences import with_sentences

LEAST = 5  # the lowest number of names of level 0 in a list
LONGEST_PHRASE = 6  # words
EACH = 5  # the number of names of each type near a phrase
_MOST = 300  # the greatest number of names compared with a phrase; words that more names share are not informative
_CACHED = 1 << 16
# A word, with hyphens, apostrophes and slashes inside; any other sign ends a phrase.
_WORD = re.compile(r"\w+(?:[-'\u2019/]\w+)*")
_STOP = frozenset(
    """a about above according across after against all along also although among an and any are around as at be because
    been before being below between both but by can compared could did do does due during each either etc for found from
    further had has have having he her here his how however if in into is it its itself less like many may might more
    most much must neither no nor not of off on one only onto or other others our out over own per rather s same several
    shall she should since so some such t than that the their them then there therefore these they this those through
    thus to too toward towards under until up upon us use used using very via was we well were what when where whereas
    whether which while who whom whose why will with within without would yet you your""".split()
)


@dataclass(frozen=True, slots=True)
class DenseSentence:
    """The parts of a sentence from which its list of names is made.

    Attributes:
        phrases: the normalised forms of its phrases.
        mentions: its annotated mentions.
    """

    phrases: tuple[str, ...]
    mentions: tuple[Listed, ...]


def sentences_of(document: Document, types: Sequence[str]) -> tuple[DenseSentence, ...]:
    """Return the sentences of a document, with the mentions of the types that its corpus annotates."""
    document = with_sentences(document)
    parts = (document.slice(span) for span in document.sentences)
    return tuple(DenseSentence(tuple(phrases(part.text)), mentions_of([part], types)) for part in parts)


def phrases(text: str) -> Iterator[str]:
    """Yield the normalised form of each phrase of a sentence that has a letter."""
    run: list[str] = []
    end = 0
    for word in _WORD.finditer(text):
        if text[end : word.start()].strip():
            yield from _phrase(run)
            run = []
        if word[0].casefold() in _STOP:
            yield from _phrase(run)
            run = []
        else:
            run.append(word[0])
        end = word.end()
    yield from _phrase(run)


def _phrase(words: Sequence[str]) -> Iterator[str]:
    text = " ".join(words[-LONGEST_PHRASE:])
    if len(text) > 1 and any(map(str.isalpha, text)):
        yield form(text)


class Near:
    """The names of a store that are near phrases, looked up once for all phrases of the training data.

    Args:
        path: the path of the knowledge store.
        wanted: the normalised forms of all phrases.

    Raises:
        KnowledgeError: if the store cannot be read.
        ModelError: if the store's encoder cannot be loaded.
    """

    def __init__(self, path: Path, wanted: Iterable[str]) -> None:
        forms = tuple(dict.fromkeys(wanted))
        with Store(path) as store:
            near = _by_vectors if store.encoder else _by_words
            types_of = lru_cache(_CACHED)(lambda form: frozenset(t.concept.type for t in store.by_form(form)))
            listed = lru_cache(_CACHED)(lambda text, form: Listed(text, types_of(form)))
            self._near: Mapping[str, tuple[Listed, ...]] = {
                phrase: tuple(dict.fromkeys(listed(t.text, t.form) for t in terms if len(t.text) <= LONGEST))
                for phrase, terms in zip(forms, near(store, forms), strict=True)
            }

    def __len__(self) -> int:
        return len(self._near)

    def draw(
        self, sentence: DenseSentence, entity_type: str, pools: Pools, *, most: int, others: int, chance: random.Random
    ) -> list[Listed]:
        """Draw the names of a list for a sentence, in random order.

        Args:
            sentence: the sentence.
            entity_type: the type that the instruction names.
            pools: names of the type that fill up a short list.
            most: the greatest number of names of the type; the sentence's own mentions come first.
            others: the greatest number of names of other types.
            chance: the source of random numbers.
        """
        near = dict.fromkeys(name for phrase in sentence.phrases for name in self._near[phrase])
        own = {form(name.text): name for name in sentence.mentions if entity_type in name.types}
        chosen = list(own.values())[:most]
        more = [name for name in near if entity_type in name.types and form(name.text) not in own]
        chosen += chance.sample(more, min(len(more), most - len(chosen)))
        pool, least = pools.own.get(entity_type, ()), min(LEAST, most)
        if len(chosen) < least:
            drawn = chance.sample(pool, min(len(pool), least + len(chosen)))  # some of these may be in the list already
            listed = {form(name.text) for name in chosen}
            chosen += [name for name in drawn if form(name.text) not in listed][: least - len(chosen)]
        negatives = [name for name in near if entity_type not in name.types and form(name.text) not in own]
        chosen += chance.sample(negatives, min(len(negatives), others))
        chance.shuffle(chosen)
        return chosen


def _by_words(store: Store, forms: Sequence[str]) -> Iterator[Sequence[Term]]:
    keys = Keys(store)
    for phrase in forms:
        weights = {key: weight for key, weight in keys.of(phrase, _MOST).items() if keys.holders(key) <= _MOST}
        yield store.near(weights, EACH)


def _by_vectors(store: Store, forms: Sequence[str]) -> Iterator[Sequence[Term]]:
    vectors = Neighbours(store)
    by_type = [vectors.nearest(forms, entity_type, EACH) for entity_type in store.types]
    for rows in zip(*by_type, strict=True):
        yield [term for names in rows for name in names for term in store.same_form(name)[:1]]
