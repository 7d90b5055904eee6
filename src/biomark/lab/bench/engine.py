"""The mark grammar for a general grammar engine (llguidance), the alternative to biomark's mark decoding."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask
from torch import Tensor
from transformers import LogitsProcessor

from biomark.generative.decoding.vocabulary import WORD, Vocabulary
from biomark.marks import CLOSE, OPEN

_PIECE = re.compile(r"\w+|[^\w\s]|\s+")


class GuidanceVocabulary:
    """A vocabulary with the attributes that llguidance requires."""

    def __init__(self, vocabulary: Vocabulary, size: int) -> None:
        self.eos_token_id = vocabulary.end
        self.bos_token_id = None
        self.tokens = [
            _bytes(vocabulary.symbols[token_id] if token_id < vocabulary.size else None, token_id)
            for token_id in range(size)
        ]
        self.tokens[vocabulary.end] = b"<end>"
        self.special_token_ids = [vocabulary.end]
        for tag, token_id in ((OPEN, vocabulary.open), (CLOSE, vocabulary.close)):
            if token_id is not None:
                self.tokens[token_id] = tag.encode()

        self._known = {token: token_id for token_id, token in enumerate(self.tokens)}
        self._longest = max(map(len, self.tokens))

    def __call__(self, text: bytes) -> list[int]:
        """Tokenise greedily, longest tokens first; llguidance calls this where the grammar has one continuation."""
        ids, at = [], 0
        while at < len(text):
            ends = range(min(len(text), at + self._longest), at, -1)
            end = next((end for end in ends if text[at:end] in self._known), at + 1)
            if text[at:end] in self._known:
                ids.append(self._known[text[at:end]])
            at = end
        return ids


def _bytes(symbols: str | None, token_id: int) -> bytes:
    if not symbols:
        return f"<unused {token_id}>".encode()
    if WORD in symbols or any(ord(character) > 255 for character in symbols):
        return symbols.replace(WORD, " ").encode()
    try:
        return symbols.encode("latin-1")
    except UnicodeEncodeError:
        return symbols.encode()


class GrammarProcessor(LogitsProcessor):
    """A processor that constrains `generate` to the source texts with marks at word boundaries.

    Args:
        vocabulary: the vocabulary of the model.
        tokenizer: the tokenizer of `GuidanceVocabulary`, made once.
        sources: one a row.
        width: tokens of the prompts.
    """

    def __init__(self, vocabulary: Vocabulary, tokenizer: LLTokenizer, sources: Sequence[str], width: int) -> None:
        self._matchers = [LLMatcher(tokenizer, grammar(source, vocabulary)) for source in sources]
        self._mask = allocate_token_bitmask(len(sources), tokenizer.vocab_size)
        self._width = width
        self._end = vocabulary.end

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See `transformers.LogitsProcessor`."""
        for row, matcher in enumerate(self._matchers):
            if input_ids.shape[1] > self._width and not matcher.is_stopped():
                matcher.consume_token(int(input_ids[row, -1]))
            if matcher.is_stopped():
                self._mask[row] = 0
                self._mask[row, self._end // 32] = 1 << (self._end % 32) if self._end % 32 < 31 else -(2**31)
            else:
                fill_next_token_bitmask(matcher, self._mask, row)
        # Its own kernel for this is compiled anew for each shape, which takes seconds.
        bits = np.unpackbits(self._mask.view(np.uint8), axis=1, bitorder="little")[:, : scores.shape[1]]
        return scores.masked_fill(torch.from_numpy(bits).to(scores.device) == 0, float("-inf"))


def tokenizer_of(vocabulary: Vocabulary, size: int) -> LLTokenizer:
    """Return llguidance's tokenizer for a vocabulary; `size` is the number of logits."""
    return LLTokenizer(TokenizerWrapper(GuidanceVocabulary(vocabulary, size)))


def grammar(source: str, vocabulary: Vocabulary) -> str:
    """Return a right-linear grammar in Lark's syntax: the words of the source in order, with marks around words."""
    symbols = vocabulary.spell(source).symbols
    if vocabulary.unknown is not None:
        words = [" " + word for word in symbols.split(WORD)[1:]]
    else:
        words = _PIECE.findall(source)
    opened, closed = json.dumps(OPEN), json.dumps(CLOSE)
    last = len(words)
    lines = ["start: a0"]
    for n, word in enumerate(words):
        text = json.dumps(word, ensure_ascii=False)
        lines.append(f"a{n}: {text} a{n + 1} | {opened} {text} b{n + 1}")
        lines.append(f"b{n}: {text} b{n + 1} | {closed} a{n}")
    lines += [f'a{last}: ""', f"b{last}: {closed}"]
    return LLMatcher.grammar_from_lark("\n".join(lines))
