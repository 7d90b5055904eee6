"""NCBI Gene: `gene_info`, with one gene per line, of one species or of all.

The symbol is the preferred name. The nomenclature authority's names, synonyms and the description are
exact names; other designations (names of products) are related names.
"""

from __future__ import annotations

from collections.abc import Iterator

from biomark.formats import Reject
from biomark.knowledge.entries import Description, Entry, Link, Name, NameKind
from biomark.knowledge.sources.base import OpenedSource, SourceFormat, in_parts, other_identifier
from biomark.knowledge.sources.rows import Header, TableRow, rows

_NEEDED = (("tax_id",), ("GeneID",), ("Symbol",))
_NAMES = (
    ("Symbol", NameKind.PREFERRED),
    ("Symbol_from_nomenclature_authority", NameKind.EXACT),
    ("Full_name_from_nomenclature_authority", NameKind.EXACT),
    ("description", NameKind.EXACT),
    ("Synonyms", NameKind.EXACT),
    ("Other_designations", NameKind.RELATED),
)
_LISTS = frozenset(("Synonyms", "Other_designations"))
_NOTHING = "-"
_PLACEHOLDER = "NEWENTRY"  # the symbol of placeholder records for genes that are not in NCBI Gene
_LICENCE = (
    "policies of the National Center for Biotechnology Information, https://www.ncbi.nlm.nih.gov/home/about/policies/"
)


def read(source: OpenedSource, reject: Reject) -> Iterator[Entry]:
    """Yield the entries of a gene_info file; see the module's docstring."""
    file = source.file()
    for row in rows(file, reject, _header, needed=_NEEDED):
        gene, species = row["GeneID"], row["tax_id"]
        if not (gene.isdecimal() and species.isdecimal()):
            file.reject(reject, "GeneID and tax_id must be numbers", raw=row.raw, line=row.line)
        elif row["Symbol"] == _PLACEHOLDER:
            source.left_out[f"genes called {_PLACEHOLDER}"] += 1
        else:
            yield from in_parts(_entry(row, gene, species))


def describe(source: OpenedSource) -> Description:
    """Return the metadata of a file, which has no date."""
    return Description(source.path.name, FORMAT.name, licence=_LICENCE)


def _entry(row: TableRow, gene: str, species: str) -> Entry:
    names: dict[str, NameKind] = {}
    for column, kind in _NAMES:
        field = row[column]
        if field and field != _NOTHING:
            for name in field.split("|") if column in _LISTS else (field,):
                names.setdefault(name.strip(), kind)
    references = row["dbXrefs"]
    others = map(other_identifier, references.split("|")) if references != _NOTHING else ()
    return Entry(
        f"NCBIGene:{gene}",
        "gene",
        tuple(Name(name, kind) for name, kind in names.items() if name),
        links=tuple((Link.SAME, other) for other in dict.fromkeys(others) if other),
        taxon=f"NCBITaxon:{species}",
    )


def _header(line: str) -> Header | None:
    """Return the columns; files before 2016 begin with `#Format:` and separate the columns by blanks."""
    if line.startswith("#Format:"):
        return Header("\t", tuple(line.removeprefix("#Format:").partition("(")[0].split()))
    return Header("\t", tuple(column.strip() for column in line.removeprefix("#").split("\t")))


FORMAT = SourceFormat(
    "ncbi_gene",
    read,
    describe,
    sniff=lambda head: head.startswith((b"#tax_id\tGeneID\t", b"#Format: tax_id GeneID ")),
    suffixes=(".gene_info",),
)
