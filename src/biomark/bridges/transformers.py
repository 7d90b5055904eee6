"""`biomark.pipeline`: a replacement for a pipeline of `transformers` with a model of biomark. Needs no transformers.

Its results have the form of `transformers.pipeline("ner", aggregation_strategy="simple")`, so that code written for
that pipeline keeps working.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, overload

from biomark.annotation import annotate
from biomark.errors import UsageError
from biomark.recognizers import Recognizer
from biomark.spans import Document

TASKS = ("ner", "token-classification")


class EntityGroup(TypedDict):
    """A mention in the form of `transformers`.

    Attributes:
        entity_group: the entity type.
        score: the score in [0, 1]; None if the model has no scores.
        word: the mention's exact text.
        start, end: its offsets, as half-open code points.
    """

    entity_group: str
    score: float | None
    word: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Ner:
    """A pipeline that finds mentions in texts; `pipeline` makes it.

    Attributes:
        model: a model's name or folder, or a recognizer.
        types: the types to find; None: all that the model knows.
        min_score: the lowest score in [0, 1] of a mention; None: the model's own threshold.
    """

    model: str | Path | Recognizer = "default"
    types: str | Sequence[str] | None = None
    min_score: float | None = None

    @overload
    def __call__(self, inputs: str) -> list[EntityGroup]: ...  # type: ignore[overload-overlap]  # a str is iterable, too
    @overload
    def __call__(self, inputs: Sequence[str]) -> list[list[EntityGroup]]: ...
    @overload
    def __call__(self, inputs: Iterable[str]) -> Iterable[list[EntityGroup]]: ...
    def __call__(self, inputs: str | Iterable[str]) -> list[EntityGroup] | Iterable[list[EntityGroup]]:
        """Find the mentions of one or several texts.

        Args:
            inputs: a text, a list of texts, or any other iterable, such as a column of a data set, which is streamed.

        Returns:
            A list of mentions for a text; a list of such lists for a list or tuple; otherwise an iterator over them.

        Raises:
            FormatError: if an element of `inputs` is no text.
            UsageError: if the model or a type is unknown.
        """
        if isinstance(inputs, str):
            return next(self._stream([inputs]))
        results = self._stream(inputs)
        return list(results) if isinstance(inputs, (list, tuple)) else results

    def _stream(self, texts: Iterable[str]) -> Iterator[list[EntityGroup]]:
        # `annotate` rejects a `str` that is the path of a file; in a document it is a text.
        items = (Document(str(n), text) if isinstance(text, str) else text for n, text in enumerate(texts, 1))
        for document in annotate(items, self.types, model=self.model, min_score=self.min_score):
            yield groups(document)


def groups(document: Document) -> list[EntityGroup]:
    """Return the mentions of a document; a discontinuous one extends from its first part to its last."""
    return [
        EntityGroup(
            entity_group=entity.type,
            score=entity.score,
            word=entity.extent.of(document.text),
            start=entity.start,
            end=entity.end,
        )
        for entity in document.entities
    ]


def pipeline(
    task: str = "ner",
    model: str | Path | Recognizer = "default",
    *,
    types: str | Sequence[str] | None = None,
    min_score: float | None = None,
) -> Ner:
    """Return a pipeline whose results have the form of an aggregated pipeline of `transformers`; see `Ner`.

    Args:
        task: `ner` or `token-classification`, two names of the same task.
        model: a model's name or folder, or a recognizer.
        types: the types to find; None: all that the model knows.
        min_score: the lowest score in [0, 1] of a mention; None: the model's own threshold.

    Raises:
        UsageError: if the task is unknown.
    """
    if task not in TASKS:
        raise UsageError(f"unknown task {task!r:.80}; choose from {', '.join(TASKS)}")
    return Ner(model, types, min_score)
