"""MeSH: the XML files of descriptors and of supplementary records.

Terms of a record's preferred concept are `NameKind.EXACT` (the record's own name is `PREFERRED`, and terms
labelled as abbreviation or acronym are `ABBREVIATION`). Terms of its other concepts, which are narrower,
broader or related, are `NameKind.RELATED`. `mesh.toml` maps branches of the tree and classes of supplementary
records to entity types and to MeSH's names of them; files with UMLS's semantic types (until 2016) use these
instead. Parents are the descriptors above a descriptor in the tree, and the mapped headings of a supplementary
record; CAS and UNII numbers become links to the same concept.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from xml.etree.ElementTree import ParseError

from biomark.errors import KnowledgeError
from biomark.formats import Reject
from biomark.identifiers import canonical
from biomark.knowledge.entries import Description, Entry, Link, Name, NameKind
from biomark.knowledge.sources.base import NAMES, OpenedSource, SourceFormat, head_lines
from biomark.runtime.toml import packaged
from biomark.spans import Rejected

_ROOTS = ("DescriptorRecordSet", "SupplementalRecordSet")
_RECORDS = ("DescriptorRecord", "SupplementalRecord")
_CAS = re.compile(r"\d{2,7}-\d\d-\d")
_UNII = re.compile(r"[A-Z0-9]{10}")
_RELEASE = re.compile(r"_(\d{8})\.dtd|_(\d{4})\.dtd")
_LICENCE = (
    "terms of the National Library of Medicine, https://www.nlm.nih.gov/databases/download/terms_and_conditions.html"
)
_HEAD = 20  # lines; the second one has the document type


@cache
def _rules() -> dict[str, dict[str, str]]:
    return packaged("biomark.knowledge.sources", "mesh.toml", dict[str, dict[str, str]])


@dataclass(slots=True)
class _MeshRecord:
    """The part of a record that has been read so far."""

    line: int
    identifier: str = ""
    trees: list[str] = field(default_factory=list)
    semantic_types: list[str] = field(default_factory=list)
    supplement: str = ""
    names: list[Name] = field(default_factory=list)
    definition: str | None = None
    links: list[tuple[Link, str]] = field(default_factory=list)

    def entry(self) -> Entry:
        """Return an entry of what has been read so far, and forget its names and links."""
        rules = _rules()
        entity_type = rules["classes"].get(self.supplement) or _type_of_branches(self.trees)
        named = rules["class_names"].get(self.supplement)
        own = self.semantic_types or (
            [named] if named else [rules["categories"].get(tree[:1], "") for tree in self.trees]
        )
        own = list(dict.fromkeys(filter(None, own)))
        if entity_type is None and own:
            entity_type = ""
        links = tuple(dict.fromkeys(self.links))
        entry = Entry(
            self.identifier, entity_type, tuple(self.names), self.definition, links, semantic_types=tuple(own)
        )
        self.names, self.links = [], []
        return entry


class _Target:
    """Target of the parser's events, from which it makes entries as early as possible.

    It builds no tree, so that a record may have any size.
    """

    def __init__(self, source: str, reject: Reject) -> None:
        self.expat: object = None
        self.root: str | None = None
        self.entries: deque[Entry] = deque()
        self.trees: dict[str, str] = {}  # tree number → identifier; about 65,000
        self._source = source
        self._reject = reject
        self._path: list[str] = []
        self._text: list[str] = []
        self._record = _MeshRecord(0)
        self._preferred_concept = False
        self._term: dict[str, str] = {}

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element."""
        self.root = self.root or tag
        self._path.append(tag)
        self._text = []
        if tag in _RECORDS:
            supplement = attributes.get("SCRClass", "1") if tag == "SupplementalRecord" else ""
            self._record = _MeshRecord(self.line, supplement=supplement)
        elif tag == "Concept":
            self._preferred_concept = attributes.get("PreferredConceptYN") == "Y"
        elif tag == "Term":
            self._term = attributes

    def data(self, text: str) -> None:
        """Handle a piece of text."""
        self._text.append(text)

    def end(self, tag: str) -> None:
        """Handle the end of an element."""
        self._path.pop()
        record = self._record
        if tag in _RECORDS:
            if record.identifier:
                self.entries.append(record.entry())
            else:
                self._reject(Rejected("the record has no identifier", source=self._source, line=record.line))
        elif self._text and self._path:
            self._take(self._path[-1], tag, "".join(self._text).strip())
            if len(record.names) >= NAMES and record.identifier:
                self.entries.append(record.entry())
        self._text = []

    def _take(self, parent: str, tag: str, text: str) -> None:
        record = self._record
        match parent, tag:
            case ("DescriptorRecord", "DescriptorUI") | ("SupplementalRecord", "SupplementalRecordUI"):
                record.identifier = canonical(f"MESH:{text}")
            case "TreeNumberList", "TreeNumber":
                record.trees.append(text)
                self.trees[text] = record.identifier
            case "DescriptorReferredTo", "DescriptorUI":
                if "HeadingMappedTo" in self._path:
                    record.links.append((Link.PARENT, f"MESH:{text.removeprefix('*')}"))
            case "Term", "String":
                record.names.append(Name(text, self._kind()))
            case _ if self._preferred_concept:
                self._take_of_concept(parent, tag, text)

    def _take_of_concept(self, parent: str, tag: str, text: str) -> None:
        record = self._record
        match parent, tag:
            case "Concept", "ScopeNote":
                record.definition = " ".join(text.split())
            case (("Concept" | "RegistryNumberList"), "RegistryNumber"):
                if other := _registered(text):
                    record.links.append((Link.SAME, other))
            case "SemanticType", "SemanticTypeName":
                record.semantic_types.append(" ".join(text.split()))

    def _kind(self) -> NameKind:
        if not self._preferred_concept:
            return NameKind.RELATED
        if self._term.get("RecordPreferredTermYN") == "Y":
            return NameKind.PREFERRED
        return NameKind.ABBREVIATION if self._term.get("LexicalTag") in ("ABB", "ACR") else NameKind.EXACT

    def taken(self) -> Iterator[Entry]:
        """Yield the complete entries, and forget them.

        Raises:
            KnowledgeError: if the root element is not one of MeSH's.
        """
        if self.root not in (None, *_ROOTS):
            raise KnowledgeError(f"{self._source}: the root element is <{self.root}>, not <{'> or <'.join(_ROOTS)}>")
        while self.entries:
            yield self.entries.popleft()

    @property
    def line(self) -> int:
        """The current line of the parser, counted from 1."""
        return getattr(self.expat, "CurrentLineNumber", 1)


