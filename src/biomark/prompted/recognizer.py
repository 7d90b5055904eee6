"""Mentions from the answers of a prompted language model, on a server or in this process.

Each sentence (or window of several) is one question; several documents are processed concurrently and returned in
order. No answer can stop the run or move an offset: a mention that cannot be placed in the text is rejected with its
reason, and so is a question without an answer.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import chain

from biomark.errors import UsageError
from biomark.knowledge.store import Store
from biomark.prompted.chat import Ask, Chat, Message, Reply, Request, Unanswered, estimate
from biomark.prompted.chat.likelihood import AnswerTokens
from biomark.prompted.chat.running import all_of, open_session
from biomark.prompted.prompters import Prompters
from biomark.prompted.prompts import SECOND_ROUND, TWO_STEP, YES_NO, Ontology, Prompter, check, yes_or_no
from biomark.prompted.retrieval import Example
from biomark.prompted.settings import PromptOptions
from biomark.recognizers import Annotated, Recognizer
from biomark.recognizers.voting import SURE, vote
from biomark.shapes import Decoded
from biomark.shapes.mark import MARK
from biomark.spans import Document, Entity, Rejected, Span, halves
from biomark.text.sentences import with_sentences

_CUT = 400  # code points; a longer text is asked about in two parts if it, or its answer, is too long
_ANSWER = 256  # tokens of an answer in addition to twice those of its text
_SHORT = 16  # tokens of an answer of yes or no


@dataclass(frozen=True, slots=True)
class _PartResult:
    """The result for a part of a document.

    Attributes:
        entities: the mentions.
        rejected: mentions in answers that have no place in the text.
        unanswered: the spans without an answer, with the reason.
    """

    entities: tuple[Entity, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    unanswered: tuple[tuple[Span, str], ...] = ()

    def placed(self, span: Span) -> _PartResult:
        """Return the part with offsets in the document instead of offsets from the start of `span`."""
        return _PartResult(
            tuple(entity.shift(span.start) for entity in self.entities),
            tuple(replace(rejected, window=span) for rejected in self.rejected),
            tuple((part.shift(span.start), reason) for part, reason in self.unanswered),
        )

    @staticmethod
    def joined(parts: Sequence[_PartResult]) -> _PartResult:
        """Join several parts of one document."""
        entities, rejected, unanswered = (
            tuple(chain.from_iterable(getattr(part, name) for part in parts))
            for name in ("entities", "rejected", "unanswered")
        )
        return _PartResult(entities, rejected, unanswered)


class PromptedRecognizer:
    """Asks a chat model for the mentions of any types.

    Args:
        chat: the model.
        options: the settings of the prompts.
        pool: the examples from which demonstrations are chosen; all of them are read with the first documents.
        store: the store in which the ontology's terms are looked up; it stays open.
        drafter: the recognizer that finds mentions for the chooser `entity-knn`.

    Attributes:
        counts: the number of `answers`, of `unfaithful` answers, of mentions that the second round `added`, and of
            mentions that the model `refuted`.
        lost: counts of demonstrations, and mentions in them, that were left out, by reason.

    Raises:
        UsageError: if the options are invalid, or need a store.
    """

    def __init__(
        self,
        chat: Chat,
        options: PromptOptions | None = None,
        *,
        pool: Iterable[Example] = (),
        store: Store | None = None,
        drafter: Recognizer | None = None,
    ) -> None:
        self.chat = chat
        self.options = options or PromptOptions()
        check(self.options)
        self.counts: Counter[str] = Counter()
        if self.options.ontology and store is None:
            raise UsageError("`ontology` needs a term store (`store`); create one with biomark knowledge build")
        self.ontology = (
            Ontology(store, definitions=self.options.definitions) if store and self.options.ontology else None
        )
        self._prompters = Prompters(self.options, pool, self.ontology, drafter)
        self.lost = self._prompters.lost

    @property
    def types(self) -> tuple[str, ...] | None:
        """None, because a model can be asked for any type."""
        return None

    def read_examples(self) -> None:
        """Read the examples of the demonstrations now, rather than with the first documents."""
        self._prompters.read()

    def facts(self) -> dict[str, object]:
        """Return a record of the model, the settings and the cost."""
        prompts = {**asdict(self.options), "wording": str(self.options.wording) if self.options.wording else None}
        usage = {"usage": self.chat.account.facts(), "counts": dict(self.counts), "left_out": dict(self.lost)}
        return {"biomark": version("biomark"), **self.chat.facts(), "prompts": prompts, **usage}

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        """See `biomark.recognizers.Recognizer`; no mention crosses the end of a sentence or window.

        Raises:
            ChatError: if the server refuses the first request, or cannot be reached.
        """
        if not types:
            raise UsageError(
                "a prompted model has no types of its own; name them, for instance `types=disease,chemical`"
            )
        least = min_score if min_score is not None else SURE if self.options.samples > 1 else 0.0
        return self._stream(documents, self._prompters.of(tuple(types)), least)

    def _stream(
        self, documents: Iterable[Document], prompters: Sequence[Prompter], least: float
    ) -> Iterator[Annotated]:
        """Yield the documents in order; several are processed concurrently."""
        with open_session(self.chat) as (start, ask):
            waiting: deque[Future[Annotated]] = deque()
            for document in documents:
                waiting.append(start(self._annotated(ask, document, prompters, least)))
                if len(waiting) >= self.chat.concurrency:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    async def _annotated(self, ask: Ask, document: Document, prompters: Sequence[Prompter], least: float) -> Annotated:
        """Return the document with its mentions of a score of at least `least`."""
        document = document.bare()
        spans = windows(with_sentences(document), self.options.window)
        questions = [self._window(ask, document, span, prompter) for span in spans for prompter in prompters]
        whole = _PartResult.joined(await all_of(questions))
        types = [entity_type for prompter in prompters for entity_type in prompter.types]
        entities = sorted(
            (e for e in whole.entities if e.score is None or e.score >= least),
            key=lambda e: (e.start, e.end, types.index(e.type)),
        )
        rejected = [replace(r, document_id=document.id) for r in whole.rejected]
        for reason in dict.fromkeys(reason for _, reason in whole.unanswered):
            places = [span for span, why in whole.unanswered if why == reason]
            window = Span(min(span.start for span in places), max(span.end for span in places))
            times = f" ({len(places)} of {len(questions)} questions)" if len(questions) > 1 else ""
            rejected.append(Rejected(reason + times, document_id=document.id, window=window))
        return Annotated(replace(document, entities=tuple(entities)), tuple(rejected))

    async def _window(
        self, ask: Ask, document: Document, span: Span, prompter: Prompter, around: Span | None = None
    ) -> _PartResult:
        """Return the result for a span of a document; a span that is too long is asked about in two parts.

        Args:
            ask: requests an answer.
            document: the whole document.
            span: the span of the question.
            prompter: the prompter of the types in the question.
            around: the longer span of which `span` is a part; None: `span` itself.
        """
        around = around or span
        try:
            part, finished = await self._answered(ask, document, span, prompter, around)
        except Unanswered as error:
            if not error.too_long or len(span) <= _CUT:
                return _PartResult(unanswered=((span, error.reason),))
        else:
            if finished or len(span) <= _CUT:
                return part.placed(span)
        cut = [self._window(ask, document, half, prompter, around) for half in halves(document.text, span)]
        return _PartResult.joined(await all_of(cut))

    async def _answered(
        self, ask: Ask, document: Document, span: Span, prompter: Prompter, around: Span
    ) -> tuple[_PartResult, bool]:
        """Return the result for a span, with offsets from its start, and whether the answer was complete."""
        text = span.of(document.text)
        known = await self._known(ask, text, prompter)
        messages = prompter.messages(text, document.id, known, around.of(document.text))
        request = self._request(messages, text, prompter)
        reply = await ask(request)
        part = self._read(reply, text, prompter)
        if not reply.finished:
            if len(text) > _CUT:
                return part, False
            causes = f"cut off at {request.max_tokens} tokens (raise `max_tokens`), or ended because it repeated itself"
            cut = Rejected(f"the answer is incomplete: it was {causes}")
            part = replace(part, rejected=(*part.rejected, cut))
        if SECOND_ROUND in self.options.verify:
            again = replace(request, messages=prompter.second_round(messages, text, part.entities), answers=1)
            part = await self._with_missed(ask, again, text, prompter, part)
        if YES_NO in self.options.verify:
            part = await self._confirmed(ask, text, prompter, part)
        return part, True

    def _request(self, messages: tuple[Message, ...], text: str, prompter: Prompter) -> Request:
        """Return the request for the mentions of a text."""
        options, marked = self.options, prompter.shape is MARK
        return Request(
            messages,
            options.max_tokens or _room(text, prompter),
            temperature=options.heat,
            answers=options.samples,
            schema=prompter.shape.schema(prompter.types),
            source=text if marked else None,
            type=prompter.types[0] if marked else "",
            stops=prompter.shape.stops(text),
            logprobs=options.samples == 1,
        )

    async def _known(self, ask: Ask, text: str, prompter: Prompter) -> Sequence[str]:
        """Return the ontology's sentences about the terms of a text."""
        if self.ontology is None:
            return ()
        if self.options.ontology != TWO_STEP:
            return self.ontology.of_text(text)
        reply = await ask(Request(prompter.candidates(text), estimate(text) + _ANSWER))
        return self.ontology.of_answer(reply.texts[0], text)

    def _read(self, reply: Reply, text: str, prompter: Prompter) -> _PartResult:
        """Return the mentions of a reply; a mention's score among several answers is the share that has it."""
        answers = _decoded(reply, text, prompter)
        for decoded in answers:
            self.counts += Counter(answers=1, unfaithful=int(not decoded.faithful))
        if self.options.samples > 1:
            return _PartResult(*vote(answers))
        return _PartResult(answers[-1].entities, answers[-1].rejected)

    async def _with_missed(
        self, ask: Ask, request: Request, text: str, prompter: Prompter, part: _PartResult
    ) -> _PartResult:
        """Add the mentions of a second round that overlap none of the first."""
        try:
            second = _decoded(await ask(request), text, prompter)[0].entities
        except Unanswered as error:
            return replace(part, unanswered=_unverified(text, "the question about missed mentions", error))
        added = [e for e in second if not any(e.type == f.type and e.overlaps(f) for f in part.entities)]
        self.counts["added"] += len(added)
        return replace(part, entities=(*part.entities, *added))

    async def _confirmed(self, ask: Ask, text: str, prompter: Prompter, part: _PartResult) -> _PartResult:
        """Remove the mentions that the model refutes in a question about each of them."""
        asked = list(dict.fromkeys((entity.mention(text), entity.type) for entity in part.entities))
        answers = await all_of(
            [self._is_one(ask, text, mention, entity_type, prompter) for mention, entity_type in asked]
        )
        refuted = {pair for pair, answer in zip(asked, answers, strict=True) if answer is False}
        kept = tuple(e for e in part.entities if (e.mention(text), e.type) not in refuted)
        self.counts["refuted"] += len(part.entities) - len(kept)
        failed = [answer for answer in answers if isinstance(answer, Unanswered)]
        unanswered = _unverified(text, "the yes-or-no question", failed[0]) if failed else ()
        return replace(part, entities=kept, unanswered=(*part.unanswered, *unanswered))

    async def _is_one(
        self, ask: Ask, text: str, mention: str, entity_type: str, prompter: Prompter
    ) -> bool | Unanswered | None:
        """Ask whether a mention is of a type; None: the answer is neither yes nor no."""
        room = self.options.max_tokens or _SHORT
        try:
            reply = await ask(Request(prompter.yes_no(text, mention, entity_type), room))
        except Unanswered as error:
            return error
        return yes_or_no(reply.texts[0])


