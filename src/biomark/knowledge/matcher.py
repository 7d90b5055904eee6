"""Find the names of a store in running text: leftmost-longest matches of normalised forms, with exact offsets.

The matcher extends a sequence of words as long as a form of the store begins with it; each step is one query to
the store, which stays on disk. So opening a matcher takes no time, memory does not grow with the store, and
processes share its pages.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

from biomark.entity_types import types_wanted
from biomark.knowledge.caution import Caution
from biomark.knowledge.forms import SMALL, Word, bag, words
from biomark.knowledge.store import Store, Term
from biomark.spans import Span
from biomark.text.sentences import split

# Cache entries; an entry of the first cache takes about 200 bytes, one of the second about 2 kB.
_STEPS, _FOUND = 1 << 16, 1 << 12
# The largest number of words of a text that a name in any order may span.
_WIDEST = 8
# These signs, beside white space, separate the words of different names, unless the name itself has them.
_SIGNS = re.compile(r"[,.;:!?()\[\]{}<>=|•…]|(?<=\s)[-–—](?=\s)")
_BLANK = re.compile(r"\s")
_BRACKETS = {")": "(", "]": "["}


@dataclass(frozen=True, slots=True)
class Match:
    """A mention of a name in a text.

    Attributes:
        span: the code points of the text.
        type: the entity type of the concepts.
        terms: the matching names, the closest first; at least one.
    """

    span: Span
    type: str
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class _NameFeatures:
    """A name with the features that are compared with a text.

    Attributes:
        term: the name.
        before: the signs before its first word.
        after: the signs after its last word, such as `+` of `NAD+`.
        signs: the signs between its words, see `_signs`.
        exact: its letters and digits, if the text must have the same ones; otherwise None.
    """

    term: Term
    before: str
    after: str
    signs: str
    exact: str | None


_Names = Mapping[str, Sequence[_NameFeatures]]


class Matcher:
    """Find the names of a store in texts; of overlapping matches of one type, the leftmost, then the longest.

    Names of different types are matched independently. A match begins and ends at word boundaries and lies
    within a sentence. Its words are separated by white space, hyphens and the like, and by other signs only
    where the name has them. Cautions apply, see `biomark.knowledge.caution`.

    Args:
        store: an open store, which the matcher does not close.
        types: the types to match; None: all types that have a name of biomark's or the user's.
        others: match concepts of all other types as well; these matches have the type "".
        any_order: also match names whose words are in another order, or have small words between them
            (`cancer of the breast`).

    Raises:
        UsageError: if the store has no concept of one of the types.
    """

    def __init__(
        self, store: Store, types: Sequence[str] | None = None, *, any_order: bool = False, others: bool = False
    ) -> None:
        self._store = store
        self._types = (*types_wanted(types, store.types), *(("",) if others else ()))
        self._any_order = any_order
        self._step = lru_cache(_STEPS)(self._ask_step)
        self._known = lru_cache(_STEPS)(store.has_word)
        self._by_form = lru_cache(_FOUND)(lambda form: self._of_types(store.by_form(form)))
        self._by_bag = lru_cache(_FOUND)(lambda bag: self._of_types(store.by_bag(bag)))

    def find(self, text: str, sentences: Sequence[Span] | None = None) -> tuple[Match, ...]:
        """Return the matches in a text, in text order.

        Args:
            text: any text.
            sentences: the spans of its sentences; None: split by `biomark.text.sentences`.
        """
        matches = [
            Match(match.span.shift(sentence.start), match.type, match.terms)
            for sentence in (split(text) if sentences is None else sentences)
            for match in self._in_sentence(sentence.of(text))
        ]
        return tuple(sorted(_beside(matches), key=lambda match: (match.span, match.type)))

    def _in_sentence(self, text: str) -> Iterator[Match]:
        row = list(words(text))
        forms = [word.form for word in row]
        free = dict.fromkeys(self._types, 0)  # entity type → the index of the first word after its last match
        for begin, word in enumerate(row):
            if min(free.values(), default=begin + 1) > begin or _inside_word(text, word.start):
                continue
            for end, named in self._candidates(forms, begin):
                if _inside_word(text, row[end - 1].end):
                    continue
                for entity_type, names in named.items():
                    if free[entity_type] <= begin and (match := _match(text, row[begin:end], entity_type, names)):
                        free[entity_type] = end
                        yield match

    def _candidates(self, forms: Sequence[str], begin: int) -> Iterator[tuple[int, _Names]]:
        """Yield the names that begin at a word as (index after the last word, names by type), the longest first."""
        in_order = self._ends(forms, begin)
        longest = begin + _WIDEST if self._any_order else in_order[-1] if in_order else begin
        for end in range(min(longest, len(forms)), begin, -1):
            if end in in_order:
                yield end, self._by_form(" ".join(forms[begin:end]))
            if self._any_order and (key := self._key(forms[begin:end])) is not None:
                yield end, self._by_bag(key)

    def _ends(self, forms: Sequence[str], begin: int) -> list[int]:
        """Return the indices after the last word of the names that begin at a word, with their words in order."""
        ends: list[int] = []
        sought = forms[begin]
        for end in range(begin + 1, len(forms) + 1):
            there, whole = self._step(sought)
            if whole:
                ends.append(end)
            if not there or end == len(forms):
                break
            sought = f"{sought} {forms[end]}"
        return ends

    def _ask_step(self, form: str) -> tuple[bool, bool]:
        """Return whether a form of the store begins with these words, and whether a form equals them."""
        # A blank sorts before letters and digits, so the next form is one that continues these words, if any does.
        following = self._store.next_form(form)
        whole = following == form
        return whole or (following is not None and following.startswith(form + " ")), whole

    def _key(self, forms: Sequence[str]) -> str | None:
        """Return the bag of some words of a text; None if no name can have it."""
        large = [form for form in forms if form not in SMALL]
        if len(large) < 2 or forms[0] in SMALL or forms[-1] in SMALL or len(set(large)) < len(large):
            return None
        return bag(" ".join(large)) if all(map(self._known, large)) else None

    def _of_types(self, terms: Sequence[Term]) -> _Names:
        names: dict[str, list[_NameFeatures]] = {}
        for term in terms:
            if term.caution is not Caution.NEVER and term.concept.type in self._types:
                names.setdefault(term.concept.type, []).append(_name(term))
        return names


def _beside(matches: Sequence[Match]) -> Iterator[Match]:
    """Yield the matches without names of `Caution.BESIDE` whose concept has no other name in the text."""
    clear = {t.concept.identifier for m in matches for t in m.terms if t.caution is not Caution.BESIDE}
    for match in matches:
        kept = tuple(t for t in match.terms if t.caution is not Caution.BESIDE or t.concept.identifier in clear)
        if kept:
            yield match if len(kept) == len(match.terms) else replace(match, terms=kept)


def _name(term: Term) -> _NameFeatures:
    row = list(words(term.text))
    before, after = term.text[: row[0].start], term.text[row[-1].end :]
    exact = _written(term.text, row) if term.caution is not Caution.NONE else None
    return _NameFeatures(term, before, after, _signs(term.text, row), exact)


def _match(text: str, row: Sequence[Word], entity_type: str, names: Sequence[_NameFeatures]) -> Match | None:
    """Return the match of some words of a text; None if signs or spelling exclude all of the names."""
    start, end = row[0].start, row[-1].end
    signs, written = _signs(text, row), _written(text, row)
    kept = [n for n in names if (not signs or n.signs == signs) and (n.exact is None or n.exact == written)]
    if not kept:
        return None
    start -= max((len(n.before) for n in kept if n.before and text.endswith(n.before, 0, start)), default=0)
    end += max((len(n.after) for n in kept if n.after and _goes_on(text, end, n.after)), default=0)
    return Match(Span(start, _closed(text, start, end)), entity_type, tuple(name.term for name in kept))


def _goes_on(text: str, end: int, after: str) -> bool:
    return text.startswith(after, end) and not _inside_word(text, end + len(after))


def _signs(text: str, row: Sequence[Word]) -> str:
    """Return the signs that separate words more than hyphens do, each after the number of words before it."""
    signs = ""
    for place, (word, following) in enumerate(pairwise(row), 1):
        # Without white space a sign does not separate words: alpha(1)-antitrypsin
        if following.start - word.end > 1 and _BLANK.search(gap := text[word.end : following.start]):
            signs += "".join(f"{place}{sign}" for sign in _SIGNS.findall(gap))
    return signs


def _written(text: str, row: Sequence[Word]) -> str:
    """Return the letters and digits of some words, without accents and a final `s`: `RCCs` equals `RCC`."""
    written = "".join([text[word.start : word.end] for word in row])
    if not written.isascii():
        written = "".join(c for c in unicodedata.normalize("NFKD", written) if not unicodedata.combining(c))
    return written.removesuffix("s")


def _closed(text: str, start: int, end: int) -> int:
    """Return the end of a match, extended by the bracket that closes one inside the match: `poly(ADP-ribose)`."""
    last = text[end : end + 1]
    opened = _BRACKETS.get(last)
    return end + 1 if opened and text.count(opened, start, end) > text.count(last, start, end) else end


def _inside_word(text: str, place: int) -> bool:
    """Return whether an offset is between two letters, digits or accents."""
    return 0 < place < len(text) and _joins(text[place - 1]) and _joins(text[place])


def _joins(character: str) -> bool:
    return character.isalnum() or (not character.isascii() and unicodedata.category(character).startswith("M"))
