"""Text → the words that a tagging network reads, with their pieces and characters. No torch.

A word is what BERT's pre-tokeniser makes (runs without white space and punctuation; each punctuation character alone),
with its word pieces. The network may see, beside the pieces, the characters of every word as they stand in the text,
where the vocabulary is uncased. Before the words may stand an instruction that names the type to tag.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Regex, Tokenizer, normalizers, pre_tokenizers, processors

from biomark.entity_types import label
from biomark.spans import Span
from biomark.text.reading import View, spaced, view

# A word's characters: the one before it, its own (the first 14 and the last 6 of a longer one), the one after it.
FIRST, LAST = 14, 6
CHARACTERS = FIRST + LAST + 2
PIECES_A_WORD = 24
_BERT = pre_tokenizers.BertPreTokenizer()

Ints = npt.NDArray[np.int64]

OWN_WORDING = "biomark"
WORDINGS: Mapping[str, str] = {
    OWN_WORDING: "Tag every mention of a {type} in the {corpus}sentence: ",
    "vaner": "If any {Type} entity is mentioned in the {corpus}input, extract it. ##input: ",
}
"""How instructions are worded; `vaner` is that of VANER's authors (their released code)."""


@cache
def _character_table() -> npt.NDArray[np.int64]:
    """The id of each code point below 0x500: itself for ASCII and Greek, else one for its category."""
    table = np.zeros(0x500, dtype=np.int64)
    for code in range(0x500):
        character = chr(code)
        if 32 < code < 127:
            table[code] = code - 32  # 1 … 94
        elif 0x391 <= code <= 0x3C9:
            table[code] = 100 + code - 0x391  # 100 … 156
        elif character.isspace() or code < 32:
            table[code] = WHITE_SPACE
        elif character.isupper():
            table[code] = 96
        elif character.islower():
            table[code] = 97
        elif character.isalnum():
            table[code] = 98
        else:
            table[code] = 99
    return table


