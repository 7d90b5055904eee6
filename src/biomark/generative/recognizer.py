"""The recognizer of generative models, whose answers copy the sentence and mark its mentions (Keloth et al. 2024).

The model answers once for each window (a sentence, or a part of one that is too long) and each entity type.
`MarkDecoding`, the default, constrains the answers so that they are faithful copies. `FreeGeneration` lets the model
write without constraints, as in the paper, and aligns the answer with the window afterwards; it is the only way for
models that were tuned on other shapes than marks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from math import prod
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from biomark import demonstrations, marks
from biomark.demonstrations import Style
from biomark.errors import BiomarkError, UsageError
from biomark.generative.decoding.choice import Chance, Sampling
from biomark.generative.decoding.engine import Decoder, Question
from biomark.generative.decoding.grammar import Grammar
from biomark.generative.decoding.vocabulary import Vocabulary
from biomark.recognizers import Annotated, Recognizer, in_groups, types_known
from biomark.recognizers.voting import vote
from biomark.shapes import MARK, shape_named
from biomark.spans import Document, Entity, Rejected, Span, halves
from biomark.text.sentences import splitter_named, with_sentences

if TYPE_CHECKING:
    from transformers import LogitsProcessorList, PreTrainedModel


@dataclass(frozen=True, slots=True)
class WindowPrompt:
    """A window with the prompt that asks for its mentions of one type.

    Attributes:
        text: a sentence, or a part of one.
        type: the entity type to look for.
        prompt: the token ids of the whole prompt.
        draft: the spans of expected mentions, with offsets in `text`; they speed up mark decoding.
    """

    text: str
    type: str
    prompt: tuple[int, ...]
    draft: tuple[Span, ...] = ()


class Answering(Protocol):
    """A way to get answers from a model.

    Attributes:
        counts: numbers of `answers` so far, of `unfaithful` ones, of `tokens` computed (without padding), and `least`:
            the tokens of all prompts and answers, which any method has to compute.
    """

    counts: Counter[str]

    def longest(self) -> int | None:
        """Return the greatest number of tokens of prompt and answer together; None: any number."""
        ...

    def answer(self, windows: Sequence[WindowPrompt]) -> list[marks.Aligned | None]:
        """Return the mentions of each window, with offsets in it; None where prompt and answer became too long."""
        ...


class MarkDecoding:
    """Constrained decoding under the mark grammar, by draft and verify; see `biomark.generative.decoding`.

    Args:
        decoder: of the model.
        vocabulary: of the model.
        whole_words: see `Grammar`.
        sampling: the settings for drawing several answers to each prompt; None: only the likeliest answer.
    """

    def __init__(
        self, decoder: Decoder, vocabulary: Vocabulary, *, whole_words: bool = True, sampling: Sampling | None = None
    ) -> None:
        self._whole_words = whole_words
        self._sampling = sampling
        self.counts: Counter[str] = Counter()
        self._decoder = decoder
        self._vocabulary = vocabulary

    def longest(self) -> int | None:
        """See `Answering`."""
        return self._decoder.longest

    def answer(self, windows: Sequence[WindowPrompt]) -> list[marks.Aligned | None]:
        """See `Answering`; a score is the probability of the mark given the answer before it, or a share of answers."""
        chances = [self._sampling.chances(w.text, w.type) if self._sampling else [None] for w in windows]
        return [_one(answers, voted=self._sampling is not None) for answers in self.drawn(windows, chances)]

    def drawn(
        self, windows: Sequence[WindowPrompt], chances: Sequence[Sequence[Chance | None]]
    ) -> list[list[marks.Aligned | None]]:
        """Return for each window one answer for each of its chances; None stands for the likeliest answer."""
        drawn: list[list[marks.Aligned | None]] = [[] for _ in windows]
        for n in range(max(map(len, chances), default=0)):
            rows = [row for row, own in enumerate(chances) if n < len(own)]
            drafted = [_drafted(windows[row], drawn[row]) for row in rows]
            for row, answer in zip(rows, self._once(drafted, [chances[row][n] for row in rows]), strict=True):
                drawn[row].append(answer)
        return drawn

    def _once(self, windows: Sequence[WindowPrompt], chances: Sequence[Chance | None]) -> list[marks.Aligned | None]:
        grammars = [Grammar(w.text, self._vocabulary, whole_words=self._whole_words) for w in windows]
        questions = [
            Question(window.prompt, grammar, window.draft, chance)
            for window, grammar, chance in zip(windows, grammars, chances, strict=True)
        ]
        aligned: list[marks.Aligned | None] = []
        for window, answer in zip(windows, self._decoder.answer(questions), strict=True):
            if answer is None:
                aligned.append(None)
                continue
            least = len(window.prompt) + len(answer.tokens)
            self.counts += Counter(answers=1, tokens=answer.computed, passes=answer.passes, least=least)
            scores = answer.probabilities
            entities = [
                Entity((mark.span,), window.type, score=min(1.0, prod(scores[mark.first : mark.last + 1])))
                for mark in answer.marks
            ]
            aligned.append(marks.Aligned(tuple(entities)))
        return aligned


def _drafted(window: WindowPrompt, before: Sequence[marks.Aligned | None]) -> WindowPrompt:
    """Return a window with the last answer as its draft, since drawn answers to one prompt are mostly alike."""
    last = before[-1] if before else None
    return window if last is None else replace(window, draft=tuple(entity.spans[0] for entity in last.entities))


def _one(answers: Sequence[marks.Aligned | None], *, voted: bool) -> marks.Aligned | None:
    """Return the only answer, or the result of a vote among several; None if one of them became too long."""
    complete = [answer for answer in answers if answer is not None]
    if len(complete) < len(answers):
        return None
    return marks.Aligned(*vote(complete)) if voted else complete[0]


class FreeGeneration:
    """Generation without a grammar (`generate` of transformers); answers are aligned with their window.

    Args:
        model: a causal language model.
        vocabulary: of the model.
        full_prompts: whether the model attends to its whole prompt; see `GenerativeRecipe.prompt_attention`.
        lookup: the number of tokens that prompt lookup drafts at once; 0: no prompt lookup. With it, windows are
            computed one by one.
        sampling: the settings for drawing several answers to each prompt, which are computed one by one; None: only
            the likeliest tokens.
        shape: of the answers; one of `biomark.demonstrations.TUNED`.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        vocabulary: Vocabulary,
        *,
        full_prompts: bool = False,
        lookup: int = 0,
        sampling: Sampling | None = None,
        shape: str = MARK.name,
    ) -> None:
        self._sampling = sampling
        self.counts: Counter[str] = Counter()
        self._model = model
        self._vocabulary = vocabulary
        self._full_prompts = full_prompts
        self._lookup = lookup
        self._shape = None if shape == MARK.name else shape_named(shape)

    def longest(self) -> int | None:
        """See `Answering`."""
        positions = getattr(self._model.config, "max_position_embeddings", None)
        return int(positions) if positions else None

    def answer(self, windows: Sequence[WindowPrompt]) -> list[marks.Aligned | None]:
        """See `Answering`; mentions have no score, or with several answers the share of answers that have them."""
        if (self._lookup or self._sampling) and len(windows) > 1:
            return [answer for window in windows for answer in self.answer([window])]
        width = max(len(window.prompt) for window in windows)
        ids = torch.full((len(windows), width), self._vocabulary.end, device=self._model.device)
        mask = torch.zeros_like(ids)
        for row, window in enumerate(windows):
            ids[row, width - len(window.prompt) :] = torch.tensor(window.prompt)
            mask[row, width - len(window.prompt) :] = 1
        room = (self.longest() or 1_000_000) - width
        wanted = max(map(self._most, windows))
        if room < 1:
            return [None] * len(windows)
        with self._show_prompts(width), self._drawing(windows[0]) as settings:
            outputs = self._model.generate(  # type: ignore[operator]
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=min(wanted, room),
                num_beams=1,
                use_cache=True,
                eos_token_id=self._vocabulary.end,
                pad_token_id=self._vocabulary.end,
                prompt_lookup_num_tokens=self._lookup or None,
                logits_processor=self.processors(windows, width),
                **settings,
            )
        if self._sampling is not None:
            return [_one([self._read(windows[0], row[width:].tolist()) for row in outputs], voted=True)]
        return [self._read(window, outputs[row, width:].tolist()) for row, window in enumerate(windows)]

    @contextmanager
    def _drawing(self, window: WindowPrompt) -> Iterator[dict[str, object]]:
        """Yield the settings of `generate` for choosing tokens; draws depend only on the window and the seed."""
        if self._sampling is None:
            yield {"do_sample": False}
            return
        (chance, *_) = self._sampling.chances(window.text, window.type)
        device = self._model.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(chance.key)
            settings = {"temperature": chance.temperature, "top_k": 0, "top_p": 1.0}
            yield {"do_sample": True, "num_return_sequences": self._sampling.samples, **settings}

    def _most(self, window: WindowPrompt) -> int:
        """Return the greatest number of tokens of an answer."""
        most = 2 * len(self._vocabulary.answer(window.text, ())) + 32
        if self._shape is None:
            return most
        return most + len(self._vocabulary.answer(self._shape.encode(window.text, (), (window.type,)).text, ()))

    def _show_prompts(self, width: int) -> AbstractContextManager[object]:
        """Let prompt tokens attend to their whole prompt (`width` tokens, with padding) in the model's first pass."""

        def hook(_: nn.Module, args: tuple[Tensor, ...], settings: dict[str, Any]) -> Any:
            cache, mask = settings.get("past_key_values"), settings.get("attention_mask")
            if cache is not None and cache.get_seq_length():
                return None
            mask = torch.ones_like(settings["input_ids"]) if mask is None else mask
            places = torch.arange(mask.shape[1], device=mask.device)
            visible = places <= places[:, None].clamp(min=width - 1)
            return args, {**settings, "attention_mask": mask[:, None, None, :].bool() & visible}

        if not self._full_prompts:
            return nullcontext()
        handle = self._model.register_forward_pre_hook(hook, with_kwargs=True)
        return closing(SimpleNamespace(close=handle.remove))

    def processors(self, windows: Sequence[WindowPrompt], width: int) -> LogitsProcessorList | None:
        """Return processors that change the logits, for prompts of `width` tokens; a subclass may override this."""
        return None

    def _read(self, window: WindowPrompt, tokens: list[int]) -> marks.Aligned:
        ended = self._vocabulary.end in tokens
        if ended:
            tokens = tokens[: tokens.index(self._vocabulary.end) + 1]
        answer = self._vocabulary.text(tokens)
        if self._shape is None:
            faithful = Grammar(window.text, self._vocabulary).accepts(tokens)
            aligned = marks.align(answer, window.text, window.type)
        else:
            decoded = self._shape.decode(answer, window.text, (window.type,))
            cut = () if ended else (Rejected(f"the answer was cut off at {len(tokens)} tokens", raw=answer),)
            faithful = decoded.faithful and ended
            aligned = marks.Aligned(decoded.entities, (*decoded.rejected, *cut))
        least = len(window.prompt) + len(tokens)
        self.counts += Counter(answers=1, unfaithful=not faithful, tokens=least, least=least)
        return aligned


def answering_of(
    model: PreTrainedModel,
    vocabulary: Vocabulary,
    style: Style,
    *,
    free: bool = False,
    full_prompts: bool = False,
    whole_words: bool = True,
    sampling: Sampling | None = None,
) -> Answering:
    """Return the way to get answers from a model: mark decoding for marks, free generation for other shapes.

    Args:
        model: a causal language model.
        vocabulary: of the model.
        style: the style of demonstrations that the model was tuned on.
        free: whether to generate marks freely, too.
        full_prompts: see `FreeGeneration`.
        whole_words: see `Grammar`.
        sampling: the settings for drawing several answers to each prompt; None: only the likeliest answer.
    """
    if free or style.shape != MARK.name:
        return FreeGeneration(model, vocabulary, full_prompts=full_prompts, sampling=sampling, shape=style.shape)
    decoder = Decoder(model, vocabulary, full_prompts=full_prompts)
    return MarkDecoding(decoder, vocabulary, whole_words=whole_words, sampling=sampling)


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
        vocabulary: of the model.
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
        characters_at_once: int = 20_000,
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
