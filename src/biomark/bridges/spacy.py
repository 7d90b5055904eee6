"""A component of spaCy pipelines, which spaCy finds by its entry point: `nlp.add_pipe("biomark")`.

It puts all mentions into `doc.spans["biomark"]`, and those that do not overlap into `doc.ents`. The first identifier of
a mention is its `kb_id_`; `_.biomark_score`, `_.biomark_ids` and `_.biomark_offsets` of a span hold the score, all
identifiers and the offsets.

A span of spaCy consists of whole tokens. A mention that begins or ends inside a token gets the span of all tokens that
it touches, and `_.biomark_offsets` has its exact characters. `doc._.biomark` has all mentions as `biomark.Entity`,
including those with the same tokens and types.
"""

# No `from __future__ import annotations`: spaCy 3.7 checks a factory's arguments by their annotations, not by names.

import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self, cast

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.util import filter_spans, raise_error

from biomark.annotation import annotated
from biomark.errors import FormatError, ModelError
from biomark.models import PACKAGED, kept, normalizing
from biomark.recognizers import Recognizer
from biomark.spans import Document, Entity, Rejected

NAME = "biomark"
_SETTINGS, _MODEL = "settings.json", "model"  # in the component's folder

ErrorHandler = Callable[[str, Any, list[Doc], Exception], Any]


@dataclass(frozen=True, slots=True)
class ComponentSettings:
    """The settings of the component; `config` of `nlp.add_pipe` has the same names.

    Attributes:
        model: a model's name or folder.
        types: the types to find; None: all that the model knows.
        min_score: the lowest score in [0, 1] of a mention; None: the model's own threshold.
        normalize: the path of a term store from which mentions get identifiers; None: mentions get none.
        overwrite_ents: whether mentions replace overlapping entities of earlier components; otherwise these are kept.
    """

    model: str = "default"
    types: str | Sequence[str] | None = None
    min_score: float | None = None
    normalize: str | None = None
    overwrite_ents: bool = True


class BiomarkComponent:
    """A component that annotates documents of spaCy; see the module.

    The model is loaded with the first document.

    Args:
        name: the name of the component in its pipeline.
        settings: the settings; None: the defaults.
    """

    def __init__(self, name: str = NAME, settings: ComponentSettings | None = None) -> None:
        self.name = name
        self.settings = settings or ComponentSettings()
        self._loaded: tuple[int, Recognizer] | None = None
        self._error_handler: ErrorHandler = raise_error

    def __call__(self, doc: Doc) -> Doc:
        """Annotate one document."""
        return next(self.pipe([doc]))

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 0) -> Iterator[Doc]:
        """Annotate a stream of documents, and yield them in their order.

        Args:
            stream: the documents, of which about 60,000 characters are read ahead.
            batch_size: ignored, since the model makes its own batches.
        """
        waiting: deque[Doc] = deque()
        rejected: list[Rejected] = []

        def documents() -> Iterator[Document]:
            for number, doc in enumerate(stream, 1):
                waiting.append(doc)
                yield Document(str(number), doc.text)

        settings = self.settings
        for result in annotated(
            documents(),
            self._recognizer(),
            types=settings.types,
            min_score=settings.min_score,
            reject=rejected.append,
        ):
            doc = waiting.popleft()
            for one in rejected:
                self._error_handler(self.name, self, [doc], FormatError(str(one)))
            rejected.clear()
            self._put(doc, result.entities)
            yield doc

    def _recognizer(self) -> Recognizer:
        """Return the model; a forked process loads the model again."""
        if self.settings.normalize is None:
            return kept(self.settings.model)
        if self._loaded is None or self._loaded[0] != os.getpid():
            self._loaded = os.getpid(), normalizing(kept(self.settings.model), Path(self.settings.normalize))
        return self._loaded[1]

    def _put(self, doc: Doc, entities: Sequence[Entity]) -> None:
        places: dict[str, Span] = {}
        mentions: dict[str, list[dict[str, object]]] = {}
        # Of mentions with the same tokens and type, the likeliest one comes first.
        for entity in sorted(entities, key=lambda e: -(e.score or 0.0)):
            span = doc.char_span(
                entity.start,
                entity.end,
                label=entity.type,
                kb_id=entity.ids[0] if entity.ids else "",
                alignment_mode="expand",
            )
            if span is None:  # pragma: no cover - a mention has at least one character of the text
                raise FormatError(f"{entity.type} at {entity.start}-{entity.end} lies in no token of the document")
            places.setdefault(_place(span), span)
            mentions.setdefault(_place(span), []).append(entity.to_dict(doc.text))
        doc.user_data[NAME] = mentions
        likeliest = list(places.values())
        doc.spans[NAME] = sorted(likeliest, key=lambda span: (span.start, span.end))
        own, others = filter_spans(likeliest), list(doc.ents)
        doc.ents = _beside(own, others) if self.settings.overwrite_ents else _beside(others, own)

    def set_error_handler(self, error_handler: ErrorHandler) -> None:
        """Set the function that is called with each document of which a part could not be annotated."""
        self._error_handler = error_handler

    def get_error_handler(self) -> ErrorHandler:
        """Return the function that handles errors; by default the first error is raised."""
        return self._error_handler

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the model, so that another process loads its own."""
        return {**self.__dict__, "_loaded": None}

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Return the settings as bytes, which contain the paths of the model and the term store, not their files."""
        return json.dumps(asdict(self.settings)).encode()

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> Self:
        """Load the settings from bytes that `to_bytes` returned."""
        self.settings, self._loaded = ComponentSettings(**json.loads(data)), None
        return self

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Write the settings into a folder, and a copy of the model if it is a folder; the term store is not copied."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _SETTINGS).write_bytes(self.to_bytes() + b"\n")
        model, copy = Path(self.settings.model), folder / _MODEL
        if self.settings.model in PACKAGED or not model.is_dir() or model.resolve() == copy.resolve():
            return
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(model, copy)

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> Self:
        """Load the settings, and use the copy of the model, from a folder that `to_disk` wrote.

        Raises:
            ModelError: if the folder has no settings of the component.
        """
        folder = Path(path)
        try:
            self.from_bytes((folder / _SETTINGS).read_bytes())
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(f"{folder / _SETTINGS}: not a saved component of biomark: {error}") from error
        if (folder / _MODEL).is_dir():
            self.settings = replace(self.settings, model=str(folder / _MODEL))
        return self


