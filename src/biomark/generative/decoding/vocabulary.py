"""Text ↔ tokens of a causal language model, the same way in training and in decoding.

Whatever its kind, a tokenizer spells a text as a string of *symbols*, and each token is a stretch of it:

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

# Symbols for a word's beginning and for the added mark tokens; characters for private use, which no
# byte is and which are dropped from words.
WORD = "\U000f0000"
_ADDED = ("\U000f0001", "\U000f0002")
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
# Before an answer, so that no tokenizer puts a blank of its own there; the letter where it joins a line's end to blanks
# that follow it.
_SENTINELS = ("\n", "a")


@dataclass(frozen=True, slots=True)
class Spelling:
    """A text as symbols.

    Attributes:
        symbols: as the tokenizer spells the text.
        starts, ends: for each symbol, where in the text its character is (code points); of a `WORD`,
            that of the word's first character. Characters that the tokenizer drops, such as combining
            marks, belong to the one before them.
    """

    symbols: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]


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
        symbols: what each id spells; None of those that no answer contains.
        tokens: the ids that spell a string of symbols.
        prefixes: of all such strings, themselves included.
        unknown: id of the token for words that cannot be spelled; None if every text can be.
        tags: the symbols of the opening and of the closing tag.

    Raises:
        ModelError: if there are texts that the tokenizer cannot spell.
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
        self._sentinels = {text: self._plain.encode(text, add_special_tokens=False).ids for text in _SENTINELS}
        state = json.loads(self._plain.to_str())
        self._words = state["model"]["type"] == "WordPiece"
        self._normalised: dict[str, str] = {}
        self.unknown: int | None = full.token_to_id(state["model"]["unk_token"]) if self._words else None
        self.symbols: list[str | None] = _symbols(state, self.size)
        self.symbols[end] = None
        if self.open is not None and self.close is not None:
            self.symbols[self.open], self.symbols[self.close] = _ADDED
        self.tags = _ADDED if added else (self.spell(OPEN).symbols, self.spell(CLOSE).symbols)
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
            missing = [tag for tag in (OPEN, CLOSE) if self.unknown in self._copy(tag)]
        if missing:
            raise ModelError(
                f"the tokenizer cannot spell every answer: it lacks {len(missing)} symbols, such as {missing[0]!r}; "
                "take a model with byte-level BPE, byte fallback, or WordPiece"
            )

    def spell(self, text: str) -> Spelling:
        """A text as symbols."""
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
            found = self._normalise(character)
            if not found and ends and not character.isspace() and ends[-1] == n:
                ends[-1] = n + 1
            if found and waiting and waiting[-1] <= n:
                waiting.pop()
                found = WORD + found
            symbols += found
            starts += [n] * len(found)
            ends += [n + 1] * len(found)
        return Spelling("".join(symbols), tuple(starts), tuple(ends))

    def _normalise(self, character: str) -> str:
        found = self._normalised.get(character)
        if found is None:
            normalizer = self._plain.normalizer
            found = "".join((normalizer.normalize_str(character) if normalizer else character).split())
            found = "".join(c for c in found if c not in (WORD, *_ADDED))
            self._normalised[character] = found
        return found

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

    def text(self, ids: Sequence[int]) -> str:
        """The text of an answer's ids, as the tokenizer writes it; for people, or to be aligned with its source."""
        return self.full.decode(list(ids), skip_special_tokens=True)

    def _copy(self, text: str) -> list[int]:
        """The ids of a text that follows something else."""
        if not text:
            return []
        for sentinel, before in self._sentinels.items():
            ids: list[int] = self._plain.encode(sentinel + text, add_special_tokens=False).ids
            if ids[: len(before)] == before:
                return ids[len(before) :]
        raise ModelError(f"the tokenizer joins a line's end and a letter to what follows them: {text[:40]!r}")


def _leading_specials(tokenizer: Tokenizer) -> list[int]:
    """What the tokenizer puts before a text, such as `[CLS]` or `<s>`."""
    found = tokenizer.encode("a", add_special_tokens=True)
    return found.ids[: found.special_tokens_mask.index(0)]


def _symbols(state: Mapping[str, Any], size: int) -> list[str | None]:
    """What each token spells."""
    model = state["model"]
    vocabulary = dict(model["vocab"]) if model["type"] in ("BPE", "WordPiece") else {}
    special = {token["id"] for token in state["added_tokens"]}
    found: list[str | None] = [None] * size
    characters = {character: chr(byte) for byte, character in bytes_to_unicode().items()}
    byte_level = '"ByteLevel"' in json.dumps([state["decoder"], state["pre_tokenizer"]])
    prefix = model.get("continuing_subword_prefix")
    for token, token_id in vocabulary.items():
        byte = _BYTE.fullmatch(token)
        if byte and model.get("byte_fallback"):
            found[token_id] = chr(int(byte[1], 16))
        elif token_id in special:
            continue
        elif model["type"] == "WordPiece":
            found[token_id] = (
                token.removeprefix(prefix) if token.startswith(prefix) and token != prefix else WORD + token
            )
        elif byte_level:
            found[token_id] = "".join(characters.get(character, "") for character in token)
        elif model.get("byte_fallback"):
            found[token_id] = token.replace("▁", " ").encode().decode("latin-1")
    if model["type"] == "WordPiece":
        found[vocabulary[model["unk_token"]]] = None
    return found


def bytes_to_unicode() -> dict[int, str]:
    """The characters that stand for bytes in byte-level BPE: printable ones for themselves (Radford et al. 2019)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {**{byte: chr(byte) for byte in printable}, **{byte: chr(256 + n) for n, byte in enumerate(others)}}


def _without_tags(tokenizer: Tokenizer) -> Tokenizer:
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] not in (OPEN, CLOSE)]
    return Tokenizer.from_str(json.dumps(state))
