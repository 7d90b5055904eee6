"""What a document says of its mentions: long forms, what others of them are, species."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from biomark.spans import Document
from biomark.text.abbreviations import abbreviations


@dataclass(frozen=True, slots=True)
class DocumentContext:
    """What a document says of its mentions.

    Attributes:
        long_forms: short forms that it defines → their long forms.
        known: for each type the identifiers that some of its mentions clearly have.
        taxa: the species that it names, the likeliest for the mention first.
    """

    long_forms: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, frozenset[str]] = field(default_factory=dict)
    taxa: tuple[str, ...] = ()

    @classmethod
    def of(cls, document: Document) -> DocumentContext:
        """The long forms that a document defines, in its text or by two mentions: `long (short)`."""
        defined = {a.short.of(document.text): a.long.of(document.text) for a in abbreviations(document.text)}
        for short, long in _appositions(document):
            defined.setdefault(short, long)
        plurals = {f"{short}s": long for short, long in defined.items()}
        return cls({**plurals, **defined})

    def spelled_out(self, mention: str) -> str | None:
        """The mention with its short forms replaced by the long ones; None if it has none."""
        if mention in self.long_forms:
            return self.long_forms[mention]
        if not any(short in mention for short in self.long_forms):
            return None
        either = "|".join(re.escape(short) for short in sorted(self.long_forms, key=len, reverse=True))
        changed = re.sub(rf"(?<!\w)(?:{either})(?!\w)", lambda found: self.long_forms[found.group()], mention)
        return changed if changed != mention else None


def _appositions(document: Document) -> Iterator[tuple[str, str]]:
    """Pairs of mentions of one type, `long (short)`, whatever their letters."""
    entities = sorted(document.entities, key=lambda entity: entity.start)
    for before, inside in pairwise(entities):
        between = document.text[before.end : inside.start]
        if between.strip() == "(" and document.text[inside.end : inside.end + 1] == ")" and before.type == inside.type:
            short, long = inside.mention(document.text), before.mention(document.text)
            if len(short) < len(long):
                yield short, long
