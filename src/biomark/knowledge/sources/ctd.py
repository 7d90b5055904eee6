"""CTD: the vocabularies of diseases, chemicals and genes, as TSV or CSV.

Lines that begin with `#` are comments; one of them names the columns. Synonyms and further
identifiers are joined by `|`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from biomark.formats import Reject
from biomark.identifiers import canonical
from biomark.knowledge.entries import Description, Entry, Link, Name, NameKind
from biomark.knowledge.sources.base import OpenedSource, SourceFormat, head_lines, in_parts, other_identifier
from biomark.knowledge.sources.rows import Header, TableRow, rows, split


@dataclass(frozen=True, slots=True)
class _VocabularyColumns:
    """The columns of one of CTD's files.

    Attributes:
        type: biomark's name of its concepts' type.
        identifier: the column of identifiers.
        names: the columns of preferred names and of further names, each with the kind of its names.
        same: the columns of identifiers of the same concept, each with the namespace that its values lack, or "".
    """

    type: str
    identifier: str
    names: tuple[tuple[str, NameKind], ...]
    same: tuple[tuple[str, str], ...]


_VOCABULARIES = (
    _VocabularyColumns("disease", "DiseaseID", (("DiseaseName", NameKind.PREFERRED),), (("AltDiseaseIDs", ""),)),
    _VocabularyColumns("chemical", "ChemicalID", (("ChemicalName", NameKind.PREFERRED),), (("CasRN", "CAS:"),)),
    _VocabularyColumns(
        "gene",
        "GeneID",
        (("GeneSymbol", NameKind.PREFERRED), ("GeneName", NameKind.EXACT)),
        (("AltGeneIDs", ""),),
    ),
)
_IDENTIFIERS = tuple(vocabulary.identifier for vocabulary in _VOCABULARIES)
_NAMES = tuple(
    column for vocabulary in _VOCABULARIES for column, kind in vocabulary.names if kind is NameKind.PREFERRED
)
_CREATED = "# Report created:"
_TERMS = "# Use is subject to the terms set forth at "


def read(source: OpenedSource, reject: Reject) -> Iterator[Entry]:
    """Yield the entries of a CTD vocabulary; see the module's docstring."""
    file = source.file()
    for row in rows(file, reject, _header, needed=(_IDENTIFIERS, _NAMES), comment="#"):
        vocabulary = next(one for one in _VOCABULARIES if one.identifier in row.places)
        if row[vocabulary.identifier]:
            yield from in_parts(_entry(row, vocabulary))
        else:
            file.reject(reject, f"the row has no {vocabulary.identifier}", raw=row.raw, line=row.line)


def describe(source: OpenedSource) -> Description:
    """Return the metadata of a vocabulary: the date of the report, and CTD's terms of use."""
    version = licence = ""
    for line in head_lines(source):
        if not line.startswith("#"):
            break
        if line.startswith(_CREATED):
            version = line.removeprefix(_CREATED).strip()
        elif line.startswith(_TERMS):
            licence = "terms of use, " + line.removeprefix(_TERMS).split()[0]
    return Description(source.path.name, FORMAT.name, version, licence)


def _entry(row: TableRow, vocabulary: _VocabularyColumns) -> Entry:
    entity_type = vocabulary.type
    identifier = canonical(row[vocabulary.identifier], entity_type)
    names = [Name(row[column], kind) for column, kind in vocabulary.names if row[column]]
    names += [Name(name) for name in _listed(row["Synonyms"])]
    links = [(Link.PARENT, canonical(parent, entity_type)) for parent in _listed(row["ParentIDs"])]
    for column, prefix in vocabulary.same:
        others = (other_identifier(prefix + canonical(value, entity_type)) for value in _listed(row[column]))
        links += [(Link.SAME, other) for other in others if other and other != identifier]
    return Entry(identifier, entity_type, tuple(names), row["Definition"] or None, tuple(dict.fromkeys(links)))


def _listed(field: str) -> list[str]:
    return [value for piece in field.split("|") if (value := piece.strip())] if field else []


def _header(line: str) -> Header | None:
    """Return the columns that a line names: a comment, or the first line that is not a comment; None otherwise."""
    text = line.removeprefix("#").strip()
    delimiter = "\t" if "\t" in text else ","
    columns = tuple(column.strip() for column in split(text, delimiter))
    return Header(delimiter, columns) if not line.startswith("#") or set(columns) & set(_IDENTIFIERS) else None


def _sniff(head: bytes) -> bool:
    return bool(re.search(rf"^(# ?)?({'|'.join(_NAMES)})[\t,]".encode(), head, re.MULTILINE))


FORMAT = SourceFormat("ctd", read, describe, sniff=_sniff)
