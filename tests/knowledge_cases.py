"""Reading sources in tests, and small files that they share."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path

from biomark.knowledge.entries import Entry
from biomark.knowledge.sources import open_source
from biomark.spans import Rejected


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
            old.type or entry.type,
            old.names + entry.names,
            old.definition or entry.definition,
            old.links + entry.links,
            old.taxon or entry.taxon,
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
