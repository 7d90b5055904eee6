"""Mentions from the answers of a prompted language model, on a server or in this process.

Sentences (or windows of several) are asked about one by one; documents are under way side by side and come
back in order. What a model answers can neither stop the run nor move an offset: what cannot be placed in the
text is rejected with its reason, and so is what was not answered.
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
from biomark.prompted.chat.likelihood import Tokens
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

_CUT = 400  # code points; what is longer is asked in two parts if it, or its answer, is too long
_ANSWER = 256  # tokens that an answer may have beside twice those of its text
_SHORT = 16  # tokens of a yes or no


@dataclass(frozen=True, slots=True)
class _Part:
    """The result for a part of a document.

    Attributes:
        entities: the mentions.
        rejected: statements of answers that have no place in the text.
        unanswered: the spans that got no answer, and why.
    """

    entities: tuple[Entity, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    unanswered: tuple[tuple[Span, str], ...] = ()

    def placed(self, span: Span) -> _Part:
        """The same with offsets of the document; before, they count from the start of `span`."""
        return _Part(
            tuple(entity.shift(span.start) for entity in self.entities),
            tuple(replace(rejected, window=span) for rejected in self.rejected),
            tuple((part.shift(span.start), reason) for part, reason in self.unanswered),
        )

    @staticmethod
    def joined(parts: Sequence[_Part]) -> _Part:
        """Several parts of one document as one."""
        entities, rejected, unanswered = (
            tuple(chain.from_iterable(getattr(part, name) for part in parts))
            for name in ("entities", "rejected", "unanswered")
        )
        return _Part(entities, rejected, unanswered)


class PromptedRecognizer:
    """Asks a chat model for the mentions of any types.

    Args:
        chat: the model.
        options: of the prompts.
        pool: what demonstrations are chosen from; all of it is read when documents are annotated first.
        store: what the ontology's terms are looked up in; is not closed.
        drafter: for demonstrations chosen by `entity-knn`, finds mentions of the types that are asked about.

    Attributes:
        counts: `answers` that were read, `unfaithful` ones, mentions that the second round added (`added`) and that
            a question refuted (`refuted`).
        lost: what of the demonstrations was left out.

    Raises:
        UsageError: if the options make no sense, or need a store.
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
            raise UsageError("`ontology` needs a term store (`store`); biomark knowledge build makes one")
        self.ontology = (
            Ontology(store, definitions=self.options.definitions) if store and self.options.ontology else None
        )
        self._prompters = Prompters(self.options, pool, self.ontology, drafter)
        self.lost = self._prompters.lost

    @property
    def types(self) -> tuple[str, ...] | None:
        """None: a model can be asked for any type."""
        return None

    def facts(self) -> dict[str, object]:
        """A record of what was asked how, and what it cost."""
        prompts = {**asdict(self.options), "wording": str(self.options.wording) if self.options.wording else None}
        usage = {"usage": self.chat.account.facts(), "counts": dict(self.counts), "left_out": dict(self.lost)}
        return {"biomark": version("biomark"), **self.chat.facts(), "prompts": prompts, **usage}

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        """See `biomark.recognizers.Recognizer`; a mention lies within a sentence or window.

        Raises:
            ChatError: if the server refuses the first request, or cannot be reached.
        """
        if not types:
            raise UsageError(
                "a prompted model has no types of its own; name some, for instance `types=disease,chemical`"
            )
        least = min_score if min_score is not None else SURE if self.options.samples > 1 else 0.0
        return self._stream(documents, self._prompters.of(tuple(types)), least)

    def _stream(
        self, documents: Iterable[Document], prompters: Sequence[Prompter], least: float
    ) -> Iterator[Annotated]:
        """The documents in order, several of them under way."""
        with open_session(self.chat) as (start, ask):
            waiting: deque[Future[Annotated]] = deque()
            for document in documents:
                waiting.append(start(self._annotated(ask, document, prompters, least)))
                if len(waiting) >= self.chat.concurrency:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    async def _annotated(self, ask: Ask, document: Document, prompters: Sequence[Prompter], least: float) -> Annotated:
        """The document with its mentions whose score is at least `least`."""
        document = document.bare()
        spans = windows(with_sentences(document), self.options.window)
        questions = [self._window(ask, document, span, prompter) for span in spans for prompter in prompters]
        whole = _Part.joined(await all_of(questions))
        types = [type for prompter in prompters for type in prompter.types]
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
    ) -> _Part:
        """The result for a span of a document; a span that is too long is asked about in two parts.

        Args:
            ask: gets answers.
            document: the whole document.
            span: the span that is asked about.
            prompter: of the types that are asked about.
            around: the span that this one was cut from; None: itself.
        """
        around = around or span
        try:
            part, finished = await self._answered(ask, document, span, prompter, around)
        except Unanswered as error:
            if not error.too_long or len(span) <= _CUT:
                return _Part(unanswered=((span, error.reason),))
        else:
            if finished or len(span) <= _CUT:
                return part.placed(span)
        cut = [self._window(ask, document, half, prompter, around) for half in halves(document.text, span)]
        return _Part.joined(await all_of(cut))

    async def _answered(
        self, ask: Ask, document: Document, span: Span, prompter: Prompter, around: Span
    ) -> tuple[_Part, bool]:
        """The result for a span, with offsets from its start, and whether the answer ended by itself."""
        text = span.of(document.text)
        known = await self._known(ask, text, prompter)
        messages = prompter.messages(text, document.id, known, around.of(document.text))
        request = self._request(messages, text, prompter)
        reply = await ask(request)
        part = self._read(reply, text, prompter)
        if not reply.finished:
            if len(text) > _CUT:
                return part, False
            cut = Rejected(f"the answer was cut off at {request.max_tokens} tokens; raise `max_tokens`")
            part = replace(part, rejected=(*part.rejected, cut))
        if SECOND_ROUND in self.options.verify:
            again = replace(request, messages=prompter.second_round(messages, text, part.entities), answers=1)
            part = await self._with_missed(ask, again, text, prompter, part)
        if YES_NO in self.options.verify:
            part = await self._confirmed(ask, text, prompter, part)
        return part, True

    def _request(self, messages: tuple[Message, ...], text: str, prompter: Prompter) -> Request:
        """The question about a text."""
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
        """What the ontology says of a text's terms."""
        if self.ontology is None:
            return ()
        if self.options.ontology != TWO_STEP:
            return self.ontology.of_text(text)
        reply = await ask(Request(prompter.candidates(text), estimate(text) + _ANSWER))
        return self.ontology.of_answer(reply.texts[0], text)

    def _read(self, reply: Reply, text: str, prompter: Prompter) -> _Part:
        """The mentions of all answers; of several answers, each with the share that has it."""
        answers = _decoded(reply, text, prompter)
        for decoded in answers:
            self.counts += Counter(answers=1, unfaithful=int(not decoded.faithful))
        if self.options.samples > 1:
            return _Part(*vote(answers))
        return _Part(answers[-1].entities, answers[-1].rejected)

    async def _with_missed(self, ask: Ask, request: Request, text: str, prompter: Prompter, part: _Part) -> _Part:
        """Together with the mentions of a second round that overlap none of the first."""
        try:
            second = _decoded(await ask(request), text, prompter)[0].entities
        except Unanswered as error:
            return replace(part, unanswered=_not(text, "asked what was missed", error))
        more = [e for e in second if not any(e.type == f.type and e.overlaps(f) for f in part.entities)]
        self.counts["added"] += len(more)
        return replace(part, entities=(*part.entities, *more))

    async def _confirmed(self, ask: Ask, text: str, prompter: Prompter, part: _Part) -> _Part:
        """Without the mentions of which the model says, asked about them alone, that they are none."""
        asked = list(dict.fromkeys((entity.mention(text), entity.type) for entity in part.entities))
        answers = await all_of([self._is_one(ask, text, mention, type, prompter) for mention, type in asked])
        refuted = {pair for pair, answer in zip(asked, answers, strict=True) if answer is False}
        kept = tuple(e for e in part.entities if (e.mention(text), e.type) not in refuted)
        self.counts["refuted"] += len(part.entities) - len(kept)
        failed = [answer for answer in answers if isinstance(answer, Unanswered)]
        unanswered = _not(text, "asked yes or no", failed[0]) if failed else ()
        return replace(part, entities=kept, unanswered=(*part.unanswered, *unanswered))

    async def _is_one(
        self, ask: Ask, text: str, mention: str, type: str, prompter: Prompter
    ) -> bool | Unanswered | None:
        """Whether a mention is one; None: the model says neither yes nor no."""
        room = self.options.max_tokens or _SHORT
        try:
            reply = await ask(Request(prompter.yes_no(text, mention, type), room))
        except Unanswered as error:
            return error
        return yes_or_no(reply.texts[0])


