"""Words ↔ what a tagging network reads and says: windows, batches, BIO tags. No torch.

For every word (see `biomark.tagging.words`) and entity type, the network gives the logits of the tags outside, begin
and inside. A network that reads an instruction before the words says it for the one type that the instruction names.

A document is read in windows of consecutive sentences of one passage. A sentence longer than a
window is read in overlapping pieces, and every word takes its tags from the piece in which it
stands farthest from an edge: nothing is truncated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from biomark.spans import Document, Entity, Span, flat, whole_text
from biomark.tagging.words import CHARACTERS, Frame, Ints, WordReader, Words
from biomark.text.sentences import with_sentences

OUTSIDE, BEGIN, INSIDE = 0, 1, 2
TAGS = 3

Floats = npt.NDArray[np.float32]


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
