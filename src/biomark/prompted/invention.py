"""New annotated sentences from a few: a language model writes them (Self-Instruct: Wang et al. 2023).

For types of which hardly anything is annotated. The model is shown some of the seeds and writes sentences with its
own mentions marked. Few of them are fit for use, so that each has to pass: the marks parse, something is
mentioned and nowhere left unmarked, the sentence is no near copy of a seed or of another new one, and the model,
asked about each mention alone, says that it is one.
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

FEWEST = 5  # seeds
_AT_ONCE = 8  # requests of a round, whatever the concurrency: what is asked must not depend on it
_FRUITLESS = 5  # rounds in a row that bring nothing, after which it is given up
_NEW = 4  # one of so many sentences in a prompt is a new one
_SHORT, _BESIDE = 16, 64  # tokens of a yes or no, and of what stands around a list
_ITEM = re.compile(r"\s*+(?:[-*•]|\d++[.)])\s++(?P<text>.*)", re.DOTALL)
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Invented:
    """What came of it.

    Attributes:
        documents: one for each new sentence; their infons tell where it is from.
        written: sentences that the model wrote.
        thrown: how many of these were thrown away, by the reason.
        stopped: why there are fewer than were wanted; None: there are as many.
    """

    documents: tuple[Document, ...]
    written: int
    thrown: Mapping[str, int]
    stopped: str | None = None


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A sentence that a model wrote, with the number of its request and the likeness to the most similar seed."""

    document: Document
    request: int
    likeness: float


