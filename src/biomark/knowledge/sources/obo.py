"""OBO: ontologies as lines of `tag: value` in stanzas.

Synonyms keep their scope: EXACT, or EXACT of a type for abbreviations or acronyms; RELATED and
NARROW are `Kind.RELATED`, BROAD is `Kind.BROAD`. `alt_id` is a former identifier, `xref` and
`skos:exactMatch` are the same concept elsewhere, `is_a` and `skos:broadMatch` its parents; an
`xref` that a `skos` statement calls narrower or related is none. Obsolete terms are left out; an
obsolete identifier with one `replaced_by` is a former identifier of that. The `namespace` of a term, or
of the whole file, is its semantic type: `biological_process`, but not `chebi_ontology` of a `CHEBI` term.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from biomark.formats import Reject
from biomark.identifiers import canonical, namespace
from biomark.knowledge.entries import Description, Entry, Kind, Link, Name
from biomark.knowledge.sources.base import NAMES, Format, Source, head_lines, other_identifier
from biomark.spans import Rejected

_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": " ", "W": " ", "t": " "}
_QUOTED = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"\s*(.*)')
_SYNONYM = re.compile(r"(EXACT|RELATED|NARROW|BROAD)?\s*([^\s\[{]*)[^{]*(\{.*\})?")
_MODIFIERS = re.compile(r'\s\{[^\s{}="]+=".*\}$')
_SCOPES = {"EXACT": Kind.EXACT, "RELATED": Kind.RELATED, "NARROW": Kind.RELATED, "BROAD": Kind.BROAD}
# Types of synonyms: abbreviation and acronym in the OBO Metadata Ontology, and what ontologies call their own.
_ABBREVIATION = re.compile(r"OMO:0003000|OMO:0003012|abbrev|acronym", re.IGNORECASE)
_LICENCE = re.compile(r"licen[sc]e", re.IGNORECASE)
_MATCHES = {
    "xref": Link.SAME,
    "exactMatch": Link.SAME,
    "broadMatch": Link.PARENT,
    "narrowMatch": None,
    "relatedMatch": None,
}


@dataclass(slots=True)
class _Term:
    """A stanza as far as it has been read.

    Attributes:
        line: of the file.
        abbreviations: the header's types of synonyms that are such.
        namespace: the header's, or the term's own.
    """

    line: int
    abbreviations: set[str]
    namespace: str = ""
    identifier: str | None = None
    names: list[Name] = field(default_factory=list)
    definition: str | None = None
    links: dict[str, Link] = field(default_factory=dict)
    obsolete: bool = False
    replacements: list[str] = field(default_factory=list)

    def take(self, tag: str, value: str) -> None:
        """Take in a line.

        Raises:
            ValueError: if it cannot be used; the message says why.
        """
        match tag:
            case "id":
                self.identifier = canonical(_first(value))
            case "name":
                self._add(_MODIFIERS.sub("", value), Kind.PREFERRED)
            case "synonym" | "exact_synonym" | "related_synonym" | "narrow_synonym" | "broad_synonym":
                self._synonym(value, tag.removesuffix("synonym").removesuffix("_").upper())  # the long ones: OBO 1.0
            case "def":
                self.definition = _plain(_quoted(value)[0]) or None
            case "alt_id" | "is_a":
                self.links[canonical(_first(value))] = Link.FORMER if tag == "alt_id" else Link.PARENT
            case "xref" | "property_value":
                self._reference(tag, value)
            case "namespace":
                self.namespace = _plain(value)
            case "is_obsolete":
                self.obsolete = value.startswith("true")
            case "replaced_by":
                self.replacements.append(canonical(_first(value)))

    def entries(self) -> Iterator[Entry]:
        """What is known by now; names are let go of, so that a term may have any number."""
        if self.identifier is None:
            return
        if not self.obsolete:
            own = _semantic_types(self.namespace, self.identifier)
            yield Entry(self.identifier, None, tuple(self.names), self.definition, self._links(), semantic_types=own)
        elif len(set(self.replacements)) == 1:
            yield Entry(self.replacements[0], links=((Link.FORMER, self.identifier),))
        self.names, self.links = [], {}

    def _links(self) -> tuple[tuple[Link, str], ...]:
        return tuple((link, other) for other, link in self.links.items() if other != self.identifier)

    def _synonym(self, value: str, scope: str) -> None:
        text, rest = _quoted(value)
        found = _SYNONYM.match(rest)
        said, type, modifiers = found.groups() if found else (None, "", None)
        kind = _SCOPES[scope or said or "RELATED"]
        named = f"{type} {modifiers or ''}"
        if kind is Kind.EXACT and (type in self.abbreviations or _ABBREVIATION.search(named)):
            kind = Kind.ABBREVIATION
        self._add(text, kind)

    def _add(self, text: str, kind: Kind) -> None:
        text = _plain(text)
        if not text:
            raise ValueError("the name is empty")
        self.names.append(Name(text, kind))

    def _reference(self, tag: str, value: str) -> None:
        if tag == "xref":
            self._match(value, tag)
        else:
            property, _, rest = value.partition(" ")
            self._match(rest.strip(' "').partition('"')[0], property.rpartition(":")[2])

    def _match(self, reference: str, match: str) -> None:
        """Take in what another identifier is to the term: an `xref`, or a property of `skos`."""
        other = other_identifier(_first(reference)) if match in _MATCHES else None
        if other is None:
            return
        link = _MATCHES[match]
        if link is None:
            self.links.pop(other, None)
        elif match != "xref" or other not in self.links:
            self.links[other] = link


def read(source: Source, reject: Reject) -> Iterator[Entry]:
    """Entries of an OBO file; see the module."""
    file = source.file()
    abbreviations: set[str] = set()
    own = ""
    term: _Term | None = None
    header = True
    for line in file.lines(reject):
        text = line.text.strip()
        if line.problem:
            file.reject(reject, line.problem, raw=text, line=line.number)
        elif text.startswith("["):
            header = False
            yield from _finished(term, source, reject)
            term = _Term(line.number, abbreviations, own) if text == "[Term]" else None
        elif not text or text.startswith("!"):
            continue
        elif header:
            abbreviations |= _abbreviation_types(text)
            own = _value(text, "default-namespace") or own
        elif term is not None:
            tag, colon, value = text.partition(":")
            try:
                if not colon:
                    raise ValueError("a line of a stanza is TAG: VALUE")
                term.take(tag, value.strip())
            except ValueError as error:
                file.reject(reject, str(error), raw=text, line=line.number)
            # Whether a term is obsolete is said after its names; none of those has more than this many.
            if len(term.names) >= NAMES:
                yield from term.entries()
    yield from _finished(term, source, reject)


def describe(source: Source) -> Description:
    """The version and licence of an OBO file's header."""
    versions: dict[str, str] = {}
    licence = ""
    for text in head_lines(source):
        if text.startswith("["):
            break
        tag, _, value = text.partition(":")
        if tag in ("data-version", "date"):
            versions[tag] = value.strip()
        elif tag in ("property_value", "remark") and _LICENCE.search(value):
            rest = value.strip().partition(" ")[2]
            said = rest if tag == "property_value" else value
            licence = licence or _plain(re.sub(r"\s+xsd:\w+$", "", said.strip()).strip('"'))
    version = versions.get("data-version") or versions.get("date", "")
    return Description(source.path.name, FORMAT.name, version, licence)


