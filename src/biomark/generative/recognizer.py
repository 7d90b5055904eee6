"""The recognizer of generative models, whose answers copy the sentence and mark its mentions (Keloth et al. 2024).

The model answers once for each window (a sentence, or a part of one that is too long) and each entity type.
`MarkDecoding`, the default, constrains the answers so that they are faithful copies. `FreeGeneration` lets the model
write without constraints, as in the paper, and aligns the answer with the window afterwards; it is the only way for
models that were tuned on other shapes than marks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from biomark import demonstrations, marks
from biomark.demonstrations import Style
from biomark.errors import BiomarkError, UsageError
from biomark.generative.answering import Answering, WindowPrompt
from biomark.generative.decoding.vocabulary import Vocabulary
from biomark.recognizers import GROUP, Annotated, Recognizer, in_groups, types_known
from biomark.spans import Document, Entity, Rejected, Span, halves
from biomark.text.sentences import splitter_named, with_sentences

if TYPE_CHECKING:
    pass


@dataclass(slots=True)
class _Pending:
    """A document whose windows are being computed, with its mentions and rejects so far."""

    document: Document
    entities: list[Entity]
    rejected: list[Rejected]


class GenerativeRecognizer:
    """A recognizer that asks a causal language model for the mentions of each type in each sentence.

    Args:
        answering: the way to get answers from the model.
        vocabulary: the vocabulary of the model.
        types: the types that the model was tuned on, under biomark's names; None: not known.
        style: the style of demonstrations that the model was tuned on, in whose shape `answering` reads answers; None:
            that of the paper.
        batch: the number of windows that are computed at the same time.
        drafter: a recognizer that proposes mentions. Good drafts make mark decoding faster, and no draft changes an
            answer.
        sure: the lowest score, in [0, 1], of a mention that is kept, unless `annotate` gets another one.
        characters_at_once: the code points of text whose windows are sorted by length into batches together.
    """

    def __init__(
        self,
        answering: Answering,
        vocabulary: Vocabulary,
        types: Sequence[str] | None,
        *,
        style: Style | None = None,
        batch: int = 16,
        drafter: Recognizer | None = None,
        sure: float = 0.0,
        characters_at_once: int = GROUP,
    ) -> None:
        self.answering = answering
        self._vocabulary = vocabulary
        self._types = tuple(types) if types is not None else None
        self._style = style or Style()
        splitter_named(self._style.sentences)  # an error here, not in the middle of a file
        self._batch = batch
        self._drafter = drafter
        self._sure = sure
        self._characters_at_once = characters_at_once

    @property
    def types(self) -> tuple[str, ...] | None:
        """The types that the model was tuned on, or None; `annotate` accepts other types, of unknown accuracy."""
        return self._types

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        """See `biomark.recognizers.Recognizer`; the types may be any, and each mention lies within a sentence."""
        wanted = self._types if types is None else tuple(types)
        if wanted is None:
            raise UsageError("the model does not list its types; name some, for instance `types=disease,chemical`")
        return self._stream(documents, wanted, self._sure if min_score is None else min_score)

    def _stream(self, documents: Iterable[Document], types: Sequence[str], least: float) -> Iterator[Annotated]:
        instructions = {t: demonstrations.instruction(t, self._style) for t in types}
        for group in in_groups(documents, self._characters_at_once):
            clean = [document.bare() for document in group]
            drafts = self._drafts(clean, types)
            pending = [_Pending(document, [], []) for document in clean]
            tasks = [
                (number, span, entity_type)
                for number, document in enumerate(clean)
                for span in with_sentences(document, self._style.sentences).sentences
                for entity_type in types
            ]
            self._ask(tasks, pending, drafts, instructions)
            for one in pending:
                kept = [e for e in one.entities if e.score is None or e.score >= least]
                kept.sort(key=lambda e: (e.start, e.end, types.index(e.type)))
                yield Annotated(replace(one.document, entities=tuple(kept)), tuple(one.rejected))

    def _drafts(self, documents: Sequence[Document], types: Sequence[str]) -> list[tuple[Entity, ...]]:
        if self._drafter is None:
            return [()] * len(documents)
        known = types_known(self._drafter, types)
        return [annotated.document.entities for annotated in self._drafter.annotate(documents, known)]

    def _ask(
        self,
        tasks: list[tuple[int, Span, str]],
        pending: Sequence[_Pending],
        drafts: Sequence[tuple[Entity, ...]],
        instructions: dict[str, str],
    ) -> None:
        """Get answers in batches of similar length, longest first; a window that is too long is split in two."""
        waiting: list[tuple[int, Span, WindowPrompt]] = []
        while tasks:
            number, span, entity_type = tasks.pop()
            under = pending[number]
            try:
                window = self._window(under.document, span, entity_type, drafts[number], instructions[entity_type])
            except Exception as error:  # whatever a tokenizer raises on odd text must not stop the rest
                under.rejected.append(self._rejected(under.document, span, f"cannot be read: {error}"))
                continue
            if self._fits(window) or len(span) == 1:
                waiting.append((number, span, window))
            else:
                tasks += [(number, part, entity_type) for part in halves(under.document.text, span)]
        waiting.sort(key=lambda item: -len(item[2].prompt))
        for first in range(0, len(waiting), self._batch):
            batch = waiting[first : first + self._batch]
            for (number, span, window), answer in zip(batch, self._answers([w for *_, w in batch]), strict=True):
                under = pending[number]
                if answer is None and len(span) > 1:
                    tasks += [(number, part, window.type) for part in halves(under.document.text, span)]
                elif answer is None:
                    under.rejected.append(self._rejected(under.document, span, "the model has no room for an answer"))
                else:
                    under.entities += [entity.shift(span.start) for entity in answer.entities]
                    under.rejected += [self._rejected(under.document, span, r.reason, r.raw) for r in answer.rejected]
        if tasks:
            self._ask(tasks, pending, drafts, instructions)

    def _answers(self, windows: list[WindowPrompt]) -> list[marks.Aligned | None]:
        """Return the answers to a batch; if it fails, retry each window alone and reject those that fail again."""
        try:
            return self.answering.answer(windows)
        except (BiomarkError, ValueError, IndexError) as error:
            if len(windows) == 1:
                reason = f"{windows[0].type}: no answer: {error}"
                return [marks.Aligned((), (Rejected(reason, raw=windows[0].text),))]
            return [answer for window in windows for answer in self._answers([window])]

    def _window(
        self, document: Document, span: Span, entity_type: str, draft: Sequence[Entity], instruction: str
    ) -> WindowPrompt:
        text = span.of(document.text)
        prompt = self._vocabulary.prompt(demonstrations.prompt(instruction, text, form=self._style.form))
        inside = [
            entity.extent.shift(-span.start)
            for entity in draft
            if entity.type == entity_type and span.contains(entity.extent)
        ]
        return WindowPrompt(text, entity_type, tuple(prompt), tuple(sorted(inside)))

    def _fits(self, window: WindowPrompt) -> bool:
        """Return whether there is room for an answer with a mark at every fourth token."""
        longest = self.answering.longest()
        if longest is None or len(window.prompt) * 3 < longest:
            return True
        return len(window.prompt) + 1.5 * len(self._vocabulary.answer(window.text, ())) + 8 <= longest

    def _rejected(self, document: Document, span: Span, reason: str, raw: str = "") -> Rejected:
        return Rejected(reason, raw=raw or span.of(document.text), document_id=document.id, window=span)
