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
from biomark.knowledge.entries import Description, Entry, Kind, Link, Name
from biomark.knowledge.sources.base import NAMES, Format, Source, head_lines, other_identifier
from biomark.runtime.toml import packaged

_TYPES, _NAMES, _DEFINITIONS = "MRSTY.RRF", "MRCONSO.RRF", "MRDEF.RRF"
# CUI TUI STN STY ATUI CVF
_TUI, _STY = 1, 3
# CUI LAT TS LUI STT SUI ISPREF AUI SAUI SCUI SDUI SAB TTY CODE STR SRL SUPPRESS CVF
_LAT, _TS, _STT, _ISPREF, _SAB, _TTY, _CODE, _STR, _SUPPRESS = 1, 2, 4, 6, 11, 12, 13, 14, 16
_PREFERRED_FORM = ("P", "PF", "Y")  # of TS, STT and ISPREF
# Codes that UMLS made itself where the vocabulary has none
_NO_CODE = re.compile(r"MTHU?\d+|NOCODE|U\d+")
_CUI = re.compile(r"C\d{7}")
_LICENCE = "UMLS Metathesaurus License, https://uts.nlm.nih.gov/uts/assets/LicenseAgreement.pdf"


@dataclass(frozen=True, slots=True)
class Codes:
    """The namespace of a vocabulary's codes, and the types of the terms that have them."""

    namespace: str
    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """The content of `umls.toml`, which explains the fields."""

    types: dict[str, str]
    kinds: dict[str, str]
    codes: dict[str, Codes]

    def kind(self, term: str) -> Kind:
        """How near a name of a term type is to its concept."""
        return Kind[self.kinds.get(term, Kind.EXACT.name).upper()]

    def namespace(self, vocabulary: str, term: str) -> str | None:
        """The namespace of a vocabulary's codes for a term type; None: they are no identifiers."""
        row = self.codes.get(vocabulary)
        return row.namespace if row and term in row.terms else None


@cache
def rules() -> Rules:
    """The rules that come with the package."""
    return packaged("biomark.knowledge.sources", "umls.toml", Rules)


class _Concepts:
    """A set of concepts, a bit each: the Metathesaurus has millions."""

    def __init__(self) -> None:
        self._bits = bytearray(10**7 // 8)

    def add(self, cui: str) -> None:
        """Put one in."""
        number = int(cui[1:])
        self._bits[number >> 3] |= 1 << (number & 7)

    def __contains__(self, cui: str) -> bool:
        number = int(cui[1:])
        return bool(self._bits[number >> 3] >> (number & 7) & 1)


@dataclass(slots=True)
class _Concept:
    """The names of a concept, as far as they have been read."""

    cui: str = ""
    names: dict[str, Kind] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)

    def take(self, fields: list[str]) -> None:
        """Take in a row of MRCONSO."""
        vocabulary, term, name = fields[_SAB], fields[_TTY], fields[_STR].strip()
        kind = rules().kind(term)
        if (fields[_TS], fields[_STT], fields[_ISPREF]) == _PREFERRED_FORM:
            kind = Kind.PREFERRED
        if name:
            self.names[name] = min(kind, self.names.get(name, kind))
        namespace = rules().namespace(vocabulary, term)
        own = None if _NO_CODE.fullmatch(fields[_CODE]) else fields[_CODE]
        if namespace and own and (other := other_identifier(f"{namespace}:{own}")):
            self.links[other] = Link.SAME

    def entries(self) -> Iterator[Entry]:
        """What is known by now; it is let go of."""
        if self.names:
            names = tuple(Name(name, kind) for name, kind in self.names.items())
            links = tuple((link, other) for other, link in self.links.items())
            yield Entry(f"UMLS:{self.cui}", names=names, links=links)
        self.names, self.links = {}, {}


def read(source: Source, reject: Reject) -> Iterator[Entry]:
    """Entries of a Metathesaurus folder; see the module."""
    concepts = _Concepts()
    yield from _semantic_types(_needed(source, _TYPES), reject, concepts)
    vocabularies: set[str] = set()
    yield from _names(_needed(source, _NAMES), reject, concepts, vocabularies)
    if definitions := _part(source.path, _DEFINITIONS):
        yield from _definitions(source.file(definitions), reject, concepts, vocabularies)


def _semantic_types(file: File, reject: Reject, concepts: _Concepts) -> Iterator[Entry]:
    """The types of each concept, from MRSTY; its rows are sorted by concept."""
    order = {semantic_type: place for place, semantic_type in enumerate(rules().types)}
    for cui, group in groupby(_rows(file, reject, columns=4), key=lambda fields: fields[0]):
        rows = list(group)
        known = [fields[_TUI] for fields in rows if fields[_TUI] in order]
        type = rules().types[min(known, key=order.__getitem__)] if known else ""
        own = dict.fromkeys(name for fields in rows if (name := fields[_STY].strip()))
        concepts.add(cui)
        yield Entry(f"UMLS:{cui}", type, semantic_types=tuple(own))


def _names(file: File, reject: Reject, concepts: _Concepts, vocabularies: set[str]) -> Iterator[Entry]:
    """Names and codes, from MRCONSO; `vocabularies` gets those that are English."""
    concept = _Concept()
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
    """The first definition of each concept that an English vocabulary gives, from MRDEF."""
    last = ""
    for fields in _rows(file, reject, columns=7):
        cui, vocabulary, definition, suppressed = fields[0], fields[4], fields[5].strip(), fields[6]
        if cui != last and cui in concepts and vocabulary in vocabularies and suppressed == "N" and definition:
            last = cui
            yield Entry(f"UMLS:{cui}", definition=definition)


def _rows(file: File, reject: Reject, *, columns: int) -> Iterator[list[str]]:
    """The fields of each row whose first is the identifier of a concept."""
    for line in file.lines(reject):
        fields = line.text.split("|")
        if line.problem:
            file.reject(reject, line.problem, raw=line.text, line=line.number)
        elif len(fields) < columns:
            reason = f"the row has {len(fields)} fields, {columns} are needed"
            file.reject(reject, reason, raw=line.text, line=line.number)
        elif not _CUI.fullmatch(fields[0]):
            file.reject(reject, "the first field is no CUI such as C0000001", raw=line.text, line=line.number)
        else:
            yield fields


def describe(source: Source) -> Description:
    """The release, from `release.dat` or from the folder's name, such as 2026AA."""
    path = source.path.resolve()
    version = next((part for part in reversed(path.parts) if re.fullmatch(r"\d{4}A[A-C]", part)), "")
    release = source.path / "release.dat"
    if release.is_file():
        facts = dict(line.partition("=")[::2] for line in head_lines(source, release) if "=" in line)
        version = facts.get("umls.release.name", version).strip()
    return Description(path.name, FORMAT.name, version, _LICENCE)


def _part(folder: Path, name: str) -> Path | None:
    """A file of the folder, compressed or not."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _needed(source: Source, name: str) -> File:
    path = _part(source.path, name)
    if path is None:
        raise KnowledgeError(f"{source.name}: the folder lacks {name}; it needs {_TYPES} and {_NAMES}")
    return source.file(path)


def _files(folder: Path) -> tuple[Path, ...]:
    return tuple(path for name in (_TYPES, _NAMES, _DEFINITIONS) if (path := _part(folder, name)))


FORMAT = Format("umls", read, describe, files=_files)
