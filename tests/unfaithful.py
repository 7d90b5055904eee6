"""Generated sentences with mentions, and what a careless model makes of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from biomark.spans import Entity, Span

TYPES = ("disease", "chemical", "gene")
MENTIONS = {
    "disease": ["breast cancer", "T-cell leukaemia", "fever", "Crohn's disease", "chronic 'dry' cough", "familial ALS"],
    "chemical": ["aspirin", "5-FU", "1,25-dihydroxyvitamin D3", "sodium chloride", "(+)-catechin", "β-carotene"],
    "gene": ["p53", "BRCA1", "TNF-α", "IL-2 receptor", "heat shock protein 70", "α-synuclein"],
}
PLAIN = (
    "the of in and a with was were by to patients who had cells from after treatment showed that levels both groups "
    'did not differ although expression increased in all , ( ) . ; cancer cell protein "responders" long-term'
).split()
FOREIGN = "les taux étaient und bei Patienten wurden gemessen pacientes tratados con después 治疗 后 病人".split()
KINDS = (
    "drop",
    "swap",
    "move",
    "double",
    "quotes",
    "translate",
    "nest",
    "unclosed",
    "space",
    "case",
    "introduce",
    "explain",
    "misprint",
)


@dataclass(frozen=True)
class Case:
    """A source, its mentions, and an unfaithful answer.

    Attributes:
        survivors: the mentions whose words all stand in the answer, in order and between their signs.
        starts: where in the source the words stand that the answer has after an opening sign.
        ends: where those end that it has before a closing sign.
    """

    source: str
    entities: tuple[Entity, ...]
    answer: str
    survivors: frozenset[Entity]
    starts: frozenset[int]
    ends: frozenset[int]


@dataclass
class _Word:
    text: str
    mention: int = -1
    place: Span = field(default_factory=lambda: Span(0, 1))


def case(seed: int, kinds: Sequence[str] = KINDS, signs: str = "span") -> Case:
    """One case; equal seeds give equal cases."""
    chance = random.Random(seed)
    words, types = _sentence(chance)
    source, entities = _joined(words, types)
    chosen = set(chance.sample(list(kinds), k=min(len(kinds), chance.choice([1, 1, 2, 2, 3]))))
    answer = list(words)
    for kind, rate in (("translate", 1), ("drop", 0.08), ("swap", 0.08), ("move", 0.05), ("double", 0.08)):
        if kind in chosen:
            answer = EDITS[kind](answer, rate, chance)
    marked = _Marked(chosen, chance, signs)
    text = marked.write(answer, types)
    if "introduce" in chosen:
        text = (
            chance.choice(["Here is the output: ", "Sure! The text:\n\n", "```\n", f"Input: {source}\nOutput: "]) + text
        )
    if "explain" in chosen:
        text += f"\n\nNote: {chance.choice(MENTIONS['disease'])} was left out, since it is no disease of the patient."
    survivors = frozenset(entities) & marked.whole
    return Case(source, tuple(entities), text, survivors, frozenset(marked.starts), frozenset(marked.ends))


def _sentence(chance: random.Random) -> tuple[list[_Word], list[str]]:
    words: list[_Word] = []
    types: list[str] = []
    for _ in range(chance.randint(6, 40)):
        if chance.random() < 0.2:
            type = chance.choice(TYPES)
            words += [_Word(part, len(types)) for part in chance.choice(MENTIONS[type]).split(" ")]
            types.append(type)
        if chance.random() < 0.05:  # the same words, not annotated
            words += [_Word(part) for part in chance.choice(MENTIONS[chance.choice(TYPES)]).split(" ")]
        words.append(_Word(chance.choice(PLAIN)))
    return words, types


def _joined(words: list[_Word], types: list[str]) -> tuple[str, list[Entity]]:
    text = ""
    places: dict[int, list[int]] = {}
    for word in words:
        text += " " if text else ""
        places.setdefault(word.mention, [len(text)])[1:] = [len(text) + len(word.text)]
        text += word.text
        word.place = Span(len(text) - len(word.text), len(text))
    return text, [Entity((Span(*places[index]),), type) for index, type in enumerate(types)]


def _drop(words: list[_Word], rate: float, chance: random.Random) -> list[_Word]:
    return [word for word in words if chance.random() >= rate]


def _double(words: list[_Word], rate: float, chance: random.Random) -> list[_Word]:
    """Words doubled, inside or outside of the mention that they are of."""
    out = []
    for word in words:
        out.append(word)
        if chance.random() < rate:
            out.append(_Word(word.text) if chance.random() < 0.5 else word)
    return out


def _swap(words: list[_Word], rate: float, chance: random.Random) -> list[_Word]:
    out = list(words)
    for index in range(len(out) - 1):
        if chance.random() < rate:
            out[index], out[index + 1] = out[index + 1], out[index]
    return out


def _move(words: list[_Word], rate: float, chance: random.Random) -> list[_Word]:
    """Words exchanged with words anywhere in the text."""
    out = list(words)
    for index in range(len(out)):
        if chance.random() < rate:
            other = chance.randrange(len(out))
            out[index], out[other] = out[other], out[index]
    return out


def _translate(words: list[_Word], rate: float, chance: random.Random) -> list[_Word]:
    """A stretch in another language, mentions as they were or translated too."""
    start = chance.randrange(len(words) + 1)
    end = start + chance.randint(2, 12)
    mentions_too = chance.random() < 0.5
    return [
        _Word(chance.choice(FOREIGN)) if start <= index < end and (word.mention < 0 or mentions_too) else word
        for index, word in enumerate(words)
    ]


EDITS = {"drop": _drop, "swap": _swap, "move": _move, "double": _double, "translate": _translate}
_CHANGED = str.maketrans({"'": "’", '"': "”", "-": "‐", "β": "β"})


class _Marked:
    """Writes an answer, and keeps where in the source the words stand that it marks."""

    def __init__(self, kinds: set[str], chance: random.Random, signs: str) -> None:
        self.kinds, self.chance, self.signs = kinds, chance, signs
        self.whole: set[Entity] = set()
        self.starts: set[int] = set()
        self.ends: set[int] = set()

    def happens(self, kind: str, rate: float) -> bool:
        return kind in self.kinds and self.chance.random() < rate

    def write(self, answer: list[_Word], types: list[str]) -> str:
        text = ""
        at = 0
        while at < len(answer):
            end = at + 1
            while answer[at].mention >= 0 and end < len(answer) and answer[end].mention == answer[at].mention:
                end += 1
            run = answer[at:end]
            type = types[run[0].mention] if run[0].mention >= 0 else None
            piece = self._words(run) if type is None else self._mention(run, type)
            text += ("" if not text or (not piece[0].isalnum() and self.happens("space", 0.1)) else " ") + piece
            at = end
        return text

    def _words(self, run: list[_Word]) -> str:
        piece = ("  " if self.happens("space", 0.3) else " ").join(word.text for word in run)
        piece = piece.translate(_CHANGED) if "quotes" in self.kinds else piece
        letters = [i for i, character in enumerate(piece) if character.isalpha()]
        if len(letters) > 6 and self.happens("misprint", 0.2):
            at = self.chance.choice(letters)
            piece = piece[:at] + self.chance.choice(["", "e", piece[at] * 2]) + piece[at + 1 :]
        return piece.upper() if self.happens("case", 0.2) else piece

    def _mention(self, run: list[_Word], type: str) -> str:
        before, after = _signs(type, self.signs)
        piece = self._words(run)
        if self.happens("nest", 0.3):
            inner = self.chance.randrange(len(run))
            more = self._mark(self._words(run[inner : inner + 1]), run[inner : inner + 1], self.chance.choice(TYPES))
            piece = " ".join([*(w.text for w in run[:inner]), more, *(w.text for w in run[inner + 1 :])])
        if self.happens("unclosed", 0.3):
            if self.chance.random() < 0.5:
                self.starts.add(run[0].place.start)
                return before + piece
            self.ends.add(run[-1].place.end)
            return piece + after
        places = sorted({word.place for word in run})
        if all(a.end + 1 == b.start for a, b in pairwise(places)):
            self.whole.add(Entity((Span(places[0].start, places[-1].end),), type))
        return self._mark(piece, run, type)

    def _mark(self, piece: str, run: list[_Word], type: str) -> str:
        before, after = _signs(type, self.signs)
        self.starts.add(min(word.place.start for word in run))
        self.ends.add(max(word.place.end for word in run))
        return before + piece + after


def _signs(type: str, signs: str) -> tuple[str, str]:
    return {
        "span": (f'<span class="{type}">', "</span>"),
        "tanl": ("[ ", f" | {type} ]"),
        "mark": ("<mark>", "</mark>"),
        "gpt-ner": ("@@", "##"),
    }[signs]
