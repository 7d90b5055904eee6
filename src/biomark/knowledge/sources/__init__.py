"""Sources of terms: files of many formats → a stream of entries, in bounded memory.

`open_source` opens a source; `FORMATS` lists the formats. A reader yields entries while it reads and
calls `reject` with each part that it cannot use. Files whose name ends in `.gz` are decompressed.
"""

from __future__ import annotations

from pathlib import Path

from biomark import corpora
from biomark.errors import FormatError, KnowledgeError, UsageError
from biomark.formats import Source as File
from biomark.knowledge.sources import corpus, ctd, mesh, ncbi_gene, obo, table, umls
from biomark.knowledge.sources.base import OpenedSource, SourceFormat

FORMATS: dict[str, SourceFormat] = {
    source_format.name: source_format
    for source_format in (
        obo.FORMAT,
        mesh.FORMAT,
        ctd.FORMAT,
        umls.FORMAT,
        ncbi_gene.FORMAT,
        corpus.FORMAT,
        table.FORMAT,
    )
}


def open_source(name: str, format_name: str | None = None) -> OpenedSource:
    """Open a source of terms.

    Args:
        name: a file, a folder (of UMLS, or of brat files), or a split of the catalogue of corpora.
        format_name: the name of the format; None: inferred from the first bytes, then from the file name.

    Raises:
        UsageError: if the format is unknown, or the catalogue has no such split.
        CorpusError: if the files of the split do not exist.
        KnowledgeError: if the file does not exist, or its format cannot be inferred.
    """
    if format_name is not None and format_name not in FORMATS:
        raise UsageError(f"unknown format of sources {format_name!r}; choose from {', '.join(FORMATS)}")
    path = Path(name)
    if not path.exists():
        if name.partition(":")[0] in corpora.catalogue() and format_name in (None, corpus.FORMAT.name):
            return OpenedSource(name, corpus.FORMAT)
        raise KnowledgeError(f"{name}: neither a file or folder nor a split of the catalogue of corpora")
    source_format = FORMATS[format_name] if format_name else _guess(path)
    if source_format is umls.FORMAT and path.is_file():
        return OpenedSource(str(path.parent), source_format)  # `name` is one of the folder's files
    return OpenedSource(name, source_format)


def _guess(path: Path) -> SourceFormat:
    """Infer the format from the first bytes of a file, or from its name.

    Raises:
        KnowledgeError: if no format fits.
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
        by_bytes = (candidate for candidate in FORMATS.values() if candidate.sniff(head))
        by_name = (candidate for candidate in FORMATS.values() if plain.endswith(candidate.suffixes))
        if match := next(by_bytes, None) or next(by_name, None):
            return match
    raise KnowledgeError(
        f"{path}: cannot infer the format of this source; name the format (`input format`), one of {', '.join(FORMATS)}"
    )


__all__ = ["FORMATS", "OpenedSource", "SourceFormat", "open_source"]
