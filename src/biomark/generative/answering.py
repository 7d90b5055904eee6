"""Ways to get a generative model's answers: under the mark grammar, or written freely (Keloth et al. 2024)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from math import prod
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from biomark import marks
from biomark.demonstrations import Style
from biomark.generative.decoding.choice import Chance, Sampling
from biomark.generative.decoding.engine import Decoder, Question
from biomark.generative.decoding.grammar import Grammar
from biomark.generative.decoding.vocabulary import Vocabulary
from biomark.recognizers.voting import vote
from biomark.shapes import MARK, shape_named
from biomark.spans import Entity, Rejected, Span

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
        decoder: the decoder of the model.
        vocabulary: the vocabulary of the model.
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
        """Return one answer for each chance of each window; the chance None gives the most probable answer."""
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
        vocabulary: the vocabulary of the model.
        full_prompts: whether the model attends to its whole prompt; see `GenerativeRecipe.prompt_attention`.
        lookup: the number of tokens that prompt lookup drafts at once; 0: no prompt lookup. With it, windows are
            computed one by one.
        sampling: the settings for drawing several answers to each prompt, which are computed one by one; None: only
            the likeliest tokens.
        shape: the shape of the answers; one of `biomark.demonstrations.TUNED`.
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
        vocabulary: the vocabulary of the model.
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
