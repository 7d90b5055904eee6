"""UMLS: `MRSTY.RRF`, `MRCONSO.RRF` and `MRDEF.RRF` of a Metathesaurus folder (`META`).

The files are read one after the other: semantic types first, then the English names that are not
suppressed, then definitions. Concepts without a semantic type of `umls.toml` have none of biomark's types.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from pathlib import Path

from biomark.errors import KnowledgeError
from biomark.formats import Reject
from biomark.formats import Source as File
from biomark.knowledge.entries import Description, Entry, Link, Name, NameKind
from biomark.knowledge.sources.base import NAMES, OpenedSource, SourceFormat, head_lines, other_identifier
from biomark.runtime.toml import packaged

_TYPES, _NAMES, _DEFINITIONS = "MRSTY.RRF", "MRCONSO.RRF", "MRDEF.RRF"
# CUI TUI STN STY ATUI CVF
_TUI, _STY = 1, 3
# CUI LAT TS LUI STT SUI ISPREF AUI SAUI SCUI SDUI SAB TTY CODE STR SRL SUPPRESS CVF
_LAT, _TS, _STT, _ISPREF, _SAB, _TTY, _CODE, _STR, _SUPPRESS = 1, 2, 4, 6, 11, 12, 13, 14, 16
_PREFERRED_FORM = ("P", "PF", "Y")  # of TS, STT and ISPREF
# Codes that UMLS assigns where the vocabulary has none
_NO_CODE = re.compile(r"MTHU?\d+|NOCODE|U\d+")
_CUI = re.compile(r"C\d{7}")
_LICENCE = "UMLS Metathesaurus License, https://uts.nlm.nih.gov/uts/assets/LicenseAgreement.pdf"


@dataclass(frozen=True, slots=True)
class CodeRule:
    """The namespace of a vocabulary's codes, and the term types whose codes are identifiers."""

    namespace: str
    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SemanticRules:
    """The rules of `umls.toml`, which explains the fields."""

    types: dict[str, str]
    kinds: dict[str, str]
    codes: dict[str, CodeRule]

    def kind(self, term: str) -> NameKind:
        """Return the kind of a name of a term type (TTY); exact for types without a rule."""
        return NameKind[self.kinds.get(term, NameKind.EXACT.name).upper()]

    def namespace(self, vocabulary: str, term: str) -> str | None:
        """Return the namespace of a vocabulary's codes for a term type; None if its codes are no identifiers."""
        row = self.codes.get(vocabulary)
        return row.namespace if row and term in row.terms else None


@cache
def rules() -> SemanticRules:
    """Return the rules that the package contains."""
    return packaged("biomark.knowledge.sources", "umls.toml", SemanticRules)


class _Concepts:
    """A set of concepts with one bit for each, because the Metathesaurus has millions."""

    def __init__(self) -> None:
        self._bits = bytearray(10**7 // 8)

    def add(self, cui: str) -> None:
        """Add a concept."""
        number = int(cui[1:])
        self._bits[number >> 3] |= 1 << (number & 7)

    def __contains__(self, cui: str) -> bool:
        number = int(cui[1:])
        return bool(self._bits[number >> 3] >> (number & 7) & 1)


@dataclass(slots=True)
class _ConceptNames:
    """The names of a concept that have been read so far."""

    cui: str = ""
    names: dict[str, NameKind] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)

    def take(self, fields: list[str]) -> None:
        """Add the name and the code of a row of MRCONSO."""
        vocabulary, term, name = fields[_SAB], fields[_TTY], fields[_STR].strip()
        kind = rules().kind(term)
        if (fields[_TS], fields[_STT], fields[_ISPREF]) == _PREFERRED_FORM:
            kind = NameKind.PREFERRED
        if name:
            self.names[name] = min(kind, self.names.get(name, kind))
        namespace = rules().namespace(vocabulary, term)
        own = None if _NO_CODE.fullmatch(fields[_CODE]) else fields[_CODE]
        if namespace and own and (other := other_identifier(f"{namespace}:{own}")):
            self.links[other] = Link.SAME

    def entries(self) -> Iterator[Entry]:
        """Yield the names and links read so far, and forget them."""
        if self.names:
            names = tuple(Name(name, kind) for name, kind in self.names.items())
            links = tuple((link, other) for other, link in self.links.items())
            yield Entry(f"UMLS:{self.cui}", names=names, links=links)
        self.names, self.links = {}, {}


