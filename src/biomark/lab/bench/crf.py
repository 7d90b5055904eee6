"""A conditional random field over words: the baseline that needs no network.

Features are the usual ones of the field: the word, its shape, its beginnings and ends, and those of its neighbours
(Leaman & Gonzalez 2008, BANNER). A model is for the types that it was trained on, one field each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from biomark.entity_types import types_wanted
from biomark.errors import MissingExtraError, ModelError
from biomark.recognizers import Annotated
from biomark.spans import Document, Entity, Span, flat
from biomark.text.sentences import with_sentences

CARD = "crf.json"
SETTINGS = {"c1": 0.1, "c2": 0.01, "max_iterations": 80, "feature.minfreq": 2}
"""Settings of L-BFGS: the weights of both norms, the greatest number of passes, and the lowest count of a feature."""
AROUND = 2  # the number of words on each side whose features a word has
_WORD = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_")
_OUTSIDE, _BEGIN, _INSIDE = "O", "B", "I"


def train(
    documents: Iterable[Document],
    types: Sequence[str],
    folder: Path,
    *,
    progress: Callable[[str], None] = lambda message: None,
) -> Path:
    """Train a conditional random field for each type.

    Args:
        documents: the documents, with all mentions of `types`, under biomark's names.
        types: the types to learn.
        folder: the folder to write; it is created if it does not exist.
        progress: is called with a line of text for each field.

    Raises:
        MissingExtraError: if python-crfsuite is not installed.
    """
    crfsuite = _crfsuite()
    sentences = [_CrfSentence.of(d, span) for d in map(with_sentences, documents) for span in d.sentences]
    read = [(sentence, features(sentence.words)) for sentence in sentences]
    folder.mkdir(parents=True, exist_ok=True)
    for entity_type in types:
        trainer = crfsuite.Trainer(algorithm="lbfgs", params=SETTINGS, verbose=False)
        for sentence, rows in read:
            trainer.append(rows, sentence.tags(entity_type))
        trainer.train(str(folder / _file(entity_type)))
        progress(f"{entity_type}: a field over {len(read)} sentences is trained")
    (folder / CARD).write_text(json.dumps({"types": list(types)}) + "\n", "utf-8")
    return folder


class CrfRecognizer:
    """Tags the words of each sentence.

    Args:
        folder: the folder that `train` filled.

    Raises:
        ModelError: if it is none.
        MissingExtraError: if python-crfsuite is not installed.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / CARD).is_file():
            raise ModelError(f"{folder}: {CARD} is missing; is this the folder of a conditional random field?")
        self._types = tuple(map(str, json.loads((folder / CARD).read_text("utf-8"))["types"]))
        self._taggers = {entity_type: _crfsuite().Tagger() for entity_type in self._types}
        for entity_type, tagger in self._taggers.items():
            tagger.open(str(folder / _file(entity_type)))

    @property
    def types(self) -> tuple[str, ...] | None:
        """The types that it was trained on."""
        return self._types

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        """See `biomark.recognizers.Recognizer`; a mention's score is the least probability of a tag of its words."""
        wanted = types_wanted(types, self._types)
        for document in documents:
            clean = document.bare()
            entities = [
                entity
                for span in with_sentences(clean).sentences
                for entity in self._mentions(_CrfSentence.of(clean, span), wanted)
                if (entity.score or 0.0) >= (min_score or 0.0)
            ]
            entities.sort(key=lambda e: (e.start, e.end, wanted.index(e.type)))
            yield Annotated(replace(clean, entities=tuple(entities)))

    def _mentions(self, sentence: _CrfSentence, types: Sequence[str]) -> Iterator[Entity]:
        if not sentence.words:
            return
        rows = features(sentence.words)
        for entity_type in types:
            tagger = self._taggers[entity_type]
            tags = tagger.tag(rows)
            sure = [tagger.marginal(tag, place) for place, tag in enumerate(tags)]
            for first, last in _runs(tags):
                span = Span(sentence.places[first].start, sentence.places[last - 1].end)
                yield Entity((span,), entity_type, score=min(1.0, *sure[first:last]))


@dataclass(frozen=True, slots=True)
class _CrfSentence:
    """The words of a sentence with their spans in the document, and the mentions of all types inside the sentence."""

    words: tuple[str, ...]
    places: tuple[Span, ...]
    entities: tuple[Entity, ...]

    @classmethod
    def of(cls, document: Document, span: Span) -> _CrfSentence:
        """Make the sentence at a span of a document."""
        matches = list(_WORD.finditer(span.of(document.text)))
        places = tuple(Span(*match.span()).shift(span.start) for match in matches)
        inside = tuple(entity for entity in document.entities if span.contains(entity.extent))
        return cls(tuple(match[0] for match in matches), places, inside)

    def tags(self, entity_type: str) -> list[str]:
        """Return the BIO tags of a type; a word that a mention touches belongs to it."""
        tags = [_OUTSIDE] * len(self.places)
        for entity in flat(e for e in self.entities if e.type == entity_type):
            tag = _BEGIN
            for number, place in enumerate(self.places):
                if place.overlaps(entity.extent):
                    tags[number], tag = tag, _INSIDE
        return tags


def features(words: Sequence[str]) -> list[list[str]]:
    """Return the features of each word of a sentence."""
    own = [_own(word) for word in words]
    rows = []
    for place in range(len(words)):
        row = ["bias"]
        for step in range(-AROUND, AROUND + 1):
            if 0 <= place + step < len(words):
                kept = own[place + step] if abs(step) < AROUND else own[place + step][:2]
                row += [f"{step}:{feature}" for feature in kept]
            else:
                row.append(f"{step}:edge")
        for step in (-1, 0):
            if 0 <= place + step < len(words) - 1:
                row.append(f"{step}:pair={words[place + step].lower()}|{words[place + step + 1].lower()}")
        rows.append(row)
    return rows


def _own(word: str) -> list[str]:
    lower = word.lower()
    values = [f"word={lower}", f"shape={_shape(word)}"]
    values += [f"begins={lower[:size]}" for size in (2, 3, 4) if len(word) > size]
    values += [f"ends={lower[-size:]}" for size in (2, 3, 4) if len(word) > size]
    if word.isupper():
        values.append(f"capitals={min(len(word), 6)}")
    return values


def _shape(word: str) -> str:
    """Return the shape of a word: `Aa` if capitalised, `A` for an abbreviation, `0` for a number, signs unchanged."""
    kinds = ("0" if c.isdigit() else "A" if c.isupper() else "a" if c.isalpha() else c for c in word)
    shape = ""
    for kind in kinds:
        if not shape.endswith(kind):
            shape += kind
    return shape[:8]


def _runs(tags: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the index of each mention's first word and one past its last; an I without a B begins a mention."""
    start = None
    for place, tag in enumerate([*tags, _OUTSIDE]):
        if start is not None and tag != _INSIDE:
            yield start, place
            start = None
        if start is None and tag != _OUTSIDE:
            start = place


def _file(entity_type: str) -> str:
    return f"{entity_type}.crfsuite"


def _crfsuite() -> Any:
    try:
        import pycrfsuite
    except ImportError as error:
        raise MissingExtraError("python-crfsuite", "bench") from error
    return pycrfsuite
