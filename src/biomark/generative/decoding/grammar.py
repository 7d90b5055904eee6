"""The mark grammar: which tokens may come next, so that an answer is its source with marks and nothing else.

It works on the symbols of a source (see `biomark.generative.decoding.vocabulary`), not on its tokens. With some of
the source copied and a mark open or not, the valid continuations are the rest of the source with
tags opened and closed in turn, and a token may come next if what it spells begins one of them. A
token may thus be part of a tag, or hold a tag and text beside it.

Marks hold at least one character and neither begin nor end with white space. A tag that the source
contains is source text; where it stands beside a mark of ours, the shorter mention is meant, as in
`biomark.marks`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from biomark.generative.decoding.vocabulary import WORD, Vocabulary
from biomark.spans import Span

_ALONE = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")  # kana and Chinese characters


class Mark(NamedTuple):
    """A mention, and the tokens of the answer (from 0) that begin its opening and end its closing tag."""

    span: Span
    first: int
    last: int


class _Path(NamedTuple):
    """One way to read an answer so far; there is more than one only beside tags of the source's own.

    Attributes:
        at: symbols of the source that are copied.
        opened: where the open mark begins, in symbols; -1: none is open.
        closing: whether the tag under way is the closing one.
        pending: what is left to say of the tag under way.
        fresh: whether the next symbol begins a word anew, because a tag stands inside its word.
        first: the token that began the opening tag.
        marks: those that are closed.
    """

    at: int = 0
    opened: int = -1
    closing: bool = False
    pending: str = ""
    fresh: bool = False
    first: int = 0
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class State:
    """Where an answer stands.

    Attributes:
        paths: the ways to read it.
        said: symbols so far.
        count: tokens so far.
        finished: whether the end token was among them.
    """

    paths: tuple[_Path, ...]
    said: int = 0
    count: int = 0
    finished: bool = False


class Grammar:
    """The answers to one source.

    Args:
        source: a sentence or a window.
        vocabulary: of the model.
        whole_words: whether marks neither begin nor end inside a run of letters and digits (each Chinese
            character and kana is a word).
    """

    def __init__(self, source: str, vocabulary: Vocabulary, *, whole_words: bool = False) -> None:
        self.source = source
        self._whole_words = whole_words
        self.start = State((_Path(),))
        self._vocabulary = vocabulary
        self._spelling = vocabulary.spell(source)
        self._symbols = self._spelling.symbols
        self._open, self._close = vocabulary.tags
        self._first_of_tags = {self._open[0], self._close[0]}
        self._spellable = self._reach() if vocabulary.unknown is not None else None
        self._may_open, self._may_close = self._places()
        self._last_close = max((n for n, may in enumerate(self._may_close) if may), default=-1)
        self._candidates: dict[tuple[object, ...], tuple[int, ...]] = {}

    def allowed(self, state: State) -> tuple[int, ...]:
        """The ids that may come next, ascending; never empty before the end."""
        if state.finished:
            return ()
        if len(state.paths) == 1:
            return self._allowed(state.paths[0])
        return tuple(sorted({token for path in state.paths for token in self._allowed(path)}))

    def advance(self, state: State, token: int) -> State:
        """The state after one more token.

        Raises:
            ValueError: if it is not allowed.
        """
        count = state.count + 1
        if token == self._vocabulary.end:
            paths = tuple(path for path in state.paths if self._complete(path))
            if paths and not state.finished:
                return State(paths[:1], state.said, count, True)
            raise ValueError("the answer may not end here")
        if token == self._vocabulary.unknown:
            return self._advance_unknown(state)
        spelled = self._vocabulary.symbols[token] if token < self._vocabulary.size else None
        if spelled:
            paths = self._consume(state, spelled)
            if paths:
                return State(paths, state.said + len(spelled), count)
        raise ValueError(f"token {token} is not allowed after {state.count} tokens")

    def accepts(self, tokens: Sequence[int]) -> bool:
        """Whether tokens are a whole answer, with the end token."""
        state = self.start
        try:
            for token in tokens:
                state = self.advance(state, token)
        except ValueError:
            return False
        return state.finished

    def marks(self, state: State) -> tuple[Mark, ...]:
        """The mentions that are marked so far, in order."""
        return state.paths[0].marks

    def draft(self, state: State, mentions: Sequence[Span]) -> list[int]:
        """The rest of the answer, to the end token, as it is tokenised if certain mentions are marked.

        Args:
            state: where the answer stands; what it has marked stays.
            mentions: in the source, apart and in order; those that are passed or cannot be marked are left out.
        """
        if state.finished:
            return []
        path = state.paths[0]
        spans = self._plan(path, mentions)
        wanted = self._marked(spans)
        ids = self._vocabulary.answer(self.source, spans)
        places = self._boundaries(ids, wanted)
        out: list[int] = []
        while state.said < len(wanted):
            number = places.get(state.said)
            following = self._try(state, ids[number]) if number is not None else None
            if number is not None and following is not None:
                out.append(ids[number])
            else:
                token, following = self._longest(state, wanted)
                out.append(token)
            state = following
        return [*out, self._vocabulary.end]

    # Which places are there

    def _places(self) -> tuple[list[bool], list[bool]]:
        """Before which symbols a mark may open and close, the end included."""
        size, symbols, spelling, source = len(self._symbols), self._symbols, self._spelling, self.source
        may_open, may_close = [False] * (size + 1), [False] * (size + 1)
        for n in range(size + 1):
            if not self._divides(n):
                continue
            may_open[n] = n < size and not source[spelling.starts[n]].isspace()
            may_close[n] = n > 0 and not source[spelling.starts[n - 1]].isspace()
            if self._vocabulary.open is None:
                may_open[n] &= not symbols.startswith(self._open, n)
                may_close[n] &= not symbols.endswith(self._close, 0, n)
        return may_open, may_close

    def _divides(self, n: int) -> bool:
        """Whether a tag may stand before symbol `n`, as far as spelling goes."""
        starts, symbols = self._spelling.starts, self._symbols
        if n in (0, len(symbols)):
            return True
        if starts[n] == starts[n - 1] or symbols[n - 1] == WORD:
            return False  # between the bytes of a character, or between a word's beginning and its first character
        if self._whole_words and _within_word(self.source[starts[n] - 1], self.source[starts[n]]):
            return False
        if self._spellable is None or symbols[n] == WORD:
            return True
        return self._spellable[1][n] and self._spellable[1][symbols.rfind(WORD, 0, n)]

    def _reach(self) -> tuple[list[bool], list[bool]]:
        """From which symbols pieces of words reach the word's end: as a continuation, and as a new word."""
        symbols, tokens = self._symbols, self._vocabulary.tokens
        size = len(symbols)
        inside, anew = [True] * (size + 1), [True] * (size + 1)
        for n in range(size - 1, -1, -1):
            if symbols[n] == WORD:
                anew[n] = inside[n] = anew[n + 1]
                continue
            end = symbols.find(WORD, n)
            ends = range(n + 1, (size if end < 0 else end) + 1)
            at_end = ends[-1]
            inside[n] = any((k == at_end or inside[k]) and symbols[n:k] in tokens for k in ends)
            anew[n] = any((k == at_end or inside[k]) and WORD + symbols[n:k] in tokens for k in ends)
        return inside, anew

    def _alive(self, path: _Path) -> bool:
        """Whether the answer can be brought to its end from here."""
        if path.opened >= 0 and not path.closing and max(path.at, path.opened + 1) > self._last_close:
            return False
        if self._spellable is None or path.at == len(self._symbols) or self._symbols[path.at] == WORD:
            return True
        inside, anew = self._spellable
        return anew[path.at] if path.fresh or path.pending else inside[path.at]

    def _complete(self, path: _Path) -> bool:
        return path.at == len(self._symbols) and path.opened < 0 and not path.pending

    # How an answer goes on

    def _moves(self, path: _Path, token: int) -> Iterator[tuple[str, _Path]]:
        """The symbols that may come next, each with what it leads to."""
        at = path.at
        if path.pending:
            yield path.pending[0], self._said(path, path.pending[1:], token)
            return
        if path.fresh:
            yield WORD, path._replace(fresh=False)
        elif at < len(self._symbols):
            yield self._symbols[at], path._replace(at=at + 1)
        if path.opened < 0 and self._may_open[at]:
            opened = path._replace(opened=at, closing=False, first=token, fresh=bool(self._anew(at)))
            yield self._open[0], self._said(opened, self._open[1:], token)
        elif 0 <= path.opened < at and self._may_close[at]:
            closed = path._replace(closing=True, fresh=bool(self._anew(at)))
            yield self._close[0], self._said(closed, self._close[1:], token)

    def _said(self, path: _Path, pending: str, token: int) -> _Path:
        """The path after one more symbol of the tag under way."""
        if pending or not path.closing:
            return path._replace(pending=pending)
        span = Span(self._spelling.starts[path.opened], self._spelling.ends[path.at - 1])
        mark = Mark(span, path.first, token)
        return path._replace(pending="", opened=-1, closing=False, marks=(*path.marks, mark))

    def _consume(self, state: State, spelled: str) -> tuple[_Path, ...]:
        """All ways to read a token that are alive."""
        if len(state.paths) == 1 and self._first_of_tags.isdisjoint(spelled):
            path = state.paths[0]
            if not path.pending and not path.fresh:
                if not self._symbols.startswith(spelled, path.at):
                    return ()
                path = path._replace(at=path.at + len(spelled))
                return (path,) if self._alive(path) else ()
        paths = state.paths
        for symbol in spelled:
            paths = tuple(to for path in paths for said, to in self._moves(path, state.count) if said == symbol)
        found = {_core(path): path for path in reversed(paths) if self._alive(path)}
        return tuple(reversed(found.values()))

    def _allowed(self, path: _Path) -> tuple[int, ...]:
        key = _core(path)
        found = self._candidates.get(key)
        if found is None:
            ids: set[int] = set()
            self._collect("", path, ids)
            if self._complete(path):
                ids.add(self._vocabulary.end)
            if self._unknown_word(path) is not None and self._vocabulary.unknown is not None:
                ids.add(self._vocabulary.unknown)
            found = self._candidates[key] = tuple(sorted(ids))
        return found

    def _collect(self, spelled: str, path: _Path, ids: set[int]) -> None:
        """The tokens that begin with `spelled`, which led to `path`."""
        for symbol, to in self._moves(path, 0):
            longer = spelled + symbol
            if longer in self._vocabulary.prefixes:
                found = self._vocabulary.tokens.get(longer)
                if found and self._alive(to):
                    ids.update(found)
                self._collect(longer, to, ids)

    def _unknown_word(self, path: _Path) -> int | None:
        """The end of the word that begins here, if it cannot be spelled."""
        at, symbols = path.at, self._symbols
        if self._spellable is None or path.pending or at >= len(symbols) or symbols[at] != WORD:
            return None
        if self._spellable[1][at]:
            return None
        end = symbols.find(WORD, at + 1)
        return len(symbols) if end < 0 else end

    def _advance_unknown(self, state: State) -> State:
        for path in state.paths:
            end = self._unknown_word(path)
            if end is not None:
                return State((path._replace(at=end),), state.said + end - path.at, state.count + 1)
        raise ValueError(f"the token for unknown words is not allowed after {state.count} tokens")

    # Drafts

    def _plan(self, path: _Path, mentions: Sequence[Span]) -> list[Span]:
        """What is marked, the open mark closed where a draft closes it, and the mentions still to come."""
        starts, ends = self._spelling.starts, self._spelling.ends
        spans = [mark.span for mark in path.marks]
        at = path.at
        if path.opened >= 0:
            end = at if path.closing else self._end_of_open(path, mentions)
            spans.append(Span(starts[path.opened], ends[end - 1]))
            at = end
        # Where a mention begins in symbols; a tag that stands before what is copied comes too late.
        begins = {start: n for n, start in reversed(list(enumerate(starts)))}
        closes = {end: n + 1 for n, end in enumerate(ends)}
        for span in mentions:
            n, m = begins.get(span.start, -1), closes.get(span.end, -1)
            if n >= at and n < m and self._may_open[n] and self._may_close[m]:
                spans.append(span)
                at = m
        return spans

    def _end_of_open(self, path: _Path, mentions: Sequence[Span]) -> int:
        """Where, in symbols, a draft closes the mark that is open: as the drafter says, else after the word."""
        size, starts, ends = len(self._symbols), self._spelling.starts, self._spelling.ends
        least = max(path.at, path.opened + 1)
        here = starts[path.opened]
        for span in mentions:
            if span.start <= (starts[least] if least < size else len(self.source)) and span.end > here:
                for n in range(least, size + 1):
                    if ends[n - 1] >= span.end and self._may_close[n]:
                        return n
        for n in range(least, size + 1):
            word_ends = n == size or self._symbols[n] == WORD or not self.source[starts[n]].isalnum()
            if self._may_close[n] and word_ends:
                return n
        return next(n for n in range(least, size + 1) if self._may_close[n])

    def _marked(self, spans: Sequence[Span]) -> str:
        """The symbols of the source with marks."""
        starts, ends, symbols = self._spelling.starts, self._spelling.ends, self._symbols
        begins = {start: n for n, start in reversed(list(enumerate(starts)))}
        closes = {end: n + 1 for n, end in enumerate(ends)}
        pieces = []
        at = 0
        for span in spans:
            n, m = begins[span.start], closes[span.end]
            pieces += [self._copied(at, n), self._open, self._copied(n, m), self._close]
            at = m
        return "".join((*pieces, self._copied(at, len(symbols))))

    def _copied(self, start: int, end: int) -> str:
        """A stretch of the source between tags."""
        return self._anew(start) + self._symbols[start:end] if end > start else ""

    def _anew(self, at: int) -> str:
        """What stands after a tag inside a word, before what is copied."""
        inside = self._spellable is not None and 0 < at < len(self._symbols) and self._symbols[at] != WORD
        return WORD if inside else ""

    def _boundaries(self, ids: Sequence[int], wanted: str) -> dict[int, int]:
        """Number of symbols before a token → the token's place in `ids`."""
        found: dict[int, int] = {}
        at = 0
        for number, token in enumerate(ids):
            found[at] = number
            if token == self._vocabulary.unknown:
                at += 1
                while at < len(wanted) and wanted[at] != WORD and wanted[at] not in self._first_of_tags:
                    at += 1
            else:
                at += len(self._vocabulary.symbols[token] or "")
        return found

    def _try(self, state: State, token: int) -> State | None:
        try:
            return self.advance(state, token)
        except ValueError:
            return None

    def _longest(self, state: State, wanted: str) -> tuple[int, State]:
        """The longest token that says what is wanted next."""
        said = state.said
        found: tuple[int, State] | None = None
        for end in range(said + 1, len(wanted) + 1):
            piece = wanted[said:end]
            if piece not in self._vocabulary.prefixes:
                break
            for token in self._vocabulary.tokens.get(piece, ())[:1]:
                following = self._try(state, token)
                found = (token, following) if following else found
        if found is None and self._vocabulary.unknown is not None:
            found = (self._vocabulary.unknown, self.advance(state, self._vocabulary.unknown))
        if found is None:
            raise ValueError(f"nothing spells {wanted[said : said + 20]!r}")
        return found


def _within_word(before: str, after: str) -> bool:
    return all((c.isalnum() or unicodedata.combining(c)) and not _ALONE.match(c) for c in (before, after))


def _core(path: _Path) -> tuple[object, ...]:
    """What decides how a path may go on."""
    return path.at, path.opened, path.closing, path.pending, path.fresh
