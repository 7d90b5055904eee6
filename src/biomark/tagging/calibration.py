"""A mention's score → the probability that the mention is right, in view of the document's other places of its words.

A tagging model reads a document window by window, and is unsure in one place of what it is sure of in another. What the
same words are elsewhere in the document says much of what they are here, and a place that the tags have passed over may
well be a mention. So every place of words that are tagged anywhere is a candidate, and its probability is learnt from
its own score and the best one elsewhere (Platt 1999, with one feature more).
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
class Candidate:
    """A place that may be a mention.

    Attributes:
        entity: with the model's own score.
        elsewhere: the best score that the same words have in another place of the document; None: there is none.
        tagged: whether the tags say that it is one.
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
    """What makes probabilities of scores.

    Attributes:
        slope, offset: of the log-odds of the score.
        elsewhere, repeated: the same of the best score elsewhere, where there is one.
    """

    slope: float = 1.0
    offset: float = 0.0
    elsewhere: float = 0.0
    repeated: float = 0.0

    def __call__(self, candidate: Candidate) -> float:
        """The probability, in [0, 1], that a candidate is right."""
        weights = (self.slope, self.offset, self.elsewhere, self.repeated)
        return float(1 / (1 + np.exp(-np.dot(weights, features(candidate)))))


def features(candidate: Candidate) -> tuple[float, float, float, float]:
    """What a calibrator weighs, in the order of its attributes."""
    if candidate.elsewhere is None:
        return log_odds(candidate.score), 1.0, 0.0, 0.0
    return log_odds(candidate.score), 1.0, log_odds(candidate.elsewhere), 1.0


def log_odds(score: float) -> float:
    """The natural logarithm of score / (1 - score); of 0 and 1 that of a millionth less."""
    inside = min(max(score, 1e-6), 1 - 1e-6)
    return float(np.log(inside / (1 - inside)))


def candidates(text: str, passages: Sequence[tuple[Floats, Words]], types: Sequence[str]) -> list[Candidate]:
    """The mentions that the tags of a document say, and the other places of their words.

    A place that overlaps a tagged mention of its type is none.

    Args:
        text: of the document.
        passages: for each one (W, N, 3) natural logarithms of probabilities, and its words.
        types: the N types.
    """
    tagged = [decode_tags(*passage, types) for passage in passages]
    places = [_index(text, words) for _, words in passages]
    found: list[Candidate] = []
    for n, type in enumerate(types):
        mentions = [{entity.extent for entity in entities if entity.type == type} for entities in tagged]
        taken = [Apart(own) for own in mentions]
        for name in dict.fromkeys(span.of(text) for own in mentions for span in sorted(own)):
            same = [
                Candidate(Entity((span,), type, score=span_score(passage[0][:, n], *words)), tagged=span in own)
                for passage, index, own, apart in zip(passages, places, mentions, taken, strict=True)
                for span, words in _occurrences(name, text, passage[1], index)
                if span in own or apart.is_free(span)
            ]
            found += _with_elsewhere(same)
    return found


def entities(found: Iterable[Candidate], calibrator: Callable[[str], Calibrator | None], least: float) -> list[Entity]:
    """The candidates that are likely enough, with their probabilities as scores, in text order.

    Of two of one type that overlap the likelier one stays. A type without a calibrator has what the tags say.

    Args:
        found: of a document.
        calibrator: of a type.
        least: the least probability.
    """
    scored = []
    for candidate in found:
        made = calibrator(candidate.entity.type)
        if made is not None:
            scored.append(replace(candidate.entity, score=made(candidate)))
        elif candidate.tagged:
            scored.append(candidate.entity)
    taken: dict[str, Apart] = {entity.type: Apart() for entity in scored}
    ranked = sorted(scored, key=lambda e: (-(e.score or 0.0), e.start))
    kept = [e for e in ranked if (e.score or 0.0) >= least and taken[e.type].take(e)]
    return sorted(kept, key=lambda e: (e.start, e.end))


def _index(text: str, words: Words) -> Mapping[str, list[int]]:
    """Where each word stands in a passage."""
    found: dict[str, list[int]] = {}
    for place, (start, end) in enumerate(zip(words.starts.tolist(), words.ends.tolist(), strict=True)):
        found.setdefault(text[start:end], []).append(place)
    return found


def _occurrences(
    name: str, text: str, words: Words, index: Mapping[str, list[int]]
) -> Iterator[tuple[Span, tuple[int, int]]]:
    """The places of a name in a passage: in the text, and as words from the first to before the last."""
    for length in range(1, len(name) + 1):
        for first in index.get(name[:length], ()):
            start = int(words.starts[first])
            span = Span(start, start + len(name))
            last = int(np.searchsorted(words.ends, span.end)) + 1
            if span.of(text) == name and last <= len(words) and words.ends[last - 1] == span.end:
                yield span, (first, last)


def _with_elsewhere(same: Sequence[Candidate]) -> Iterator[Candidate]:
    """Candidates with the same words, each with the best score of the others."""
    if len(same) < 2:
        yield from same
        return
    scores: npt.NDArray[np.float64] = np.array([candidate.score for candidate in same])
    best = int(scores.argmax())
    second = float(np.delete(scores, best).max())
    for place, candidate in enumerate(same):
        yield replace(candidate, elsewhere=second if place == best else float(scores[best]))
