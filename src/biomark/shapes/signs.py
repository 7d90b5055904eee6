"""Answers that are the text itself with signs around each mention, whatever the signs are."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from biomark import marks
from biomark.marks import Signs
from biomark.marks.alignment import words
from biomark.shapes.base import Decoded, Encoded, only, stops_outside, text_alone
from biomark.spans import Entity, Rejected, Span

_FENCE = re.compile(r"```[\w-]*[ \t]*\n(?P<inside>.*?)(?:\n?```|\Z)", re.DOTALL)
_NOTHING = ("none", "no mentions", "no entities", "n/a", "null", "")
_ESCAPE = re.compile(r"&\s*+(?:#\s*+)?\w++\s*+;")  # blanks as in tokenised texts


@dataclass(frozen=True, slots=True)
class Signed:
    """A shape of signs.

    Attributes:
        name: of the shape.
        single: whether its signs leave the type to the question.
        signs: the signs for some types.
        ask: what the prompt says of the answer's form, for some types.
        question: see `Shape`.
        before: what a model may repeat of the question before its answer.
        one_message: see `Shape`.
        ends: what ends an answer about a text that does not have it; "": nothing.
    """

    name: str
    single: bool
    signs: Callable[[Sequence[str]], Signs]
    ask: Callable[[Sequence[str]], str]
    question: Callable[[str, Sequence[str]], tuple[str, ...]] = text_alone
    before: str = ""
    one_message: bool = False
    ends: str = ""

    def request(self, types: Sequence[str]) -> str:
        """What the prompt says of the answer's form."""
        return self.ask(self._checked(types))

    def encode(self, text: str, entities: Iterable[Entity], types: Sequence[str]) -> Encoded:
        """The text with signs around the mentions; nested, crossing and discontinuous ones are left out."""
        signs = self.signs(self._checked(types))
        marked = marks.encode(text, (entity for entity in entities if entity.type in types), signs)
        return Encoded(marked.text, marked.left_out)

    def decode(self, answer: str, text: str, types: Sequence[str]) -> Decoded:
        """Find the mentions of an answer in the text: exactly if it copies the text, else by alignment."""
        signs = self.signs(self._checked(types))
        whole = answer
        if self.before and answer.lstrip().startswith(self.before) and not text.lstrip().startswith(self.before):
            answer = answer.lstrip().removeprefix(self.before).removeprefix(" ")
        unescaped = _unescaped(answer, text)
        for version in dict.fromkeys((answer, _unwrapped(answer, text), _unwrapped(unescaped, text))):
            found = marks.decode(version, text, signs)
            if not isinstance(found, Rejected):
                return Decoded(found, places=_places(found, version, text, signs, whole))
        inside = _inside(unescaped, text)
        aligned = marks.align(inside, text, signs)
        if not aligned.entities and not aligned.rejected and not _is_about(inside, text):
            reason = "the answer is about something else than the text"
            return Decoded((), (Rejected(reason, raw=answer),), faithful=False)
        at = whole.find(inside)
        places = tuple(place.shift(at) if at >= 0 else None for place in aligned.places)
        return Decoded(aligned.entities, aligned.rejected, faithful=False, places=places)

    def stops(self, text: str) -> tuple[str, ...]:
        """See `biomark.shapes.base.Shape`."""
        return stops_outside(self.ends, text)

    def schema(self, types: Sequence[str]) -> Mapping[str, object] | None:
        """None: the answer is text."""
        return None

    def _checked(self, types: Sequence[str]) -> Sequence[str]:
        return (only(types, self.name),) if self.single else types


def _places(entities: Sequence[Entity], version: str, text: str, signs: Signs, answer: str) -> tuple[Span | None, ...]:
    """Where the mentions of a faithful version of an answer stand in the answer itself, signs included."""
    core = version.strip()
    at = answer.find(core) - (len(version) - len(version.lstrip())) if core in answer else None
    places: list[Span | None] = []
    more = 0  # code points of the signs so far
    for entity in entities:
        before, after = signs.around(entity.type)
        marked = before + entity.mention(text) + after
        start = entity.start + more
        there = at is not None and version.startswith(marked, start)
        places.append(Span(start, start + len(marked)).shift(at or 0) if there else None)
        more += len(before) + len(after)
    return tuple(places)


def _is_about(answer: str, text: str) -> bool:
    """Whether an answer without mentions says that there are none: in a word, or mostly in words of the text."""
    said = {word for word, _ in words(answer)}
    theirs = {word for word, _ in words(text)}
    return answer.strip(" .\n[]").casefold() in _NOTHING or 2 * len(said & theirs) >= len(said)


def unfenced(answer: str) -> str:
    """The inside of the first code fence, or all of an answer without one."""
    fence = _FENCE.search(answer)
    return fence["inside"] if fence else answer


def _inside(answer: str, text: str) -> str:
    """The answer without a copy of the question before it, and without a code fence around it.

    A text that has fences of its own keeps them.
    """
    before, _, rest = answer.partition(text or "\n")
    if len(rest) > len(text) > len(before):
        answer = rest
    return answer if "```" in text else unfenced(answer)


def _unescaped(answer: str, text: str) -> str:
    """The answer without HTML's escapes, unless the text has some of its own."""
    try:
        return answer if _ESCAPE.search(text) else html.unescape(answer)
    except ValueError:  # of a number with thousands of digits
        return answer


def _unwrapped(answer: str, text: str) -> str:
    """The answer without a fence, and with the text's own white space at both ends."""
    start = text[: len(text) - len(text.lstrip())]
    end = text[len(text.rstrip()) :] if text.strip() else ""
    return start + _inside(answer, text).strip() + end
