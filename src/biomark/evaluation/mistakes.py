"""Errors by class, each with its sentence.

Missing, wrong and boundary are the classes of Keloth et al. 2024 (section 4); type confusion is
told apart from them. Every unmatched mention belongs to exactly one error, so that

    fp = errors with a predicted mention,  fn = errors with a gold mention

under the strict scheme. A boundary error and a type confusion usually have both and count twice.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from biomark.evaluation.mentions import Mentions, align
from biomark.evaluation.pairs import Pair
from biomark.formats.display import words_of
from biomark.spans import Document, Entity, Span

# TNF, BRCA1, NF-κB, 5-HT, mTOR
_ABBREVIATION = re.compile(r"[^\W_][^\W_\-/.+']*(?:[-/.+'][^\W_]+)*")
_LONGEST_ABBREVIATION = 10
_LONGEST_SHOWN = 200


class Kind(StrEnum):
    """The class of an error."""

    MISSING = "missing"  # no predicted mention of the type overlaps the gold mention
    WRONG = "wrong"  # the predicted mention overlaps no gold mention of its type
    BOUNDARY = "boundary"  # same type, overlap, other spans
    TYPE = "type"  # overlap, another type


@dataclass(frozen=True, slots=True)
class Mistake:
    """One error.

    Attributes:
        kind: its class.
        document: where it is, as gold has it.
        gold: the gold mention that was not found, if one is involved.
        predicted: the predicted mention that is wrong, if one is involved.
    """

    kind: Kind
    document: Document
    gold: Entity | None
    predicted: Entity | None

    @property
    def mentions(self) -> tuple[Entity, ...]:
        """The one or two mentions that it is about, gold first."""
        return tuple(mention for mention in (self.gold, self.predicted) if mention is not None)

    @property
    def has_abbreviation(self) -> bool:
        """Whether one of its mentions looks like an abbreviation."""
        return any(is_abbreviation(shown(mention, self.document.text)) for mention in self.mentions)


def is_abbreviation(mention: str) -> bool:
    """Whether a mention is 2 to 10 characters without blanks, half of them or more capitals and digits."""
    if not 2 <= len(mention) <= _LONGEST_ABBREVIATION or not _ABBREVIATION.fullmatch(mention):
        return False
    letters = [character for character in mention if character.isalnum()]
    capitals = sum(character.isupper() for character in letters)
    digits = sum(character.isdigit() for character in letters)
    return capitals > 0 and 2 * (capitals + digits) >= len(letters)


def find_mistakes(pair: Pair, missed: Mentions, wrong: Mentions) -> tuple[Mistake, ...]:
    """The errors of a document, in text order.

    Missed and wrong mentions that overlap are aligned one to one. A mention without a partner is
    still a boundary error if it overlaps any mention of its type on the other side, as the second
    half of a mention that was torn apart does.

    Args:
        pair: the document with all its mentions.
        missed: its gold mentions that were not found (`Pair.unmatched`).
        wrong: its predicted mentions that are wrong.
    """
    alignment = align(missed, wrong, prefer_type=True)
    found: list[tuple[Kind, Entity | None, Entity | None]] = [
        (Kind.BOUNDARY if g.type == p.type else Kind.TYPE, g, p) for g, p in alignment.pairs
    ]
    for mention in alignment.missing:
        found.append((_alone(mention, pair.predicted, Kind.MISSING), mention, None))
    for mention in alignment.spurious:
        found.append((_alone(mention, pair.gold, Kind.WRONG), None, mention))
    mistakes = (Mistake(kind, pair.document, gold, predicted) for kind, gold, predicted in found)
    return tuple(sorted(mistakes, key=lambda m: (m.mentions[0].spans, m.mentions[0].type, m.kind)))


def count_kinds(mistakes: Iterable[Mistake]) -> dict[Kind, int]:
    """How many errors there are of each class."""
    counts = Counter(mistake.kind for mistake in mistakes)
    return {kind: counts[kind] for kind in Kind}


def sentence_of(mistake: Mistake, document: Document) -> Span:
    """The sentence (or the sentences in a row) that an error's mentions stand in.

    Args:
        mistake: the error.
        document: its document with sentences (`biomark.text.sentences.with_sentences`).
    """
    start = min(mention.start for mention in mistake.mentions)
    end = max(mention.end for mention in mistake.mentions)
    first = bisect_right(document.sentences, start, key=lambda sentence: sentence.end)
    after = bisect_left(document.sentences, end, key=lambda sentence: sentence.start)
    around = document.sentences[first:after]
    return Span(min([start, *(s.start for s in around[:1])]), max([end, *(s.end for s in around[-1:])]))


def surface_forms(documents: Iterable[Document]) -> frozenset[str]:
    """The surface forms of all mentions, such as those of the training data, for `form`'s comparison."""
    return frozenset(form(shown(mention, d.text)) for d in documents for mention in d.entities)


def shown(mention: Entity, text: str) -> str:
    """A mention as reports show and compare it: of one of more than 200 code points the beginning and `…`.

    Thousands of long mentions inside each other would otherwise fill the memory.
    """
    return words_of(mention, text, _LONGEST_SHOWN)


def form(mention: str) -> str:
    """A mention's surface form without regard to case and white space."""
    return " ".join(mention.casefold().split())


def _alone(mention: Entity, others: Mentions, otherwise: Kind) -> Kind:
    return Kind.BOUNDARY if others.of_type(mention.type).touched_by(mention) else otherwise
