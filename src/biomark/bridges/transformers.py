"""`biomark.pipeline`: a model of biomark's in the place of one of `transformers`' pipelines. Needs no transformers.

What it gives has the form of `transformers.pipeline("ner", aggregation_strategy="simple")`, so that code written for
that goes on working.
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


class Group(TypedDict):
    """A mention as `transformers` has it.

    Attributes:
        entity_group: its type.
        score: in [0, 1]; None where the model gives none.
        word: its words, exactly as they stand in the text.
        start, end: half-open code points.
    """

    entity_group: str
    score: float | None
    word: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Ner:
    """Finds mentions in texts; `pipeline` makes one.

    Attributes:
        model: a model's name or folder, or a recognizer.
        types: to look for; None: all that the model knows.
        min_score: mentions with a lower score are left out; None: as the model was made to do.
    """

    model: str | Path | Recognizer = "default"
    types: str | Sequence[str] | None = None
    min_score: float | None = None

    @overload
    def __call__(self, inputs: str) -> list[Group]: ...  # type: ignore[overload-overlap]  # a str is iterable, too
    @overload
    def __call__(self, inputs: Sequence[str]) -> list[list[Group]]: ...
    @overload
    def __call__(self, inputs: Iterable[str]) -> Iterable[list[Group]]: ...
    def __call__(self, inputs: str | Iterable[str]) -> list[Group] | Iterable[list[Group]]:
        """The mentions of a text, or of each of several.

        Args:
            inputs: a text, a list of texts, or any other iterable, such as a column of a data set, which is streamed.

        Returns:
            A list for a text; a list of lists for a list; else an iterator of lists.

        Raises:
            FormatError: if something is no text.
            UsageError: if the model or a type is unknown.
        """
        if isinstance(inputs, str):
            return next(self._stream([inputs]))
        found = self._stream(inputs)
        return list(found) if isinstance(inputs, (list, tuple)) else found

    def _stream(self, texts: Iterable[str]) -> Iterator[list[Group]]:
        # As a document a text is a text, even if there is a file of its name.
        items = (Document(str(n), text) if isinstance(text, str) else text for n, text in enumerate(texts, 1))
        for document in annotate(items, self.types, model=self.model, min_score=self.min_score):
            yield groups(document)


def groups(document: Document) -> list[Group]:
    """The mentions of a document; a discontinuous one reaches from its first part to its last."""
    return [
        Group(
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
    """What finds mentions and gives them as an aggregated pipeline of `transformers` does; see `Ner`.

    Args:
        task: `ner` or `token-classification`, which are one.
        model: a model's name or folder, or a recognizer.
        types: to look for; None: all that the model knows.
        min_score: mentions with a lower score are left out; None: as the model was made to do.

    Raises:
        UsageError: if it is another task.
    """
    if task not in TASKS:
        raise UsageError(f"there are the tasks {' and '.join(TASKS)}, not {task!r:.80}")
    return Ner(model, types, min_score)
