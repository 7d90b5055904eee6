"""The shape `dice`: a sentence for each type, with its mentions (DICE: Ma et al. 2023; Monajatipoor et al. 2024).

`Entity type is problem. {definition} Entity is a [SEP] b. Entity type is treatment. {definition} Entity is <entity>.`
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from biomark.entity_types import entity_types, label
from biomark.marks import type_named
from biomark.shapes.strings import ListedString, Listing
from biomark.spans import Span

_NONE = "<entity>"
_TYPE = re.compile(r"\bentity type is\b[ \t]*:?[ \t]*", re.IGNORECASE)
NOTHING = f"Entity is {_NONE}."
"""The end of an answer without any entity."""
_BEGIN = re.compile(r"\bentity is\b[ \t]*:?[ \t]*", re.IGNORECASE)
# Word tokenizers put blanks around punctuation, hence the optional blanks.
_SEPARATOR = re.compile(r"\[ ?SEP ?\]", re.IGNORECASE)
_NONE_READ = re.compile(r"< ?entity ?>", re.IGNORECASE)
_NO_LIST = "the answer is not a list of mentions"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def dice(wording: Mapping[str, tuple[str, str]]) -> Listing:
    """Return the shape with other labels and definitions of types.

    Args:
        wording: the label, and the definition or "", by type; other types have biomark's.
    """

    def name(entity_type: str) -> str:
        own = wording[entity_type][0] if entity_type in wording else label(entity_type)
        return label(entity_type) if _TYPE.search(own) or _BEGIN.search(own) else own

    def head(entity_type: str) -> str:
        known = entity_types().get(entity_type)
        definition = wording[entity_type][1] if entity_type in wording else known.definition if known else ""
        # A definition must not contain the words that begin a part of the answer.
        if not definition or _BEGIN.search(definition) or _TYPE.search(definition):
            return f"Entity type is {name(entity_type)}."
        return f"Entity type is {name(entity_type)}. {_capital(definition.rstrip('.'))}."

    def write(listed: Mapping[str, Sequence[str]]) -> str:
        return " ".join(
            f"{head(entity_type)} Entity is {' [SEP] '.join(listed[entity_type]) or _NONE}." for entity_type in listed
        )

    def read(answer: str, types: Sequence[str]) -> tuple[list[ListedString], str]:
        return _read(answer, types, name)

    def ask(types: Sequence[str]) -> str:
        heads = " ".join(f"{head(entity_type)} Entity is {_NONE}." for entity_type in types)
        return (
            f"Answer in one line, in the form: {heads}\n"
            f"In the place of {_NONE} quote all entities of the type from the passage, with [SEP] between them: "
            f"first entity [SEP] second entity. If there is none of a type, leave {_NONE} there."
        )

    return Listing(
        "dice", write=write, read=read, ask=ask, question=_question, single=False, one_message=True, ends="\nPassage:"
    )


def _question(text: str, types: Sequence[str]) -> tuple[str, ...]:
    return (f"Passage: {text}\nOutput:",)


def _read(answer: str, types: Sequence[str], name: Callable[[str], str]) -> tuple[list[ListedString], str]:
    """Return the items of an answer, and the problem with its form, or "" if there is none."""
    heads = list(_TYPE.finditer(answer))
    ends = [*(head.start() for head in heads[1:]), len(answer)]
    items: list[ListedString] = []
    seen = set()
    for head, end in zip(heads, ends, strict=False):
        entity_type = _type(answer[head.end() : end], types, name)
        if begin := _BEGIN.search(answer, head.end(), end):
            listed = _listed(entity_type, answer, begin.end(), end)
            items += listed or []
            seen |= set() if listed is None else {entity_type}
    if not heads and len(types) == 1:
        begin = _BEGIN.search(answer)
        listed = _listed(types[0], answer, begin.end() if begin else 0, len(answer))
        items = listed or []
        seen |= {types[0]} if begin and listed is not None else set()
    missing = [name(entity_type) for entity_type in types if entity_type not in seen]
    if len(missing) == len(types):
        return items, _NO_LIST
    return items, f"the answer has no part about {', '.join(missing)}" if missing else ""


def _type(part: str, types: Sequence[str], name: Callable[[str], str]) -> str:
    """Return the type at the beginning of a part of an answer, or the answer's own name for it if it is unknown."""
    for entity_type in sorted(types, key=lambda entity_type: -len(name(entity_type))):
        if re.match(rf"{re.escape(name(entity_type))} ?\.", part, re.IGNORECASE):
            return entity_type
    own_name = re.split(r"[.\n]", part, maxsplit=1)[0].strip()
    return type_named(own_name, types) or own_name


def _listed(entity_type: str, answer: str, start: int, end: int) -> list[ListedString] | None:
    """Return the items of a list that ends with its line; None if the list is empty without an explicit `<entity>`."""
    start += len(answer[start:end]) - len(answer[start:end].lstrip())
    line = answer[start:end].partition("\n")[0].rstrip()
    if _NONE_READ.fullmatch(line.removesuffix(".").rstrip()):
        return []
    items = []
    at, stop = start, start + len(line.removesuffix("."))
    for separator in (*_SEPARATOR.finditer(answer, start, stop), None):
        until, after = separator.span() if separator else (stop, start + len(line))
        text = answer[at:until].strip()
        if text and not _NONE_READ.fullmatch(text):
            first = answer.index(text, at)
            items.append(ListedString(entity_type, text, Span(first, after)))
        at = after
    return items or None


DICE = dice({})
