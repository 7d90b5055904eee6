"""OBO: ontologies as lines of `tag: value` in stanzas.

Synonyms keep their scope: EXACT is `NameKind.EXACT`, or `NameKind.ABBREVIATION` if the type of the synonym is
for abbreviations or acronyms; RELATED and NARROW are `NameKind.RELATED`, and BROAD is `NameKind.BROAD`. `alt_id`
is a former identifier, `xref` and `skos:exactMatch` are the same concept elsewhere, `is_a` and `skos:broadMatch`
are parents; an `xref` that a `skos` statement declares narrower or related is ignored. Obsolete terms are left
out; an obsolete identifier with one `replaced_by` becomes a former identifier of the replacement. The `namespace`
of a term, or of the whole file, is its semantic type, such as `biological_process`, unless it only names the
ontology, such as `chebi_ontology` of a `CHEBI` term.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from biomark.formats import Reject
from biomark.identifiers import canonical, namespace
from biomark.knowledge.entries import Description, Entry, Link, Name, NameKind
from biomark.knowledge.sources.base import NAMES, OpenedSource, SourceFormat, head_lines, other_identifier
from biomark.spans import Rejected

_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": " ", "W": " ", "t": " "}
_QUOTED = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"\s*(.*)')
_SYNONYM = re.compile(r"(EXACT|RELATED|NARROW|BROAD)?\s*([^\s\[{]*)[^{]*(\{.*\})?")
_MODIFIERS = re.compile(r'\s\{[^\s{}="]+=".*\}$')
_SCOPES = {"EXACT": NameKind.EXACT, "RELATED": NameKind.RELATED, "NARROW": NameKind.RELATED, "BROAD": NameKind.BROAD}
# Types of synonyms: abbreviation and acronym in the OBO Metadata Ontology, and ontologies' own names of them.
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
class _Stanza:
    """The part of a stanza that has been read so far.

    Attributes:
        line: the line of its beginning in the file, counted from 1.
        abbreviations: the header's types of synonyms for abbreviations.
        namespace: the term's namespace, or that of the header.
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
        """Add the content of a line.

        Raises:
            ValueError: if the line cannot be used; the message has the reason.
        """
        match tag:
            case "id":
                self.identifier = canonical(_first(value))
            case "name":
                self._add(_MODIFIERS.sub("", value), NameKind.PREFERRED)
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
        """Yield what has been read so far, and forget it, so that a term may have any number of names."""
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
        text, qualifiers = _quoted(value)
        match = _SYNONYM.match(qualifiers)
        own_scope, synonym_type, modifiers = match.groups() if match else (None, "", None)
        kind = _SCOPES[scope or own_scope or "RELATED"]
        markers = f"{synonym_type} {modifiers or ''}"
        if kind is NameKind.EXACT and (synonym_type in self.abbreviations or _ABBREVIATION.search(markers)):
            kind = NameKind.ABBREVIATION
        self._add(text, kind)

    def _add(self, text: str, kind: NameKind) -> None:
        text = _plain(text)
        if not text:
            raise ValueError("the name is empty")
        self.names.append(Name(text, kind))

    def _reference(self, tag: str, value: str) -> None:
        if tag == "xref":
            self._match(value, tag)
        else:
            relation, _, target = value.partition(" ")
            self._match(target.strip(' "').partition('"')[0], relation.rpartition(":")[2])

    def _match(self, reference: str, match: str) -> None:
        """Add the relation of another identifier to the term: an `xref`, or a property of `skos`."""
        other = other_identifier(_first(reference)) if match in _MATCHES else None
        if other is None:
            return
        link = _MATCHES[match]
        if link is None:
            self.links.pop(other, None)
        elif match != "xref" or other not in self.links:
            self.links[other] = link