def windows(document: Document, size: int) -> Iterator[Span]:
    """Yield windows of consecutive sentences, each as long as possible up to `size` code points, or one sentence."""
    window: Span | None = None
    for sentence in document.sentences:
        if window is not None and sentence.end - window.start <= size:
            window = Span(window.start, sentence.end)
            continue
        if window is not None:
            yield window
        window = sentence
    if window is not None:
        yield window


def _room(text: str, prompter: Prompter) -> int:
    """Return the limit of an answer in tokens; some shapes need many tokens even without mentions."""
    empty_answer = prompter.shape.encode(text, (), prompter.types).text
    return estimate(text) + max(estimate(text), estimate(empty_answer)) + _ANSWER


def _decoded(reply: Reply, text: str, prompter: Prompter) -> list[Decoded]:
    """Return the decoded answers of a reply, with offsets in the text."""
    if reply.entities is not None:
        return [Decoded(entities) for entities in reply.entities]
    return [_decoded_text(answer, text, prompter, reply.tokens) for answer in reply.texts]


def _decoded_text(answer: str, text: str, prompter: Prompter, tokens: AnswerTokens | None) -> Decoded:
    """Decode an answer by its shape, without mentions beyond the text or of other types.

    Mentions have scores if the server returns the probabilities of the answer's tokens.
    """
    try:
        decoded = prompter.shape.decode(answer, text, prompter.types)
    except Exception as error:  # no answer may stop the run
        return Decoded((), (Rejected(f"the answer cannot be read: {error!r}", raw=answer),), faithful=False)
    places = decoded.places or (None,) * len(decoded.entities)
    fits = []
    for entity, place in zip(decoded.entities, places, strict=True):
        if entity.end <= len(text) and entity.type in prompter.types:
            score = tokens.probability(place) if tokens is not None and place is not None else None
            fits.append(replace(entity, score=score))
    return replace(decoded, entities=tuple(fits), places=())


def _unverified(text: str, step: str, error: Unanswered) -> tuple[tuple[Span, str], ...]:
    """Return the span of a text as unanswered, because a further question (`step`) failed."""
    return ((Span(0, len(text)), f"the mentions are kept, but {step} failed: {error.reason}"),)