def read(source: OpenedSource, reject: Reject) -> Iterator[Entry]:
    """Yield the entries of a MeSH file; see the module's docstring."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import XMLParser

    file = source.file()
    target = _Target(file.name, reject)
    parser = XMLParser(target=target, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    target.expat = parser.parser
    try:
        for chunk in file.chunks(reject):
            parser.feed(chunk)
            yield from target.taken()
        parser.close()
    except ParseError as error:
        yield from target.taken()
        reason = f"the XML is invalid here ({str(error).rpartition(': line')[0]}); the rest of the file is not read"
        file.reject(reject, reason, line=error.position[0])
    except DefusedXmlException as error:
        reason = "the file declares or uses XML entities, which may include other files or unbounded text; remove them"
        raise KnowledgeError(f"{file.name}:{target.line}: {reason} ({type(error).__name__})") from error
    yield from target.taken()
    yield from _parents(target.trees)


def describe(source: OpenedSource) -> Description:
    """Return the metadata of a file: the release in its document type, as YYYYMMDD or YYYY."""
    head = "\n".join(line for line, _ in zip(head_lines(source), range(_HEAD), strict=False))
    release = _RELEASE.search(head)
    version = (release[1] or release[2]) if release else ""
    return Description(source.path.name, FORMAT.name, version, _LICENCE)


def _parents(trees: dict[str, str]) -> Iterator[Entry]:
    """Yield the parents of each descriptor, which are known only after all descriptors have been read."""
    for identifier, places in groupby(trees.items(), key=lambda item: item[1]):
        above = dict.fromkeys(trees.get(number.rpartition(".")[0], "") for number, _ in places)
        links = tuple((Link.PARENT, parent) for parent in above if parent and parent != identifier)
        if links:
            yield Entry(identifier, links=links)


def _type_of_branches(trees: list[str]) -> str | None:
    for branch, entity_type in _rules()["branches"].items():
        if any(tree.startswith(branch) for tree in trees):
            return entity_type or None
    return None


def _registered(number: str) -> str | None:
    if _CAS.fullmatch(number):
        return f"CAS:{number}"
    return f"UNII:{number}" if _UNII.fullmatch(number) else None


FORMAT = SourceFormat(
    "mesh",
    read,
    describe,
    sniff=lambda head: any(f"<{root}".encode() in head for root in _ROOTS),
)
