"""Corpora as sources: what annotators gave an identifier, with how often they did.

Any file that `biomark.formats` reads, or a split of the catalogue. The identifiers of a composite
mention, which names several concepts, are joined by bars (`A|B`). Mentions in several parts or without an
identifier name no concept as they stand: they are left out and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby

from biomark import corpora, formats
from biomark.entity_types import canonical as canonical_type
from biomark.formats import Reject
from biomark.identifiers import COMPOSITE, canonical
from biomark.knowledge.entries import Description, Entry, Kind, Name
from biomark.knowledge.sources.base import Format, Source, in_parts
from biomark.spans import Document

# The formats of annotated corpora that have identifiers; files of the others are no sources of terms.
_ANNOTATED = tuple(formats.FORMATS[name] for name in ("pubtator", "bioc_xml", "bioc_json", "brat", "jsonl"))
_HELD = 100_000  # different mentions counted before they are handed on

_Mention = tuple[str, str, str]  # identifier, type, text


def read(source: Source, reject: Reject) -> Iterator[Entry]:
    """Entries of an annotated corpus; see the module."""
    counts: Counter[_Mention] = Counter()
    for document in _documents(source, reject):
        counts.update(_mentions(document, source.left_out))
        if len(counts) >= _HELD:
            yield from _entries(counts)
            counts.clear()
    yield from _entries(counts)


def describe(source: Source) -> Description:
    """The catalogue's licence; a file says nothing of itself.

    Raises:
        UsageError: if the catalogue has no such split.
        CorpusError: if its files are not there.
    """
    if source.path.exists():
        return Description(source.path.name, FORMAT.name)
    corpus, splits = corpora.parse_split(source.name)
    for split in splits:
        corpora.locate(corpus, split)
    return Description(source.name, FORMAT.name, licence=corpus.licence)


def _documents(source: Source, reject: Reject) -> Iterator[Document]:
    if source.path.exists():
        return formats.read(source.file(), reject=reject)
    return corpora.read_split(source.name, reject=reject)


def _mentions(document: Document, left_out: Counter[str]) -> Iterator[_Mention]:
    for entity in document.entities:
        if not entity.ids:
            left_out["mentions without an identifier"] += 1
        elif len(entity.spans) > 1:
            left_out["mentions in several parts"] += 1
        else:
            type = canonical_type(entity.type)
            identifiers = sorted({canonical(id, type) for id in entity.ids})
            yield COMPOSITE.join(identifiers), type, " ".join(entity.mention(document.text).split())


def _entries(counts: Counter[_Mention]) -> Iterator[Entry]:
    for (identifier, type), mentions in groupby(sorted(counts), key=lambda mention: mention[:2]):
        names = tuple(Name(mention[2], Kind.MENTION, counts[mention]) for mention in mentions)
        yield from in_parts(Entry(identifier, type, names))


FORMAT = Format(
    "corpus",
    read,
    describe,
    sniff=lambda head: any(found.sniff(head) for found in _ANNOTATED if found.sniff),
    suffixes=(".pubtator", ".PubTator", ".ann", ".jsonl"),
)
