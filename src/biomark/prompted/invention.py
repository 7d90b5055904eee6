"""New annotated sentences that a language model writes from a few seeds (Self-Instruct: Wang et al. 2023).

For types with hardly any annotated text. The prompt shows some of the seeds, and the model writes sentences with marked
mentions. Many of them are unusable, so each is checked: its marks parse, it has a mention, no mention occurs elsewhere
unmarked, it is no near copy of a seed or of another new sentence, and the model confirms each mention in a separate
question.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from math import isfinite

from biomark.errors import UsageError
from biomark.marks import unmarked
from biomark.marks.alignment import bounded, similar
from biomark.prompted.chat import Ask, Chat, Request, Unanswered, estimate
from biomark.prompted.chat.running import all_of, open_session
from biomark.prompted.prompts import PARTS, Prompter, readable, yes_or_no
from biomark.prompted.retrieval import Example, of_types
from biomark.prompted.settings import InventionOptions, PromptOptions
from biomark.shapes.span import SPAN
from biomark.spans import Document, Infons, Rejected, Span

FEWEST = 5  # the smallest number of seeds
_AT_ONCE = 8  # requests of a round; independent of the concurrency, so that the requests are too
_FRUITLESS = 5  # consecutive rounds without a new sentence, after which invention stops
_NEW = 4  # one in so many sentences of a prompt is a new one
_SHORT, _BESIDE = 16, 64  # tokens of an answer of yes or no, and of the text around a list
_ITEM = re.compile(r"\s*+(?:[-*•]|\d++[.)])\s++(?P<text>.*)", re.DOTALL)
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Invented:
    """The result of an invention.

    Attributes:
        documents: a document for each new sentence, with its origin in the infons.
        written: the number of sentences that the model wrote.
        thrown: the number of discarded sentences by reason.
        stopped: the reason why there are fewer sentences than requested; None: there are enough.
    """

    documents: tuple[Document, ...]
    written: int
    thrown: Mapping[str, int]
    stopped: str | None = None


@dataclass(frozen=True, slots=True)
class _InventedSentence:
    """A sentence of a model, with the number of its request and its ROUGE-L with the most similar seed."""

    document: Document
    request: int
    likeness: float


class Inventor:
    """Lets a model write annotated sentences.

    Args:
        seeds: annotated sentences; those without a mention are only used to detect copies.
        types: the types of the mentions; all their mentions in the seeds must be annotated.
        options: the settings.

    Attributes:
        counts: counts of seeds, and mentions in them, that were left out, by reason.

    Raises:
        UsageError: if there are too few seeds, or the options are invalid.
    """

    def __init__(self, seeds: Iterable[Example], types: Sequence[str], options: InventionOptions | None = None) -> None:
        self.options = options or InventionOptions()
        _check(self.options)
        self.types = tuple(types)
        self.counts: Counter[str] = Counter()
        pool = readable(of_types(seeds, types), SPAN, [self.types], self.counts)
        self.seeds = tuple(example for example in pool if example.entities)
        if len(self.seeds) < FEWEST:
            problem = f"only {len(self.seeds)} sentences of the seeds mention {' or '.join(types)}"
            raise UsageError(f"{problem}; give at least {FEWEST}, better more and varied ones")
        self._old = [_words(example.text) for example in pool]
        self._prompter = Prompter(types, PromptOptions(parts=PARTS[:3], wording=self.options.wording))
        longest = max(estimate(SPAN.encode(e.text, e.entities, types).text) for e in self.seeds)
        self._room = self.options.max_tokens or self.options.sentences * 2 * longest + _BESIDE

    def request(self, number: int, kept: Sequence[Document] = ()) -> tuple[Request, tuple[str, ...]]:
        """Return a request for sentences, and the ids of the documents of those that it shows.

        Args:
            number: the number of the request; each request shows other sentences.
            kept: new sentences, some of which are shown as well.
        """
        options = self.options
        chance = random.Random(f"{options.seed} {number}")
        new = chance.sample(kept, min(len(kept), options.shots // _NEW))
        old = chance.sample(self.seeds, min(len(self.seeds), options.shots - len(new)))
        shown = [(e.document_id, e.text, e.entities) for e in old] + [(d.id, d.text, d.entities) for d in new]
        chance.shuffle(shown)
        marked = [SPAN.encode(text, entities, self.types).text for _, text, entities in shown]
        messages = self._prompter.new_sentences(marked, SPAN.signs(self.types), options.sentences)
        request = Request(messages, self._room, temperature=options.temperature, sample=number)
        return request, tuple(dict.fromkeys(document_id for document_id, _, _ in shown))

    def run(self, chat: Chat, *, progress: Callable[[int], None] = lambda kept: None) -> Invented:
        """Send requests until there are enough sentences, or no more new ones.

        The same seeds, options and answers give the same sentences, so that an interrupted run continues with the
        answers in the cache.

        Args:
            chat: the model.
            progress: is called after each round with the number of sentences so far.

        Raises:
            ChatError: if a server refuses the first request, or cannot be reached.
        """
        with open_session(chat) as (start, ask):
            session = _Invention(self, ask, str(chat.facts().get("model", "")))
            invented: Invented = start(session.rounds(progress)).result()
        return invented

    def facts(self, chat: Chat, invented: Invented) -> dict[str, object]:
        """Return a record of the model, the settings, the results and the cost."""
        options = {**asdict(self.options), "wording": str(self.options.wording) if self.options.wording else None}
        seeds = list(dict.fromkeys(example.document_id for example in self.seeds))
        results = {"kept": len(invented.documents), "written": invented.written, "thrown": invented.thrown}
        asked = {"types": self.types, "invention": options, "seeds": seeds}
        usage = {"usage": chat.account.facts(), **results, "stopped": invented.stopped}
        return {"biomark": version("biomark"), **chat.facts(), **asked, **usage}

    def likeness(self, text: str) -> float:
        """Return the ROUGE-L with the most similar sentence of the seeds."""
        return _nearest(text, self._old)

    def yes_no(self, text: str, mention: str, entity_type: str) -> Request:
        """Return the question whether a mention is of a type."""
        return Request(self._prompter.yes_no(text, mention, entity_type), self.options.max_tokens or _SHORT)


class _Invention:
    """One call of `Inventor.run`."""

    def __init__(self, of: Inventor, ask: Ask, model: str) -> None:
        self._of = of
        self._ask = ask
        self._model = model
        self._kept: list[Document] = []
        self._words: list[_WordBag] = []  # of those kept
        self._asked: set[str] = set()  # documents that the model was asked about
        self._thrown: Counter[str] = Counter()
        self._written = 0

    async def rounds(self, progress: Callable[[int], None]) -> Invented:
        """See `Inventor.run`."""
        options = self._of.options
        number = fruitless = 0
        stopped = None
        while len(self._kept) < options.count and stopped is None:
            before = len(self._kept)
            times = min(_AT_ONCE, -(-(options.count - before) // options.sentences))
            answers = await all_of([self._answer(number + n) for n in range(times)])
            number += times
            fitting = [c for answer in answers if not isinstance(answer, Unanswered) for c in self._fitting(answer)]
            self._keep(fitting, await all_of([self._verdict(candidate) for candidate in fitting]))
            progress(len(self._kept))
            fruitless = 0 if len(self._kept) > before else fruitless + 1
            failed = [answer.reason for answer in answers if isinstance(answer, Unanswered)]
            if len(failed) == times:
                stopped = failed[0]
            elif fruitless == _FRUITLESS:
                stopped = f"{fruitless} rounds in a row brought nothing that could be kept"
        return Invented(tuple(self._kept), self._written, dict(self._thrown.most_common()), stopped)

    async def _answer(self, number: int) -> list[_InventedSentence | str] | Unanswered:
        """Return the sentences of an answer, with the reason in place of each unreadable one."""
        request, shown = self._of.request(number, tuple(self._kept))
        try:
            reply = await self._ask(request)
        except Unanswered as error:
            return error
        messages = [(m.role, m.content) for m in request.messages]
        prompt = hashlib.sha256(json.dumps(messages).encode()).hexdigest()[:16]
        origin = {"invented_by": self._model, "request": str(number), "prompt": prompt, "shown": json.dumps(shown)}
        lines = _lines(reply.texts[0])
        last = ["cut off"] if lines and not reply.finished else []
        return [self._read(line, number, origin) for line in (lines[:-1] if last else lines)] + last

    def _read(self, line: str, number: int, origin: Mapping[str, str]) -> _InventedSentence | str:
        sentence = unmarked(line, SPAN.signs(self._of.types))
        if isinstance(sentence, Rejected):
            return "the marks do not parse"
        text, entities = sentence
        if not entities:
            return "nothing is mentioned"
        if any(_elsewhere(entity.mention(text), text, [e.extent for e in entities]) for entity in entities):
            return "a mention stands elsewhere unmarked"
        likeness = self._of.likeness(text)
        options = self._of.options
        infons = {
            **origin,
            "seed": str(options.seed),
            "rouge_l": f"{likeness:.3f}",
            "verified": str(not options.unverified),
        }
        document_id = f"invented-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        return _InventedSentence(
            Document(document_id, text, entities=entities, infons=Infons(infons)), number, likeness
        )

    def _fitting(self, answer: Sequence[_InventedSentence | str]) -> list[_InventedSentence]:
        """Return the sentences that are not copies; only these are verified."""
        fitting = []
        self._written += len(answer)
        for candidate in answer:
            if isinstance(candidate, str):
                self._thrown[candidate] += 1
            elif candidate.likeness >= self._of.options.alike:
                self._thrown["too like a seed"] += 1
            elif self._is_copy(candidate):
                self._thrown["too like another new one"] += 1
            elif candidate.document.id in self._asked:
                self._thrown["written before"] += 1
            else:
                self._asked.add(candidate.document.id)
                fitting.append(candidate)
        return fitting

    def _is_copy(self, candidate: _InventedSentence) -> bool:
        return _nearest(candidate.document.text, self._words) >= self._of.options.alike

    async def _verdict(self, candidate: _InventedSentence) -> str | None:
        """Return the reason why a sentence is discarded; None: the model confirms each mention."""
        if self._of.options.unverified:
            return None
        text = candidate.document.text
        for mention, entity_type in dict.fromkeys((e.mention(text), e.type) for e in candidate.document.entities):
            try:
                is_confirmed = yes_or_no((await self._ask(self._of.yes_no(text, mention, entity_type))).texts[0])
            except Unanswered:
                return "not verified: no answer"
            if is_confirmed is None:
                return "not verified: neither yes nor no"
            if not is_confirmed:
                return "refuted"
        return None

    def _keep(self, candidates: Sequence[_InventedSentence], verdicts: Sequence[str | None]) -> None:
        for candidate, verdict in zip(candidates, verdicts, strict=True):
            if verdict is not None:
                self._thrown[verdict] += 1
            elif self._is_copy(candidate):  # of a sentence of the same round
                self._thrown["too like another new one"] += 1
            elif len(self._kept) == self._of.options.count:
                self._thrown["more than were wanted"] += 1
            else:
                self._kept.append(candidate.document)
                self._words.append(_words(candidate.document.text))


def rouge_l(a: Sequence[str], b: Sequence[str]) -> float:
    """Return the ROUGE-L of two lists of words (Lin 2004): the F1 of their longest common subsequence, in [0, 1]."""
    if not a or not b:
        return 0.0
    row = [0] * (len(b) + 1)
    for word in a:
        diagonal = 0
        for n, other in enumerate(b, 1):
            diagonal, row[n] = row[n], diagonal + 1 if word == other else max(row[n], row[n - 1])
    return 2 * row[-1] / (len(a) + len(b))


@dataclass(frozen=True, slots=True)
class _WordBag:
    """The words of a text in order, and their counts."""

    listed: tuple[str, ...]
    bag: Counter[str]


def _words(text: str) -> _WordBag:
    listed = _WORD.findall(text.casefold())
    return _WordBag(tuple(listed), Counter(listed))


def _nearest(text: str, others: Iterable[_WordBag]) -> float:
    """Return the highest ROUGE-L of a text with any of `others`."""
    words, best = _words(text), 0.0
    for other in others:
        common = sum(min(count, other.bag[word]) for word, count in words.bag.items())
        # A common subsequence has at most as many words as the texts share
        if 2 * common > best * (len(words.listed) + len(other.listed)):
            best = max(best, rouge_l(words.listed, other.listed))
    return best


def _lines(answer: str) -> list[str]:
    """Return the items of a list; other lines are skipped."""
    return [text for line in answer.split("\n") if (item := _ITEM.match(line)) and (text := item["text"].rstrip())]


def _elsewhere(mention: str, text: str, marked: Sequence[Span]) -> bool:
    """Return whether the words of a mention also occur outside all marks."""
    return any(
        bounded(span, text) and not any(span.overlaps(other) for other in marked) for span in similar(mention, text)
    )


def _check(options: InventionOptions) -> None:
    if min(options.count, options.sentences, options.shots) < 1 or options.max_tokens < 0:
        raise UsageError("`count`, `sentences` and `shots` must be at least 1, `max_tokens` at least 0")
    if not (isfinite(options.temperature) and options.temperature >= 0):
        raise UsageError(f"`temperature` must be at least 0, got {options.temperature}")
    if not 0 < options.alike <= 1:
        raise UsageError(f"`alike` must be in (0, 1], got {options.alike}")
