"""The mark grammar: the tokens that may come next, so that an answer is an exact copy of its source with marks.

The grammar works on the symbols of a source (see `biomark.generative.decoding.vocabulary`), not on its tokens. After
part of the source is copied, with a mark open or not, the valid continuations are the rest of the source with
opening and closing signs (`<mark>`, `</mark>`) in turn. A token may come next if its spelling begins one of these
continuations. A token may thus be part of a sign, or contain a sign and the text beside it.

Marks contain at least one character and neither begin nor end with white space. A sign that the source itself contains
is source text; where it stands beside a mark, the answer is read as the shorter mention, as in `biomark.marks`.
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
    """A marked mention.

    Attributes:
        span: its span in the source.
        first: the index of the answer's token that begins the opening sign.
        last: the index of the answer's token that ends the closing sign.
    """

    span: Span
    first: int
    last: int


class _Path(NamedTuple):
    """One reading of an answer so far; there are several only beside signs that the source itself contains.

    Attributes:
        at: the number of symbols of the source that are copied.
        opened: the symbol at which the open mark begins; -1: no mark is open.
        closing: whether the unfinished sign is the closing one.
        pending: the symbols of the unfinished sign that are still to come.
        fresh: whether the next symbol begins a new word, because a sign stands inside its word.
        first: the index of the token that began the opening sign.
        marks: the closed marks.
    """

    at: int = 0
    opened: int = -1
    closing: bool = False
    pending: str = ""
    fresh: bool = False
    first: int = 0
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class GrammarState:
    """The state of an answer after some tokens.

    Attributes:
        paths: the possible readings of the tokens.
        length: the number of symbols so far.
        count: the number of tokens so far.
        finished: whether the end token was among them.
    """

    paths: tuple[_Path, ...]
    length: int = 0
    count: int = 0
    finished: bool = False


class Grammar:
    """The grammar of the valid answers for one source text.

    Args:
        source: a sentence or a part of one.
        vocabulary: the vocabulary of the model.
        whole_words: whether marks may neither begin nor end inside a run of letters and digits (each Chinese
            character and kana is a word).
    """

    def __init__(self, source: str, vocabulary: Vocabulary, *, whole_words: bool = False) -> None:
        self.source = source
        self._whole_words = whole_words
        self.start = GrammarState((_Path(),))
        self._vocabulary = vocabulary
        self._spelling = vocabulary.spell(source)
        self._symbols = self._spelling.symbols
        self._open, self._close = vocabulary.signs
        self._first_of_signs = {self._open[0], self._close[0]}
        self._spellable = self._reach() if vocabulary.unknown is not None else None
        self._may_open, self._may_close = self._places()
        self._last_close = max((n for n, may in enumerate(self._may_close) if may), default=-1)
        self._candidates: dict[tuple[object, ...], tuple[int, ...]] = {}

    def allowed(self, state: GrammarState) -> tuple[int, ...]:
        """Return the ids of the tokens that may come next, ascending; empty only after the end token."""
        if state.finished:
            return ()
        if len(state.paths) == 1:
            return self._allowed(state.paths[0])
        return tuple(sorted({token for path in state.paths for token in self._allowed(path)}))

    def advance(self, state: GrammarState, token: int) -> GrammarState:
        """Return the state after one more token.

        Raises:
            ValueError: if the token is not allowed.
        """
        count = state.count + 1
        if token == self._vocabulary.end:
            paths = tuple(path for path in state.paths if self._complete(path))
            if paths and not state.finished:
                return GrammarState(paths[:1], state.length, count, True)
            raise ValueError("the answer may not end here")
        if token == self._vocabulary.unknown:
            return self._advance_unknown(state)
        spelled = self._vocabulary.symbols[token] if token < self._vocabulary.size else None
        if spelled:
            paths = self._consume(state, spelled)
            if paths:
                return GrammarState(paths, state.length + len(spelled), count)
        raise ValueError(f"token {token} is not allowed after {state.count} tokens")

    def accepts(self, tokens: Sequence[int]) -> bool:
        """Return whether tokens are a complete valid answer, including the end token."""
        state = self.start
        try:
            for token in tokens:
                state = self.advance(state, token)
        except ValueError:
            return False
        return state.finished

    def marks(self, state: GrammarState) -> tuple[Mark, ...]:
        """Return the closed marks so far, in order."""
        return state.paths[0].marks

    def draft(self, state: GrammarState, mentions: Sequence[Span]) -> list[int]:
        """Return the rest of the answer, including the end token, as tokenised if certain mentions are marked.

        Args:
            state: the state of the answer so far; its marks stay.
            mentions: spans in the source, disjoint and in order; those before the state's position and those that
                cannot be marked are ignored.
        """
        if state.finished:
            return []
        path = state.paths[0]
        spans = self._plan(path, mentions)
        wanted = self._marked(spans)
        ids = self._vocabulary.answer(self.source, spans)
        places = self._boundaries(ids, wanted)
        tokens: list[int] = []
        while state.length < len(wanted):
            number = places.get(state.length)
            following = self._try(state, ids[number]) if number is not None else None
            if number is not None and following is not None:
                tokens.append(ids[number])
            else:
                token, following = self._longest(state, wanted)
                tokens.append(token)
            state = following
        return [*tokens, self._vocabulary.end]

    # The places where marks may begin and end

    def _places(self) -> tuple[list[bool], list[bool]]:
        """Return whether a mark may open, and whether it may close, before each symbol and at the end."""
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
        """Return whether the spelling of the source permits a sign before symbol `n`."""
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
        """Return whether the rest of the word at each symbol can be spelled: as a continuation, and as a new word."""
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
        """Return whether the answer can be completed from here."""
        if path.opened >= 0 and not path.closing and max(path.at, path.opened + 1) > self._last_close:
            return False
        if self._spellable is None or path.at == len(self._symbols) or self._symbols[path.at] == WORD:
            return True
        inside, anew = self._spellable
        return anew[path.at] if path.fresh or path.pending else inside[path.at]

    def _complete(self, path: _Path) -> bool:
        return path.at == len(self._symbols) and path.opened < 0 and not path.pending

    # The continuations of an answer

    def _moves(self, path: _Path, token: int) -> Iterator[tuple[str, _Path]]:
        """Yield the symbols that may come next, each with the path after it."""
        at = path.at
        if path.pending:
            yield path.pending[0], self._after_sign_symbol(path, path.pending[1:], token)
            return
        if path.fresh:
            yield WORD, path._replace(fresh=False)
        elif at < len(self._symbols):
            yield self._symbols[at], path._replace(at=at + 1)
        if path.opened < 0 and self._may_open[at]:
            opened = path._replace(opened=at, closing=False, first=token, fresh=bool(self._anew(at)))
            yield self._open[0], self._after_sign_symbol(opened, self._open[1:], token)
        elif 0 <= path.opened < at and self._may_close[at]:
            closed = path._replace(closing=True, fresh=bool(self._anew(at)))
            yield self._close[0], self._after_sign_symbol(closed, self._close[1:], token)

    def _after_sign_symbol(self, path: _Path, pending: str, token: int) -> _Path:
        """Return the path after one more symbol of the unfinished sign."""
        if pending or not path.closing:
            return path._replace(pending=pending)
        span = Span(self._spelling.starts[path.opened], self._spelling.ends[path.at - 1])
        mark = Mark(span, path.first, token)
        return path._replace(pending="", opened=-1, closing=False, marks=(*path.marks, mark))

    def _consume(self, state: GrammarState, spelled: str) -> tuple[_Path, ...]:
        """Return all readings of one more token that can be completed."""
        if len(state.paths) == 1 and self._first_of_signs.isdisjoint(spelled):
            path = state.paths[0]
            if not path.pending and not path.fresh:
                if not self._symbols.startswith(spelled, path.at):
                    return ()
                path = path._replace(at=path.at + len(spelled))
                return (path,) if self._alive(path) else ()
        paths = state.paths
        for symbol in spelled:
            paths = tuple(to for path in paths for move, to in self._moves(path, state.count) if move == symbol)
        distinct = {_core(path): path for path in reversed(paths) if self._alive(path)}
        return tuple(reversed(distinct.values()))

    def _allowed(self, path: _Path) -> tuple[int, ...]:
        key = _core(path)
        candidates = self._candidates.get(key)
        if candidates is None:
            ids: set[int] = set()
            self._collect("", path, ids)
            if self._complete(path):
                ids.add(self._vocabulary.end)
            if self._unknown_word(path) is not None and self._vocabulary.unknown is not None:
                ids.add(self._vocabulary.unknown)
            candidates = self._candidates[key] = tuple(sorted(ids))
        return candidates

    def _collect(self, spelled: str, path: _Path, ids: set[int]) -> None:
        """Collect the tokens that begin with `spelled`, after which the answer is at `path`."""
        for symbol, to in self._moves(path, 0):
            longer = spelled + symbol
            if longer in self._vocabulary.prefixes:
                tokens = self._vocabulary.tokens.get(longer)
                if tokens and self._alive(to):
                    ids.update(tokens)
                self._collect(longer, to, ids)

    def _unknown_word(self, path: _Path) -> int | None:
        """Return the end, in symbols, of the word that begins here if it cannot be spelled, else None."""
        at, symbols = path.at, self._symbols
        if self._spellable is None or path.pending or at >= len(symbols) or symbols[at] != WORD:
            return None
        if self._spellable[1][at]:
            return None
        end = symbols.find(WORD, at + 1)
        return len(symbols) if end < 0 else end

    def _advance_unknown(self, state: GrammarState) -> GrammarState:
        for path in state.paths:
            end = self._unknown_word(path)
            if end is not None:
                return GrammarState((path._replace(at=end),), state.length + end - path.at, state.count + 1)
        raise ValueError(f"the token for unknown words is not allowed after {state.count} tokens")

    # Drafts

    def _plan(self, path: _Path, mentions: Sequence[Span]) -> list[Span]:
        """Return the spans to mark in a draft: those already marked, the open one, and the mentions still to come."""
        starts, ends = self._spelling.starts, self._spelling.ends
        spans = [mark.span for mark in path.marks]
        at = path.at
        if path.opened >= 0:
            end = at if path.closing else self._end_of_open(path, mentions)
            spans.append(Span(starts[path.opened], ends[end - 1]))
            at = end
        # The first symbol of each code point; a mention before the copied part of the source can no longer be marked.
        begins = {start: n for n, start in reversed(list(enumerate(starts)))}
        closes = {end: n + 1 for n, end in enumerate(ends)}
        for span in mentions:
            n, m = begins.get(span.start, -1), closes.get(span.end, -1)
            if n >= at and n < m and self._may_open[n] and self._may_close[m]:
                spans.append(span)
                at = m
        return spans

    def _end_of_open(self, path: _Path, mentions: Sequence[Span]) -> int:
        """Return the symbol at which a draft closes the open mark: the end of an expected mention, else of the word."""
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
        """Return the symbols of the source with marks."""
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
        """Return the symbols of a part of the source between signs."""
        return self._anew(start) + self._symbols[start:end] if end > start else ""

    def _anew(self, at: int) -> str:
        """Return `WORD` if a sign before this symbol divides a word, else an empty string."""
        inside = self._spellable is not None and 0 < at < len(self._symbols) and self._symbols[at] != WORD
        return WORD if inside else ""

    def _boundaries(self, ids: Sequence[int], wanted: str) -> dict[int, int]:
        """Map the number of symbols before each token to the token's index in `ids`."""
        numbers: dict[int, int] = {}
        at = 0
        for number, token in enumerate(ids):
            numbers[at] = number
            if token == self._vocabulary.unknown:
                at += 1
                while at < len(wanted) and wanted[at] != WORD and wanted[at] not in self._first_of_signs:
                    at += 1
            else:
                at += len(self._vocabulary.symbols[token] or "")
        return numbers

    def _try(self, state: GrammarState, token: int) -> GrammarState | None:
        try:
            return self.advance(state, token)
        except ValueError:
            return None

    def _longest(self, state: GrammarState, wanted: str) -> tuple[int, GrammarState]:
        """Return the longest token that spells the next wanted symbols, and the state after it."""
        begin = state.length
        longest: tuple[int, GrammarState] | None = None
        for end in range(begin + 1, len(wanted) + 1):
            piece = wanted[begin:end]
            if piece not in self._vocabulary.prefixes:
                break
            for token in self._vocabulary.tokens.get(piece, ())[:1]:
                following = self._try(state, token)
                longest = (token, following) if following else longest
        if longest is None and self._vocabulary.unknown is not None:
            longest = (self._vocabulary.unknown, self.advance(state, self._vocabulary.unknown))
        if longest is None:
            raise ValueError(f"no token spells {wanted[begin : begin + 20]!r}")
        return longest


def _within_word(before: str, after: str) -> bool:
    return all((c.isalnum() or unicodedata.combining(c)) and not _ALONE.match(c) for c in (before, after))


def _core(path: _Path) -> tuple[object, ...]:
    """Return the part of a path that determines its continuations."""
    return path.at, path.opened, path.closing, path.pending, path.fresh
