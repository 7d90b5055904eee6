"""What all sources share: where they lie, what a format is, and how other identifiers are spelled."""

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

# Names that one entry holds at most, so that a concept with a million names needs no memory for them.
NAMES = 1000
_IDENTIFIER = re.compile(r"[A-Za-z][\w.-]*:[^\s/]\S*")
# Cross-references to what is written about a concept; many concepts share them.
_REFERENCES = frozenset("http https ftp url pmid pmcid pmc doi isbn isbn-10 isbn-13 issn patent citexplore".split())


class Source:
    """A source of terms: a file, a folder of files, or a split of the catalogue of corpora.

    Attributes:
        name: the path, or such as `ncbi_disease:train`.
        path: the same as a path.
        format: how it is read.
        left_out: what the source has and a store has no place for, as counts by kind; complete once
            all entries were read.
        description: what the source says of itself.
    """

    def __init__(self, name: str, format: Format) -> None:
        self.name = name
        self.path = Path(name)
        self.format = format
        self.left_out: Counter[str] = Counter()
        self._files: list[File] = []
        try:
            self.description = format.describe(self)
        except FormatError as error:
            raise KnowledgeError(str(error)) from error

    def entries(self, reject: Reject) -> Iterator[Entry]:
        """All entries, streamed; what cannot be used goes to `reject`, and the reading goes on.

        Raises:
            KnowledgeError: if nothing of it can be read: other columns than the format has, UTF-16, not there.
        """
        self.left_out.clear()
        self._files.clear()
        silent = True

        def told(rejected: Rejected) -> None:
            nonlocal silent
            silent = False
            reject(rejected)

        try:
            for entry in self.format.read(self, told):
                silent = False
                yield entry
        except FormatError as error:
            raise KnowledgeError(str(error)) from error
        if silent:
            reject(Rejected(f"as {self.format.name} it holds no term", source=self.name))

    def file(self, path: Path | None = None) -> File:
        """The source's file to read, or one of the files of its folder; `position` counts it."""
        self._files.append(File(path or self.path))
        return self._files[-1]

    def position(self) -> int:
        """The bytes of its files on the disk that have been read; 0 if nobody knows."""
        return sum(file.position() for file in self._files)

    @property
    def size(self) -> int:
        """The bytes of all its files on the disk; 0 if nobody knows."""
        return sum(path.stat().st_size for path in self.format.files(self.path) if path.is_file())


def _itself(path: Path) -> tuple[Path, ...]:
    return (path,)


@dataclass(frozen=True, slots=True)
class Format:
    """One format of sources; a module of this package each.

    Attributes:
        name: as the command line takes it.
        read: yields entries, gives `reject` the rest.
        describe: what a source says of itself; reads no more than its beginning.
        sniff: whether the first 4,096 bytes of a file look like it.
        suffixes: the ends of file names that speak for it where the bytes do not.
        files: the files that it reads of a path.
    """

    name: str
    read: Callable[[Source, Reject], Iterator[Entry]]
    describe: Callable[[Source], Description]
    sniff: Callable[[bytes], bool] = lambda head: False
    suffixes: tuple[str, ...] = ()
    files: Callable[[Path], tuple[Path, ...]] = _itself


def in_parts(entry: Entry) -> Iterator[Entry]:
    """The entry as several of at most `NAMES` names."""
    if len(entry.names) <= NAMES:
        yield entry
        return
    yield replace(entry, names=entry.names[:NAMES])
    for start in range(NAMES, len(entry.names), NAMES):
        yield Entry(entry.identifier, entry.type, entry.names[start : start + NAMES], taxon=entry.taxon)


def other_identifier(reference: str) -> str | None:
    """A cross-reference under biomark's spelling; None for what identifies no concept, such as an article.

    A namespace that is written twice counts once: `HGNC:HGNC:11998`, `DO:DOID:1234`.
    """
    prefix, _, local = reference.strip().partition(":")
    name = _namespace(prefix)
    again, colon, rest = local.partition(":")
    if colon and _namespace(again) == name:
        local = rest
    found = f"{name}:{local.strip()}" if local else canonical(prefix)
    if prefix.casefold() in _REFERENCES or not _IDENTIFIER.fullmatch(found):
        return None
    return found


@lru_cache(maxsize=4096)
def _namespace(prefix: str) -> str:
    """biomark's spelling of a namespace; much faster than `canonical` for each of its identifiers."""
    return namespace(canonical(f"{prefix}:0"))


def head_lines(source: Source, path: Path | None = None) -> Iterator[str]:
    """The first lines of a source, for what it says of itself; bad bytes are no matter here."""
    for line in File(path or source.path).lines(lambda rejected: None):
        yield line.text
