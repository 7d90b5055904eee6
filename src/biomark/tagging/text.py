"""The input and output of a tagging network: windows of words, batches, and BIO tags. This module needs no torch.

For every word (see `biomark.tagging.words`) and entity type, the network computes the logits of the tags outside, begin
and inside. A network that follows instructions computes them for the one type that the instruction names.

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
    """Consecutive words of a passage that the network reads at once, within a frame.

    Attributes:
        words: all words of the passage.
        start, end: the window holds the words from `start` to before `end`.
        keep_start, keep_end: the words whose tags are taken from this window; the others are context.
        frame: the pieces before and after the words.
    """

    words: Words
    start: int
    end: int
    keep_start: int
    keep_end: int
    frame: Frame

    @property
    def length(self) -> int:
        """The number of word pieces, including those of the frame."""
        return int(self.words.last[self.end - 1] - self.words.first[self.start]) + len(self.frame)


class Batch(NamedTuple):
    """The input arrays of the network, all int64, for B windows of at most T pieces with W words in all.

    Attributes:
        input_ids: (B, T) ids of the word pieces and their frames, padded with 0.
        attention_mask: (B, T) 1 for each piece, 0 for padding.
        word_of_piece: (B, T) the row of `characters` for each piece; 0 for frames and padding.
        characters: (1 + W, CHARACTERS) character ids of the words of the batch, in order; row 0 is empty.
        first_piece: (W,) the position of each word's first piece in the flattened (B * T).
    """

    input_ids: Ints
    attention_mask: Ints
    word_of_piece: Ints
    characters: Ints
    first_piece: Ints


class Output(NamedTuple):
    """The output of the network for a batch of B windows with W words, all float32.

    Attributes:
        logits: (W, C, N, 3) of the tags of the N types under each of C annotation guidelines; with more than one
            guideline, logarithms of probabilities.
        gate: (B, C) logits of which guideline a window follows.
    """

    logits: Floats
    gate: Floats

    @classmethod
    def of_one_guideline(cls, logits: Floats, batch: Batch) -> Output:
        """Return the output of a network that has learnt one guideline, from its logits (W, N, 3)."""
        return cls(logits[:, None], np.zeros((len(batch.input_ids), 1), dtype=np.float32))


def windows(
    words: Words,
    sentence_ends: Sequence[int],
    max_pieces: int,
    frame: Frame,
    *,
    share: float = 1.0,
    overlap: int = 32,
) -> Iterator[Window]:
    """Yield windows over the words of a passage, each with as many whole sentences as fit.

    Args:
        words: the words of the passage.
        sentence_ends: the index one past the last word of each sentence, in order.
        max_pieces: the greatest number of word pieces of a window, including its frame; only a window of a single long
            word may exceed it.
        frame: the pieces around each window.
        share: the share of `max_pieces` that several sentences together may fill; 0 puts every sentence into a window
            of its own.
        overlap: the number of words that two consecutive pieces of an overlong sentence share.
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
    """Yield the window itself or, if its words exceed the budget, overlapping windows over them."""
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
    """Return the index one past the last word of each sentence of a passage."""
    ends = [s.end for s in document.sentences if passage.contains(s)]
    return [int(n) for n in np.searchsorted(words.starts, ends, side="left")]


@dataclass(frozen=True, slots=True)
class WindowedDocument:
    """A document with the words of each passage and the windows over them."""

    document: Document
    words: tuple[Words, ...]
    windows: tuple[Window, ...]


def read_document(
    document: Document, reader: WordReader, max_pieces: int, frames: Sequence[Frame] | None = None
) -> WindowedDocument:
    """Split a document into words and windows.

    A document without sentences is split into sentences for this; the result holds it as it was.

    Args:
        document: the text to read.
        reader: the word reader of the model's tokenizer.
        max_pieces: see `windows`.
        frames: there are windows over all words in each of these frames. None: in the reader's frame without an
            instruction alone.
    """
    split = with_sentences(document)
    passages = whole_text(document)
    words = reader.words(document.text, passages)
    all_windows = [
        window
        for passage, part in zip(passages, words, strict=True)
        for frame in (frames if frames is not None else (reader.frame(),))
        for window in windows(part, sentence_ends(split, passage, part), max_pieces, frame)
    ]
    return WindowedDocument(document, tuple(words), tuple(all_windows))


def collate(batch: Sequence[Window], *, multiple: int = 1) -> Batch:
    """Return the batch of several windows, padded to the longest one's length, rounded up to a `multiple`."""
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
        place = len(window.frame.before)  # the column of the first word's first piece
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
    """Return the BIO tag of each word, (W,) int64, for entities of one type.

    BIO tags cannot represent nested, crossing or discontinuous mentions: of each group only the longest
    contiguous one is tagged (`biomark.spans.flat`). A word that a mention touches belongs to the mention.
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
    """Return the logarithm of the softmax over the last axis, in the shape of `logits`."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def viterbi(log_probabilities: Floats) -> Ints:
    """Return the most likely tag sequences in which no *inside* follows an *outside* (Viterbi).

    Args:
        log_probabilities: (W, N, 3) natural logarithms for N independent sequences (entity types).

    Returns:
        (W, N) int64 tags.
    """
    length, rows, _ = log_probabilities.shape
    greedy = log_probabilities.argmax(axis=-1)
    before = np.concatenate((np.full((1, rows), OUTSIDE), greedy[:-1])) if length else greedy
    invalid = ((greedy == INSIDE) & (before == OUTSIDE)).any(axis=0)
    # A sequence in which each word's best tag may follow the tag before it needs no search.
    for row in np.flatnonzero(invalid):
        greedy[:, row] = _search(log_probabilities[:, row])
    result: Ints = greedy
    return result


def _search(scores: Floats) -> Ints:
    """Return the best valid tag sequence, (W,), through scores of shape (W, 3)."""
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
    """Decode the most likely tags of a passage into entities, in text order.

    Args:
        log_probabilities: (W, N, 3) natural logarithms, for the N `types`.
        words: the W words of the passage.
        types: the N entity types.

    Returns:
        Entities with their scores in [0, 1]; see `span_score`.
    """
    tags = viterbi(log_probabilities)
    entities = []
    for n, entity_type in enumerate(types):
        column = tags[:, n]
        for first in np.flatnonzero(column == BEGIN).tolist():
            last = first + 1
            while last < len(column) and column[last] == INSIDE:
                last += 1
            span = Span(int(words.starts[first]), int(words.ends[last - 1]))
            entities.append(Entity((span,), entity_type, score=span_score(log_probabilities[:, n], first, last)))
    return sorted(entities, key=lambda e: (e.start, e.end))


def span_score(log_probabilities: Floats, first: int, last: int) -> float:
    """Return the score, in [0, 1], of the mention that consists of the words from `first` to before `last`.

    Args:
        log_probabilities: (W, 3) natural logarithms of one type.
        first, last: indexes of words.

    Returns:
        The lowest probability among the tags that make up the mention: *begin* for its first word, *inside* for its
        other words, and not *inside* for the word after it.
    """
    least = np.append(log_probabilities[first + 1 : last, INSIDE], log_probabilities[first, BEGIN]).min()
    score = float(np.exp(least))
    if last < len(log_probabilities):
        score = min(score, 1 - float(np.exp(log_probabilities[last, INSIDE])))
    return max(min(score, 1.0), 0.0)
