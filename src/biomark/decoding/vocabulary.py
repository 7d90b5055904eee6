"""Text ↔ tokens of a causal language model, the same way in training and in decoding."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tokenizers import AddedToken, Tokenizer

from biomark.errors import ModelError
from biomark.marks import CLOSE, OPEN, encode
from biomark.spans import Entity, Span

_SENTINEL = "\n"  # before an answer, so that no tokenizer puts a blank of its own there


class Vocabulary:
    """A tokenizer, and how the model's prompts and answers are written with it.

    Names of special tokens that stand in a text are text. Added mark tokens stand for our tags
    alone: a tag in the source is spelled with ordinary tokens.

    Args:
        tokenizer: of the model; is copied.
        end: id of the token that ends an answer.
        added: whether `<mark>` and `</mark>` are tokens of their own; they are added if they are not there.

    Attributes:
        size: how many ids there are; the model's embedding has at least as many rows.
        open, close: ids of the added tokens; None if tags are text.
    """

    def __init__(self, tokenizer: Tokenizer, end: int, *, added: bool = False) -> None:
        full = Tokenizer.from_str(tokenizer.to_str())
        full.no_padding()
        full.no_truncation()
        self.end = end
        self.open: int | None = None
        self.close: int | None = None
        if added:
            full.add_tokens([AddedToken(tag, normalized=False) for tag in (OPEN, CLOSE)])
            self.open, self.close = full.token_to_id(OPEN), full.token_to_id(CLOSE)
        self.full = full
        self.size = full.get_vocab_size(with_added_tokens=True)
        self._plain = _without_tags(full) if added else Tokenizer.from_str(full.to_str())
        self._plain.encode_special_tokens = True
        self._start = _leading_specials(full)
        self._sentinel: list[int] = self._plain.encode(_SENTINEL, add_special_tokens=False).ids

    def prompt(self, text: str) -> list[int]:
        """The ids of a prompt, with what the tokenizer puts at the beginning of a text."""
        return self._start + self._plain.encode(text, add_special_tokens=False).ids

    def answer(self, source: str, mentions: Sequence[Span]) -> list[int]:
        """The ids of a source with marks, without the end token.

        Args:
            source: what is marked; its own tags are text.
            mentions: apart and in order.
        """
        if self.open is None or self.close is None:
            return self._copy(encode(source, [Entity((span,), "") for span in mentions]).text)
        ids: list[int] = []
        at = 0
        for span in mentions:
            ids += [*self._copy(source[at : span.start]), self.open, *self._copy(span.of(source)), self.close]
            at = span.end
        return ids + self._copy(source[at:])

    def _copy(self, text: str) -> list[int]:
        """The ids of a text that follows something else."""
        if not text:
            return []
        ids: list[int] = self._plain.encode(_SENTINEL + text, add_special_tokens=False).ids
        if ids[: len(self._sentinel)] != self._sentinel:
            raise ModelError(f"the tokenizer joins a line's end to what follows it: {text[:40]!r}")
        return ids[len(self._sentinel) :]


def _leading_specials(tokenizer: Tokenizer) -> list[int]:
    """What the tokenizer puts before a text, such as `[CLS]` or `<s>`."""
    found = tokenizer.encode("a", add_special_tokens=True)
    return found.ids[: found.special_tokens_mask.index(0)]


def _without_tags(tokenizer: Tokenizer) -> Tokenizer:
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] not in (OPEN, CLOSE)]
    return Tokenizer.from_str(json.dumps(state))