def read(source: OpenedSource, reject: Reject) -> Iterator[Entry]:
    """Yield the entries of a Metathesaurus folder; see the module's docstring."""
    concepts = _Concepts()
    yield from _semantic_types(_needed(source, _TYPES), reject, concepts)
    vocabularies: set[str] = set()
    yield from _names(_needed(source, _NAMES), reject, concepts, vocabularies)
    if definitions := _part(source.path, _DEFINITIONS):
        yield from _definitions(source.file(definitions), reject, concepts, vocabularies)


def _semantic_types(file: File, reject: Reject, concepts: _Concepts) -> Iterator[Entry]:
    """Yield the types of each concept from MRSTY, whose rows are sorted by concept."""
    order = {semantic_type: place for place, semantic_type in enumerate(rules().types)}
    for cui, group in groupby(_rows(file, reject, columns=4), key=lambda fields: fields[0]):
        rows = list(group)
        known = [fields[_TUI] for fields in rows if fields[_TUI] in order]
        entity_type = rules().types[min(known, key=order.__getitem__)] if known else ""
        own = dict.fromkeys(name for fields in rows if (name := fields[_STY].strip()))
        concepts.add(cui)
        yield Entry(f"UMLS:{cui}", entity_type, semantic_types=tuple(own))


def _names(file: File, reject: Reject, concepts: _Concepts, vocabularies: set[str]) -> Iterator[Entry]:
    """Yield names and codes from MRCONSO, and add the English vocabularies to `vocabularies`."""
    concept = _ConceptNames()
    for fields in _rows(file, reject, columns=17):
        if fields[_LAT] != "ENG":
            continue
        vocabularies.add(fields[_SAB])
        if fields[_SUPPRESS] != "N" or fields[0] not in concepts:
            continue
        if fields[0] != concept.cui or len(concept.names) >= NAMES:
            yield from concept.entries()
            concept.cui = fields[0]
        concept.take(fields)
    yield from concept.entries()


def _definitions(file: File, reject: Reject, concepts: _Concepts, vocabularies: set[str]) -> Iterator[Entry]:
    """Yield the first definition of each concept in an English vocabulary, from MRDEF."""
    last = ""
    for fields in _rows(file, reject, columns=7):
        cui, vocabulary, definition, suppressed = fields[0], fields[4], fields[5].strip(), fields[6]
        if cui != last and cui in concepts and vocabulary in vocabularies and suppressed == "N" and definition:
            last = cui
            yield Entry(f"UMLS:{cui}", definition=definition)


def _rows(file: File, reject: Reject, *, columns: int) -> Iterator[list[str]]:
    """Yield the fields of each row whose first field is the identifier of a concept."""
    for line in file.lines(reject):
        fields = line.text.split("|")
        if line.problem:
            file.reject(reject, line.problem, raw=line.text, line=line.number)
        elif len(fields) < columns:
            reason = f"the row has {len(fields)} fields, but {columns} are needed"
            file.reject(reject, reason, raw=line.text, line=line.number)
        elif not _CUI.fullmatch(fields[0]):
            file.reject(reject, "the first field is not a CUI such as C0000001", raw=line.text, line=line.number)
        else:
            yield fields


def describe(source: OpenedSource) -> Description:
    """Return the metadata of a folder: the release from `release.dat` or the folder's name, such as 2026AA."""
    path = source.path.resolve()
    version = next((part for part in reversed(path.parts) if re.fullmatch(r"\d{4}A[A-C]", part)), "")
    release = source.path / "release.dat"
    if release.is_file():
        facts = dict(line.partition("=")[::2] for line in head_lines(source, release) if "=" in line)
        version = facts.get("umls.release.name", version).strip()
    return Description(path.name, FORMAT.name, version, _LICENCE)


def _part(folder: Path, name: str) -> Path | None:
    """Return the path of a file of the folder, compressed or not; None if it does not exist."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _needed(source: OpenedSource, name: str) -> File:
    path = _part(source.path, name)
    if path is None:
        raise KnowledgeError(f"{source.name}: the folder lacks {name}; it needs {_TYPES} and {_NAMES}")
    return source.file(path)


def _files(folder: Path) -> tuple[Path, ...]:
    return tuple(path for name in (_TYPES, _NAMES, _DEFINITIONS) if (path := _part(folder, name)))


FORMAT = SourceFormat("umls", read, describe, files=_files)