WHITE_SPACE = 95
EDGE = 157  # before the first and after the last character of a text
FAR = 158  # any code point from 0x500 on
ALPHABET = 159  # 0 is padding


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a piece of text.

    Attributes:
        starts, ends: (W,) offsets in the document, code points; all words that one character stands for (½) have its.
        first, last: (W,) the pieces of word w are `pieces[first[w]:last[w]]`.
        pieces: (P,) vocabulary ids.
        characters: (W, CHARACTERS) character ids.
    """

    starts: Ints
    ends: Ints
    first: Ints
    last: Ints
    pieces: Ints
    characters: Ints

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lengths(self) -> Ints:
        """(W,) how many pieces each word has."""
        return self.last - self.first

    def shifted(self, by: int) -> Words:
        """The words, further on in a document."""
        return replace(self, starts=self.starts + by, ends=self.ends + by) if by else self


@dataclass(frozen=True, slots=True)
class Frame:
    """The pieces around the words of a window.

    Attributes:
        before: [CLS], or whatever a text begins with in this vocabulary, and the instruction if there is one.
        after: [SEP], or whatever a text ends with.
    """

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.before) + len(self.after)


def instruction(type: str, corpus: str = "", wording: str = OWN_WORDING) -> str:
    """What a network that follows instructions (VANER, Bian et al. 2024) reads before the words.

    Args:
        type: that it is to tag, one of biomark's names or the user's own.
        corpus: the name of the corpus whose guideline it is to follow; empty: none is named.
        wording: one of `WORDINGS`.
    """
    name = label(type)
    place = f"{corpus} " if corpus else ""
    return WORDINGS[wording].format(type=name, Type=name[:1].upper() + name[1:], corpus=place)


class WordReader:
    """Splits text into words with a model's tokenizer.

    Words are the same for all tokenizers but for what BERT's normaliser leaves out. A tokenizer of BERT's kind makes
    them itself. Any other one, such as the byte-level BPE of Llama 3 and Qwen or SentencePiece, reads a text whose
    white space is single blanks, one before the first word as well, so that a word has the same pieces wherever it
    stands; no piece crosses the end of a word, and a blank belongs to the piece behind it.

    Args:
        tokenizer: of the model; its truncation and padding are switched off.
        wording: of the instructions that the model reads before the words, one of `WORDINGS`; empty: it reads none.
        corpus: that instructions name; empty: none.
    """

    def __init__(self, tokenizer: Tokenizer, *, wording: str = "", corpus: str = "") -> None:
        self.wording = wording
        self.corpus = corpus
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.tokenizer = tokenizer
        self._spaced = not isinstance(tokenizer.pre_tokenizer, pre_tokenizers.BertPreTokenizer)
        self._splitting = _splitting(tokenizer) if self._spaced else tokenizer
        self._begin, self._end = _ends(tokenizer)
        self._blank = tokenizer.token_to_id("▁")
        self.mask = _token_id(tokenizer, "[MASK]", "<mask>")

    @property
    def instructions(self) -> bool:
        """Whether the model reads before the words which type it is asked for."""
        return bool(self.wording)

    def naming(self, corpus: str) -> WordReader:
        """A reader whose instructions name a corpus; empty: none."""
        other = copy.copy(self)
        other.corpus = corpus
        return other

    def frame(self, type: str = "", corpus: str | None = None) -> Frame:
        """What stands around a window's words; with the instruction for a type, if one is named.

        Args:
            type: to tag.
            corpus: that the instruction names; None: that of the reader.
        """
        if not type:
            return Frame(self._begin, self._end)
        named = self.corpus if corpus is None else corpus
        asked = instruction(type, named, self.wording or OWN_WORDING).rstrip()  # the first word has its own blank
        return Frame((*self._begin, *self.tokenizer.encode(asked, add_special_tokens=False).ids), self._end)

    def words(self, text: str, spans: Sequence[Span]) -> list[Words]:
        """The words of each span of a text, as `biomark.text.reading.view` shows them, with offsets in the text."""
        views = [view(span.of(text), self.is_common) for span in spans]
        if self._spaced:
            views = [spaced(seen) for seen in views]
        encodings = self._splitting.encode_batch([seen.text for seen in views], add_special_tokens=False)
        return [
            self._words_of(encoding, seen).shifted(span.start)
            for span, seen, encoding in zip(spans, views, encodings, strict=True)
        ]

    def _words_of(self, encoding: Encoding, seen: View) -> Words:
        pieces, offsets = _ints(encoding.ids), _ints(encoding.offsets).reshape(-1, 2)
        if self._spaced:
            bounds = _bounds(seen.text)
            words = _word_of_piece(pieces, offsets, bounds, len(seen.text), self._blank)
            kept = words >= 0
            return _words(pieces[kept], words[kept], bounds[np.unique(words[kept])], seen)
        words = _ints([-1 if word is None else word for word in encoding.word_ids])
        first, last = _runs(words)
        return _words(pieces, words, np.stack((offsets[first, 0], offsets[last - 1, 1]), axis=-1), seen)

    def standalone(self) -> Tokenizer:
        """A tokenizer that splits a text into the pieces of its words by itself, with `frame` around them.

        It reads the text as it is, not as `biomark.reading.view` shows it. A blank before the first word that is a
        piece of its own is read, too; vocabularies of use have pieces for a blank with whatever follows.
        """
        other = Tokenizer.from_str(self._splitting.to_str())
        ends = [(str(other.id_to_token(piece)), piece) for piece in (*self._begin, *self._end)]
        before, after = (" ".join(str(other.id_to_token(p)) for p in pieces) for pieces in (self._begin, self._end))
        framed = processors.TemplateProcessing(single=f"{before} $A {after}".strip(), special_tokens=ends)
        other.post_processor = framed
        if self._spaced:
            own = [] if other.normalizer is None else [other.normalizer]
            blanks = [normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip(), normalizers.Prepend(" ")]
            other.normalizer = normalizers.Sequence([*blanks, *own])
            other.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), framed])
        return other

    def is_common(self, word: str) -> bool:
        """Whether the vocabulary has a word in lower case whole."""
        if not self._spaced:
            return len(self.tokenizer.encode(word, add_special_tokens=False).ids) == 1
        pieces = self._splitting.encode(f" {word}", add_special_tokens=False).ids
        return sum(piece != self._blank for piece in pieces) == 1


def _ints(values: object) -> Ints:
    return np.asarray(values, dtype=np.int64)


def _characters(text: str) -> Ints:
    """(2 + characters,) the ids of a text's characters between two edges."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    table = _character_table()
    ids = np.where(codes < len(table), table[np.minimum(codes, len(table) - 1)], FAR)
    return np.concatenate(([EDGE], ids, [EDGE]))


def _splitting(tokenizer: Tokenizer) -> Tokenizer:
    """A copy of a tokenizer whose pieces do not cross the ends of words; a blank goes with what is behind it."""
    other = Tokenizer.from_str(tokenizer.to_str())
    own = [] if other.pre_tokenizer is None else [other.pre_tokenizer]
    ends = [  # SentencePiece's way writes a blank as ▁ and may leave the splitting to the model
        pre_tokenizers.Split(Regex(r"[ ▁]?[\p{P}$+<=>^`|~]"), "isolated"),
        pre_tokenizers.Split(Regex(r"[ ▁]"), "merged_with_next"),
    ]
    # Bytes written as characters look like other signs, so that words have to be told apart before; SentencePiece's
    # splitter would put a blank before each part of a text that is split already.
    in_bytes = "Ġ" in "".join(part for splitter in own for part, _ in splitter.pre_tokenize_str(" a"))
    other.pre_tokenizer = pre_tokenizers.Sequence([*ends, *own] if in_bytes else [*own, *ends])
    return other


