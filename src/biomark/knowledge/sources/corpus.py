"""Corpora as sources: mentions with identifiers, and their frequencies.

A source is a file that `biomark.formats` reads, or a split of the catalogue. The identifiers of a composite
mention, which names several concepts, are joined by bars (`A|B`). Discontinuous mentions and mentions without
an identifier are left out and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby

from biomark import corpora, formats
from biomark.entity_types import canonical as canonical_type
from biomark.formats import Reject
from biomark.identifiers import COMPOSITE, canonical
from biomark.knowledge.entries import Description, Entry, Name, NameKind
from biomark.knowledge.sources.base import OpenedSource, SourceFormat, in_parts
from biomark.spans import Document

# The formats of annotated corpora that have identifiers; files of other formats are not sources of terms.
_ANNOTATED = tuple(formats.FORMATS[name] for name in ("pubtator", "bioc_xml", "bioc_json", "brat", "jsonl"))
_HELD = 100_000  # distinct mentions that are counted before their entries are yielded

_AnnotatedName = tuple[str, str, str]  # identifier, type, text


def read(source: OpenedSource, reject: Reject) -> Iterator[Entry]:
    """Yield the entries of an annotated corpus; see the module's docstring."""
    counts: Counter[_AnnotatedName] = Counter()
    for document in _documents(source, reject):
        counts.update(_mentions(document, source.left_out))
        if len(counts) >= _HELD:
            yield from _entries(counts)
            counts.clear()
    yield from _entries(counts)


def describe(source: OpenedSource) -> Description:
    """Return the catalogue's metadata of a split, or the name of a file.

    Raises:
        UsageError: if the catalogue has no such split.
        CorpusError: if its files do not exist.
    """
    if source.path.exists():
        return Description(source.path.name, FORMAT.name)
    corpus, splits = corpora.parse_split(source.name)
    for split in splits:
        corpora.locate(corpus, split)
    return Description(source.name, FORMAT.name, licence=corpus.licence)


def _documents(source: OpenedSource, reject: Reject) -> Iterator[Document]:
    if source.path.exists():
        return formats.read(source.file(), reject=reject)
    return corpora.read_split(source.name, reject=reject)


def _mentions(document: Document, left_out: Counter[str]) -> Iterator[_AnnotatedName]:
    for entity in document.entities:
        if not entity.ids:
            left_out["mentions without an identifier"] += 1
        elif len(entity.spans) > 1:
            left_out["mentions in several parts"] += 1
        else:
            entity_type = canonical_type(entity.type)
            identifiers = sorted({canonical(identifier, entity_type) for identifier in entity.ids})
            yield COMPOSITE.join(identifiers), entity_type, " ".join(entity.mention(document.text).split())


def _entries(counts: Counter[_AnnotatedName]) -> Iterator[Entry]:
    for (identifier, entity_type), mentions in groupby(sorted(counts), key=lambda mention: mention[:2]):
        names = tuple(Name(mention[2], NameKind.MENTION, counts[mention]) for mention in mentions)
        yield from in_parts(Entry(identifier, entity_type, names))


FORMAT = SourceFormat(
    "corpus",
    read,
    describe,
    sniff=lambda head: any(annotated.sniff(head) for annotated in _ANNOTATED if annotated.sniff),
    suffixes=(".pubtator", ".PubTator", ".ann", ".jsonl"),
)
