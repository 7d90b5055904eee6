"""The classes of sources and their formats, and the spelling of cross-references."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from biomark.errors import FormatError, KnowledgeError
from biomark.formats import Reject
from biomark.formats import Source as File
from biomark.identifiers import canonical, namespace
from biomark.knowledge.entries import Description, Entry
from biomark.spans import Rejected

# The largest number of names of one entry, which bounds the memory for a concept with a million names.
NAMES = 1000
_IDENTIFIER = re.compile(r"[A-Za-z][\w.-]*:[^\s/]\S*")
# Prefixes of references to literature and web pages, which do not identify a concept.
_REFERENCES = frozenset("http https ftp url pmid pmcid pmc doi isbn isbn-10 isbn-13 issn patent citexplore".split())


class OpenedSource:
    """A source of terms: a file, a folder of files, or a split of the catalogue of corpora.

    Attributes:
        name: the path, or the name of a split such as `ncbi_disease:train`.
        path: `name` as a path.
        format: the format of the source.
        left_out: counts of contents that a store cannot hold, by kind; complete after all entries
            have been read.
        description: the source's name, format, version and licence.
    """

    def __init__(self, name: str, source_format: SourceFormat) -> None:
        self.name = name
        self.path = Path(name)
        self.format = source_format
        self.left_out: Counter[str] = Counter()
        self._files: list[File] = []
        try:
            self.description = source_format.describe(self)
        except FormatError as error:
            raise KnowledgeError(str(error)) from error

    def entries(self, reject: Reject) -> Iterator[Entry]:
        """Yield all entries; call `reject` with each part that cannot be used, and continue.

        Raises:
            KnowledgeError: if the source cannot be read at all: missing columns, UTF-16, or no such file.
        """
        self.left_out.clear()
        self._files.clear()
        silent = True

        def rejected_one(rejected: Rejected) -> None:
            nonlocal silent
            silent = False
            reject(rejected)

        try:
            for entry in self.format.read(self, rejected_one):
                silent = False
                yield entry
        except FormatError as error:
            raise KnowledgeError(str(error)) from error
        if silent:
            reject(Rejected(f"the source has no terms in the format {self.format.name}", source=self.name))

    def file(self, path: Path | None = None) -> File:
        """Open the source's file, or one of the files of its folder; `position` includes it."""
        self._files.append(File(path or self.path))
        return self._files[-1]

    def position(self) -> int:
        """Return the number of bytes that have been read of its files on disk; 0 if unknown."""
        return sum(file.position() for file in self._files)

    @property
    def size(self) -> int:
        """The size of all its files on disk in bytes; 0 if unknown."""
        return sum(path.stat().st_size for path in self.format.files(self.path) if path.is_file())


def _itself(path: Path) -> tuple[Path, ...]:
    return (path,)


@dataclass(frozen=True, slots=True)
class SourceFormat:
    """A format of sources; each has a module of this package.

    Attributes:
        name: the name by which users choose the format.
        read: yields entries, and calls a function with each part that cannot be used.
        describe: returns the metadata of a source, of which it reads only the beginning.
        sniff: returns whether the first 4,096 bytes of a file look like this format.
        suffixes: the ends of file names from which the format is inferred if no bytes match.
        files: returns the files to read for a path.
    """

    name: str
    read: Callable[[OpenedSource, Reject], Iterator[Entry]]
    describe: Callable[[OpenedSource], Description]
    sniff: Callable[[bytes], bool] = lambda head: False
    suffixes: tuple[str, ...] = ()
    files: Callable[[Path], tuple[Path, ...]] = _itself


def in_parts(entry: Entry) -> Iterator[Entry]:
    """Yield the entry in parts of at most `NAMES` names each."""
    if len(entry.names) <= NAMES:
        yield entry
        return
    yield replace(entry, names=entry.names[:NAMES])
    for start in range(NAMES, len(entry.names), NAMES):
        yield Entry(entry.identifier, entry.type, entry.names[start : start + NAMES], taxon=entry.taxon)


def other_identifier(reference: str) -> str | None:
    """Return a cross-reference in canonical spelling; None if it does not identify a concept, such as an article.

    A repeated namespace counts once: `HGNC:HGNC:11998`, `DO:DOID:1234`.
    """
    prefix, _, local = reference.strip().partition(":")
    name = _namespace(prefix)
    repeated, colon, number = local.partition(":")
    if colon and _namespace(repeated) == name:
        local = number
    identifier = f"{name}:{local.strip()}" if local else canonical(prefix)
    if prefix.casefold() in _REFERENCES or not _IDENTIFIER.fullmatch(identifier):
        return None
    return identifier


@lru_cache(maxsize=4096)
def _namespace(prefix: str) -> str:
    """Return the canonical spelling of a namespace; much faster than `canonical` for each of its identifiers."""
    return namespace(canonical(f"{prefix}:0"))


def head_lines(source: OpenedSource, path: Path | None = None) -> Iterator[str]:
    """Yield the lines of a source, from which its metadata are read; invalid bytes are ignored."""
    for line in File(path or source.path).lines(lambda rejected: None):
        yield line.text
