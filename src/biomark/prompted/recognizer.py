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

from biomark import embedding
from biomark.errors import UsageError
from biomark.knowledge.store import Store
from biomark.prompted.chat import Ask, Chat, Reply, Request, Unanswered, estimate
from biomark.prompted.chat.running import all_of, event_loop, stop_all
from biomark.prompted.prompts import SECOND_ROUND, TWO_STEP, YES_NO, Ontology, Prompter, check, readable, yes_or_no
from biomark.prompted.retrieval import Chooser, Example, Mentions, chooser
from biomark.prompted.settings import PromptOptions
from biomark.recognizers import Annotated, Recognizer, mentions_of
from biomark.recognizers.voting import SURE, vote
from biomark.shapes import Decoded, shape_named
from biomark.shapes.mark import MARK
from biomark.spans import Document, Entity, Rejected, Span, halves
from biomark.text.sentences import with_sentences

_CUT = 400  # code points; what is longer is asked in two parts if it, or its answer, is too long
_ANSWER = 256  # tokens that an answer may have beside twice those of its text
_SHORT = 16  # tokens of a yes or no


@dataclass(frozen=True, slots=True)
class _Found:
    """What was found in a part of a document, with offsets in the document.

    Attributes:
        entities: the mentions.
        rejected: what answers say that has no place.
        unanswered: the parts that got no answer, and why.
    """

    entities: tuple[Entity, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    unanswered: tuple[tuple[Span, str], ...] = ()


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
        self.lost: Counter[str] = Counter()
        if self.options.ontology and store is None:
            raise UsageError("`ontology` needs a term store (`store`); biomark knowledge build makes one")
        self.ontology = (
            Ontology(store, definitions=self.options.definitions) if store and self.options.ontology else None
        )
        self._shape = shape_named(self.options.shape)
        self._given = pool
        self._pool: tuple[Example, ...] | None = None
        self._drafter = drafter
        self._prompters: dict[tuple[str, ...], tuple[Prompter, ...]] = {}

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
        prompters = self._prompters_of(tuple(types))
        return self._stream(documents, _Asking(self, prompters, tuple(types), least))

    def _stream(self, documents: Iterable[Document], asking: _Asking) -> Iterator[Annotated]:
        """The documents in order, several of them under way."""
        with event_loop() as run:
            session = self.chat.session()
            ask = run(session.__aenter__()).result()
            waiting: deque[Future[Annotated]] = deque()
            try:
                for document in documents:
                    waiting.append(run(asking.document(ask, document)))
                    if len(waiting) >= self.chat.concurrency:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                run(stop_all()).result()
                run(session.__aexit__(None, None, None)).result()

    def _prompters_of(self, types: tuple[str, ...]) -> tuple[Prompter, ...]:
        """One for the types that are asked about together; they keep what their choosers hold."""
        if types not in self._prompters:
            groups = [(type,) for type in types] if self._shape.single else [types]
            if self._pool is None:
                self._pool = tuple(self._given)
            # One chooser for all groups that may have the same examples: some hold an embedding of each
            choosers: dict[frozenset[tuple[str, ...]], Chooser] = {}
            pool = readable(self._pool, self._shape, groups, self.lost)
            mentions = mentions_of(self._drafter, types) if self._drafter else None
            self._prompters[types] = tuple(
                Prompter(group, self.options, self._chooser(group, pool, choosers, mentions), self.ontology)
                for group in groups
            )
        return self._prompters[types]

    def _chooser(
        self,
        types: tuple[str, ...],
        pool: Sequence[Example],
        made: dict[frozenset[tuple[str, ...]], Chooser],
        mentions: Mentions | None,
    ) -> Chooser | None:
        if not self._pool or not self.options.shots:
            return None
        usable = [example for example in pool if set(types) <= set(example.types)]
        if not usable:
            known = " or ".join(sorted({", ".join(example.types) for example in self._pool})) or "nothing"
            raise UsageError(
                f"no corpus of the demonstrations annotates {', '.join(types)} (all of them), but {known}; ask for "
                "other `types`, or choose a `shape` that asks about one type at a time"
            )
        kinds = frozenset(example.types for example in usable)
        if kinds not in made:
            options = self.options
            made[kinds] = chooser(
                options.choose,
                usable,
                seed=options.seed,
                diversity=options.diversity,
                embedder=embedding.load(options.embedder) if options.embedder else None,
                mentions=mentions,
            )
        return made[kinds]


@dataclass(frozen=True, slots=True)
class _Asking:
    """One call of `annotate`.

    Attributes:
        of: whose it is.
        prompters: of the types that are asked about together.
        types: all of them, in the order of the results.
        least: the lowest score.
    """

    of: PromptedRecognizer
    prompters: tuple[Prompter, ...]
    types: tuple[str, ...]
    least: float

    async def document(self, ask: Ask, document: Document) -> Annotated:
        """The document with its mentions."""
        document = replace(document, entities=(), alternatives=(), relations=())
        spans = windows(with_sentences(document), self.of.options.window)
        parts = [self._window(ask, document, span, prompter) for span in spans for prompter in self.prompters]
        found = _together(await all_of(parts))
        entities = sorted(
            (e for e in found.entities if e.score is None or e.score >= self.least),
            key=lambda e: (e.start, e.end, self.types.index(e.type)),
        )
        rejected = [replace(r, document_id=document.id) for r in found.rejected]
        for reason in dict.fromkeys(reason for _, reason in found.unanswered):
            places = [span for span, why in found.unanswered if why == reason]
            window = Span(min(span.start for span in places), max(span.end for span in places))
            times = f" ({len(places)} of {len(parts)} questions)" if len(parts) > 1 else ""
            rejected.append(Rejected(reason + times, document_id=document.id, window=window))
        return Annotated(replace(document, entities=tuple(entities)), tuple(rejected))

    async def _window(
        self, ask: Ask, document: Document, span: Span, prompter: Prompter, around: Span | None = None
    ) -> _Found:
        """What is found in a part of a document; what is too long is asked in two parts."""
        around = around or span
        try:
            found, finished = await self._answered(ask, document, span, prompter, around)
        except Unanswered as error:
            if not error.too_long or len(span) <= _CUT:
                return _Found(unanswered=((span, error.reason),))
        else:
            if finished or len(span) <= _CUT:
                return _placed(found, span)
        parts = [self._window(ask, document, part, prompter, around) for part in halves(document.text, span)]
        return _together(await all_of(parts))

    async def _answered(
        self, ask: Ask, document: Document, span: Span, prompter: Prompter, around: Span
    ) -> tuple[_Found, bool]:
        """What is found in a part of a document, with offsets in that, and whether the answer ended by itself."""
        options = self.of.options
        text = span.of(document.text)
        known = await self._known(ask, text, prompter)
        messages = prompter.messages(text, document.id, known, around.of(document.text))
        request = Request(
            messages,
            options.max_tokens or _room(text, prompter),
            temperature=options.heat,
            answers=options.samples,
            schema=prompter.shape.schema(prompter.types),
            source=text if prompter.shape is MARK else None,
            stops=prompter.shape.stops(text),
            logprobs=options.samples == 1,
        )
        reply = await ask(request)
        found = self._read(reply, text, prompter)
        if not reply.finished:
            if len(text) > _CUT:
                return found, False
            cut = Rejected(f"the answer was cut off at {request.max_tokens} tokens; raise `max_tokens`")
            found = replace(found, rejected=(*found.rejected, cut))
        if SECOND_ROUND in options.verify:
            again = replace(request, messages=prompter.second_round(messages, text, found.entities), answers=1)
            found = await self._missed(ask, again, text, prompter, found)
        if YES_NO in options.verify:
            found = await self._confirmed(ask, text, prompter, found)
        return found, True

    async def _known(self, ask: Ask, text: str, prompter: Prompter) -> Sequence[str]:
        """What the ontology says of a text's terms."""
        ontology = self.of.ontology
        if ontology is None:
            return ()
        if self.of.options.ontology != TWO_STEP:
            return ontology.of_text(text)
        reply = await ask(Request(prompter.candidates(text), estimate(text) + _ANSWER))
        return ontology.of_answer(reply.texts[0], text)

    def _read(self, reply: Reply, text: str, prompter: Prompter) -> _Found:
        """The mentions of all answers; of several answers, each with the share that has it."""
        answers = [_decoded(answer, text, prompter, reply) for answer in reply.texts]
        for decoded in answers:
            self.of.counts += Counter(answers=1, unfaithful=int(not decoded.faithful))
        if self.of.options.samples > 1:
            return _Found(*vote(answers))
        entities, rejected = answers[-1].entities, answers[-1].rejected
        if reply.scores is not None and len(reply.scores) == len(entities):
            entities = tuple(replace(e, score=s) for e, s in zip(entities, reply.scores, strict=True))
        return _Found(entities, rejected)

    async def _missed(self, ask: Ask, request: Request, text: str, prompter: Prompter, found: _Found) -> _Found:
        """Together with the mentions of a second round that overlap none of the first."""
        try:
            reply = await ask(request)
            decoded = _decoded(reply.texts[0], text, prompter, reply)
        except Unanswered as error:
            return replace(found, unanswered=_not(text, "asked what was missed", error))
        more = [e for e in decoded.entities if not any(e.type == f.type and e.overlaps(f) for f in found.entities)]
        self.of.counts["added"] += len(more)
        return replace(found, entities=(*found.entities, *more))

    async def _confirmed(self, ask: Ask, text: str, prompter: Prompter, found: _Found) -> _Found:
        """Without the mentions of which the model says, asked about them alone, that they are none."""
        asked = list(dict.fromkeys((entity.mention(text), entity.type) for entity in found.entities))
        answers = await all_of([self._is_one(ask, text, mention, type, prompter) for mention, type in asked])
        refuted = {pair for pair, answer in zip(asked, answers, strict=True) if answer is False}
        kept = tuple(e for e in found.entities if (e.mention(text), e.type) not in refuted)
        self.of.counts["refuted"] += len(found.entities) - len(kept)
        failed = [answer for answer in answers if isinstance(answer, Unanswered)]
        unanswered = _not(text, "asked yes or no", failed[0]) if failed else ()
        return replace(found, entities=kept, unanswered=(*found.unanswered, *unanswered))

    async def _is_one(
        self, ask: Ask, text: str, mention: str, type: str, prompter: Prompter
    ) -> bool | Unanswered | None:
        """Whether a mention is one; None: the model says neither yes nor no."""
        room = self.of.options.max_tokens or _SHORT
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


def _decoded(answer: str, text: str, prompter: Prompter, reply: Reply) -> Decoded:
    """What an answer says, and nothing that does not fit the text, whatever the shape makes of it.

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
            score = reply.tokens.probability(place) if reply.tokens is not None and place is not None else None
            fits.append(replace(entity, score=score))
    return replace(decoded, entities=tuple(fits), places=())


def _placed(found: _Found, span: Span) -> _Found:
    """With offsets of the document, given what was found in a span of it."""
    return _Found(
        tuple(entity.shift(span.start) for entity in found.entities),
        tuple(replace(rejected, window=span) for rejected in found.rejected),
        tuple((part.shift(span.start), reason) for part, reason in found.unanswered),
    )


def _together(found: Sequence[_Found]) -> _Found:
    entities, rejected, unanswered = (
        tuple(chain.from_iterable(getattr(part, name) for part in found))
        for name in ("entities", "rejected", "unanswered")
    )
    return _Found(entities, rejected, unanswered)


def _not(text: str, what: str, error: Unanswered) -> tuple[tuple[Span, str], ...]:
    return ((Span(0, len(text)), f"found, but not {what}: {error.reason}"),)