@Language.factory(
    NAME,
    assigns=["doc.ents", "doc.spans", "token.ent_type", "token.ent_iob"],
    default_config=asdict(ComponentSettings()),
)
def make_component(
    nlp: Language,
    name: str,
    model: str,
    types: str | list[str] | None,
    min_score: float | None,
    normalize: str | None,
    overwrite_ents: bool,
) -> BiomarkComponent:
    """Make the component for `nlp.add_pipe("biomark", config={…})`; see `ComponentSettings` for the arguments."""
    return BiomarkComponent(
        name, ComponentSettings(model, types, min_score, normalize=normalize, overwrite_ents=overwrite_ents)
    )


def _place(span: Span) -> str:
    """Return the key of a span: its first and last character, and its type."""
    return f"{span.start_char} {span.end_char} {span.label_}"


def _beside(first: Sequence[Span], second: Iterable[Span]) -> list[Span]:
    """Return the first spans, and those of the second ones that share no token with the first."""
    taken = {token for span in first for token in range(span.start, span.end)}
    return [*first, *(span for span in second if taken.isdisjoint(range(span.start, span.end)))]


def _mentions(doc: Doc) -> tuple[Entity, ...]:
    """Return the value of `doc._.biomark`: all mentions, in the order of the text."""
    entities = [Entity.from_dict(values) for same in doc.user_data.get(NAME, {}).values() for values in same]
    return tuple(sorted(entities, key=lambda entity: (entity.start, entity.end)))


def _mention(span: Span) -> Entity | None:
    """Return the likeliest mention with a span's tokens and type; None if there is none."""
    same = span.doc.user_data.get(NAME, {}).get(_place(span))
    return Entity.from_dict(same[0]) if same else None


def _score(span: Span) -> float | None:
    """Return the value of `span._.biomark_score`, in [0, 1]; None without a score or for a span that has no mention."""
    mention = _mention(span)
    return mention.score if mention else None


def _ids(span: Span) -> tuple[str, ...]:
    """Return the value of `span._.biomark_ids`: all identifiers."""
    mention = _mention(span)
    return mention.ids if mention else ()


def _offsets(span: Span) -> tuple[tuple[int, int], ...]:
    """Return the value of `span._.biomark_offsets`: start and end, as code points, of each part of the mention."""
    mention = _mention(span)
    return tuple((part.start, part.end) for part in mention.spans) if mention else ()


# Getters, since spaCy 3 stores one value for all spans with the same characters, regardless of their labels.
Doc.set_extension(NAME, getter=_mentions, force=True)
for _name, _getter in (("score", _score), ("ids", _ids), ("offsets", _offsets)):
    Span.set_extension(f"{NAME}_{_name}", getter=cast(Callable[[Span], object], _getter), force=True)
