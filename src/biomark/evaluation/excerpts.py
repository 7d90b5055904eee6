"""Sentences with errors, each once with all its errors, for the pages of reports.

The size of a page grows linearly with the number of errors: a very long sentence is cut to the words around each
error, and a very long mention to its beginning.
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
class SharedMistake:
    """An error, and the systems that make it.

    Attributes:
        mistake: the error.
        systems: indices of the systems, counted from 0.
    """

    mistake: Mistake
    systems: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A part of a document, and the errors in it.

    Attributes:
        document: the gold document.
        window: the part of `sentence` that is shown; all of it unless it is long.
        sentence: the sentence, or several consecutive sentences if an error crosses their boundary.
        errors: the errors in text order.
    """

    document: Document
    window: Span
    sentence: Span
    errors: tuple[SharedMistake, ...]


def excerpts(mistakes: Sequence[Iterable[Mistake]]) -> Iterator[Excerpt]:
    """Yield the excerpts with errors, ordered by document id and place in the text.

    Args:
        mistakes: the errors of each system.
    """
    made_by: dict[tuple[object, ...], tuple[Mistake, list[int]]] = {}
    for system, system_mistakes in enumerate(mistakes):
        for mistake in system_mistakes:
            key = (mistake.document.id, _place(mistake.gold), _place(mistake.predicted), mistake.kind)
            made_by.setdefault(key, (mistake, []))[1].append(system)
    document: Document | None = None
    open_: Excerpt | None = None
    for mistake, systems in sorted(made_by.values(), key=lambda made: _order(made[0])):
        if document is None or document.id != mistake.document.id:
            document = with_sentences(mistake.document)
        sentence = sentence_of(mistake, document)
        excerpt = Excerpt(document, _window(mistake, sentence), sentence, (SharedMistake(mistake, tuple(systems)),))
        joined = _joined(open_, excerpt) if open_ is not None else excerpt
        if open_ is not None and joined is None:
            yield open_
        open_ = joined or excerpt
    if open_ is not None:
        yield open_


def _joined(first: Excerpt, second: Excerpt) -> Excerpt | None:
    """Join two excerpts that overlap; return None if they do not overlap or their union is too large."""
    window = Span(min(first.window.start, second.window.start), max(first.window.end, second.window.end))
    apart = first.document is not second.document or not first.window.overlaps(second.window)
    if apart or len(window) > _LONGEST_TOGETHER or len(first.errors) >= _MOST_TOGETHER:
        return None
    sentence = Span(min(first.sentence.start, second.sentence.start), max(first.sentence.end, second.sentence.end))
    return Excerpt(first.document, window, sentence, first.errors + second.errors)


def excerpt_json(excerpt: Excerpt, seen: Set[str] | None = None) -> dict[str, object]:
    """Return an excerpt as JSON for the script of a page, with visible symbols in place of control characters.

    Offsets count code points of the key `text`.

    Args:
        excerpt: the excerpt to convert.
        seen: surface forms of the training data (see `surface_forms`); None: unknown.
    """
    text, window = excerpt.document.text, excerpt.window
    return {
        "document": visible(shortened(excerpt.document.id, LONGEST)),
        "text": visible(window.of(text)),
        "cut": [excerpt.sentence.start < window.start, window.end < excerpt.sentence.end],
        "errors": [_error_json(error, text, window, seen) for error in excerpt.errors],
    }


def _error_json(error: SharedMistake, text: str, window: Span, seen: Set[str] | None) -> dict[str, object]:
    mistake = error.mistake
    values: dict[str, object] = {
        "kind": mistake.kind,
        "systems": error.systems,
        "abbreviation": mistake.has_abbreviation,
        "seen": None if seen is None else form(shown(mistake.mentions[0], text)) in seen,
    }
    for side, mention in (("gold", mistake.gold), ("predicted", mistake.predicted)):
        if mention is not None:
            values[side] = _mention_json(mention, text, window)
    return values


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
    """Return the part of a sentence to show: all of it, or the text around the error if the sentence is long."""
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
