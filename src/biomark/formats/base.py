"""What all formats share: where bytes come from and go to, and what a format is."""

from __future__ import annotations

import codecs
import errno
import gzip
import io
import os
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from biomark.errors import FormatError
from biomark.screen import visible
from biomark.spans import Document, Rejected

Reject = Callable[[Rejected], None]

BROKEN_GZIP = (EOFError, zlib.error, gzip.BadGzipFile)
_CHUNK = 1 << 14  # bytes; small, since a compressed file that breaks off loses the piece being read


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file without its end (`\\n` or `\\r\\n`).

    Attributes:
        number: counted from 1.
        text: decoded from UTF-8; where that fails, with U+FFFD in the place of bad bytes.
        problem: what is wrong with its bytes, or None.
    """

    number: int
    text: str
    problem: str | None = None


def is_offset(column: str) -> bool:
    """Whether it is a whole number of a size that a text can have; Python refuses to read one of 5,000 digits."""
    return column.isascii() and column.isdigit() and len(column) < 19


def exists(path: Path) -> bool:
    """Whether there is a file or folder; a name that no file can have is that of none."""
    try:
        return path.exists()
    except OSError:
        return False


def with_mark(text: str) -> str:
    """A text as the whole of a file: where it begins with U+FEFF, with another one, since readers take one off."""
    return "\ufeff" + text if text.startswith("\ufeff") else text


class Source:
    """A file, a folder or an open stream, as a reader sees it.

    Attributes:
        path: the file or folder; None for a stream.
        name: how messages call it.
        line: the number of the line read last (for messages).
    """

    def __init__(self, path: Path | None, stream: IO[bytes] | None = None) -> None:
        self.path = path
        self.name = str(path) if path is not None else "standard input"
        self.line: int | None = None
        self._stream = stream
        self._raw: IO[bytes] | None = None

    def reject(
        self, reject: Reject, reason: str, *, raw: str = "", document_id: str | None = None, line: int | None = None
    ) -> None:
        """Hand something over to `reject`, with this source's name."""
        reject(Rejected(reason, raw=raw, document_id=document_id, source=self.name, line=line))

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """The bytes, uncompressed if the name ends in `.gz`.

        Raises:
            FormatError: if the file cannot be opened.
        """
        if self.path is None:
            if self._stream is None:
                raise FormatError("there is nothing to read from")
            yield self._stream
            return
        try:
            self._raw = self.path.open("rb")
        except OSError as error:
            raise FormatError(f"{self.path}: cannot be read: {error.strerror or error}") from error
        with self._raw as raw:
            yield gzip.GzipFile(fileobj=raw) if self.path.suffix == ".gz" else raw  # type: ignore[misc]

    def position(self) -> int:
        """How many bytes of the file on the disk have been read: 0 before it is opened, all once it is closed."""
        if self._raw is None or not (self._raw.closed or self._raw.seekable()):
            return 0
        return Path(self._raw.name).stat().st_size if self._raw.closed else self._raw.tell()

    def head(self, size: int = 4096) -> bytes:
        """The first bytes of a file (uncompressed), fewer if it ends or breaks off before."""
        found = b""
        try:
            with self.open() as handle:
                while piece := handle.read1(size - len(found)):  # type: ignore[attr-defined]
                    found += piece
        except BROKEN_GZIP:  # where it does is for its reader to tell
            return found
        except OSError as error:
            raise FormatError(f"{self.name}: cannot be read: {error}") from error
        return found

    def lines(self, reject: Reject) -> Iterator[Line]:
        """All lines, split at `\\n` alone; a byte order mark is left out.

        Bytes that are not UTF-8 are told in `Line.problem`; a compressed file that breaks off is
        rejected after its last whole line.

        Raises:
            FormatError: if the file is UTF-16 or UTF-32.
        """
        with self.open() as handle:
            number = 0
            try:
                for number, raw in enumerate(handle, 1):
                    self.line = number
                    yield _line(number, self.without_mark(raw) if number == 1 else raw)
            except BROKEN_GZIP as error:
                self.reject(reject, f"the compressed file breaks off: {error}", line=number + 1)

    def chunks(self, reject: Reject) -> Iterator[bytes]:
        """All bytes, piece by piece; a compressed file that breaks off is rejected after what can be read."""
        with self.open() as handle:
            try:
                while chunk := handle.read(_CHUNK):
                    yield chunk
            except BROKEN_GZIP as error:
                self.reject(reject, f"the compressed file breaks off: {error}")

    def text(self) -> str:
        """The whole file, line ends as they are.

        Raises:
            FormatError: if it is not UTF-8; the message says at which byte.
        """
        with self.open() as handle:
            try:
                raw = self.without_mark(handle.read())
            except BROKEN_GZIP as error:
                raise FormatError(f"{self.name}: the compressed file breaks off: {error}") from error
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise FormatError(f"{self.name}: {not_utf8(error)}") from error

    def without_mark(self, raw: bytes) -> bytes:
        """The first bytes of a file in UTF-8 without its byte order mark.

        Raises:
            FormatError: if the mark is that of UTF-16 or UTF-32.
        """
        if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise FormatError(f"{self.name}: is UTF-16 or UTF-32, not UTF-8; convert it, for instance with iconv")
        return raw.removeprefix(codecs.BOM_UTF8)


