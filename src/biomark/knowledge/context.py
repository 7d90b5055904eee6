"""The context that a document gives its mentions: long forms, identifiers of other mentions, species."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from biomark.spans import Document
from biomark.text.abbreviations import abbreviations


@dataclass(frozen=True, slots=True)
class DocumentContext:
    """The context of the mentions in a document.

    Attributes:
        long_forms: short form → long form, for each abbreviation that the document defines.
        known: entity type → the identifiers of the document's unambiguous mentions.
        taxa: the species that the document names, the likeliest for the mention first.
    """

    long_forms: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, frozenset[str]] = field(default_factory=dict)
    taxa: tuple[str, ...] = ()

    @classmethod
    def of(cls, document: Document) -> DocumentContext:
        """Return the context of a document: the long forms that its text or its mentions `long (short)` define."""
        defined = {a.short.of(document.text): a.long.of(document.text) for a in abbreviations(document.text)}
        for short, long in _appositions(document):
            defined.setdefault(short, long)
        plurals = {f"{short}s": long for short, long in defined.items()}
        return cls({**plurals, **defined})

    def spelled_out(self, mention: str) -> str | None:
        """Return the mention with short forms replaced by their long forms; None if it contains no short form."""
        if mention in self.long_forms:
            return self.long_forms[mention]
        if not any(short in mention for short in self.long_forms):
            return None
        either = "|".join(re.escape(short) for short in sorted(self.long_forms, key=len, reverse=True))
        changed = re.sub(rf"(?<!\w)(?:{either})(?!\w)", lambda match: self.long_forms[match.group()], mention)
        return changed if changed != mention else None


def _appositions(document: Document) -> Iterator[tuple[str, str]]:
    """Yield the short and the long form of each pair of mentions `long (short)` of one type, whatever their letters."""
    entities = sorted(document.entities, key=lambda entity: entity.start)
    for before, inside in pairwise(entities):
        between = document.text[before.end : inside.start]
        if between.strip() == "(" and document.text[inside.end : inside.end + 1] == ")" and before.type == inside.type:
            short, long = inside.mention(document.text), before.mention(document.text)
            if len(short) < len(long):
                yield short, long
