"""The shape `prompt-ner`: candidates of one type, each with a verdict and a reason (PromptNER: Ashok & Lipton 2023)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from biomark.entity_types import label
from biomark.shapes.base import Encoded
from biomark.shapes.signs import unfenced
from biomark.shapes.strings import ListedString, Listing
from biomark.spans import Entity, Span

_NUMBER = re.compile(r"\s*(?:\d+[.)]|[-*•])\s+")
_VERDICT = re.compile(
    r"(?:\||\s[-–—]+\s|:\s)\s*[*_`\"'(]*(?P<verdict>true|false|yes|no)[*_`\"')]*\s*(?:\Z|[|.,;:(–—-])", re.IGNORECASE
)
_TRUE = ("true", "yes")
_QUOTES = (("**", "**"), ("`", "`"), ('"', '"'), ("“", "”"))
_NONE = "none"
_NOTHING = (_NONE, "none.", "no candidates", "no candidates.", "there are no candidates.")


def _line(number: int, string: str, entity_type: str, *, wanted: bool) -> str:
    return f"{number}. {string} | {wanted} | as it is a {label(entity_type)}"


def _candidate(line: str) -> tuple[str, bool] | None:
    """Return the candidate of a line and whether its verdict is positive; None for a line without a verdict."""
    verdict = _VERDICT.search(line)
    if verdict is None:
        return None
    number = _NUMBER.match(line)
    string = line[number.end() if number else 0 : verdict.start()].strip().removeprefix("|").strip()
    for before, after in _QUOTES:
        if string.startswith(before) and string.endswith(after) and len(string) > len(before + after):
            string = string[len(before) : -len(after)]
    return string, verdict["verdict"].casefold() in _TRUE


def _holds(string: str, entity_type: str) -> bool:
    """Return whether a mention can be read back from the line that is written for it."""
    return "\n" not in string and _candidate(_line(1, string, entity_type, wanted=True)) == (string, True)


def _write(listed: Mapping[str, Sequence[str]]) -> str:
    ((entity_type, strings),) = listed.items()
    held = [string for string in strings if _holds(string, entity_type)]
    return "\n".join(_line(n, string, entity_type, wanted=True) for n, string in enumerate(held, 1)) or _NONE


def _read(answer: str, types: Sequence[str]) -> tuple[list[ListedString], str]:
    lines = [line for line in unfenced(answer).split("\n") if line.strip()]
    if len(lines) == 1 and lines[0].strip().casefold() in _NOTHING:
        return [], ""
    candidates = [_candidate(line) for line in lines]
    # Lines without a number are the model's introduction or closing words.
    open_ones = [
        line for line, candidate in zip(lines, candidates, strict=True) if not candidate and _NUMBER.match(line)
    ]
    at = 0
    items = []
    for line, candidate in zip(lines, candidates, strict=True):
        at = answer.find(line, at)
        if candidate and candidate[1] and candidate[0]:
            items.append(ListedString(types[0], candidate[0], _place(line, candidate[0], at)))
        at += len(line)
    return items, "" if any(candidates) and not open_ones else "the answer is not a list of mentions"


def _place(line: str, string: str, at: int) -> Span:
    """Return the span from the candidate to the end of its verdict, for a line that begins at offset `at`."""
    verdict = _VERDICT.search(line)
    return Span(max(0, line.find(string)), verdict.end("verdict") if verdict else len(line)).shift(at)


def _ask(types: Sequence[str]) -> str:
    entity_type = types[0]
    return (
        "List the candidates in the text, quoted as they stand there, each on a line of its own with a number, "
        f"whether it is a {label(entity_type)}, and the reason:\n"
        f"1. first candidate | True | as it is a {label(entity_type)}\n"
        f"2. second candidate | False | as it is something else\n"
        f"If there are none, write: {_NONE}"
    )


@dataclass(frozen=True, slots=True)
class Candidates(Listing):
    """The shape; in demonstrations, mentions of other types are candidates with a negative verdict."""

    def encode(self, text: str, entities: Iterable[Entity], types: Sequence[str]) -> Encoded:
        """See `Listing.encode`."""
        entities = tuple(entities)
        encoded = Listing.encode(self, text, entities, types)
        wanted = {item.text: item.type for item in _read(encoded.text, types)[0]}
        here = {entity.mention(text) for entity in entities if entity.type in types}
        others = {e.mention(text): e.type for e in entities if len(e.spans) == 1 and e.type not in types}
        unwanted = {
            string: entity_type
            for string, entity_type in others.items()
            if string not in here and _holds(string, entity_type)
        }
        rows = sorted((wanted | unwanted).items(), key=lambda row: (text.find(row[0]), row))
        lines = [
            _line(n, string, entity_type, wanted=string in wanted) for n, (string, entity_type) in enumerate(rows, 1)
        ]
        return Encoded("\n".join(lines) or encoded.text, encoded.left_out)


PROMPT_NER = Candidates("prompt-ner", write=_write, read=_read, ask=_ask)
