"""MeSH: the XML files of descriptors and of supplementary records.

Terms of a record's preferred concept are `Kind.EXACT` (the record's own name `PREFERRED`, those
that are tagged as abbreviation or acronym `ABBREVIATION`), terms of its other concepts, which are
narrower, broader or related ones, `Kind.RELATED`. `mesh.toml` says which branches of the tree and
which classes of supplementary records have which type, and what MeSH calls them; a file that has UMLS's
semantic types (until 2016) gives these instead. Parents are the descriptors above in the
tree, for supplementary records the headings mapped to; CAS and UNII numbers are the same concept.
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
from biomark.knowledge.entries import Description, Entry, Kind, Link, Name
from biomark.knowledge.sources.base import NAMES, Format, Source, head_lines
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
_HEAD = 20  # lines; the document type stands in the second


@cache
def _rules() -> dict[str, dict[str, str]]:
    return packaged("biomark.knowledge.sources", "mesh.toml", dict[str, dict[str, str]])


@dataclass(slots=True)
class _Record:
    """A record as far as it has been read."""

    line: int
    identifier: str = ""
    trees: list[str] = field(default_factory=list)
    semantic_types: list[str] = field(default_factory=list)
    supplement: str = ""
    names: list[Name] = field(default_factory=list)
    definition: str | None = None
    links: list[tuple[Link, str]] = field(default_factory=list)

    def entry(self) -> Entry:
        """What is known by now; names and links are let go of."""
        rules = _rules()
        type = rules["classes"].get(self.supplement) or _type_of_branches(self.trees)
        named = rules["class_names"].get(self.supplement)
        own = self.semantic_types or (
            [named] if named else [rules["categories"].get(tree[:1], "") for tree in self.trees]
        )
        own = list(dict.fromkeys(filter(None, own)))
        if type is None and own:
            type = ""
        links = tuple(dict.fromkeys(self.links))
        entry = Entry(self.identifier, type, tuple(self.names), self.definition, links, semantic_types=tuple(own))
        self.names, self.links = [], []
        return entry


class _Target:
    """Takes in the parser's events, and makes entries of them as soon as it can.

    No tree is built: a record may be of any size.
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
        self._record = _Record(0)
        self._preferred_concept = False
        self._term: dict[str, str] = {}

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        self.root = self.root or tag
        self._path.append(tag)
        self._text = []
        if tag in _RECORDS:
            supplement = attributes.get("SCRClass", "1") if tag == "SupplementalRecord" else ""
            self._record = _Record(self.line, supplement=supplement)
        elif tag == "Concept":
            self._preferred_concept = attributes.get("PreferredConceptYN") == "Y"
        elif tag == "Term":
            self._term = attributes

    def data(self, text: str) -> None:
        """A piece of text."""
        self._text.append(text)

    def end(self, tag: str) -> None:
        """An element ends."""
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

    def _kind(self) -> Kind:
        if not self._preferred_concept:
            return Kind.RELATED
        if self._term.get("RecordPreferredTermYN") == "Y":
            return Kind.PREFERRED
        return Kind.ABBREVIATION if self._term.get("LexicalTag") in ("ABB", "ACR") else Kind.EXACT

    def taken(self) -> Iterator[Entry]:
        """The entries that are complete.

        Raises:
            KnowledgeError: if the root element is none of MeSH's.
        """
        if self.root not in (None, *_ROOTS):
            raise KnowledgeError(f"{self._source}: the root element is <{self.root}>, not <{'> or <'.join(_ROOTS)}>")
        while self.entries:
            yield self.entries.popleft()

    @property
    def line(self) -> int:
        """The line that the parser is in."""
        return getattr(self.expat, "CurrentLineNumber", 1)


def read(source: Source, reject: Reject) -> Iterator[Entry]:
    """Entries of a MeSH file; see the module."""
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
        reason = f"the XML breaks here: {str(error).rpartition(': line')[0]}; what follows is not read"
        file.reject(reject, reason, line=error.position[0])
    except DefusedXmlException as error:
        reason = "declares or refers to XML entities, which may hide other files or endless text; take them out"
        raise KnowledgeError(f"{file.name}:{target.line}: {reason} ({type(error).__name__})") from error
    yield from target.taken()
    yield from _parents(target.trees)


def describe(source: Source) -> Description:
    """The release that the document type names, as YYYYMMDD or YYYY."""
    head = "\n".join(line for line, _ in zip(head_lines(source), range(_HEAD), strict=False))
    release = _RELEASE.search(head)
    version = (release[1] or release[2]) if release else ""
    return Description(source.path.name, FORMAT.name, version, _LICENCE)


def _parents(trees: dict[str, str]) -> Iterator[Entry]:
    """What stands above each descriptor; known only when all have been read."""
    for identifier, places in groupby(trees.items(), key=lambda item: item[1]):
        above = dict.fromkeys(trees.get(number.rpartition(".")[0], "") for number, _ in places)
        links = tuple((Link.PARENT, parent) for parent in above if parent and parent != identifier)
        if links:
            yield Entry(identifier, links=links)


def _type_of_branches(trees: list[str]) -> str | None:
    for branch, type in _rules()["branches"].items():
        if any(tree.startswith(branch) for tree in trees):
            return type or None
    return None


def _registered(number: str) -> str | None:
    if _CAS.fullmatch(number):
        return f"CAS:{number}"
    return f"UNII:{number}" if _UNII.fullmatch(number) else None


FORMAT = Format(
    "mesh",
    read,
    describe,
    sniff=lambda head: any(f"<{root}".encode() in head for root in _ROOTS),
)
