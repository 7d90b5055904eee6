"""The protocol of shapes, and functions that several shapes share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from biomark.entity_types import label
from biomark.errors import UsageError
from biomark.spans import Entity, Rejected, Span


@dataclass(frozen=True, slots=True)
class Encoded:
    """The correct answer for an annotated text.

    Attributes:
        text: the answer.
        left_out: the mentions of the requested types that the shape cannot represent.
    """

    text: str
    left_out: tuple[Entity, ...] = ()


@dataclass(frozen=True, slots=True)
class Decoded:
    """The content of an answer.

    Attributes:
        entities: mentions of the requested types, with offsets in the source text.
        rejected: the parts of the answer that have no place in the text, each with its reason.
        faithful: whether the answer has the requested shape and quotes the source exactly.
        places: for each mention, the span of the answer, in code points, that represents it, including its signs or
            quotation marks; None for a mention whose span is not known. Empty if no span is known.
    """

    entities: tuple[Entity, ...]
    rejected: tuple[Rejected, ...] = ()
    faithful: bool = True
    places: tuple[Span | None, ...] = ()


class Shape(Protocol):
    """A form of answers: its description in the prompt, its writer and its reader."""

    @property
    def name(self) -> str:
        """The name of the shape in options and in `SHAPES`."""

    @property
    def single(self) -> bool:
        """Return whether an answer is about one type, so that the model answers once for each type."""

    @property
    def one_message(self) -> bool:
        """Return whether the whole prompt, including examples, is one user message that the answer continues."""

    def request(self, types: Sequence[str]) -> str:
        """Return the description of the answer's form for the prompt, or "" if the question describes it."""

    def question(self, text: str, types: Sequence[str]) -> tuple[str, ...]:
        """Return the messages that ask about a text, alternately the user's and the model's; the last is the user's."""

    def encode(self, text: str, entities: Iterable[Entity], types: Sequence[str]) -> Encoded:
        """Return the correct answer for a text with entities; entities of other types are ignored.

        `decode` of the answer returns exactly the entities that are not left out.
        """

    def decode(self, answer: str, text: str, types: Sequence[str]) -> Decoded:
        """Read the answer to a question about a text; a malformed answer raises no error."""

    def stops(self, text: str) -> tuple[str, ...]:
        """Return the strings that end the answer about a text, in addition to the model's own end token."""

    def schema(self, types: Sequence[str]) -> Mapping[str, object] | None:
        """Return the JSON schema of an answer, or None if answers are not JSON."""


def text_alone(text: str, types: Sequence[str]) -> tuple[str, ...]:
    """Return the question of most shapes: a heading and the text."""
    return (f"### Text\n{text}",)


def stops_outside(ends: str, text: str) -> tuple[str, ...]:
    """Return the string that ends an answer, unless the text itself contains it."""
    return (ends,) if ends and ends not in text.strip("\n") else ()


def names_of(types: Sequence[str]) -> dict[str, str]:
    """Return the name of each type in answers: its label, or its own name if two labels are equal."""
    labels = {entity_type: label(entity_type) for entity_type in types}
    return labels if len(set(labels.values())) == len(labels) else {entity_type: entity_type for entity_type in types}


def only(types: Sequence[str], shape: str) -> str:
    """Return the only type of an answer.

    Raises:
        UsageError: if there is none, or if there are several.
    """
    if len(types) != 1:
        raise UsageError(f"the shape {shape} asks about one type at a time, not about {', '.join(types) or 'none'}")
    return types[0]


def of_types(entities: Iterable[Entity], types: Sequence[str]) -> tuple[Entity, ...]:
    """Return the entities of the given types, reduced to spans and type, which is all that shapes represent."""
    return tuple(Entity(entity.spans, entity.type) for entity in entities if entity.type in types)
