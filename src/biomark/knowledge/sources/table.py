"""Users' own tables: TSV or CSV whose first line names the columns.

One of the columns `name`, `label` and `term` is required. The columns `id` (or `identifier`), `type`,
`semantic_type` (several joined by `|`), `synonyms` (joined by `|`), `definition` and `kind` (of the name:
preferred, exact, abbreviation, mention, related or broad) are optional, and all others are ignored. A concept
without an identifier gets one from its type and name.
"""

from __future__ import annotations

from collections.abc import Iterator

from biomark.entity_types import canonical as canonical_type
from biomark.formats import Reject
from biomark.identifiers import canonical
from biomark.knowledge.entries import Description, Entry, Name, NameKind
from biomark.knowledge.forms import form
from biomark.knowledge.sources.base import OpenedSource, SourceFormat, in_parts
from biomark.knowledge.sources.rows import Header, TableRow, rows, split

_ALIASES = {"identifier": "id", "label": "name", "term": "name", "synonym": "synonyms", "def": "definition"}
_NEEDED = (("name", "label", "term"),)
_DELIMITERS = "\t,;"
_OWN = "user"  # the namespace of the identifiers that this module creates


def read(source: OpenedSource, reject: Reject) -> Iterator[Entry]:
    """Yield the entries of a table; see the module's docstring."""
    file = source.file()
    for row in rows(file, reject, _header, needed=_NEEDED):
        try:
            entry = _entry(row)
        except ValueError as error:
            file.reject(reject, str(error), raw=row.raw, line=row.line)
            continue
        yield from in_parts(entry)


def describe(source: OpenedSource) -> Description:
    """Return the name of a table, which has no other metadata."""
    return Description(source.path.name, FORMAT.name)


def _entry(row: TableRow) -> Entry:
    """Return the entry of a row.

    Raises:
        ValueError: if the row has no name, or an unknown kind of name.
    """
    name, kind = row["name"], row["kind"].upper() or NameKind.PREFERRED.name
    if not name:
        raise ValueError("the row has no name")
    if kind not in NameKind.__members__:
        raise ValueError(
            f"the kind of a name is one of {', '.join(k.name.lower() for k in NameKind)}, not {kind.lower()}"
        )
    entity_type = canonical_type(row["type"]) if row["type"] else None
    names = (Name(name, NameKind[kind]), *map(Name, _listed(row["synonyms"])))
    own = tuple(dict.fromkeys(_listed(row["semantic_type"])))
    return Entry(_identifier(row, entity_type), entity_type, names, row["definition"] or None, semantic_types=own)


def _listed(field: str) -> list[str]:
    return [value for piece in field.split("|") if (value := piece.strip())]


def _identifier(row: TableRow, entity_type: str | None) -> str:
    if row["id"]:
        return canonical(row["id"], entity_type)
    words = form(row["name"]).replace(" ", "-") or row["name"]
    return f"{_OWN}:{entity_type}/{words}" if entity_type else f"{_OWN}:{words}"


def _header(line: str) -> Header:
    delimiter = next((character for character in _DELIMITERS if character in line), "\t")
    columns = (column.strip() for column in split(line, delimiter))
    lowered = (column.casefold() for column in columns)
    return Header(delimiter, tuple(_ALIASES.get(column, column) for column in lowered))


def _sniff(head: bytes) -> bool:
    first = head.decode(errors="replace").removeprefix("\ufeff").partition("\n")[0]
    return "name" in _header(first).columns


FORMAT = SourceFormat("table", read, describe, sniff=_sniff, suffixes=(".tsv", ".csv", ".tab"))
