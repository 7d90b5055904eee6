"""Text ↔ what a tagging network reads and says: words, windows, batches, BIO tags. No torch.

A word is what BERT's pre-tokeniser makes (runs without white space and punctuation; each
punctuation character alone), with its word pieces. The network may see, beside the pieces, the
characters of every word as they stand in the text, where the vocabulary is uncased; and it says,
for every word and entity type, how likely the tags outside, begin and inside are. A network that
reads an instruction before the words says it for the one type that the instruction names.

A document is read in windows of consecutive sentences of one passage. A sentence longer than a
window is read in overlapping pieces, and every word takes its tags from the piece in which it
stands farthest from an edge: nothing is truncated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Regex, Tokenizer, pre_tokenizers

from biomark.entity_types import label
from biomark.reading import View, view
from biomark.sentences import with_sentences
from biomark.spans import Document, Entity, Span, flat, whole_text

OUTSIDE, BEGIN, INSIDE = 0, 1, 2
TAGS = 3
# A word's characters: the one before it, its own (the first 14 and the last 6 of a longer one), the one after it.
FIRST, LAST = 14, 6
CHARACTERS = FIRST + LAST + 2
PIECES_A_WORD = 24

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


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


@dataclass(frozen=True, slots=True)
class Window:
    """Words `start` to `end` of a document, read in one go; only `keep_start` to `keep_end` give tags."""

    words: Words
    start: int
    end: int
    keep_start: int
    keep_end: int
    frame: Frame

    @property
    def length(self) -> int:
        """In word pieces, those of the frame counted."""
        return int(self.words.last[self.end - 1] - self.words.first[self.start]) + len(self.frame)


class Batch(NamedTuple):
    """What the network reads; all int64.

    Attributes:
        input_ids: (B, T) word pieces in their frames, padded with 0.
        attention_mask: (B, T) 1 where there is a piece.
        word_of_piece: (B, T) row of `characters` for each piece; 0 for frames and padding.
        characters: (1 + W, CHARACTERS) the words of the batch, one after the other; row 0 is empty.
        first_piece: (W,) where each word's first piece stands in the flattened (B * T).
    """

    input_ids: Ints
    attention_mask: Ints
    word_of_piece: Ints
    characters: Ints
    first_piece: Ints


class WordReader:
    """Splits text into words with a model's tokenizer.

    Args:
        tokenizer: of the model; its truncation and padding are switched off, and a tokenizer
            that does not split at white space and punctuation is made to.
        instructions: the model reads before the words which type it is asked for.
    """

    def __init__(self, tokenizer: Tokenizer, *, instructions: bool = False) -> None:
        self.instructions = instructions
        tokenizer.no_truncation()
        tokenizer.no_padding()
        splitter = tokenizer.pre_tokenizer
        if not isinstance(splitter, pre_tokenizers.BertPreTokenizer):
            own = [] if splitter is None else [splitter]
            # SentencePiece's way writes a blank as ▁ and may leave the splitting to the model.
            blanks = pre_tokenizers.Split(Regex(r"[\s▁]"), "merged_with_next")
            tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Punctuation(), *own, blanks])
        self.tokenizer = tokenizer
        self._begin, self._end = _ends(tokenizer)
        self._blank = tokenizer.token_to_id("▁")
        self.mask = _token_id(tokenizer, "[MASK]", "<mask>")

    def frame(self, type: str = "", corpus: str = "") -> Frame:
        """What stands around a window's words; with the instruction for a type, if one is named."""
        said = self.tokenizer.encode(instruction(type, corpus), add_special_tokens=False).ids if type else []
        return Frame((*self._begin, *said), self._end)

    def words(self, text: str, spans: Sequence[Span]) -> list[Words]:
        """The words of each span of a text, as `biomark.reading.view` shows them, with offsets in the text."""
        views = [view(span.of(text), self.is_common) for span in spans]
        encodings = self.tokenizer.encode_batch([seen.text for seen in views], add_special_tokens=False)
        return [
            _words(_ints(e.ids), e.word_ids, _ints(e.offsets).reshape(-1, 2), seen, self._blank).shifted(span.start)
            for span, seen, e in zip(spans, views, encodings, strict=True)
        ]

    def is_common(self, word: str) -> bool:
        """Whether the vocabulary has a word in lower case whole."""
        return len(self.tokenizer.encode(word, add_special_tokens=False).ids) == 1


def _ints(values: object) -> Ints:
    return np.asarray(values, dtype=np.int64)