def windows(document: Document, size: int) -> Iterator[Span]:
    """The sentences of a document, those in a row together as long as they span no more than `size` code points."""
    under_way: Span | None = None
    for sentence in document.sentences:
        if under_way is not None and sentence.end - under_way.start <= size:
            under_way = Span(under_way.start, sentence.end)
            continue
        if under_way is not None:
            yield under_way
        under_way = sentence
    if under_way is not None:
        yield under_way


def _room(text: str, prompter: Prompter) -> int:
    """Tokens that an answer may have: some shapes say much beside the mentions."""
    nothing = prompter.shape.encode(text, (), prompter.types).text
    return estimate(text) + max(estimate(text), estimate(nothing)) + _ANSWER


def _decoded(reply: Reply, text: str, prompter: Prompter) -> list[Decoded]:
    """Each answer of a reply with its mentions in the text."""
    if reply.entities is not None:
        return [Decoded(entities) for entities in reply.entities]
    return [_decoded_text(answer, text, prompter, reply.tokens) for answer in reply.texts]


def _decoded_text(answer: str, text: str, prompter: Prompter, tokens: Tokens | None) -> Decoded:
    """An answer as its shape reads it, without mentions that do not fit the text, whatever the shape makes of it.

    Mentions have scores where the server tells the probabilities of the answer's tokens.
    """
    try:
        decoded = prompter.shape.decode(answer, text, prompter.types)
    except Exception as error:  # whatever a model wrote must not stop the rest
        return Decoded((), (Rejected(f"the answer cannot be read: {error!r}", raw=answer),), faithful=False)
    places = decoded.places or (None,) * len(decoded.entities)
    fits = []
    for entity, place in zip(decoded.entities, places, strict=True):
        if entity.end <= len(text) and entity.type in prompter.types:
            score = tokens.probability(place) if tokens is not None and place is not None else None
            fits.append(replace(entity, score=score))
    return replace(decoded, entities=tuple(fits), places=())


def _not(text: str, what: str, error: Unanswered) -> tuple[tuple[Span, str], ...]:
    return ((Span(0, len(text)), f"found, but not {what}: {error.reason}"),)
