"""The sentences that errors stand in, each once with all its errors, for pages that show them.

What a page holds grows with the number of errors, not with its square: a sentence of a book's length is cut to the
words around each error, and a mention to its beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass

from biomark.entity_types import label
from biomark.evaluation.mistakes import Mistake, form, sentence_of, shown
from biomark.formats.display import shortened
from biomark.screen import visible
from biomark.spans import Document, Entity, Span
from biomark.text.sentences import with_sentences

LONGEST = 600  # code points of a sentence that is shown whole
_AROUND = 200  # code points on both sides of an error in a longer one
_LONGEST_TOGETHER = 1_200
_MOST_TOGETHER = 50  # errors
_MOST_OFFSETS = 5  # parts of a mention whose offsets are written out


@dataclass(frozen=True, slots=True)
class Error:
    """An error, and the systems that make it (their numbers, from 0)."""

    mistake: Mistake
    systems: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A stretch of a document, and the errors in it.

    Attributes:
        document: as gold has it.
        window: what is shown of `sentence`, all of it unless it is long.
        sentence: the sentence, or several in a row if an error crosses their boundary.
        errors: in text order.
    """

    document: Document
    window: Span
    sentence: Span
    errors: tuple[Error, ...]


def excerpts(mistakes: Sequence[Iterable[Mistake]]) -> Iterator[Excerpt]:
    """The stretches of text with errors, in the order of documents and text.

    Args:
        mistakes: of each system.
    """
    made_by: dict[tuple[object, ...], tuple[Mistake, list[int]]] = {}
    for system, several in enumerate(mistakes):
        for mistake in several:
            key = (mistake.document.id, _place(mistake.gold), _place(mistake.predicted), mistake.kind)
            made_by.setdefault(key, (mistake, []))[1].append(system)
    document: Document | None = None
    open_: Excerpt | None = None
    for mistake, systems in sorted(made_by.values(), key=lambda made: _order(made[0])):
        if document is None or document.id != mistake.document.id:
            document = with_sentences(mistake.document)
        sentence = sentence_of(mistake, document)
        one = Excerpt(document, _window(mistake, sentence), sentence, (Error(mistake, tuple(systems)),))
        joined = _joined(open_, one) if open_ is not None else one
        if open_ is not None and joined is None:
            yield open_
        open_ = joined or one
    if open_ is not None:
        yield open_


def _joined(one: Excerpt, other: Excerpt) -> Excerpt | None:
    """Two excerpts as one, if they overlap and are not too long together."""
    window = Span(min(one.window.start, other.window.start), max(one.window.end, other.window.end))
    apart = one.document is not other.document or not one.window.overlaps(other.window)
    if apart or len(window) > _LONGEST_TOGETHER or len(one.errors) >= _MOST_TOGETHER:
        return None
    sentence = Span(min(one.sentence.start, other.sentence.start), max(one.sentence.end, other.sentence.end))
    return Excerpt(one.document, window, sentence, one.errors + other.errors)


def excerpt_json(excerpt: Excerpt, seen: Set[str] | None = None) -> dict[str, object]:
    """What the script of a page shows; all offsets count code points of `text`, and control characters are signs.

    Args:
        excerpt: what to show.
        seen: surface forms of the training data; None: the page does not tell which were seen there.
    """
    text, window = excerpt.document.text, excerpt.window
    return {
        "document": visible(shortened(excerpt.document.id, LONGEST)),
        "text": visible(window.of(text)),
        "cut": [excerpt.sentence.start < window.start, window.end < excerpt.sentence.end],
        "errors": [_error_json(error, text, window, seen) for error in excerpt.errors],
    }


def _error_json(error: Error, text: str, window: Span, seen: Set[str] | None) -> dict[str, object]:
    mistake = error.mistake
    found: dict[str, object] = {
        "kind": mistake.kind,
        "systems": error.systems,
        "abbreviation": mistake.has_abbreviation,
        "seen": None if seen is None else form(shown(mistake.mentions[0], text)) in seen,
    }
    for side, mention in (("gold", mistake.gold), ("predicted", mistake.predicted)):
        if mention is not None:
            found[side] = _mention_json(mention, text, window)
    return found


def _mention_json(mention: Entity, text: str, window: Span) -> dict[str, object]:
    offsets = [f"{span.start}–{span.end}" for span in mention.spans[: _MOST_OFFSETS + 1]]
    parts = (Span(max(s.start, window.start), min(s.end, window.end)) for s in mention.spans if s.overlaps(window))
    return {
        "type": visible(shortened(label(mention.type), LONGEST)),
        "mention": visible(shown(mention, text)),
        "offsets": ", ".join([*offsets[:_MOST_OFFSETS], "…"] if len(offsets) > _MOST_OFFSETS else offsets),
        "at": [[span.start - window.start, span.end - window.start] for span in parts],
    }


def _window(mistake: Mistake, sentence: Span) -> Span:
    """A sentence; of a long one the words around the error, of a long mention those at its beginning."""
    if len(sentence) <= LONGEST:
        return sentence
    start = min(mention.start for mention in mistake.mentions)
    end = min(max(mention.end for mention in mistake.mentions), start + LONGEST - 2 * _AROUND)
    return Span(max(sentence.start, start - _AROUND), min(sentence.end, end + _AROUND))


def _order(mistake: Mistake) -> tuple[object, ...]:
    first = mistake.mentions[0]
    return mistake.document.id, first.spans, first.type, mistake.kind, *(m.spans for m in mistake.mentions[1:])


def _place(mention: Entity | None) -> tuple[object, ...] | None:
    return None if mention is None else (mention.spans, mention.type)
