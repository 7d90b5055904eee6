"""Tables of the user's own: TSV or CSV whose first line names the columns.

Read are `id` or `identifier`; `name`, `label` or `term`, without which there is nothing to read;
and, where they are there, `type`, `semantic_type` (in words of its own, several joined by `|`), `synonyms`
(joined by `|`), `definition` and `kind` (of the name: preferred, exact, abbreviation, mention, related or
broad). All others are passed over. A concept without an identifier has one of its type and name.
"""

from __future__ import annotations

from collections.abc import Iterator

from biomark.entity_types import canonical as canonical_type
from biomark.formats import Reject
from biomark.identifiers import canonical
from biomark.knowledge.entries import Description, Entry, Kind, Name
from biomark.knowledge.forms import form
from biomark.knowledge.sources.base import Format, Source, in_parts
from biomark.knowledge.sources.rows import Header, Row, rows, split

_ALIASES = {"identifier": "id", "label": "name", "term": "name", "synonym": "synonyms", "def": "definition"}
_NEEDED = (("name", "label", "term"),)
_DELIMITERS = "\t,;"
_OWN = "user"  # the namespace of identifiers that are made here


def read(source: Source, reject: Reject) -> Iterator[Entry]:
    """Entries of a table; see the module."""
    file = source.file()
    for row in rows(file, reject, _header, needed=_NEEDED):
        try:
            entry = _entry(row)
        except ValueError as error:
            file.reject(reject, str(error), raw=row.raw, line=row.line)
            continue
        yield from in_parts(entry)


def describe(source: Source) -> Description:
    """A table says nothing of itself."""
    return Description(source.path.name, FORMAT.name)


def _entry(row: Row) -> Entry:
    """The entry of a row.

    Raises:
        ValueError: if it has no name, or a kind that there is not.
    """
    name, kind = row["name"], row["kind"].upper() or Kind.PREFERRED.name
    if not name:
        raise ValueError("the row has no name")
    if kind not in Kind.__members__:
        raise ValueError(f"the kind of a name is one of {', '.join(k.name.lower() for k in Kind)}, not {kind.lower()}")
    type = canonical_type(row["type"]) if row["type"] else None
    names = (Name(name, Kind[kind]), *map(Name, _listed(row["synonyms"])))
    own = tuple(dict.fromkeys(_listed(row["semantic_type"])))
    return Entry(_identifier(row, type), type, names, row["definition"] or None, semantic_types=own)


def _listed(field: str) -> list[str]:
    return [value for piece in field.split("|") if (value := piece.strip())]


def _identifier(row: Row, type: str | None) -> str:
    if row["id"]:
        return canonical(row["id"], type)
    words = form(row["name"]).replace(" ", "-") or row["name"]
    return f"{_OWN}:{type}/{words}" if type else f"{_OWN}:{words}"


def _header(line: str) -> Header:
    delimiter = next((character for character in _DELIMITERS if character in line), "\t")
    columns = (column.strip() for column in split(line, delimiter))
    lowered = (column.casefold() for column in columns)
    return Header(delimiter, tuple(_ALIASES.get(column, column) for column in lowered))


def _sniff(head: bytes) -> bool:
    first = head.decode(errors="replace").removeprefix("\ufeff").partition("\n")[0]
    return "name" in _header(first).columns


FORMAT = Format("table", read, describe, sniff=_sniff, suffixes=(".tsv", ".csv", ".tab"))
