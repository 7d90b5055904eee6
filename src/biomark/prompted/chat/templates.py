"""Conversations as one text for completion: with the model's chat template, or in a plain form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

from biomark.errors import MissingExtraError, UsageError
from biomark.prompted.chat import ASSISTANT, SYSTEM, USER, Message

# Strings with which a model without a template begins another example (servers accept at most four).
PLAIN_STOPS = ("\n\n### Text", "\n\n### Knowledge", "\n\nThe given sentence:", "\n\nText:")
_PLAIN = {SYSTEM: ("", "\n\n"), USER: ("", "\n\n### Answer\n"), ASSISTANT: ("", "\n\n")}
# Placeholders of the messages while a template is filled in (private-use characters).
_PLACE = "\U000f2000{}\U000f2001"


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation up to the start of the answer.

    Attributes:
        messages: the n messages.
        around: the n + 1 texts before, between and after the messages.
    """

    messages: tuple[Message, ...]
    around: tuple[str, ...]

    @property
    def text(self) -> str:
        """The whole conversation as one text."""
        contents = (message.content for message in self.messages)
        return "".join(chain.from_iterable(zip_longest(self.around, contents, fillvalue="")))


def plain(messages: Sequence[Message]) -> Conversation:
    """Format a conversation without a template: the messages one after the other."""
    around = [""]
    for message in messages:
        before, after = _PLAIN[message.role]
        around[-1] += before
        around.append("" if message.begun and message is messages[-1] else after)
    return Conversation(tuple(messages), tuple(around))


class ChatTemplate:
    """The chat template of a tokenizer.

    Args:
        tokenizer: a tokenizer of transformers that has a chat template.

    Attributes:
        stops: the strings that end an answer, which /completions of a server may not know.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.stops = self._stops()

    def __call__(self, messages: Sequence[Message]) -> Conversation:
        """Format a conversation; a template without a system role gets it in the first user's message."""
        try:
            return self._filled(messages)
        except Exception:  # a template without a system role may raise any error
            if messages[0].role != SYSTEM:
                raise
            return self._filled(without_system(messages))

    def completion(self, messages: Sequence[Message]) -> str:
        """Return the conversation for a server, without the begin-of-text token, which servers add themselves."""
        text = self(messages).text
        begin = getattr(self._tokenizer, "bos_token", None)
        if begin and self._tokenizer("")["input_ids"][:1] == [self._tokenizer.bos_token_id]:
            return text.removeprefix(begin)
        return text

    def _filled(self, messages: Sequence[Message], *, asks: bool = True) -> Conversation:
        places = [{"role": message.role, "content": _PLACE.format(n)} for n, message in enumerate(messages)]
        remainder = str(self._tokenizer.apply_chat_template(places, tokenize=False, add_generation_prompt=asks))
        around = []
        for n in range(len(messages)):
            before, place, remainder = remainder.partition(_PLACE.format(n))
            if not place:
                raise ValueError(f"the chat template leaves out the message of the {messages[n].role}")
            around.append(before)
        return Conversation(tuple(messages), (*around, remainder))

    def _stops(self) -> tuple[str, ...]:
        try:
            after = self._filled((Message(USER, ""), Message(ASSISTANT, "")), asks=False).around[-1].split()[:1]
        except Exception:  # see __call__
            after = []
        return tuple(dict.fromkeys(filter(None, (*after, self._tokenizer.eos_token))))


def completion(messages: Sequence[Message], template: ChatTemplate | None) -> str:
    """Return a conversation as the prompt of /completions; without a template it is plain."""
    return template.completion(messages) if template else plain(messages).text


def load_template(name: str) -> ChatTemplate:
    """Load the chat template of a tokenizer of Hugging Face.

    Args:
        name: the name of a model, or a folder.

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
    """Return the messages with the system message at the beginning of the first user's message."""
    system, first, *others = messages
    return (Message(USER, f"{system.content}\n\n{first.content}"), *others)


def ended(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """Cut off an answer at the first stop string; return it and whether there was one."""
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return (text[: min(places)], True) if places else (text, False)
