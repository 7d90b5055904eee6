"""Archives of files (zip, and tar with or without compression), as PubMed Central and BioC distribute; input only.

Each file is read in its own format, one after the other, without unpacking the archive onto the disk. Messages call a
file `ARCHIVE/NAME`; the file's name is the id of a document that has none.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, cast

from biomark.errors import FormatError
from biomark.formats.base import BROKEN_GZIP, Format, Reject, Source
from biomark.formats.encodings import Rewound
from biomark.spans import Document

_ZIP = (".zip",)
_TAR = (".tar", ".tgz", ".tar.bz2", ".tar.xz")
_BROKEN = (
    *BROKEN_GZIP, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, RuntimeError,
    NotImplementedError,
)  # fmt: skip


def read(source: Source, reject: Reject) -> Iterator[Document]:
    """Yield the documents of all files in an archive; files in unknown formats are rejected."""
    if source.path is None:
        raise FormatError(f"{source.name}: an archive cannot be read from a stream; name a file")
    members = _of_zip(source) if source.path.name.lower().endswith(_ZIP) else _of_tar(source)
    try:
        for name, stream in members:
            yield from _member(source, name, stream, reject)
    except _BROKEN as error:
        source.reject(reject, f"the archive breaks off: {error}; the rest is not read")


def _member(source: Source, name: str, stream: IO[bytes], reject: Reject) -> Iterator[Document]:
    """Yield the documents of one file in the archive."""
    part = _Member(source, name, stream)
    try:
        file_format = _format_of(part, name)
        if file_format.read is None:  # pragma: no cover - guess_format checks it
            raise FormatError(f"{part.name}: {file_format.name} cannot be read")
        yield from file_format.read(part, reject)
    except FormatError as error:
        part.reject(reject, f"cannot be read: {str(error).removeprefix(f'{part.name}: ')}")


def _format_of(part: Source, name: str) -> Format:
    from biomark import formats  # imported here because `formats` imports this module

    if name.lower().endswith((*_TAR, *_ZIP, ".tar.gz")):
        raise FormatError(f"{part.name}: is an archive within an archive; unpack it first")
    try:
        return formats.guess_format(part)
    except FormatError:
        if name.lower().endswith((".txt", ".text")):
            return formats.FORMATS["text"]
        raise


class _Member(Source):
    """A file in an archive: a stream that has a name."""

    def __init__(self, archive: Source, name: str, stream: IO[bytes]) -> None:
        super().__init__(None, stream, encoding=archive.encoding)
        self.name = f"{archive.name}/{name}"
        self._stem = PurePosixPath(name).name.partition(".")[0] or name

    def own_id(self, stem: str) -> str:
        """See `Source.own_id`."""
        return self._stem


def _of_tar(source: Source) -> Iterator[tuple[str, IO[bytes]]]:
    # tarfile accepts a compressed file that breaks off; the compression modules raise an error
    with _unpacked(str(source.path)) as raw, tarfile.open(fileobj=raw, mode="r|") as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.isfile() and not _hidden(member.name) else None
            if stream is not None:
                # tarfile claims that such streams are seekable, but they are not
                yield member.name, io.BufferedReader(Rewound(b"", stream))
        while raw.read(1 << 16):  # up to the checksum at the end
            pass


def _unpacked(path: str) -> IO[bytes]:
    with open(path, "rb") as file:
        head = file.read(6)
    for mark, module in ((b"\x1f\x8b", gzip), (b"BZh", bz2), (b"\xfd7zXZ", lzma)):
        if head.startswith(mark):
            return cast(IO[bytes], module.open(path, "rb"))
    return open(path, "rb")


def _of_zip(source: Source) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(str(source.path)) as archive:
        for member in archive.infolist():
            if not member.is_dir() and not _hidden(member.filename):
                with archive.open(member) as stream:
                    yield member.filename, stream


def _hidden(name: str) -> bool:
    return any(part.startswith(".") and part != "." for part in PurePosixPath(name).parts)


FORMAT = Format("archive", (*_TAR, *_ZIP), read)
