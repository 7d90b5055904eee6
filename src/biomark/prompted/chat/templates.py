"""Conversations as one text, for models that go on with a text: by a model's own chat template, or plainly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

from biomark.errors import MissingExtraError, UsageError
from biomark.prompted.chat import ASSISTANT, SYSTEM, USER, Message

# Where a model without a template begins another example (servers take four at most).
PLAIN_STOPS = ("\n\n### Text", "\n\n### Knowledge", "\n\nThe given sentence:", "\n\nText:")
_PLAIN = {SYSTEM: ("", "\n\n"), USER: ("", "\n\n### Answer\n"), ASSISTANT: ("", "\n\n")}
# Stand for what is said while a template is filled in; characters for private use.
_PLACE = "\U000f2000{}\U000f2001"


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation up to where the answer begins.

    Attributes:
        messages: what is said.
        around: what stands before, between and after the messages; one more than they are.
    """

    messages: tuple[Message, ...]
    around: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of it."""
        contents = (message.content for message in self.messages)
        return "".join(chain.from_iterable(zip_longest(self.around, contents, fillvalue="")))


def plain(messages: Sequence[Message]) -> Conversation:
    """A conversation without a template: the messages one after the other."""
    around = [""]
    for message in messages:
        before, after = _PLAIN[message.role]
        around[-1] += before
        around.append("" if message.begun and message is messages[-1] else after)
    return Conversation(tuple(messages), tuple(around))


class ChatTemplate:
    """The chat template of a tokenizer.

    Args:
        tokenizer: of transformers.

    Attributes:
        stops: what ends an answer; servers that only go on with texts may not know it.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.stops = self._stops()

    def __call__(self, messages: Sequence[Message]) -> Conversation:
        """The conversation as the template has it; without a system message if it knows none."""
        try:
            return self._filled(messages)
        except Exception:  # a template raises whatever it likes where it knows no system message
            if messages[0].role != SYSTEM:
                raise
            return self._filled(without_system(messages))

    def completion(self, messages: Sequence[Message]) -> str:
        """The conversation for a server that puts the token which begins texts before all that it reads."""
        text = self(messages).text
        begin = getattr(self._tokenizer, "bos_token", None)
        if begin and self._tokenizer("")["input_ids"][:1] == [self._tokenizer.bos_token_id]:
            return text.removeprefix(begin)
        return text

    def _filled(self, messages: Sequence[Message], *, asks: bool = True) -> Conversation:
        places = [{"role": message.role, "content": _PLACE.format(n)} for n, message in enumerate(messages)]
        rest = str(self._tokenizer.apply_chat_template(places, tokenize=False, add_generation_prompt=asks))
        around = []
        for n in range(len(messages)):
            before, found, rest = rest.partition(_PLACE.format(n))
            if not found:
                raise ValueError(f"the chat template leaves out what the {messages[n].role} says")
            around.append(before)
        return Conversation(tuple(messages), (*around, rest))

    def _stops(self) -> tuple[str, ...]:
        try:
            after = self._filled((Message(USER, ""), Message(ASSISTANT, "")), asks=False).around[-1].split()[:1]
        except Exception:  # see __call__
            after = []
        return tuple(dict.fromkeys(filter(None, (*after, self._tokenizer.eos_token))))


def completion(messages: Sequence[Message], template: ChatTemplate | None) -> str:
    """A conversation as the text that a server without chat goes on with; without a template it is plain."""
    return template.completion(messages) if template else plain(messages).text


def load_template(name: str) -> ChatTemplate:
    """The chat template of a tokenizer of Hugging Face.

    Args:
        name: or the folder.

    Raises:
        UsageError: if there is no such tokenizer, or it has no template.
        MissingExtraError: if transformers is not installed.
    """
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtraError("transformers", "train") from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise UsageError(f"`template` {name}: no tokenizer can be loaded ({' '.join(str(error).split())})") from error
    if not getattr(tokenizer, "chat_template", None):
        raise UsageError(f"`template` {name}: the tokenizer has no chat template; leave it out for a plain prompt")
    return ChatTemplate(tokenizer)


def without_system(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages with what the system says at the beginning of the first user's message."""
    system, first, *rest = messages
    return (Message(USER, f"{system.content}\n\n{first.content}"), *rest)


def ended(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """An answer up to what ends it, and whether that was there."""
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return (text[: min(places)], True) if places else (text, False)
