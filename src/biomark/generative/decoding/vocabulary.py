"""The tokens of prompts and answers of a causal language model, identical in training and in decoding.

A tokenizer of any kind spells a text as a string of *symbols*, of which each token is a substring:

- byte-level BPE (GPT-2, Llama 3, Qwen) and SentencePiece with byte fallback (Llama 2, Mistral): a symbol
  is a byte of UTF-8, written as the character of that number;
- WordPiece (BERT): a symbol is a character as the tokenizer normalises it, without white space, or
  `WORD`, which begins a word. A piece `##ing` is `ing`, a piece `in` is `WORD` + `in`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Tokenizer

from biomark.errors import ModelError
from biomark.marks import CLOSE, OPEN, encode
from biomark.spans import Entity, Span

# Symbols for the beginning of a word and for the added mark tokens: private-use characters, which no byte maps to and
# which are dropped from words.
WORD = "\U000f0000"
_ADDED = ("\U000f0001", "\U000f0002")
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
# Texts that precede an answer when it is tokenised, so that no tokenizer puts a blank of its own before it. The letter
# is for tokenizers that join the end of a line with the blanks that follow it.
_SENTINELS = ("\n", "a")


@dataclass(frozen=True, slots=True)
class Spelling:
    """A text as a string of symbols.

    Attributes:
        symbols: the spelling of the text by the tokenizer.
        starts, ends: the offsets, in code points of the text, of each symbol's character; for a `WORD`, those of the
            word's first character. Characters that the tokenizer drops, such as combining marks, belong to the
            character before them.
    """

    symbols: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]


class Vocabulary:
    """A tokenizer that encodes the prompts and answers of a model.

    Names of special tokens within a text are encoded as ordinary text. Added mark tokens stand only for marks: `<mark>`
    in the source text is spelled with ordinary tokens.

    Args:
        tokenizer: the tokenizer of the model; it is copied.
        end: the id of the token that ends an answer.
        added: whether `<mark>` and `</mark>` are tokens of their own, which are added if the tokenizer lacks them.

    Attributes:
        size: the number of ids; the model's embedding has at least as many rows.
        open, close: the ids of the added tokens; None if marks are spelled with ordinary tokens.
        symbols: the spelling of each id; None for ids that no answer contains.
        tokens: the ids of each spelling.
        prefixes: all prefixes of spellings, including the spellings themselves.
        unknown: the id of the token for words that cannot be spelled; None if every text can be spelled.
        signs: the symbols of `<mark>` and of `</mark>`.

    Raises:
        ModelError: if the tokenizer cannot spell every text.
    """

    def __init__(self, tokenizer: Tokenizer, end: int, *, added: bool = False) -> None:
        full = Tokenizer.from_str(tokenizer.to_str())
        full.no_padding()
        full.no_truncation()
        self.end = end
        self.open: int | None = None
        self.close: int | None = None
        if added:
            full.add_tokens([AddedToken(sign, normalized=False) for sign in (OPEN, CLOSE)])
            self.open, self.close = full.token_to_id(OPEN), full.token_to_id(CLOSE)
        self.full = full
        self.size = full.get_vocab_size(with_added_tokens=True)
        self._plain = _without_marks(full) if added else Tokenizer.from_str(full.to_str())
        self._plain.encode_special_tokens = True
        self._start = _leading_specials(full)
        self._sentinels = {text: self._plain.encode(text, add_special_tokens=False).ids for text in _SENTINELS}
        state = json.loads(self._plain.to_str())
        self._words = state["model"]["type"] == "WordPiece"
        self._normalised: dict[str, str] = {}
        self.unknown: int | None = full.token_to_id(state["model"]["unk_token"]) if self._words else None
        self.symbols: list[str | None] = _symbols(state, self.size)
        self.symbols[end] = None
        if self.open is not None and self.close is not None:
            self.symbols[self.open], self.symbols[self.close] = _ADDED
        self.signs = _ADDED if added else (self.spell(OPEN).symbols, self.spell(CLOSE).symbols)
        spelled: dict[str, list[int]] = {}
        for token_id, text in enumerate(self.symbols):
            if text:
                spelled.setdefault(text, []).append(token_id)
        self.tokens: Mapping[str, tuple[int, ...]] = {text: tuple(ids) for text, ids in spelled.items()}
        self.prefixes = frozenset(text[:n] for text in spelled for n in range(1, len(text) + 1))
        self._check()

    def _check(self) -> None:
        missing: list[str] = []
        if not self._words:
            missing = [text for text in map(chr, range(256)) if text not in self.tokens]
        elif self.open is None:
            missing = [sign for sign in (OPEN, CLOSE) if self.unknown in self._copy(sign)]
        if missing:
            raise ModelError(
                f"the tokenizer cannot spell every answer: it lacks {len(missing)} symbols, such as {missing[0]!r}; "
                "choose a model with byte-level BPE, byte fallback, or WordPiece"
            )

    def spell(self, text: str) -> Spelling:
        """Spell a text as symbols."""
        if self._words:
            return self._spell_words(text)
        places = [(n, len(character.encode())) for n, character in enumerate(text)]
        starts = tuple(n for n, size in places for _ in range(size))
        return Spelling(text.encode().decode("latin-1"), starts, tuple(n + 1 for n in starts))

    def _spell_words(self, text: str) -> Spelling:
        encoding = self._plain.encode(text, add_special_tokens=False)
        begins: dict[int | None, int] = {}
        for word, (start, _) in zip(encoding.word_ids, encoding.offsets, strict=True):
            begins.setdefault(word, start)
        waiting = sorted(begins.values(), reverse=True)
        symbols: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        for n, character in enumerate(text):
            own = self._normalise(character)
            if not own and ends and not character.isspace() and ends[-1] == n:
                ends[-1] = n + 1
            if own and waiting and waiting[-1] <= n:
                waiting.pop()
                own = WORD + own
            symbols += own
            starts += [n] * len(own)
            ends += [n + 1] * len(own)
        return Spelling("".join(symbols), tuple(starts), tuple(ends))

    def _normalise(self, character: str) -> str:
        normalised = self._normalised.get(character)
        if normalised is None:
            normalizer = self._plain.normalizer
            normalised = "".join((normalizer.normalize_str(character) if normalizer else character).split())
            normalised = "".join(c for c in normalised if c not in (WORD, *_ADDED))
            self._normalised[character] = normalised
        return normalised

    def prompt(self, text: str) -> list[int]:
        """Return the ids of a prompt, including the special tokens that begin a text."""
        return self._start + self._plain.encode(text, add_special_tokens=False).ids

    def answer(self, source: str, mentions: Sequence[Span]) -> list[int]:
        """Return the ids of a source text with marks, without the end token.

        Args:
            source: the text to mark; `<mark>` within it is ordinary text.
            mentions: the spans to mark, disjoint and in order.
        """
        if self.open is None or self.close is None:
            return self._copy(encode(source, [Entity((span,), "") for span in mentions]).text)
        ids: list[int] = []
        at = 0
        for span in mentions:
            ids += [*self._copy(source[at : span.start]), self.open, *self._copy(span.of(source)), self.close]
            at = span.end
        return ids + self._copy(source[at:])

    def text(self, ids: Sequence[int]) -> str:
        """Decode the ids of an answer to text, for display or for alignment with its source."""
        return self.full.decode(list(ids), skip_special_tokens=True)

    def _copy(self, text: str) -> list[int]:
        """Return the ids of a text that continues another one.

        Raises:
            ModelError: if the tokenizer joins every preceding text with it.
        """
        if not text:
            return []
        for sentinel, before in self._sentinels.items():
            ids: list[int] = self._plain.encode(sentinel + text, add_special_tokens=False).ids
            if ids[: len(before)] == before:
                return ids[len(before) :]
        raise ModelError(f"the tokenizer joins a line break and a letter with the text after them: {text[:40]!r}")


def _leading_specials(tokenizer: Tokenizer) -> list[int]:
    """Return the ids of the special tokens that begin a text, such as `[CLS]` or `<s>`."""
    encoding = tokenizer.encode("a", add_special_tokens=True)
    return encoding.ids[: encoding.special_tokens_mask.index(0)]


def _symbols(state: Mapping[str, Any], size: int) -> list[str | None]:
    """Return the spelling of each token, or None for special tokens, from the tokenizer's state."""
    model = state["model"]
    vocabulary = dict(model["vocab"]) if model["type"] in ("BPE", "WordPiece") else {}
    special = {token["id"] for token in state["added_tokens"]}
    symbols: list[str | None] = [None] * size
    characters = {character: chr(byte) for byte, character in bytes_to_unicode().items()}
    byte_level = '"ByteLevel"' in json.dumps([state["decoder"], state["pre_tokenizer"]])
    prefix = model.get("continuing_subword_prefix")
    for token, token_id in vocabulary.items():
        byte = _BYTE.fullmatch(token)
        if byte and model.get("byte_fallback"):
            symbols[token_id] = chr(int(byte[1], 16))
        elif token_id in special:
            continue
        elif model["type"] == "WordPiece":
            inside = token.startswith(prefix) and token != prefix
            symbols[token_id] = token.removeprefix(prefix) if inside else WORD + token
        elif byte_level:
            symbols[token_id] = "".join(characters.get(character, "") for character in token)
        elif model.get("byte_fallback"):
            symbols[token_id] = token.replace("▁", " ").encode().decode("latin-1")
    if model["type"] == "WordPiece":
        symbols[vocabulary[model["unk_token"]]] = None
    return symbols


def bytes_to_unicode() -> dict[int, str]:
    """Return the character for each byte in byte-level BPE; printable bytes map to themselves (Radford et al. 2019)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {**{byte: chr(byte) for byte in printable}, **{byte: chr(256 + n) for n, byte in enumerate(others)}}


def _without_marks(tokenizer: Tokenizer) -> Tokenizer:
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] not in (OPEN, CLOSE)]
    return Tokenizer.from_str(json.dumps(state))
