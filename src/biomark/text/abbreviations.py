"""Find the short forms that a text defines, such as `cystic fibrosis (CF)`.

The algorithm is that of Schwartz and Hearst (2003, Pacific Symposium on Biocomputing 8, 451-462): the text in
parentheses and the text before them are a short and a long form, in either order, if the characters of the short
form occur in the long one from right to left, and the first one begins a word. This module also reads lists of
abbreviations (`CF: cystic fibrosis; MI = myocardial infarction`), which the paper does not cover.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from biomark.spans import Span

_BRACKETS = re.compile(r"[(\[]([^()\[\]]{2,200})[)\]]")
_SENTENCE_END = re.compile(r"[.;:!?]\s|[()\[\]]|\n\s*\n")
_WORD = re.compile(r"\S+")
# Text that may follow a short form inside its parentheses: (CF; see below), (CF, also mucoviscidosis)
_REST = re.compile(r"\s*[;,]\s.*|\s+or\s.*", re.DOTALL)
# An entry of a list of abbreviations, up to the end of its line or the next entry.
_ENTRY = re.compile(
    r"(?:^|(?<=[\n;,.])[ \t]{0,9})(?:abbreviations?:[ \t]{0,9})?(\w[\w-]{1,9})[ \t]{0,9}[:=]"
    r"[ \t]{0,9}([^\n:=;,.()]{4,100})(?=[\n;,.]|$)",
    re.IGNORECASE,
)
_SHORT_CHARACTERS = 10
_SHORT_WORDS = 2


@dataclass(frozen=True, slots=True)
class Abbreviation:
    """The spans of a short form and of the long form that defines it."""

    short: Span
    long: Span


def abbreviations(text: str) -> tuple[Abbreviation, ...]:
    """Return the definitions in a text, ordered by the short form.

    Args:
        text: any number of sentences.
    """
    return tuple(sorted([*_in_brackets(text), *_listed(text)], key=lambda definition: definition.short.start))


def _listed(text: str) -> Iterator[Abbreviation]:
    """Yield the entries of lists: a short form with at least two capitals, and the whole phrase after `:` or `=`."""
    for entry in _ENTRY.finditer(text):
        short, phrase = entry[1], Span(entry.start(2), _end_of_words(text, entry.end(2)))
        if sum(character.isupper() for character in short) < 2:
            continue
        long = _long_form(text, short, phrase.start, phrase.end)
        if long == phrase:
            yield Abbreviation(Span(entry.start(1), entry.end(1)), long)


def _in_brackets(text: str) -> Iterator[Abbreviation]:
    for bracket in _BRACKETS.finditer(text):
        inside = _trimmed(text, bracket.start(1), bracket.end(1))
        if inside is None:
            continue
        first = _trimmed(text, inside.start, inside.start + len(_REST.sub("", inside.of(text))))
        if first is not None and _is_short(first.of(text)):
            long = _long_form(text, first.of(text), _start_before(text, bracket.start(), first), bracket.start())
            if long is not None:
                yield Abbreviation(first, long)
                continue
        before = _word_before(text, bracket.start())
        if before is not None and _is_short(before.of(text)):
            long = _long_form(text, before.of(text), inside.start, inside.end)
            if long is not None:
                yield Abbreviation(before, long)


def _is_short(form: str) -> bool:
    """Return whether a string may be a short form.

    A short form has 2 to 10 characters, at most two words, at least one letter, and begins with a letter or digit.
    """
    return (
        2 <= len(form) <= _SHORT_CHARACTERS
        and len(form.split()) <= _SHORT_WORDS
        and form[0].isalnum()
        and any(character.isalpha() for character in form)
    )


def _trimmed(text: str, start: int, end: int) -> Span | None:
    """Return the span without white space and quotation marks at its ends; None if nothing remains."""
    while start < end and (text[start].isspace() or text[start] in "\"'"):
        start += 1
    while start < end and (text[end - 1].isspace() or text[end - 1] in "\"'"):
        end -= 1
    return Span(start, end) if start < end else None


def _end_of_words(text: str, end: int) -> int:
    """Return the offset moved back over the white space before it."""
    while end > 0 and text[end - 1].isspace():
        end -= 1
    return end


def _word_before(text: str, end: int) -> Span | None:
    """Return the span of the last word before an offset, or None."""
    stop = _end_of_words(text, end)
    start = max((match.end() for match in re.finditer(r"\s", text[max(0, stop - 50) : stop])), default=0)
    return _trimmed(text, max(0, stop - 50) + start, stop)


def _start_before(text: str, end: int, short: Span) -> int:
    """Return the offset where a long form may begin: min(n + 5, 2 n) words back for a short form of n characters."""
    limit = max(0, end - 300)
    for match in _SENTENCE_END.finditer(text, limit, end):
        limit = match.end()
    places = [match.start() for match in _WORD.finditer(text, limit, end)]
    words = min(len(short) + 5, len(short) * 2)
    return places[-words] if len(places) >= words else (places[0] if places else end)


def _long_form(text: str, short: str, start: int, end: int) -> Span | None:
    """Return the shortest span up to `end` with the short form's characters, as in the paper's listing, or None."""
    end = _end_of_words(text, end)
    place = end - 1
    for index in range(len(short) - 1, -1, -1):
        wanted = short[index].casefold()
        if not wanted.isalnum():
            continue
        while place >= start and (
            text[place].casefold() != wanted or (index == 0 and place > start and text[place - 1].isalnum())
        ):
            place -= 1
        if place < start:
            return None
        place -= 1
    place += 1
    long = _trimmed(text, place, end)
    # As in the paper, a long form is longer than its short form and does not contain it as a word.
    if long is None or len(long) <= len(short) or short in long.of(text).split():
        return None
    return long
