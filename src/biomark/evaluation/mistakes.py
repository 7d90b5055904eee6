"""Errors by class, and the sentence of each.

Missing, wrong and boundary are the classes of Keloth et al. 2024 (section 4); type confusion is
an additional class. Every unmatched mention belongs to exactly one error, so that

    fp = errors with a predicted mention,  fn = errors with a gold mention

under the strict scheme. A boundary error or a type confusion usually has both mentions, and then counts as
a false positive and a false negative.
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


class MistakeKind(StrEnum):
    """The class of an error."""

    MISSING = "missing"  # no predicted mention of the type overlaps the gold mention
    WRONG = "wrong"  # the predicted mention overlaps no gold mention of its type
    BOUNDARY = "boundary"  # same type, overlap, other spans
    TYPE = "type"  # overlap, another type


@dataclass(frozen=True, slots=True)
class Mistake:
    """An error.

    Attributes:
        kind: the class of the error.
        document: the gold document.
        gold: the missed gold mention, or None.
        predicted: the wrong predicted mention, or None.
    """

    kind: MistakeKind
    document: Document
    gold: Entity | None
    predicted: Entity | None

    @property
    def mentions(self) -> tuple[Entity, ...]:
        """The one or two mentions of the error, gold first."""
        return tuple(mention for mention in (self.gold, self.predicted) if mention is not None)

    @property
    def has_abbreviation(self) -> bool:
        """Return whether one of the error's mentions looks like an abbreviation."""
        return any(is_abbreviation(shown(mention, self.document.text)) for mention in self.mentions)


def is_abbreviation(mention: str) -> bool:
    """Return whether a mention has 2 to 10 characters, no blanks, and at least half capitals and digits."""
    if not 2 <= len(mention) <= _LONGEST_ABBREVIATION or not _ABBREVIATION.fullmatch(mention):
        return False
    letters = [character for character in mention if character.isalnum()]
    capitals = sum(character.isupper() for character in letters)
    digits = sum(character.isdigit() for character in letters)
    return capitals > 0 and 2 * (capitals + digits) >= len(letters)


def find_mistakes(pair: Pair, missed: Mentions, wrong: Mentions) -> tuple[Mistake, ...]:
    """Return the errors of a document in text order.

    Missed and wrong mentions that overlap are aligned one to one. A mention without a partner is
    still a boundary error if it overlaps any mention of its type on the other side, as does the second
    half of a gold mention that was predicted as two mentions.

    Args:
        pair: the document with its gold and predicted mentions.
        missed: the gold mentions without a match, from `Pair.unmatched`.
        wrong: the predicted mentions without a match, from `Pair.unmatched`.
    """
    alignment = align(missed, wrong, prefer_type=True)
    classified: list[tuple[MistakeKind, Entity | None, Entity | None]] = [
        (MistakeKind.BOUNDARY if g.type == p.type else MistakeKind.TYPE, g, p) for g, p in alignment.pairs
    ]
    for mention in alignment.missing:
        classified.append((_alone(mention, pair.predicted, MistakeKind.MISSING), mention, None))
    for mention in alignment.spurious:
        classified.append((_alone(mention, pair.gold, MistakeKind.WRONG), None, mention))
    mistakes = (Mistake(kind, pair.document, gold, predicted) for kind, gold, predicted in classified)
    return tuple(sorted(mistakes, key=lambda m: (m.mentions[0].spans, m.mentions[0].type, m.kind)))


def count_kinds(mistakes: Iterable[Mistake]) -> dict[MistakeKind, int]:
    """Return the number of errors of each class."""
    counts = Counter(mistake.kind for mistake in mistakes)
    return {kind: counts[kind] for kind in MistakeKind}


def sentence_of(mistake: Mistake, document: Document) -> Span:
    """Return the span of the sentence, or of the consecutive sentences, that contain an error's mentions.

    Args:
        mistake: the error.
        document: its document, split into sentences (`biomark.text.sentences.with_sentences`).
    """
    start = min(mention.start for mention in mistake.mentions)
    end = max(mention.end for mention in mistake.mentions)
    first = bisect_right(document.sentences, start, key=lambda sentence: sentence.end)
    after = bisect_left(document.sentences, end, key=lambda sentence: sentence.start)
    around = document.sentences[first:after]
    return Span(min([start, *(s.start for s in around[:1])]), max([end, *(s.end for s in around[-1:])]))


def surface_forms(documents: Iterable[Document]) -> frozenset[str]:
    """Return the surface forms (see `form`) of all mentions, such as those of the training data."""
    return frozenset(form(shown(mention, d.text)) for d in documents for mention in d.entities)


def shown(mention: Entity, text: str) -> str:
    """Return a mention's text for reports, cut to its beginning and `…` if it has more than 200 code points.

    The cut bounds the memory for thousands of long nested mentions.
    """
    return words_of(mention, text, _LONGEST_SHOWN)


def form(mention: str) -> str:
    """Return a mention's surface form with case folded and white space normalised."""
    return " ".join(mention.casefold().split())


def _alone(mention: Entity, others: Mentions, otherwise: MistakeKind) -> MistakeKind:
    return MistakeKind.BOUNDARY if others.of_type(mention.type).touched_by(mention) else otherwise
