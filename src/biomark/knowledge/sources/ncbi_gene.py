"""NCBI Gene: `gene_info`, a gene a line, of one species or of all.

The symbol is the preferred name; the nomenclature authority's names, synonyms and the description
are exact, other designations (names of products) related ones.
"""

from __future__ import annotations

from collections.abc import Iterator

from biomark.formats import Reject
from biomark.knowledge.entries import Description, Entry, Kind, Link, Name
from biomark.knowledge.sources.base import Format, Source, in_parts, other_identifier
from biomark.knowledge.sources.rows import Header, Row, rows

_NEEDED = (("tax_id",), ("GeneID",), ("Symbol",))
_NAMES = (
    ("Symbol", Kind.PREFERRED),
    ("Symbol_from_nomenclature_authority", Kind.EXACT),
    ("Full_name_from_nomenclature_authority", Kind.EXACT),
    ("description", Kind.EXACT),
    ("Synonyms", Kind.EXACT),
    ("Other_designations", Kind.RELATED),
)
_LISTS = frozenset(("Synonyms", "Other_designations"))
_NOTHING = "-"
_PLACEHOLDER = "NEWENTRY"  # the symbol of records for genes that Gene does not have
_LICENCE = (
    "policies of the National Center for Biotechnology Information, https://www.ncbi.nlm.nih.gov/home/about/policies/"
)


def read(source: Source, reject: Reject) -> Iterator[Entry]:
    """Entries of a gene_info file; see the module."""
    file = source.file()
    for row in rows(file, reject, _header, needed=_NEEDED):
        gene, species = row["GeneID"], row["tax_id"]
        if not (gene.isdecimal() and species.isdecimal()):
            file.reject(reject, "GeneID and tax_id are numbers", raw=row.raw, line=row.line)
        elif row["Symbol"] == _PLACEHOLDER:
            source.left_out[f"genes called {_PLACEHOLDER}"] += 1
        else:
            yield from in_parts(_entry(row, gene, species))


def describe(source: Source) -> Description:
    """The file says nothing of its date."""
    return Description(source.path.name, FORMAT.name, licence=_LICENCE)


def _entry(row: Row, gene: str, species: str) -> Entry:
    names: dict[str, Kind] = {}
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
    """The columns; files before 2016 begin with `#Format:` and part them by blanks."""
    if line.startswith("#Format:"):
        return Header("\t", tuple(line.removeprefix("#Format:").partition("(")[0].split()))
    return Header("\t", tuple(column.strip() for column in line.removeprefix("#").split("\t")))


FORMAT = Format(
    "ncbi_gene",
    read,
    describe,
    sniff=lambda head: head.startswith((b"#tax_id\tGeneID\t", b"#Format: tax_id GeneID ")),
    suffixes=(".gene_info",),
)
