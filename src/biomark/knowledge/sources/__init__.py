"""Sources of terms: what users have → a stream of entries, in bounded memory.

`open_source` is the entrance; `FORMATS` lists what there is. A reader yields entries as it goes and
hands what it cannot use to `reject`. Files whose name ends in `.gz` are uncompressed on the way.
"""

from __future__ import annotations

from pathlib import Path

from biomark import corpora
from biomark.errors import FormatError, KnowledgeError, UsageError
from biomark.formats import Source as File
from biomark.knowledge.sources import corpus, ctd, mesh, ncbi_gene, obo, table, umls
from biomark.knowledge.sources.base import Format, Source

FORMATS: dict[str, Format] = {
    format.name: format
    for format in (
        obo.FORMAT,
        mesh.FORMAT,
        ctd.FORMAT,
        umls.FORMAT,
        ncbi_gene.FORMAT,
        corpus.FORMAT,
        table.FORMAT,
    )
}


def open_source(name: str, format: str | None = None) -> Source:
    """A source to read entries of.

    Args:
        name: a file, a folder (of UMLS, or of brat files), or a split of the catalogue of corpora.
        format: its format's name; None: guessed from the first bytes, then from the name.

    Raises:
        UsageError: if there is no such format, or the catalogue has no such split.
        CorpusError: if the split's files are not there.
        KnowledgeError: if there is no such file, or nothing speaks for a format.
    """
    if format is not None and format not in FORMATS:
        raise UsageError(f"no format {format!r} of sources; there are {', '.join(FORMATS)}")
    path = Path(name)
    if not path.exists():
        if name.partition(":")[0] in corpora.catalogue() and format in (None, corpus.FORMAT.name):
            return Source(name, corpus.FORMAT)
        raise KnowledgeError(f"{name}: neither a file or folder nor a split of the catalogue of corpora")
    found = FORMATS[format] if format else _guess(path)
    if found is umls.FORMAT and path.is_file():
        return Source(str(path.parent), found)  # one of the folder's files was named
    return Source(name, found)


def _guess(path: Path) -> Format:
    """The format that a file's first bytes or its name speak for.

    Raises:
        KnowledgeError: if nothing does.
    """
    if umls.FORMAT.files(path) or (".RRF" in path.suffixes and umls.FORMAT.files(path.parent)):
        return umls.FORMAT
    if path.is_dir() and any(path.rglob("*.ann")):
        return corpus.FORMAT
    if path.is_file():
        try:
            head = File(path).head()
        except FormatError as error:
            raise KnowledgeError(str(error)) from error
        plain = path.name.removesuffix(".gz")
        by_bytes = (found for found in FORMATS.values() if found.sniff(head))
        by_name = (found for found in FORMATS.values() if plain.endswith(found.suffixes))
        if found := next(by_bytes, None) or next(by_name, None):
            return found
    raise KnowledgeError(
        f"{path}: no format of sources has this name; name the format (`input format`), one of {', '.join(FORMATS)}"
    )


__all__ = ["FORMATS", "Format", "Source", "open_source"]
