"""Draft and verify: answers under the mark grammar, about as fast as the model reads them.

The answer to a mark prompt is its source with tags, so that nearly all of it is known beforehand. The rest
of an answer is drafted, the model reads the draft in one pass, and what it would have said itself at each
place is compared with it. Up to the first difference the draft is the model's answer; there its own choice is
taken, the rest is drafted again, and what was read right stays in the cache. The answer is, token for token,
what `greedy` gives: at each step the likeliest of the tokens that the grammar allows, or one that is drawn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache, PreTrainedModel

from biomark.generative.decoding.cache import Stretch
from biomark.generative.decoding.choice import Chance, Choices, choose
from biomark.generative.decoding.grammar import Grammar, GrammarState, Mark
from biomark.generative.decoding.head import Head, before, head_of
from biomark.generative.decoding.limits import room
from biomark.generative.decoding.passes import Feed, Passes
from biomark.generative.decoding.prefix import TokenIds, longest_of, worth_keeping
from biomark.generative.decoding.probe import probe
from biomark.generative.decoding.vocabulary import Vocabulary
from biomark.spans import Span

# What a pass costs apart from its tokens, in tokens: on a GPU, small passes cost about as much as large ones.
_PASS_COSTS = {"cpu": 24}
_PASS_COST = 1000
# Tokens of a draft that are verified after a difference; twice as many each time that all hold.
_STRETCHES = {"cpu": 8}
_STRETCH = 64
_WORTH = 64  # tokens that a common beginning of prompts has to spare for it to be kept
_KEPT = 8  # how many beginnings are kept
_RECENT = 8  # prompts before a batch in which common beginnings are looked for, too


@dataclass(frozen=True, slots=True)
class Question:
    """A question to a model: a prompt, and the constraints on its answer.

    Attributes:
        prompt: ids of the whole prompt; at least one.
        grammar: the grammar of the source that the answer copies.
        draft: mentions that are expected, apart and in order. They change how fast the answer comes, not the answer.
        chance: draws the tokens of the answer; None: they are the likeliest.
    """

    prompt: tuple[int, ...]
    grammar: Grammar
    draft: tuple[Span, ...] = ()
    chance: Chance | None = None


@dataclass(frozen=True, slots=True)
class DecodedAnswer:
    """The decoded answer of a model.

    Attributes:
        tokens: ids, the end token included.
        probabilities: the probabilities of each token among those that were allowed.
        marks: the mentions.
        passes: runs of the model in which this answer took part.
        computed: tokens that they computed for it, without padding and without the beginning that its
            prompt shares with others.
    """

    tokens: tuple[int, ...]
    probabilities: tuple[float, ...]
    marks: tuple[Mark, ...]
    passes: int
    computed: int


@dataclass(slots=True)
class _OpenQuestion:
    """A question under way.

    Attributes:
        number: its row of the cache.
        read: tokens of prompt and answer that the cache holds.
        draft: the rest of the answer, as expected.
        reach: how much of the draft is verified at once.
        full: whether there is no room for the rest of the answer.
    """

    number: int
    question: Question
    state: GrammarState
    draft: list[int]
    reach: int
    read: int = 0
    tokens: list[int] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    passes: int = 0
    computed: int = 0
    full: bool = False

    def answer(self) -> DecodedAnswer | None:
        """Return the finished answer; None if it did not fit into the model's context."""
        if self.full:
            return None
        marks = self.question.grammar.marks(self.state)
        return DecodedAnswer(tuple(self.tokens), tuple(self.probabilities), marks, self.passes, self.computed)


@dataclass(frozen=True, slots=True)
class _Look:
    """The part of a row that a forward pass verifies.

    Attributes:
        draft: the tokens to verify.
        states: the grammar's state before each of them.
        allowed: for each of them, the ids that the grammar allows.
        fed: what the model reads, from the row's `read` on, to choose at all places with a choice.
        first: number of the token read before the first of the draft, in `fed`.
    """

    draft: list[int]
    states: list[GrammarState]
    allowed: list[tuple[int, ...]]
    fed: list[int]
    first: int