def _finished(term: _Term | None, source: Source, reject: Reject) -> Iterator[Entry]:
    if term is None:
        return
    if term.identifier is None:
        named = term.names[0].text if term.names else ""
        reject(Rejected("the term has no id", raw=named, source=source.name, line=term.line))
    yield from term.entries()


def _abbreviation_types(line: str) -> set[str]:
    """The type that a `synonymtypedef` of the header defines, if it is one for abbreviations."""
    tag, _, value = line.partition(":")
    return {value.split()[0]} if tag == "synonymtypedef" and value.strip() and _ABBREVIATION.search(value) else set()


def _value(line: str, tag: str) -> str:
    """The value of a line of the header, if it has a tag."""
    named, _, value = line.partition(":")
    return _plain(value) if named == tag else ""


def _semantic_types(name: str, identifier: str) -> tuple[str, ...]:
    """What a namespace of OBO tells of a term's type: nothing if it only names the ontology."""
    words = name.replace("|", " ").replace("_", " ").strip().removesuffix("ontology").strip()
    return (words,) if words and words.casefold() != namespace(identifier).casefold() else ()


def _quoted(value: str) -> tuple[str, str]:
    """The text in quotes, its escapes as they are, and what follows."""
    found = _QUOTED.match(value)
    if found is None:
        raise ValueError("the text does not stand in quotes, or they are not closed")
    return found[1], found[2]


def _first(value: str) -> str:
    """The identifier that a value begins with."""
    words = value.split(None, 1)
    if not words:
        raise ValueError("the value is empty")
    return _plain(words[0])


def _plain(text: str) -> str:
    """A text without escapes."""
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), text).strip() if "\\" in text else text.strip()


FORMAT = Format(
    "obo",
    read,
    describe,
    sniff=lambda head: bool(
        re.search(rb"^(format-version:|\[Term\])", head.removeprefix(b"\xef\xbb\xbf"), re.MULTILINE)
    ),
    suffixes=(".obo",),
)
