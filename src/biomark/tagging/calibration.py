"""Calibration: the probability that a mention is right, from its score and from the same words elsewhere in the text.

A tagging model reads a document window by window and may be unsure in one place of a name that it is sure of in
another. The scores of the same words elsewhere in the document are therefore good evidence, and even an untagged place
may be a mention. So every place of words that are tagged anywhere is a candidate, and its probability is a logistic
function of its own score and of the best score elsewhere (Platt 1999, with one additional feature).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from biomark.spans import Apart, Entity, Span
from biomark.tagging.text import Floats, decode_tags, span_score
from biomark.tagging.words import Words


@dataclass(frozen=True, slots=True)
class MentionCandidate:
    """A place that may be a mention.

    Attributes:
        entity: the mention, with the model's own score.
        elsewhere: the best score, in [0, 1], of the same words in another place of the document; None if there is no
            other place.
        tagged: whether the most likely tags mark it as a mention.
    """

    entity: Entity
    elsewhere: float | None = None
    tagged: bool = True

    @property
    def score(self) -> float:
        """The model's own score, in [0, 1]."""
        return self.entity.score or 0.0


@dataclass(frozen=True, slots=True)
class Calibrator:
    """A logistic function that turns the scores of a candidate into a probability.

    Attributes:
        slope, offset: weight of the log-odds of the score, and the constant.
        elsewhere, repeated: weight of the log-odds of the best score elsewhere, and the constant that is added where
            the words occur elsewhere.
    """

    slope: float = 1.0
    offset: float = 0.0
    elsewhere: float = 0.0
    repeated: float = 0.0

    def __call__(self, candidate: MentionCandidate) -> float:
        """Return the probability, in [0, 1], that a candidate is a mention."""
        weights = (self.slope, self.offset, self.elsewhere, self.repeated)
        return float(1 / (1 + np.exp(-np.dot(weights, features(candidate)))))


def features(candidate: MentionCandidate) -> tuple[float, float, float, float]:
    """Return the features that a calibrator weighs, in the order of its attributes."""
    if candidate.elsewhere is None:
        return log_odds(candidate.score), 1.0, 0.0, 0.0
    return log_odds(candidate.score), 1.0, log_odds(candidate.elsewhere), 1.0


def log_odds(score: float) -> float:
    """Return the natural logarithm of score / (1 - score), with the score clipped to [1e-6, 1 - 1e-6]."""
    inside = min(max(score, 1e-6), 1 - 1e-6)
    return float(np.log(inside / (1 - inside)))


def candidates(text: str, passages: Sequence[tuple[Floats, Words]], types: Sequence[str]) -> list[MentionCandidate]:
    """Return the tagged mentions of a document and all other places of their words.

    A place that overlaps a tagged mention of the same type is not a candidate.

    Args:
        text: the text of the document.
        passages: for each passage the natural logarithms of the tags' probabilities, (W, N, 3), and its words.
        types: the N entity types.
    """
    tagged = [decode_tags(*passage, types) for passage in passages]
    places = [_index(text, words) for _, words in passages]
    collected: list[MentionCandidate] = []
    for n, entity_type in enumerate(types):
        mentions = [{entity.extent for entity in entities if entity.type == entity_type} for entities in tagged]
        taken = [Apart(own) for own in mentions]
        for name in dict.fromkeys(span.of(text) for own in mentions for span in sorted(own)):
            same = [
                MentionCandidate(
                    Entity((span,), entity_type, score=span_score(passage[0][:, n], *words)), tagged=span in own
                )
                for passage, index, own, apart in zip(passages, places, mentions, taken, strict=True)
                for span, words in _occurrences(name, text, passage[1], index)
                if span in own or apart.is_free(span)
            ]
            collected += _with_elsewhere(same)
    return collected


def entities(
    considered: Iterable[MentionCandidate],
    calibrator: Callable[[str], Calibrator | None],
    least: Callable[[str], float],
) -> list[Entity]:
    """Return the candidates that are likely enough, with their probabilities as scores, in text order.

    Of two overlapping candidates of one type only the likelier one is kept. For a type without a calibrator the tagged
    mentions are taken with their own scores.

    Args:
        considered: the candidates of a document.
        calibrator: returns the calibrator of a type, or None.
        least: returns the lowest probability of a type, in [0, 1].
    """
    scored = []
    for candidate in considered:
        made = calibrator(candidate.entity.type)
        if made is not None:
            scored.append(replace(candidate.entity, score=made(candidate)))
        elif candidate.tagged:
            scored.append(candidate.entity)
    taken: dict[str, Apart] = {entity.type: Apart() for entity in scored}
    ranked = sorted(scored, key=lambda e: (-(e.score or 0.0), e.start))
    kept = [e for e in ranked if (e.score or 0.0) >= least(e.type) and taken[e.type].take(e)]
    return sorted(kept, key=lambda e: (e.start, e.end))


def _index(text: str, words: Words) -> Mapping[str, list[int]]:
    """Return the indexes of each word's occurrences in a passage."""
    places: dict[str, list[int]] = {}
    for place, (start, end) in enumerate(zip(words.starts.tolist(), words.ends.tolist(), strict=True)):
        places.setdefault(text[start:end], []).append(place)
    return places


def _occurrences(
    name: str, text: str, words: Words, index: Mapping[str, list[int]]
) -> Iterator[tuple[Span, tuple[int, int]]]:
    """Yield the places of a name in a passage: its span, and the indexes of its first word and one past its last."""
    for length in range(1, len(name) + 1):
        for first in index.get(name[:length], ()):
            start = int(words.starts[first])
            span = Span(start, start + len(name))
            last = int(np.searchsorted(words.ends, span.end)) + 1
            if span.of(text) == name and last <= len(words) and words.ends[last - 1] == span.end:
                yield span, (first, last)


def _with_elsewhere(same: Sequence[MentionCandidate]) -> Iterator[MentionCandidate]:
    """Yield candidates that have the same words, each with the best score of the others."""
    if len(same) < 2:
        yield from same
        return
    scores: npt.NDArray[np.float64] = np.array([candidate.score for candidate in same])
    best = int(scores.argmax())
    second = float(np.delete(scores, best).max())
    for place, candidate in enumerate(same):
        yield replace(candidate, elsewhere=second if place == best else float(scores[best]))