class Decoder:
    """Answers questions with a causal language model; puts it in evaluation mode, and is for one thread.

    The model's floating-point type decides about precision. Keys and values stay allocated for the
    largest batch so far, as do those of the instructions seen last.

    Args:
        model: the model; its attention must be `sdpa` or `eager`.
        vocabulary: the vocabulary of the model.
        full_prompts: whether the model was tuned to see a prompt in full: each of its tokens attends to all of
            them. Prompts then share nothing.
        stretch: how many tokens of a new draft are verified after a difference, and twice as many each time
            that all hold; 0: always the whole draft; None: what suits the device.

    Attributes:
        longest: tokens that prompt and answer may have together; None: any number.
        shared: tokens computed for beginnings that prompts share.

    Raises:
        ModelError: if its layers, its attention, or the way it uses positions are not suited.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        vocabulary: Vocabulary,
        *,
        full_prompts: bool = False,
        stretch: int | None = None,
    ) -> None:
        self.longest = room(model.config.get_text_config())
        self.shared = 0
        model.eval()  # type: ignore[no-untyped-call]
        self._full_prompts = full_prompts
        kind = model.device.type
        self._stretch = _STRETCHES.get(kind, _STRETCH) if stretch is None else stretch
        self._pass_cost = _PASS_COSTS.get(kind, _PASS_COST)
        self._passes = Passes(model)
        self._head = Head(model)
        self._kept: dict[TokenIds, Stretch] = {}  # the one used last at the end
        self._recent: deque[TokenIds] = deque(maxlen=_RECENT)
        with torch.inference_mode():
            probe(self._passes, self._head, vocabulary)

    def answer(self, questions: Sequence[Question]) -> list[DecodedAnswer | None]:
        """Return the answers to a batch of questions; None where prompt and answer have more tokens than `longest`.

        Raises:
            ModelError: if the model computes numbers that are not finite.
        """
        rows = []
        for number, question in enumerate(questions):
            start = question.grammar.start
            draft = question.grammar.draft(start, question.draft)
            rows.append(_OpenQuestion(number, question, start, draft, len(draft)))
        with torch.inference_mode():
            if not self._full_prompts:
                self._share(rows)
            active = rows
            while active := [row for row in active if self._goes_on(row)]:
                self._verify(active)
        return [row.answer() for row in rows]

    def _goes_on(self, row: _OpenQuestion) -> bool:
        if row.state.finished:
            return False
        if self.longest is not None:
            left = self.longest - len(row.question.prompt) - len(row.tokens)
            row.full = left < 1
            row.reach = min(row.reach, left)
        return not row.full

    # One pass

    def _verify(self, rows: Sequence[_OpenQuestion]) -> None:
        """Verify the next stretch of each row's draft, with rows that have about as much to read in one pass."""
        looks = [(row, _look(row)) for row in rows]
        for row, look in looks:
            if not look.fed:
                self._take(row, look, [(ids[0], 1.0) for ids in look.allowed])
        asked = sorted((pair for pair in looks if pair[1].fed), key=lambda pair: -len(pair[1].fed))
        for start, end in groups([len(look.fed) for _, look in asked], self._pass_cost):
            self._pass(asked[start:end])

    def _pass(self, asked: Sequence[tuple[_OpenQuestion, _Look]]) -> None:
        choices = self._choose(asked)
        own = iter(zip(choices.tokens, choices.probabilities, strict=True))
        for row, look in asked:
            row.passes += 1
            row.computed += len(look.fed)
            self._take(row, look, [(ids[0], 1.0) if len(ids) == 1 else next(own) for ids in look.allowed])

    def _take(self, row: _OpenQuestion, look: _Look, choices: list[tuple[int, float]]) -> None:
        """Append the verified tokens to the row: the draft up to the first difference, and the model's next token."""
        size = len(look.draft)
        agreed = next((n for n, (token, _) in enumerate(choices) if token != look.draft[n]), size)
        taken = choices[: agreed + 1]
        grammar = row.question.grammar
        row.state = grammar.advance(look.states[len(taken) - 1], taken[-1][0])
        row.read += min(len(look.fed), look.first + 1 + agreed)
        row.tokens += [token for token, _ in taken]
        row.probabilities += [probability for _, probability in taken]
        if agreed == size:
            row.draft = row.draft[size:]
            row.reach *= 2
        else:
            row.draft = grammar.draft(row.state, row.question.draft)
            row.reach = self._stretch or len(row.draft)

    def _choose(self, asked: Sequence[tuple[_OpenQuestion, _Look]]) -> Choices:
        """Run the model, and choose at each place with more than one allowed token, row by row."""
        width = max(len(look.fed) for _, look in asked)
        places: list[int] = []
        sizes: list[int] = []
        candidates: list[int] = []
        for number, (_, look) in enumerate(asked):
            for n, ids in enumerate(look.allowed):
                if len(ids) > 1:
                    places.append(number * width + look.first + n)
                    sizes.append(len(ids))
                    candidates += ids
        counts = np.array(sizes)
        owners = np.repeat(np.arange(len(sizes)), counts)
        feeds = [Feed(row.number, row.read, look.fed, self._seen_by_all(row)) for row, look in asked]
        logits = self._head.read(
            lambda: self._passes.run(feeds),
            torch.tensor(places),
            torch.from_numpy(owners),
            torch.tensor(candidates),
        )
        return choose(logits.cpu().double().numpy(), np.array(candidates), counts, owners, _noise(asked))

    def _seen_by_all(self, row: _OpenQuestion) -> int:
        return len(row.question.prompt) if self._full_prompts else 1

    # What prompts share

    def _share(self, rows: Sequence[_OpenQuestion]) -> None:
        """Begin rows with what their prompts have in common, with each other or with earlier ones."""
        prompts = [row.question.prompt for row in rows]
        for ids in worth_keeping([*self._recent, *prompts], self._kept, least=_WORTH):
            with before(head_of(self._passes.model), lambda hidden: hidden[:, :0]):
                self._passes.run([Feed(0, 0, ids)])
            self._kept[ids] = self._passes.cache.keep(0, len(ids))
            self.shared += len(ids)
        self._recent.extend(prompts)
        users: dict[TokenIds, list[_OpenQuestion]] = {}
        for row in rows:
            users.setdefault(longest_of(row.question.prompt, self._kept), []).append(row)
        for ids, group in users.items():
            if ids:
                self._kept[ids] = self._kept.pop(ids)
                self._passes.cache.place([row.number for row in group], self._kept[ids])
                for row in group:
                    row.read = len(ids)
        for ids in list(self._kept)[:-_KEPT]:
            del self._kept[ids]


