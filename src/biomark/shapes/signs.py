"""Shapes whose answers are a copy of the text with signs, such as `<mark>`, around each mention."""

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
_ESCAPE = re.compile(r"&\s*+(?:#\s*+)?\w++\s*+;")  # with optional blanks, as in tokenised texts


@dataclass(frozen=True, slots=True)
class Signed:
    """A shape whose answers copy the text with signs around the mentions.

    Attributes:
        name: the name of the shape.
        single: whether the signs do not name the type, so that a question asks for one type.
        signs: returns the signs for types.
        ask: returns the description of the answer's form for the prompt, for types.
        question: see `Shape`.
        before: the end of the question, which a model may repeat before its answer.
        one_message: see `Shape`.
        ends: a string that ends an answer, unless the text contains it; "": none.
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
        """See `biomark.shapes.base.Shape`."""
        return self.ask(self._checked(types))

    def encode(self, text: str, entities: Iterable[Entity], types: Sequence[str]) -> Encoded:
        """Return the text with signs around the mentions; nested, crossing and discontinuous ones are left out."""
        signs = self.signs(self._checked(types))
        marked = marks.encode(text, (entity for entity in entities if entity.type in types), signs)
        return Encoded(marked.text, marked.left_out)

    def decode(self, answer: str, text: str, types: Sequence[str]) -> Decoded:
        """Locate the mentions of an answer in the text: exactly if it copies the text, otherwise by alignment."""
        signs = self.signs(self._checked(types))
        whole = answer
        if self.before and answer.lstrip().startswith(self.before) and not text.lstrip().startswith(self.before):
            answer = answer.lstrip().removeprefix(self.before).removeprefix(" ")
        unescaped = _unescaped(answer, text)
        for version in dict.fromkeys((answer, _unwrapped(answer, text), _unwrapped(unescaped, text))):
            entities = marks.decode(version, text, signs)
            if not isinstance(entities, Rejected):
                return Decoded(entities, places=_places(entities, version, text, signs, whole))
        inside = _inside(unescaped, text)
        aligned = marks.align(inside, text, signs)
        if not aligned.entities and not aligned.rejected and not _is_about(inside, text):
            reason = "the answer does not copy the text"
            return Decoded((), (Rejected(reason, raw=answer),), faithful=False)
        at = whole.find(inside)
        places = tuple(place.shift(at) if at >= 0 else None for place in aligned.places)
        return Decoded(aligned.entities, aligned.rejected, faithful=False, places=places)

    def stops(self, text: str) -> tuple[str, ...]:
        """See `biomark.shapes.base.Shape`."""
        return stops_outside(self.ends, text)

    def schema(self, types: Sequence[str]) -> Mapping[str, object] | None:
        """Return None, since the answer is text."""
        return None

    def _checked(self, types: Sequence[str]) -> Sequence[str]:
        return (only(types, self.name),) if self.single else types


def _places(entities: Sequence[Entity], version: str, text: str, signs: Signs, answer: str) -> tuple[Span | None, ...]:
    """Return the spans of mentions, with their signs, in an answer of which `version` is a normalised copy."""
    core = version.strip()
    at = answer.find(core) - (len(version) - len(version.lstrip())) if core in answer else None
    places: list[Span | None] = []
    more = 0  # the number of code points of the signs so far
    for entity in entities:
        before, after = signs.around(entity.type)
        marked = before + entity.mention(text) + after
        start = entity.start + more
        known = at is not None and version.startswith(marked, start)
        places.append(Span(start, start + len(marked)).shift(at or 0) if known else None)
        more += len(before) + len(after)
    return tuple(places)


def _is_about(answer: str, text: str) -> bool:
    """Return whether an answer without mentions is valid: it is "none" or the like, or mostly a copy."""
    answer_words = {word for word, _ in words(answer)}
    text_words = {word for word, _ in words(text)}
    if answer.strip(" .\n[]").casefold() in _NOTHING:
        return True
    return 2 * len(answer_words & text_words) >= len(answer_words)


def unfenced(answer: str) -> str:
    """Return the content of the first code fence, or the whole answer if it has none."""
    fence = _FENCE.search(answer)
    return fence["inside"] if fence else answer


def _inside(answer: str, text: str) -> str:
    """Return the answer without a copy of the question before it and without a code fence around it.

    If the text itself contains fences, no fence is removed.
    """
    before, _, after = answer.partition(text or "\n")
    if len(after) > len(text) > len(before):
        answer = after
    return answer if "```" in text else unfenced(answer)


def _unescaped(answer: str, text: str) -> str:
    """Return the answer with HTML escapes decoded, unless the text itself contains some."""
    try:
        return answer if _ESCAPE.search(text) else html.unescape(answer)
    except ValueError:  # raised for a number with thousands of digits
        return answer


def _unwrapped(answer: str, text: str) -> str:
    """Return the answer without a code fence and with the white space of the text at both ends."""
    start = text[: len(text) - len(text.lstrip())]
    end = text[len(text.rstrip()) :] if text.strip() else ""
    return start + _inside(answer, text).strip() + end