class _Visible(io.TextIOWrapper):
    """Text for a terminal, without control characters of the documents."""

    def write(self, text: str, /) -> int:
        return super().write(visible(text))


class Sink:
    """A file, a folder or an open stream, as a writer sees it."""

    def __init__(self, path: Path | None, stream: IO[bytes] | None = None) -> None:
        self.path = path
        self._stream = stream

    @contextmanager
    def open(self, path: Path | None = None, *, styled: bool = False) -> Iterator[IO[str]]:
        """Text to write to, in UTF-8 with `\\n` ends; compressed if the name ends in `.gz`.

        A file is written beside its place and moved there at the end, so that a run that dies
        leaves no half file under the name.

        Args:
            path: a file other than the sink's own (formats of several files).
            styled: whether what is written has escape sequences of our own; else a terminal gets none.
        """
        target = path or self.path
        if target is None:
            stream = self._stream or sys.stdout.buffer
            kind = _Visible if stream.isatty() and not styled else io.TextIOWrapper
            handle = kind(stream, encoding="utf-8", newline="\n")
            try:
                yield handle
            finally:
                handle.flush()
                handle.detach()
            return
        if str(target) == os.devnull or (exists(target) and not target.is_file() and not target.is_dir()):
            with target.open("w", encoding="utf-8", newline="\n") as device:
                yield device
            return
        if os.path.islink(target):  # or a file would take the link's place
            target = target.resolve()
        part = target.with_name(target.name + ".part")
        try:
            with _begun(part, target) as text:
                yield text
        except BaseException:  # an interrupt as well, whenever it comes: nothing half written stays
            with suppress(OSError):
                part.unlink()
            raise
        part.replace(target)


@dataclass(frozen=True, slots=True)
class Format:
    """One format; a module of this package each.

    Attributes:
        name: as `--from` and `--to` take it.
        suffixes: the ends of file names that speak for it.
        read: yields documents, gives `reject` the rest; None if it is for output only.
        write: writes the stream, counts in `lost` what it cannot hold; None if for input only.
        sniff: whether the first 4,096 bytes of a file look like it.
        ambiguous: whether other formats use the same suffixes, so that the bytes decide.
        refuses: why a document cannot be written into a sink, or None if it can; None: it always can.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[Source, Reject], Iterator[Document]] | None = None
    write: Callable[[Iterable[Document], Sink, Counter[str]], None] | None = None
    sniff: Callable[[bytes], bool] | None = None
    ambiguous: bool = False
    refuses: Callable[[Document, Sink], str | None] | None = None


def _begun(part: Path, target: Path) -> IO[str]:
    """The file, open for text, that is to take the target's place.

    Raises:
        FormatError: if it cannot be written.
    """
    try:
        if exists(target) and target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder; name a file")
        target.parent.mkdir(parents=True, exist_ok=True)
        opened = gzip.open(part, "wb") if target.suffix == ".gz" else part.open("wb")  # noqa: SIM115 - the caller closes it
        return io.TextIOWrapper(opened, encoding="utf-8", newline="\n")
    except OSError as error:
        raise FormatError(f"{target}: cannot be written: {error.strerror or error}") from error


def not_utf8(error: UnicodeDecodeError) -> str:
    """What to tell of bytes that are not UTF-8."""
    byte = f"byte {error.start} (0x{error.object[error.start]:02x})"
    return f"{byte} is not UTF-8; convert the file, for instance with iconv"


def _line(number: int, raw: bytes) -> Line:
    raw = raw.removesuffix(b"\n").removesuffix(b"\r")
    try:
        return Line(number, raw.decode())
    except UnicodeDecodeError as error:
        return Line(number, raw.decode(errors="replace"), not_utf8(error))