def _bounds(text: str) -> Ints:
    """(W, 2) where the words of a text stand, as BERT splits it."""
    return _ints([span for _, span in _BERT.pre_tokenize_str(text)]).reshape(-1, 2)


def _word_of_piece(pieces: Ints, offsets: Ints, bounds: Ints, length: int, blank: int | None) -> Ints:
    """(P,) the number of the word that each piece is read with; -1: it is not read.

    A blank that is a piece of its own is read with the word before it, so that the first piece of a word always holds
    a character of the word. Blanks that are not in the text are not read.

    Args:
        pieces: (P,) vocabulary ids.
        offsets: (P, 2) of the pieces.
        bounds: (W, 2) of the words.
        length: of the text, in code points.
        blank: the piece of SentencePiece's blank.
    """
    number = np.full(length + 1, -1, dtype=np.int64)  # of the word of each character
    for word, (start, end) in enumerate(bounds.tolist()):
        number[start:end] = word
    starts, sizes = offsets[:, 0], offsets[:, 1] - offsets[:, 0]
    own: Ints = number[starts + ((number[starts] < 0) & (sizes > 1))]  # a piece may begin with a blank
    solid = (own >= 0) & (sizes > 0) & (pieces != (-1 if blank is None else blank))
    before = np.maximum.accumulate(number)[starts]
    alone = (own < 0) & (sizes > 0) & np.isin(before, own[solid])
    return np.where(solid, own, np.where(alone, before, -1))


def _runs(words: Ints) -> tuple[Ints, Ints]:
    """(W,) the first piece of each word, and one past its last one."""
    first = np.flatnonzero(np.diff(words, prepend=-2))
    return first, np.append(first[1:], len(words))[: len(first)]


def _words(pieces: Ints, words: Ints, bounds: Ints, seen: View) -> Words:
    """The words of one view.

    Args:
        pieces: (P,) vocabulary ids.
        words: (P,) the number of each piece's word.
        bounds: (W, 2) where the words stand in the view.
        seen: the view.
    """
    first, last = _runs(words)
    # The rest of a very long word (a sequence, a web address) says little, but could overfill a window.
    place = np.arange(len(pieces)) - np.repeat(first, last - first)
    lengths = np.minimum(last - first, PIECES_A_WORD)
    last = np.cumsum(lengths)
    spans = seen.original(bounds)
    return Words(
        spans[:, 0],
        spans[:, 1],
        last - lengths,
        last,
        pieces[place < PIECES_A_WORD],
        _word_characters(_characters(seen.text), bounds[:, 0], bounds[:, 1]),
    )


def _ends(tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The pieces with which a text begins and ends: as the tokenizer says, else BERT's if it knows them, else none."""
    encoding = tokenizer.encode("a", add_special_tokens=True)
    special = encoding.special_tokens_mask
    if any(special):
        first, last = special.index(0), len(special) - special[::-1].index(0)
        return tuple(encoding.ids[:first]), tuple(encoding.ids[last:])
    begin, end = _token_id(tokenizer, "[CLS]", "<s>"), _token_id(tokenizer, "[SEP]", "</s>")
    if begin is None or end is None:
        return (), ()
    return (begin,), (end,)


def _token_id(tokenizer: Tokenizer, *names: str) -> int | None:
    return next((int(id) for name in names if (id := tokenizer.token_to_id(name)) is not None), None)


def _word_characters(characters: Ints, starts: Ints, ends: Ints) -> Ints:
    """(W, CHARACTERS) ids: the neighbour before, the word's own, the neighbour after, then 0."""
    lengths = ends - starts
    column = np.arange(CHARACTERS)[None, :]
    inner = np.minimum(lengths, FIRST + LAST)[:, None]
    # Column c shows the character at starts + c - 1; past FIRST of a long word, those counted from its end.
    place = starts[:, None] + column - 1
    skipped = np.maximum(lengths - (FIRST + LAST), 0)[:, None]
    place = np.where(column > FIRST, place + skipped, place)
    found = characters[np.minimum(place + 1, len(characters) - 1)]
    return np.where(column < inner + 2, found, 0).astype(np.int64)
