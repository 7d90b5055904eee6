"""What every shape of a prompt's answer can do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from biomark.entity_types import label
from biomark.errors import UsageError
from biomark.spans import Entity, Rejected, Span


@dataclass(frozen=True, slots=True)
class Encoded:
    """An answer as a model should write it, and the mentions of the types that were asked for that it cannot hold."""

    text: str
    left_out: tuple[Entity, ...] = ()


@dataclass(frozen=True, slots=True)
class Decoded:
    """What an answer says.

    Attributes:
        entities: mentions with offsets in the source text, of the types that were asked for.
        rejected: what the answer says that has no place in the text, each with its reason.
        faithful: whether the answer has the shape asked for and quotes the source as it is.
        places: for each mention the code points of the answer that say it, with what sets it off from the rest; None
            where that is not known, empty where it is known of none.
    """

    entities: tuple[Entity, ...]
    rejected: tuple[Rejected, ...] = ()
    faithful: bool = True
    places: tuple[Span | None, ...] = ()


class Shape(Protocol):
    """A form of answer: what the prompt says of it, how it is written and read."""

    @property
    def name(self) -> str:
        """As options and `SHAPES` spell it."""

    @property
    def single(self) -> bool:
        """Whether an answer is about one type, so that the model is asked once per type."""

    @property
    def one_message(self) -> bool:
        """Whether all that is said, examples included, is one message of the user, which the answer goes on with."""

    def request(self, types: Sequence[str]) -> str:
        """What the prompt says of the answer's form; "" where the question says all that there is to say."""

    def question(self, text: str, types: Sequence[str]) -> tuple[str, ...]:
        """What asks about a text: what the user says; what the model is taken to have said, and the user then; …"""

    def encode(self, text: str, entities: Iterable[Entity], types: Sequence[str]) -> Encoded:
        """The answer that says where the mentions of some types are; entities of other types do not matter.

        `decode` of it gives the entities that are not left out, no others.
        """

    def decode(self, answer: str, text: str, types: Sequence[str]) -> Decoded:
        """Read any answer to a question about a text; nothing that a model writes raises an error."""

    def stops(self, text: str) -> tuple[str, ...]:
        """What ends the answer about a text, wherever the model would go on; beside the model's own end."""

    def schema(self, types: Sequence[str]) -> Mapping[str, object] | None:
        """The JSON schema of an answer, or None where answers are no JSON."""


def text_alone(text: str, types: Sequence[str]) -> tuple[str, ...]:
    """The question of most shapes."""
    return (f"### Text\n{text}",)


def stops_outside(ends: str, text: str) -> tuple[str, ...]:
    """What ends an answer, unless an answer about the text may hold it."""
    return (ends,) if ends and ends not in text.strip("\n") else ()


def names_of(types: Sequence[str]) -> dict[str, str]:
    """What answers call each type: its label, or its name where labels are the same."""
    labels = {entity_type: label(entity_type) for entity_type in types}
    return labels if len(set(labels.values())) == len(labels) else {entity_type: entity_type for entity_type in types}


def only(types: Sequence[str], shape: str) -> str:
    """The one type that an answer is about.

    Raises:
        UsageError: if there are none or several.
    """
    if len(types) != 1:
        raise UsageError(f"the shape {shape} asks about one type at a time, not about {', '.join(types) or 'none'}")
    return types[0]


def of_types(entities: Iterable[Entity], types: Sequence[str]) -> tuple[Entity, ...]:
    """The entities of some types, as shapes hold them: spans and type alone."""
    return tuple(Entity(entity.spans, entity.type) for entity in entities if entity.type in types)