def read(source: OpenedSource, reject: Reject) -> Iterator[Entry]:
    """Yield the entries of an OBO file; see the module's docstring."""
    file = source.file()
    abbreviations: set[str] = set()
    own = ""
    term: _Stanza | None = None
    header = True
    for line in file.lines(reject):
        text = line.text.strip()
        if line.problem:
            file.reject(reject, line.problem, raw=text, line=line.number)
        elif text.startswith("["):
            header = False
            yield from _finished(term, source, reject)
            term = _Stanza(line.number, abbreviations, own) if text == "[Term]" else None
        elif not text or text.startswith("!"):
            continue
        elif header:
            abbreviations |= _abbreviation_types(text)
            own = _value(text, "default-namespace") or own
        elif term is not None:
            tag, colon, value = text.partition(":")
            try:
                if not colon:
                    raise ValueError("a line of a stanza must have the form TAG: VALUE")
                term.take(tag, value.strip())
            except ValueError as error:
                file.reject(reject, str(error), raw=text, line=line.number)
            # A term's names precede its `is_obsolete`; no obsolete term has as many names as NAMES.
            if len(term.names) >= NAMES:
                yield from term.entries()
    yield from _finished(term, source, reject)


def describe(source: OpenedSource) -> Description:
    """Return the metadata of an OBO file: the version and licence in its header."""
    versions: dict[str, str] = {}
    licence = ""
    for text in head_lines(source):
        if text.startswith("["):
            break
        tag, _, value = text.partition(":")
        if tag in ("data-version", "date"):
            versions[tag] = value.strip()
        elif tag in ("property_value", "remark") and _LICENCE.search(value):
            statement = value.strip().partition(" ")[2] if tag == "property_value" else value
            licence = licence or _plain(re.sub(r"\s+xsd:\w+$", "", statement.strip()).strip('"'))
    version = versions.get("data-version") or versions.get("date", "")
    return Description(source.path.name, FORMAT.name, version, licence)


def _finished(term: _Stanza | None, source: OpenedSource, reject: Reject) -> Iterator[Entry]:
    if term is None:
        return
    if term.identifier is None:
        named = term.names[0].text if term.names else ""
        reject(Rejected("the term has no id", raw=named, source=source.name, line=term.line))
    yield from term.entries()


def _abbreviation_types(line: str) -> set[str]:
    """Return the type that a `synonymtypedef` of the header defines, if it is for abbreviations."""
    tag, _, value = line.partition(":")
    return {value.split()[0]} if tag == "synonymtypedef" and value.strip() and _ABBREVIATION.search(value) else set()


def _value(line: str, tag: str) -> str:
    """Return the value of a line of the header if it has a tag, otherwise an empty string."""
    named, _, value = line.partition(":")
    return _plain(value) if named == tag else ""


def _semantic_types(name: str, identifier: str) -> tuple[str, ...]:
    """Return a namespace of OBO as a semantic type; empty if it only names the ontology."""
    words = name.replace("|", " ").replace("_", " ").strip().removesuffix("ontology").strip()
    return (words,) if words and words.casefold() != namespace(identifier).casefold() else ()


def _quoted(value: str) -> tuple[str, str]:
    """Return the text in quotes with its escapes, and the text after the closing quote."""
    match = _QUOTED.match(value)
    if match is None:
        raise ValueError("the text is not in quotes, or its quotes are not closed")
    return match[1], match[2]


def _first(value: str) -> str:
    """Return the identifier at the beginning of a value."""
    words = value.split(None, 1)
    if not words:
        raise ValueError("the value is empty")
    return _plain(words[0])


def _plain(text: str) -> str:
    """Return a text with its escapes replaced."""
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), text).strip() if "\\" in text else text.strip()


FORMAT = SourceFormat(
    "obo",
    read,
    describe,
    sniff=lambda head: bool(
        re.search(rb"^(format-version:|\[Term\])", head.removeprefix(b"\xef\xbb\xbf"), re.MULTILINE)
    ),
    suffixes=(".obo",),
)