def groups(sizes: Sequence[int], cost: int) -> list[tuple[int, int]]:
    """Divide a batch into groups so that passes and padding together cost least; return the range of each group.

    Args:
        sizes: the sizes of the rows in tokens, descending.
        cost: the fixed cost of a pass, in tokens.

    Returns:
        Beginning and end of each group.
    """
    costs, begins = [0], [0]  # of the first n rows: what they cost, and where their last group begins
    for end in range(1, len(sizes) + 1):
        least, begin = min((costs[n] + cost + sizes[n] * (end - n), n) for n in range(end))
        costs.append(least)
        begins.append(begin)
    ranges: list[tuple[int, int]] = []
    end = len(sizes)
    while end:
        ranges.append((begins[end], end))
        end = begins[end]
    return ranges[::-1]


def _look(row: _OpenQuestion) -> _Look:
    """Return what the next pass verifies: the draft as far as the row reaches."""
    grammar, state = row.question.grammar, row.state
    draft = row.draft[: row.reach]
    states: list[GrammarState] = []
    allowed: list[tuple[int, ...]] = []
    choice = -1
    for number, token in enumerate(draft):
        ids = grammar.allowed(state)
        states.append(state)
        allowed.append(ids)
        if len(ids) > 1:
            choice = number
        if number + 1 < len(draft):
            state = grammar.advance(state, token)
    known = [*row.question.prompt, *row.tokens][row.read :]
    # Where nothing is to be chosen, the model is not needed.
    fed = [*known, *draft[:choice]] if choice >= 0 else []
    return _Look(draft, states, allowed, fed, len(known) - 1)


def _noise(asked: Sequence[tuple[_OpenQuestion, _Look]]) -> NDArray[np.float64] | None:
    """Return the noise added to the logits at all places with a choice; None if no answer is drawn at random."""
    if all(row.question.chance is None for row, _ in asked):
        return None
    noises = []
    for row, look in asked:
        for state, ids in zip(look.states, look.allowed, strict=True):
            if len(ids) > 1:
                chance = row.question.chance
                noises.append(chance.noise(state.count, len(ids)) if chance else np.zeros(len(ids)))
    return np.concatenate(noises)


def greedy(
    model: PreTrainedModel, question: Question, *, full_prompts: bool = False, longest: int | None = None
) -> DecodedAnswer | None:
    """Generate an answer token by token, without drafts; `Decoder` must give the same answer, also one drawn at random.

    Args:
        model: in evaluation mode.
        question: its draft is not used.
        full_prompts: see `Decoder`.
        longest: tokens that prompt and answer may have together.

    Returns:
        The answer, or None if there is no room for it.
    """
    grammar = question.grammar
    state = grammar.start
    cache = DynamicCache(config=model.config)
    tokens: list[int] = []
    probabilities: list[float] = []
    fed = list(question.prompt)
    while not state.finished:
        if longest is not None and len(question.prompt) + len(tokens) >= longest:
            return None
        start = cache.get_seq_length()
        positions = torch.arange(start, start + len(fed), device=model.device)[None]
        ids = torch.tensor([fed], device=model.device)
        mask = torch.zeros(1, 1, len(fed), len(fed), dtype=model.dtype, device=model.device)  # all see all
        with torch.inference_mode(), before(head_of(model), lambda hidden: hidden[:, -1:]):
            logits = model(
                input_ids=ids,
                attention_mask=mask if full_prompts and not tokens else None,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
            ).logits[0, -1]
        allowed = grammar.allowed(state)
        likely = logits[list(allowed)].double()
        shares = likely.softmax(0)
        if question.chance is not None:
            likely = likely + torch.from_numpy(question.chance.noise(state.count, len(allowed)))
        best = int(likely.argmax())
        tokens.append(allowed[best])
        probabilities.append(float(shares[best]))
        state = grammar.advance(state, allowed[best])
        fed = tokens[-1:]
    read = len(question.prompt) + len(tokens) - 1
    return DecodedAnswer(tuple(tokens), tuple(probabilities), grammar.marks(state), len(tokens), read)
