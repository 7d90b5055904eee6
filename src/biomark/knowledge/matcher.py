"""Names of a store in running text: leftmost-longest over normalised forms, with exact offsets.

A text's forms are walked along those of the store, which stays on disk: each step asks whether any
form begins with the words so far. So opening takes no time, memory does not grow with the store, and
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

# Entries; an entry of the first kind takes about 200 bytes, one of the second about 2 kB.
_STEPS, _FOUND = 1 << 16, 1 << 12
# Words of a text that a name in any order may take.
_WIDEST = 8
# Between two words with white space these signs part more than a name's words are parted, unless the name has them.
_SIGNS = re.compile(r"[,.;:!?()\[\]{}<>=|•…]|(?<=\s)[-–—](?=\s)")
_BLANK = re.compile(r"\s")
_BRACKETS = {")": "(", "]": "["}


@dataclass(frozen=True, slots=True)
class Match:
    """A place in a text that names a concept.

    Attributes:
        span: code points of the text.
        type: of the concepts.
        terms: the names with its form, the nearest first; at least one.
    """

    span: Span
    type: str
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class _Name:
    """What is needed of a name to compare it with a text.

    Attributes:
        term: the name.
        before, after: the signs before its first word and after its last one: `NAD+`.
        signs: see `_signs`.
        exact: its letters and digits, if they must be written so.
    """

    term: Term
    before: str
    after: str
    signs: str
    exact: str | None


_Names = Mapping[str, Sequence[_Name]]


class Matcher:
    """Finds the names of a store; of those of one type that overlap the leftmost, then the longest.

    Names of different types are found independently of each other. A match begins and ends where words of
    the text do, and lies within a sentence. What is between its words is white space, hyphens and the like;
    other signs only where the name has them. Cautions are heeded, see `biomark.knowledge.caution`.

    Args:
        store: is not closed.
        types: the types to look for; None: all that biomark or the user has a name for.
        others: look for the names of concepts of all other types as well; these matches have the type "".
        any_order: also names whose words stand in another order, or with small words between them
            (`cancer of the breast`).

    Raises:
        UsageError: if the store has nothing of a type.
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
        """The matches in a text, in its order.

        Args:
            text: any text.
            sentences: its sentences; None: by `biomark.text.sentences`.
        """
        found = [
            Match(match.span.shift(sentence.start), match.type, match.terms)
            for sentence in (split(text) if sentences is None else sentences)
            for match in self._in_sentence(sentence.of(text))
        ]
        return tuple(sorted(_beside(found), key=lambda match: (match.span, match.type)))

    def _in_sentence(self, text: str) -> Iterator[Match]:
        row = list(words(text))
        forms = [word.form for word in row]
        free = dict.fromkeys(self._types, 0)  # the first word that no match of a type has yet
        for begin, word in enumerate(row):
            if min(free.values(), default=begin + 1) > begin or _inside_word(text, word.start):
                continue
            for end, named in self._candidates(forms, begin):
                if _inside_word(text, row[end - 1].end):
                    continue
                for type, names in named.items():
                    if free[type] <= begin and (match := _match(text, row[begin:end], type, names)):
                        free[type] = end
                        yield match

    def _candidates(self, forms: Sequence[str], begin: int) -> Iterator[tuple[int, _Names]]:
        """Where the names that begin with a word end, and the names of each type, the longest first."""
        in_order = self._ends(forms, begin)
        longest = begin + _WIDEST if self._any_order else in_order[-1] if in_order else begin
        for end in range(min(longest, len(forms)), begin, -1):
            if end in in_order:
                yield end, self._by_form(" ".join(forms[begin:end]))
            if self._any_order and (key := self._key(forms[begin:end])) is not None:
                yield end, self._by_bag(key)

    def _ends(self, forms: Sequence[str], begin: int) -> list[int]:
        """Where the names end that begin with a word and have their words in order."""
        found: list[int] = []
        sought = forms[begin]
        for end in range(begin + 1, len(forms) + 1):
            there, whole = self._step(sought)
            if whole:
                found.append(end)
            if not there or end == len(forms):
                break
            sought = f"{sought} {forms[end]}"
        return found

    def _ask_step(self, form: str) -> tuple[bool, bool]:
        """Whether a form begins with these words, and whether they are one."""
        # A blank sorts before all that words are made of, so whatever goes on with one comes next.
        following = self._store.next_form(form)
        whole = following == form
        return whole or (following is not None and following.startswith(form + " ")), whole

    def _key(self, forms: Sequence[str]) -> str | None:
        """The bag of some words of a text, if names may have it."""
        large = [form for form in forms if form not in SMALL]
        if len(large) < 2 or forms[0] in SMALL or forms[-1] in SMALL or len(set(large)) < len(large):
            return None
        return bag(" ".join(large)) if all(map(self._known, large)) else None

    def _of_types(self, terms: Sequence[Term]) -> _Names:
        found: dict[str, list[_Name]] = {}
        for term in terms:
            if term.caution is not Caution.NEVER and term.concept.type in self._types:
                found.setdefault(term.concept.type, []).append(_name(term))
        return found


