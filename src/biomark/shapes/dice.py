"""One type's mentions in a sentence: `Entity type is Disease. … Entity is e1 [SEP] e2.` (DICE: Ma et al. 2023)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from biomark.entity_types import entity_types, label
from biomark.shapes.strings import Listing

_NONE = "<entity>"
NOTHING = f"Entity is {_NONE}."
"""How an answer ends that lists no entity."""
_BEGIN = re.compile(r"\bentity is\b[ \t]*:?[ \t]*", re.IGNORECASE)
# Tokenizers of words put blanks around signs
_SEPARATOR = re.compile(r"\[ ?SEP ?\]", re.IGNORECASE)
_NONE_READ = re.compile(r"< ?entity ?>", re.IGNORECASE)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _read(answer: str) -> tuple[list[str], bool]:
    begin = _BEGIN.search(answer)
    rest = answer[begin.end() :] if begin else answer.strip()
    line = rest.partition("\n")[0].strip().removesuffix(".").rstrip()
    strings = [stripped for string in _SEPARATOR.split(line) if (stripped := string.strip())]
    if begin and len(strings) == 1 and _NONE_READ.fullmatch(strings[0]):
        return [], True
    return [string for string in strings if not _NONE_READ.fullmatch(string)], bool(begin and strings)


def dice(said: Mapping[str, tuple[str, str]]) -> Listing:
    """The shape with other words.

    Args:
        said: the label and the definition, or "", of types; of others what biomark says.
    """

    def head(type: str) -> str:
        known = entity_types().get(type)
        name, definition = said.get(type, (label(type), known.definition if known else ""))
        whole = f"Entity type is {_capital(name)}." + (f" {_capital(definition.rstrip('.'))}." if definition else "")
        # What begins the answer must not stand before it
        return f"Entity type is {_capital(label(type))}." if _BEGIN.search(whole) else whole

    def write(type: str, strings: Sequence[str]) -> str:
        return f"{head(type)} Entity is {' [SEP] '.join(strings) or _NONE}."

    def ask(type: str) -> str:
        return (
            f"{head(type)}\nAnswer with one sentence that quotes all entities of this type from the text: "
            f"Entity is first entity [SEP] second entity. If there is none: Entity is {_NONE}."
        )

    return Listing("dice", write=write, read=_read, ask=ask)


DICE = dice({})