class Inventor:
    """Has a model write sentences.

    Args:
        seeds: annotated sentences; those without a mention only tell what is a copy.
        types: that are to be mentioned; all their mentions in the seeds have to be annotated.
        options: how.

    Attributes:
        counts: what was left out of the seeds.

    Raises:
        UsageError: if there are too few seeds, or the options make no sense.
    """

    def __init__(self, seeds: Iterable[Example], types: Sequence[str], options: InventionOptions | None = None) -> None:
        self.options = options or InventionOptions()
        _check(self.options)
        self.types = tuple(types)
        self.counts: Counter[str] = Counter()
        pool = readable(of_types(seeds, types), SPAN, [self.types], self.counts)
        self.seeds = tuple(example for example in pool if example.entities)
        if len(self.seeds) < FEWEST:
            found = f"only {len(self.seeds)} sentences of the seeds mention {' or '.join(types)}"
            raise UsageError(f"{found}; it takes {FEWEST}, and more of different kinds are better")
        self._old = [_words(example.text) for example in pool]
        self._prompter = Prompter(types, PromptOptions(parts=PARTS[:3], wording=self.options.wording))
        longest = max(estimate(SPAN.encode(e.text, e.entities, types).text) for e in self.seeds)
        self._room = self.options.max_tokens or self.options.sentences * 2 * longest + _BESIDE

    def request(self, number: int, kept: Sequence[Document] = ()) -> tuple[Request, tuple[str, ...]]:
        """A request for sentences, and the documents of those that it shows.

        Args:
            number: of the request; each shows others.
            kept: new sentences, some of which are shown too.
        """
        options = self.options
        chance = random.Random(f"{options.seed} {number}")
        new = chance.sample(kept, min(len(kept), options.shots // _NEW))
        old = chance.sample(self.seeds, min(len(self.seeds), options.shots - len(new)))
        shown = [(e.document_id, e.text, e.entities) for e in old] + [(d.id, d.text, d.entities) for d in new]
        chance.shuffle(shown)
        marked = [SPAN.encode(text, entities, self.types).text for _, text, entities in shown]
        messages = self._prompter.new_sentences(marked, SPAN.signs(self.types), options.sentences)
        asked = Request(messages, self._room, temperature=options.temperature, sample=number)
        return asked, tuple(dict.fromkeys(document_id for document_id, _, _ in shown))

    def run(self, chat: Chat, *, progress: Callable[[int], None] = lambda kept: None) -> Invented:
        """Ask until there are as many sentences as are wanted, or no more come.

        The same seeds, options and answers give the same sentences, so that a run that was stopped goes on by the
        answers that are kept.

        Args:
            chat: the model.
            progress: is called after each round with how many sentences there are.

        Raises:
            ChatError: if a server refuses the first request, or cannot be reached.
        """
        with open_session(chat) as (start, ask):
            found: Invented = start(_Run(self, ask, str(chat.facts().get("model", ""))).rounds(progress)).result()
        return found

    def facts(self, chat: Chat, found: Invented) -> dict[str, object]:
        """A record of what was asked how, what came of it, and what it cost."""
        options = {**asdict(self.options), "wording": str(self.options.wording) if self.options.wording else None}
        seeds = list(dict.fromkeys(example.document_id for example in self.seeds))
        came = {"kept": len(found.documents), "written": found.written, "thrown": found.thrown}
        asked = {"types": self.types, "invention": options, "seeds": seeds}
        usage = {"usage": chat.account.facts(), **came, "stopped": found.stopped}
        return {"biomark": version("biomark"), **chat.facts(), **asked, **usage}

    def likeness(self, text: str) -> float:
        """ROUGE-L to the most similar sentence of the seeds."""
        return _nearest(text, self._old)

    def yes_no(self, text: str, mention: str, entity_type: str) -> Request:
        """The question whether a mention is one."""
        return Request(self._prompter.yes_no(text, mention, entity_type), self.options.max_tokens or _SHORT)


class _Run:
    """One call of `Inventor.run`."""

    def __init__(self, of: Inventor, ask: Ask, model: str) -> None:
        self._of = of
        self._ask = ask
        self._model = model
        self._kept: list[Document] = []
        self._words: list[_Words] = []  # of those kept
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

    async def _answer(self, number: int) -> list[_Candidate | str] | Unanswered:
        """The sentences of an answer; of those that cannot be read the reason."""
        request, shown = self._of.request(number, tuple(self._kept))
        try:
            reply = await self._ask(request)
        except Unanswered as error:
            return error
        said = [(m.role, m.content) for m in request.messages]
        prompt = hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]
        origin = {"invented_by": self._model, "request": str(number), "prompt": prompt, "shown": json.dumps(shown)}
        lines = _lines(reply.texts[0])
        last = ["cut off"] if lines and not reply.finished else []
        return [self._read(line, number, origin) for line in (lines[:-1] if last else lines)] + last

    def _read(self, line: str, number: int, origin: Mapping[str, str]) -> _Candidate | str:
        found = unmarked(line, SPAN.signs(self._of.types))
        if isinstance(found, Rejected):
            return "the marks do not parse"
        text, entities = found
        if not entities:
            return "nothing is mentioned"
        if any(_elsewhere(entity.mention(text), text, [e.extent for e in entities]) for entity in entities):
            return "a mention stands elsewhere unmarked"
        likeness = self._of.likeness(text)
        options = self._of.options
        told = {
            **origin,
            "seed": str(options.seed),
            "rouge_l": f"{likeness:.3f}",
            "verified": str(not options.unverified),
        }
        document_id = f"invented-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        return _Candidate(Document(document_id, text, entities=entities, infons=Infons(told)), number, likeness)

    def _fitting(self, answer: Sequence[_Candidate | str]) -> list[_Candidate]:
        """The sentences that are worth a question: no copies."""
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

    def _is_copy(self, candidate: _Candidate) -> bool:
        return _nearest(candidate.document.text, self._words) >= self._of.options.alike

    async def _verdict(self, candidate: _Candidate) -> str | None:
        """Why a sentence cannot be kept; None: the model says of each mention that it is one."""
        if self._of.options.unverified:
            return None
        text = candidate.document.text
        for mention, entity_type in dict.fromkeys((e.mention(text), e.type) for e in candidate.document.entities):
            try:
                said = yes_or_no((await self._ask(self._of.yes_no(text, mention, entity_type))).texts[0])
            except Unanswered:
                return "not verified: no answer"
            if said is None:
                return "not verified: neither yes nor no"
            if not said:
                return "refuted"
        return None

    def _keep(self, candidates: Sequence[_Candidate], verdicts: Sequence[str | None]) -> None:
        for candidate, verdict in zip(candidates, verdicts, strict=True):
            if verdict is not None:
                self._thrown[verdict] += 1
            elif self._is_copy(candidate):  # of one of the same round
                self._thrown["too like another new one"] += 1
            elif len(self._kept) == self._of.options.count:
                self._thrown["more than were wanted"] += 1
            else:
                self._kept.append(candidate.document)
                self._words.append(_words(candidate.document.text))


def rouge_l(a: Sequence[str], b: Sequence[str]) -> float:
    """ROUGE-L of two texts in words (Lin 2004): the F1 of their longest common subsequence, in [0, 1]."""
    if not a or not b:
        return 0.0
    row = [0] * (len(b) + 1)
    for word in a:
        diagonal = 0
        for n, other in enumerate(b, 1):
            diagonal, row[n] = row[n], diagonal + 1 if word == other else max(row[n], row[n - 1])
    return 2 * row[-1] / (len(a) + len(b))


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of a text, and how often it has each."""

    listed: tuple[str, ...]
    bag: Counter[str]


def _words(text: str) -> _Words:
    found = _WORD.findall(text.casefold())
    return _Words(tuple(found), Counter(found))


def _nearest(text: str, others: Iterable[_Words]) -> float:
    """The highest ROUGE-L to some texts."""
    words, best = _words(text), 0.0
    for other in others:
        common = sum(min(count, other.bag[word]) for word, count in words.bag.items())
        # No common subsequence has more words than are common
        if 2 * common > best * (len(words.listed) + len(other.listed)):
            best = max(best, rouge_l(words.listed, other.listed))
    return best


def _lines(answer: str) -> list[str]:
    """The items of a list; all else is what models say around it."""
    return [text for line in answer.split("\n") if (found := _ITEM.match(line)) and (text := found["text"].rstrip())]


def _elsewhere(mention: str, text: str, marked: Sequence[Span]) -> bool:
    """Whether the words of a mention stand where nothing is marked."""
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