def _beside(matches: Sequence[Match]) -> Iterator[Match]:
    """The matches of a text without the names that need another name of their concept beside them and have none."""
    clear = {t.concept.identifier for m in matches for t in m.terms if t.caution is not Caution.BESIDE}
    for match in matches:
        kept = tuple(t for t in match.terms if t.caution is not Caution.BESIDE or t.concept.identifier in clear)
        if kept:
            yield match if len(kept) == len(match.terms) else replace(match, terms=kept)


def _name(term: Term) -> _Name:
    row = list(words(term.text))
    before, after = term.text[: row[0].start], term.text[row[-1].end :]
    exact = _written(term.text, row) if term.caution is not Caution.NONE else None
    return _Name(term, before, after, _signs(term.text, row), exact)


def _match(text: str, row: Sequence[Word], type: str, names: Sequence[_Name]) -> Match | None:
    """The match of some words, if any of the names may be meant by what is written there."""
    start, end = row[0].start, row[-1].end
    signs, written = _signs(text, row), _written(text, row)
    kept = [n for n in names if (not signs or n.signs == signs) and (n.exact is None or n.exact == written)]
    if not kept:
        return None
    start -= max((len(n.before) for n in kept if n.before and text.endswith(n.before, 0, start)), default=0)
    end += max((len(n.after) for n in kept if n.after and _goes_on(text, end, n.after)), default=0)
    return Match(Span(start, _closed(text, start, end)), type, tuple(name.term for name in kept))


def _goes_on(text: str, end: int, after: str) -> bool:
    return text.startswith(after, end) and not _inside_word(text, end + len(after))


def _signs(text: str, row: Sequence[Word]) -> str:
    """What parts the words more than hyphens and the like do: the signs, and how many words are before each."""
    found = ""
    for place, (one, next) in enumerate(pairwise(row), 1):
        # Without white space a sign parts nothing: alpha(1)-antitrypsin
        if next.start - one.end > 1 and _BLANK.search(gap := text[one.end : next.start]):
            found += "".join(f"{place}{sign}" for sign in _SIGNS.findall(gap))
    return found


def _written(text: str, row: Sequence[Word]) -> str:
    """The letters and digits of some words, without accents, and singular: `RCCs` is written like `RCC`."""
    written = "".join([text[word.start : word.end] for word in row])
    if not written.isascii():
        written = "".join(c for c in unicodedata.normalize("NFKD", written) if not unicodedata.combining(c))
    return written.removesuffix("s")


def _closed(text: str, start: int, end: int) -> int:
    """The end of a match, together with the bracket that closes one in it: `poly(ADP-ribose)`."""
    last = text[end : end + 1]
    opened = _BRACKETS.get(last)
    return end + 1 if opened and text.count(opened, start, end) > text.count(last, start, end) else end


def _inside_word(text: str, place: int) -> bool:
    """Whether a place is between two letters, digits or accents."""
    return 0 < place < len(text) and _joins(text[place - 1]) and _joins(text[place])


def _joins(character: str) -> bool:
    return character.isalnum() or (not character.isascii() and unicodedata.category(character).startswith("M"))
