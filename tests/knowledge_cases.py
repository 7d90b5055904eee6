"""Reading sources in tests, and small files that they share."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from biomark.errors import KnowledgeError
from biomark.formats import Reject
from biomark.knowledge.entries import Description, Entry, Name
from biomark.knowledge.sources import open_source
from biomark.spans import Rejected


@dataclass
class Terms:
    """A source in memory, which may break off."""

    given: Sequence[Entry]
    name: str = "mine.tsv"
    broken: bool = False
    left_out: Counter[str] = field(default_factory=Counter)

    def entries(self, reject: Reject) -> Iterator[Entry]:
        yield from self.given
        if self.broken:
            reject(Rejected("a line is cut off", source=self.name, line=3))
            raise KnowledgeError(f"{self.name}: ends in the middle")

    @property
    def description(self) -> Description:
        return Description(self.name, "table", version="2026", licence="CC0")

    def position(self) -> int:
        return len(self.given)


def entry(identifier: str, type: str | None, *names: str, count: int = 0) -> Entry:
    return Entry(identifier, type, tuple(Name(name, count=count) for name in names))


def read(path: Path | str, format: str | None = None) -> tuple[list[Entry], list[Rejected]]:
    rejected: list[Rejected] = []
    return list(open_source(str(path), format).entries(rejected.append)), rejected


def merged(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Entries added up, as a store does it."""
    found: dict[str, Entry] = {}
    for entry in entries:
        old = found.get(entry.identifier, Entry(entry.identifier))
        found[entry.identifier] = Entry(
            entry.identifier,
            old.type or entry.type or ("" if "" in (old.type, entry.type) else None),
            old.names + entry.names,
            old.definition or entry.definition,
            old.links + entry.links,
            old.taxon or entry.taxon,
            old.semantic_types or entry.semantic_types,
        )
    return found


def write(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


MESH = """<?xml version="1.0"?>
<!DOCTYPE DescriptorRecordSet SYSTEM "https://www.nlm.nih.gov/databases/dtd/nlmdescriptorrecordset_20250101.dtd">
<DescriptorRecordSet LanguageCode="eng">
{}
</DescriptorRecordSet>
"""


def term(text: str, *, record: str = "N", tag: str = "NON") -> str:
    attributes = f'ConceptPreferredTermYN="N" IsPermutedTermYN="N" LexicalTag="{tag}" RecordPreferredTermYN="{record}"'
    return f"<Term {attributes}><TermUI>T1</TermUI><String>{text}</String></Term>"


def concept(*terms: str, preferred: str = "Y", facts: str = "") -> str:
    name = "<ConceptName><String>not a term</String></ConceptName>"
    return f'<Concept PreferredConceptYN="{preferred}">{name}{facts}<TermList>{"".join(terms)}</TermList></Concept>'


def descriptor(identifier: str, trees: str, *concepts: str) -> str:
    numbers = "".join(f"<TreeNumber>{number}</TreeNumber>" for number in trees.split())
    return (
        f'<DescriptorRecord DescriptorClass="1"><DescriptorUI>{identifier}</DescriptorUI>'
        "<DescriptorName><String>not a term</String></DescriptorName>"
        "<PharmacologicalActionList><PharmacologicalAction><DescriptorReferredTo><DescriptorUI>D9</DescriptorUI>"
        "</DescriptorReferredTo></PharmacologicalAction></PharmacologicalActionList>"
        f"<TreeNumberList>{numbers}</TreeNumberList><ConceptList>{''.join(concepts)}</ConceptList></DescriptorRecord>\n"
    )