def _characters(text: str) -> Ints:
    """(2 + characters,) the ids of a text's characters between two edges."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    table = _character_table()
    ids = np.where(codes < len(table), table[np.minimum(codes, len(table) - 1)], FAR)
    return np.concatenate(([EDGE], ids, [EDGE]))


def _words(pieces: Ints, word_ids: Sequence[int | None], offsets: Ints, seen: View, no_word: int | None) -> Words:
    """The words of one view; `offsets` (P, 2) are its pieces' in it, `no_word` is a blank's piece."""
    words = _ints([-1 if word is None else word for word in word_ids])
    characters = _characters(seen.text)
    blank = characters[offsets[:, 0] + 1] == WHITE_SPACE
    length = offsets[:, 1] - offsets[:, 0]
    # Tokenizers make pieces of white space alone, even where there is none, and others that begin with it.
    kept = (length > 0) & ~(blank & (length == 1))
    if no_word is not None:
        kept &= pieces != no_word
    offsets = offsets + np.stack((blank, np.zeros_like(blank)), axis=-1)
    pieces, words, offsets = pieces[kept], words[kept], offsets[kept]
    first = np.flatnonzero(np.diff(words, prepend=-2))
    last = np.append(first[1:], len(words))[: len(first)]
    starts, ends = offsets[first, 0], offsets[last - 1, 1]
    # The rest of a very long word (a sequence, a web address) says little, but could overfill a window.
    place = np.arange(len(pieces)) - np.repeat(first, last - first)
    lengths = np.minimum(last - first, PIECES_A_WORD)
    last = np.cumsum(lengths)
    spans = seen.original(np.stack((starts, ends), axis=-1))
    return Words(
        spans[:, 0],
        spans[:, 1],
        last - lengths,
        last,
        pieces[place < PIECES_A_WORD],
        _word_characters(characters, starts, ends),
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


def windows(
    words: Words,
    sentence_ends: Sequence[int],
    max_pieces: int,
    frame: Frame,
    *,
    share: float = 1.0,
    overlap: int = 32,
) -> Iterator[Window]:
    """Windows over the words of a passage: as many whole sentences as `max_pieces` takes.

    Args:
        words: of the passage.
        sentence_ends: one past the last word of each sentence, in order.
        max_pieces: word pieces a window, with those of the frame; a single word may be longer than what they leave.
        frame: of each window.
        share: of `max_pieces` that several sentences may fill; 0: every sentence alone.
        overlap: words that two pieces of an overlong sentence share.
    """
    budget = max_pieces - len(frame)
    start = 0
    previous = 0
    for end in [*sentence_ends, len(words)]:
        if end <= previous:
            continue
        if previous > start and words.last[end - 1] - words.first[start] > share * budget:
            yield from _window(Window(words, start, previous, start, previous, frame), budget, overlap)
            start = previous
        previous = end
    if previous > start:
        yield from _window(Window(words, start, previous, start, previous, frame), budget, overlap)


def _window(whole: Window, budget: int, overlap: int) -> Iterator[Window]:
    """One window, or overlapping ones where the words do not fit."""
    words, end = whole.words, whole.end
    cut = keep = whole.start
    while words.last[end - 1] - words.first[cut] > budget and cut + 1 < end:
        stop = int(np.searchsorted(words.last, words.first[cut] + budget, side="right"))
        stop = max(stop, cut + 1)
        shared = min(overlap, (stop - cut) // 2)
        yield replace(whole, start=cut, end=stop, keep_start=keep, keep_end=stop - shared // 2)
        cut, keep = stop - shared, stop - shared // 2
    yield replace(whole, start=cut, keep_start=keep)


def sentence_ends(document: Document, passage: Span, words: Words) -> list[int]:
    """One past the last word of each sentence of a passage."""
    ends = [s.end for s in document.sentences if passage.contains(s)]
    return [int(n) for n in np.searchsorted(words.starts, ends, side="left")]


@dataclass(frozen=True, slots=True)
class Read:
    """A document, its words by passage, and the windows over them."""

    document: Document
    words: tuple[Words, ...]
    windows: tuple[Window, ...]


def instruction(type: str, corpus: str = "") -> str:
    """What a network that follows instructions (VANER, Bian et al. 2024) reads before the words.

    Args:
        type: that it is to tag, one of biomark's names or the user's own.
        corpus: the name of the corpus whose guideline it is to follow; empty: it is not told (the paper's *adapt*).
    """
    place = f"{corpus} sentence" if corpus else "sentence"
    return f"Tag every mention of a {label(type)} in the {place}: "


def read_document(
    document: Document, reader: WordReader, max_pieces: int, frames: Sequence[Frame] | None = None
) -> Read:
    """Split a document into words and windows; its sentences are found if it has none, and not kept.

    Args:
        document: any.
        reader: of the model's tokenizer.
        max_pieces: see `windows`.
        frames: each word is read in each of these; None: in the reader's own, without an instruction.
    """
    split = with_sentences(document)
    passages = whole_text(document)
    words = reader.words(document.text, passages)
    found = [
        window
        for passage, part in zip(passages, words, strict=True)
        for frame in (frames if frames is not None else (reader.frame(),))
        for window in windows(part, sentence_ends(split, passage, part), max_pieces, frame)
    ]
    return Read(document, tuple(words), tuple(found))


def collate(batch: Sequence[Window], *, multiple: int = 1) -> Batch:
    """One `Batch` of some windows, padded to the longest, rounded up to a `multiple`."""
    length = -(-max(window.length for window in batch) // multiple) * multiple
    input_ids = np.zeros((len(batch), length), dtype=np.int64)
    mask = np.zeros_like(input_ids)
    word_of_piece = np.zeros_like(input_ids)
    characters = [np.zeros((1, CHARACTERS), dtype=np.int64)]
    first_piece = []
    row = 1
    for b, window in enumerate(batch):
        words, start, end = window.words, window.start, window.end
        begin, stop = words.first[start], words.last[end - 1]
        place = len(window.frame.before)  # of the first word's first piece
        input_ids[b, :place] = window.frame.before
        input_ids[b, place : place + stop - begin] = words.pieces[begin:stop]
        input_ids[b, place + stop - begin : window.length] = window.frame.after
        mask[b, : window.length] = 1
        rows = np.arange(row, row + end - start)
        word_of_piece[b, place : place + stop - begin] = np.repeat(rows, words.lengths[start:end])
        characters.append(words.characters[start:end])
        first_piece.append(b * length + place + words.first[start:end] - begin)
        row += end - start
    return Batch(input_ids, mask, word_of_piece, np.concatenate(characters), np.concatenate(first_piece))


def encode_tags(entities: Sequence[Entity], words: Words) -> Ints:
    """(W,) the BIO tag of each word for entities of one type.

    Nested, crossing and discontinuous mentions cannot be tagged: of each group the longest
    contiguous one is (`biomark.spans.flat`). A word that a mention touches belongs to it.
    """
    tags = np.zeros(len(words), dtype=np.int64)
    for entity in flat(entities):
        first = int(np.searchsorted(words.ends, entity.start, side="right"))
        last = int(np.searchsorted(words.starts, entity.end, side="left"))
        if first < last:
            tags[first] = BEGIN
            tags[first + 1 : last] = INSIDE
    return tags


def log_softmax(logits: Floats) -> Floats:
    """Over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def viterbi(log_probabilities: Floats) -> Ints:
    """The most likely tags without an `inside` that follows an `outside`.

    Args:
        log_probabilities: (W, N, 3) for N independent rows (entity types).

    Returns:
        (W, N) tags.
    """
    length, rows, _ = log_probabilities.shape
    greedy = log_probabilities.argmax(axis=-1)
    before = np.concatenate((np.full((1, rows), OUTSIDE), greedy[:-1])) if length else greedy
    wrong = ((greedy == INSIDE) & (before == OUTSIDE)).any(axis=0)
    # Where the best tag of every word is allowed after the one before it, no search is needed.
    for row in np.flatnonzero(wrong):
        greedy[:, row] = _search(log_probabilities[:, row])
    result: Ints = greedy
    return result


def _search(scores: Floats) -> Ints:
    """(W,) the best allowed path through (W, 3)."""
    best = np.array([scores[0, OUTSIDE], scores[0, BEGIN], -np.inf])
    back = np.zeros((len(scores), TAGS), dtype=np.int64)
    for w in range(1, len(scores)):
        any_tag = int(best.argmax())
        into = BEGIN if best[BEGIN] >= best[INSIDE] else INSIDE
        back[w] = (any_tag, any_tag, into)
        best = best[back[w]] + scores[w]
    path = np.zeros(len(scores), dtype=np.int64)
    path[-1] = int(best.argmax())
    for w in range(len(scores) - 1, 0, -1):
        path[w - 1] = back[w, path[w]]
    return path


def decode_tags(log_probabilities: Floats, words: Words, types: Sequence[str]) -> list[Entity]:
    """The entities that the tags of a passage say, in text order.

    Args:
        log_probabilities: (W, N, 3) natural logarithms, for the N `types`.

    Returns:
        Entities with their scores; see `span_score`.
    """
    tags = viterbi(log_probabilities)
    entities = []
    for n, type in enumerate(types):
        column = tags[:, n]
        for first in np.flatnonzero(column == BEGIN).tolist():
            last = first + 1
            while last < len(column) and column[last] == INSIDE:
                last += 1
            span = Span(int(words.starts[first]), int(words.ends[last - 1]))
            entities.append(Entity((span,), type, score=span_score(log_probabilities[:, n], first, last)))
    return sorted(entities, key=lambda e: (e.start, e.end))


def span_score(log_probabilities: Floats, first: int, last: int) -> float:
    """How sure the tags are that just the words from `first` to before `last` are a mention.

    Args:
        log_probabilities: (W, 3) of one type.

    Returns:
        The least probability among the tags that say so: *begin*, *inside*, and not *inside* for the word behind.
    """
    least = np.append(log_probabilities[first + 1 : last, INSIDE], log_probabilities[first, BEGIN]).min()
    score = float(np.exp(least))
    if last < len(log_probabilities):
        score = min(score, 1 - float(np.exp(log_probabilities[last, INSIDE])))
    return max(min(score, 1.0), 0.0)
