"""A causal language model in this process as a chat model, with the same prompts as for servers.

If the answer repeats a text with marks, decoding is constrained by the mark grammar (see
`biomark.generative.decoding`), so that the answer of any model, tuned or not, is faithful. All other answers are
generated freely.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from biomark.generative.answering import MarkDecoding, WindowPrompt
from biomark.generative.decoding.choice import Chance
from biomark.generative.decoding.engine import Decoder
from biomark.generative.decoding.vocabulary import Vocabulary
from biomark.prompted.chat import Ask, Message, Reply, Request, Unanswered, estimate
from biomark.prompted.chat.account import Account
from biomark.prompted.chat.answers import without_thoughts
from biomark.prompted.chat.cache import Cache, Kept, key_of
from biomark.prompted.chat.templates import PLAIN_STOPS, ChatTemplate, ended, plain

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_STRETCH = 32  # the number of tokens after which complete answers are taken out of a batch
_REPEATED = 96  # tokens at the end of an answer that repeat a shorter stretch before the answer is ended


@dataclass(slots=True)
class _Written:
    """An answer that is being generated.

    Attributes:
        prompt: the tokens of the prompt.
        request: the request that it answers.
        most: the greatest number of tokens that the answer may have.
        ids: the tokens of the answer so far; after its end there may be padding.
    """

    prompt: list[int]
    request: Request
    most: int
    ids: list[int] = field(default_factory=list)


class InProcess:
    """A model in this process, which answers waiting requests in batches.

    Args:
        model: a causal language model; it is put into evaluation mode.
        vocabulary: the model's vocabulary.
        tokenizer: the tokenizer with the chat template; without a template, prompts are plain.
        batch: the number of requests in a batch.
        decoder: the decoder of answers with marks; None: they are generated freely.
        cache: the file that stores answers, so that an interrupted run can continue; None: they are not stored.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        vocabulary: Vocabulary,
        tokenizer: PreTrainedTokenizerBase,
        *,
        batch: int = 16,
        decoder: Decoder | None = None,
        cache: Path | None = None,
    ) -> None:
        self.account = Account()
        self._cache = cache
        self.concurrency = batch
        self._model = model.eval()  # type: ignore[no-untyped-call]
        self._vocabulary = vocabulary
        self._template = ChatTemplate(tokenizer) if getattr(tokenizer, "chat_template", None) else None
        self._marking = MarkDecoding(decoder, vocabulary) if decoder else None
        positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self._longest = int(positions) if positions else None
        ends = model.generation_config.eos_token_id
        self._ends = {vocabulary.end, *(ends if isinstance(ends, list) else [ends])}

    def facts(self) -> Mapping[str, object]:
        """See `biomark.prompted.chat.Chat`."""
        name, decoding = self._model.name_or_path, "marks" if self._marking else "generate"
        return {"model": name, "decoding": decoding, "chat_template": self._template is not None}

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Ask]:
        """See `biomark.prompted.chat.Chat`."""
        waiting = _Waiting(self._answer, self.concurrency)
        with closing(Cache(self._cache)) if self._cache else nullcontext() as cache:
            yield partial(self._kept, waiting.ask, cache, _weights_of(self._model)) if cache else waiting.ask

    async def _kept(self, ask: Ask, cache: Cache, weights: object, request: Request) -> Reply:
        """Return the answer from the cache, or else from the model."""
        key = key_of({**self.facts(), "weights": weights, "biomark": version("biomark"), **asdict(request)})
        kept = cache.get(key)
        if kept is not None and (kept.entities is not None or any(text.strip() for text in kept.texts)):
            self.account.save(kept.read, kept.written)
            return Reply(kept.texts, kept.finished, kept.entities)
        reply = await ask(request)
        written = sum(map(estimate, reply.texts)) + estimate(request.source or "") * len(reply.entities or ())
        cache.put(key, Kept(reply.texts, reply.finished, request.tokens(), written, entities=reply.entities))
        return reply

    def _answer(self, requests: Sequence[Request]) -> list[Reply | Unanswered]:
        """Return the answers to requests; the failure of one does not affect the others."""
        try:
            prompts = [self._prompt(request.messages) for request in requests]
            if self._marking is not None and requests[0].source is not None:
                return self._mark(self._marking, requests, prompts)
            return self._generate(requests, prompts)
        except Exception as error:  # no error of a model or template may stop the run
            if len(requests) > 1:
                return [reply for request in requests for reply in self._answer([request])]
            return [Unanswered(f"the model in this process failed: {error}")]

    def _mark(
        self, marking: MarkDecoding, requests: Sequence[Request], prompts: Sequence[list[int]]
    ) -> list[Reply | Unanswered]:
        windows = [WindowPrompt(r.source or "", r.type, tuple(ids)) for r, ids in zip(requests, prompts, strict=True)]
        replies: list[Reply | Unanswered] = []
        fits = [self._room(ids) > 0 for ids in prompts]
        rows = [row for row, fit in enumerate(fits) if fit]
        answers = iter(marking.drawn([windows[row] for row in rows], [_chances(requests[row]) for row in rows]))
        for window, fit in zip(windows, fits, strict=True):
            marked = [answer for answer in (next(answers) if fit else ()) if answer is not None]
            if not marked:
                replies.append(Unanswered("the prompt leaves no room for an answer; take fewer `shots`", too_long=True))
                continue
            self._pay(len(window.prompt), len(marked) * len(self._vocabulary.answer(window.text, ())))
            replies.append(Reply((), entities=tuple(answer.entities for answer in marked)))
        return replies

    def _generate(self, requests: Sequence[Request], prompts: Sequence[list[int]]) -> list[Reply | Unanswered]:
        """Return freely generated answers; requests with the same settings are generated together."""
        replies: list[Reply | Unanswered] = [
            Unanswered("the prompt leaves no room for an answer; take fewer `shots`", too_long=True) for _ in requests
        ]
        most = max(request.max_tokens for request in requests)
        alike: dict[tuple[object, ...], list[int]] = {}
        for number, (request, prompt) in enumerate(zip(requests, prompts, strict=True)):
            room = self._room(prompt)
            if room > 0:
                # A model has a limited number of positions: a request with less room than the longest answer is alone.
                alone = number if room < most else -1
                alike.setdefault((alone, request.temperature, request.answers), []).append(number)
        for numbers in alike.values():
            rows = self._together([requests[n] for n in numbers], [prompts[n] for n in numbers])
            for number, reply in zip(numbers, rows, strict=True):
                replies[number] = reply
        return replies

    def _together(self, requests: Sequence[Request], prompts: Sequence[list[int]]) -> list[Reply | Unanswered]:
        """Return the answers to requests with the same settings."""
        rows = [row for row in zip(requests, prompts, strict=True) for _ in range(row[0].answers)]
        written = iter(self._write(rows))
        replies: list[Reply | Unanswered] = []
        for request, prompt in zip(requests, prompts, strict=True):
            own = list(islice(written, request.answers))
            self._pay(len(prompt), sum(one not in self._ends for ids in own for one in ids))
            replies.append(_reply([self._text_of(ids, request.stops) for ids in own]))
        return replies

    def _write(self, rows: Sequence[tuple[Request, list[int]]]) -> list[list[int]]:
        """Return the tokens that the model generates after each prompt; prompts are padded on the left.

        `generate` of transformers computes all rows until the longest answer is complete. It is therefore called for
        `_STRETCH` tokens at a time, and rows with complete answers are taken out of the batch.
        """
        width = max(len(prompt) for _, prompt in rows)
        sequences = torch.tensor([[self._vocabulary.end] * (width - len(prompt)) + prompt for _, prompt in rows])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for _, prompt in rows])
        temperature = rows[0][0].temperature
        sampling = {"do_sample": True, "temperature": temperature} if temperature else {"do_sample": False}
        answers = [_Written(prompt, request, min(request.max_tokens, self._room(prompt))) for request, prompt in rows]
        going = list(answers)
        cache = None

        def complete(sequences: torch.Tensor, scores: object, **more: object) -> torch.Tensor:
            for answer, ids in zip(going, sequences[:, width:].tolist(), strict=True):
                answer.ids = ids
            return torch.tensor([self._is_complete(answer) for answer in going], device=sequences.device)

        while going:
            with torch.inference_mode():
                output = self._model.generate(
                    input_ids=sequences.to(self._model.device),
                    attention_mask=mask.to(self._model.device),
                    past_key_values=cache,
                    max_new_tokens=min(_STRETCH, max(answer.most for answer in going) - sequences.shape[1] + width),
                    pad_token_id=self._vocabulary.end,
                    stopping_criteria=[complete],
                    return_dict_in_generate=True,
                    **sampling,
                )
            left = [row for row, answer in enumerate(going) if not self._is_complete(answer)]
            going = [going[row] for row in left]
            written = output.sequences.shape[1] - mask.shape[1]
            mask = torch.cat((mask, mask.new_ones(len(mask), written)), 1)[left]
            sequences, cache = output.sequences[left], output.past_key_values
            if cache is not None and going:
                cache.batch_select_indices(torch.tensor(left))
        return [self._cut(answer.ids, answer.most) for answer in answers]

    def _is_complete(self, answer: _Written) -> bool:
        """Return whether nothing more is to be written; an answer that repeats itself is not allowed to go on."""
        if len(answer.ids) < answer.most and repeats(answer.ids, answer.prompt):
            answer.most = len(answer.ids)
        return len(answer.ids) >= answer.most or self._text_of(answer.ids, answer.request.stops)[1]

    def _room(self, prompt: Sequence[int]) -> int:
        """Return the number of tokens that fit behind a prompt."""
        return (self._longest or 1_000_000) - len(prompt)

    def _cut(self, ids: list[int], limit: int) -> list[int]:
        """Return the tokens of an answer up to its first end token, which is padded with others."""
        end = next((place + 1 for place, one in enumerate(ids) if one in self._ends), len(ids))
        return ids[: min(end, limit)]

    def _text_of(self, ids: list[int], stops: Sequence[str]) -> tuple[str, bool]:
        """Return the text of an answer, and whether it is complete."""
        finished = not self._ends.isdisjoint(ids)
        text = self._vocabulary.text(ids)
        if self._template is None:
            text, was_stopped = ended(text, PLAIN_STOPS)
            text, finished = text.strip("\n"), finished or was_stopped
        text = without_thoughts(text)
        text, was_stopped = ended(text.lstrip("\n") if stops else text, stops)
        return text, finished or was_stopped

    def _pay(self, read: int, written: int) -> None:
        self.account.pay(read, written, estimated=False)

    def _prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the token ids of a conversation up to the answer; the messages are never read as special tokens."""
        if self._template is None:
            return self._vocabulary.prompt(plain(messages).text)
        conversation = self._template(messages)
        ids = self._special(conversation.around[0])
        for message, after in zip(conversation.messages, conversation.around[1:], strict=True):
            ids += self._vocabulary.answer(message.content, ()) + self._special(after)
        return ids

    def _special(self, text: str) -> list[int]:
        return list(self._vocabulary.full.encode(text, add_special_tokens=False).ids)


def repeats(ids: Sequence[int], prompt: Sequence[int]) -> bool:
    """Return whether the last `_REPEATED` tokens of an answer are one stretch of tokens, written at least three times.

    Small untuned models often write the same words until the longest allowed answer. If the prompt contains the same
    tokens, such as a row of zeros in a table, the answer copies them, which is no repetition.

    Args:
        ids: the tokens of the answer; only every eighth length is examined, because this takes time.
        prompt: the tokens of the prompt.
    """
    if len(ids) < _REPEATED or len(ids) % 8:
        return False
    last = list(ids[-_REPEATED:])
    if not any(last[period:] == last[:-period] for period in range(1, _REPEATED // 3 + 1)):
        return False
    return all(list(prompt[start : start + _REPEATED]) != last for start in range(len(prompt) - _REPEATED + 1))


def _chances(request: Request) -> list[Chance | None]:
    """Return the source of randomness for each answer under the grammar; None: the likeliest answer."""
    if not request.temperature:
        return [None] * request.answers
    contents = [message.content for message in request.messages]
    return [Chance.of(request.temperature, request.sample + n, *contents) for n in range(request.answers)]


def _reply(rows: Sequence[tuple[str, bool]]) -> Reply | Unanswered:
    """Return a reply with the answers that are not blank; `rows` are texts and whether they are complete."""
    texts = tuple(text for text, _ in rows if text.strip())
    if not texts:
        return Unanswered("the model's answer is empty, or it only thought; raise `max_tokens` for thinking")
    return Reply(texts, all(finished for _, finished in rows))


def _weights_of(model: PreTrainedModel) -> object:
    """Return a fingerprint of a model's weights, which changes when the model is tuned further under its name."""
    folder = Path(model.name_or_path or "")
    if not folder.is_dir():
        return str(getattr(model.config, "_commit_hash", None))
    files = sorted(file for file in folder.iterdir() if file.is_file())
    return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]


class _Waiting:
    """A queue of requests: those that arrive during a batch form the next batch."""

    def __init__(self, answer: Callable[[Sequence[Request]], list[Reply | Unanswered]], batch: int) -> None:
        self._answer = answer
        self._batch = batch
        self._waiting: list[tuple[Request, asyncio.Future[Reply]]] = []
        self._turn: asyncio.Task[None] | None = None

    async def ask(self, request: Request) -> Reply:
        """Return the answer to a request."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if self._turn is None or self._turn.done():
            self._turn = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        await asyncio.sleep(0)  # let other requests arrive
        while self._waiting:
            # Requests that are answered in the same way, the longest first
            self._waiting.sort(key=lambda pair: (pair[0].source is None, -pair[0].tokens()))
            kind = self._waiting[0][0].source is None
            batch = [pair for pair in self._waiting if (pair[0].source is None) == kind][: self._batch]
            del self._waiting[: len(batch)]
            replies = await asyncio.to_thread(self._answer, [request for request, _ in batch])
            for (_, future), reply in zip(batch, replies, strict=True):
                if future.done():  # the caller has been cancelled
                    continue
                if isinstance(reply, Unanswered):
                    future.set_exception(reply)
                else:
                    future.set_result(reply)
