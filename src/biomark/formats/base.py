"""The parts that all formats share: sources of bytes, destinations, and the definition of a format."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO

from biomark.errors import FormatError
from biomark.formats.encodings import BUFFER, Rewound, Utf8
from biomark.formats.identifiers import decoded, file_stem
from biomark.runtime.files import PART, RUN, PartialFile
from biomark.runtime.interrupts import uninterrupted
from biomark.screen import visible
from biomark.spans import Document, Rejected

Reject = Callable[[Rejected], None]

BROKEN_GZIP = (EOFError, zlib.error, gzip.BadGzipFile)
MOST = 1 << 26  # bytes of a line or of a text, uncompressed (64 MiB); anything longer is not a document
_GZIP = b"\x1f\x8b\x08"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file without its line end (`\\n` or `\\r\\n`).

    Attributes:
        number: the line number, from 1.
        text: the decoded text, with U+FFFD in place of bytes that cannot be decoded.
        problem: the reason why some bytes could not be decoded, or None.
    """

    number: int
    text: str
    problem: str | None = None


def is_offset(column: str) -> bool:
    """Return whether a column holds an offset: up to 18 ASCII digits. Python refuses to parse thousands of digits."""
    return column.isascii() and column.isdigit() and len(column) < 19


def exists(path: Path) -> bool:
    """Return whether there is such a file or folder; False for a name that no file can have."""
    try:
        return path.exists()
    except OSError:
        return False


def with_mark(text: str) -> str:
    """Return the content of a file for a text: a leading U+FEFF is doubled, because readers drop one."""
    return "\ufeff" + text if text.startswith("\ufeff") else text


class Source:
    """A file, a folder or an open stream, presented to readers as uncompressed UTF-8.

    Args:
        path: the file or folder; None for a stream.
        stream: the binary stream, if there is no path.
        encoding: Python's name of the file's encoding; None: UTF-8. A byte order mark takes precedence.
        root: the folder that is being read, if the file is part of one.

    Attributes:
        path: the file or folder; None for a stream.
        name: the name of the source in messages.
        line: the number of the last line that was read, from 1; None before the first (for messages).
    """

    def __init__(
        self,
        path: Path | None,
        stream: IO[bytes] | None = None,
        *,
        encoding: str | None = None,
        root: Path | None = None,
    ) -> None:
        self.path = path
        self.name = str(path) if path is not None else "standard input"
        self.line: int | None = None
        self._stream = stream
        self._encoding = encoding
        self._root = root
        self._raw: IO[bytes] | None = None
        self._utf8: Utf8 | None = None
        self._begun: IO[bytes] | None = None  # a stream whose first bytes were inspected

    def beside(self, path: Path) -> Source:
        """Return the source of another file with the same encoding and root folder."""
        return Source(path, encoding=self._encoding, root=self._root)

    def inside(self, path: Path) -> Source:
        """Return the source of a file in this folder."""
        return Source(path, encoding=self._encoding, root=self.path)

    @property
    def encoding(self) -> str | None:
        """The encoding that the caller named; None for UTF-8."""
        return self._encoding

    @property
    def place(self) -> PurePath:
        """The path of the file relative to the folder that is being read; its name if it is read alone."""
        if self.path is None:
            return PurePath(self.name)
        return self.path.relative_to(self._root) if self._root is not None else PurePath(self.path.name)

    def own_id(self, stem: str) -> str:
        """Return the id of a document that is the only one in its file.

        Args:
            stem: the file's name without suffixes.
        """
        if self.path is None:
            return self.name
        return decoded(stem) if self._root is None else file_stem(self.place.with_name(stem))

    @property
    def is_stream(self) -> bool:
        """Return whether the bytes can be read only once: an open stream, or a path that is neither file nor folder."""
        return self.path is None or not (self.path.is_file() or self.path.is_dir())

    @property
    def recoded(self) -> bool:
        """Return whether the file is in an encoding other than UTF-8; valid after its first bytes are read."""
        return self._utf8 is not None and self._utf8.recoded

    def reject(
        self, reject: Reject, reason: str, *, raw: str = "", document_id: str | None = None, line: int | None = None
    ) -> None:
        """Call `reject` with a `Rejected` that names this source."""
        reject(Rejected(reason, raw=raw, document_id=document_id, source=self.name, line=line))

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open the source as a stream of UTF-8; it is decompressed if its name ends in `.gz` or it starts like gzip.

        Raises:
            FormatError: if the file cannot be opened.
        """
        try:
            begun, self._begun = self._begun or self._begin(), None
            yield begun
        finally:
            if self.path is not None and self._raw is not None:
                self._raw.close()

    def _begin(self) -> IO[bytes]:
        raw = self._stream
        if self.path is not None:
            try:
                with nullcontext() if self.is_stream else uninterrupted():  # a pipe waits for its writer
                    raw = self._raw = self.path.open("rb")
            except OSError as error:
                raise FormatError(f"{self.path}: cannot be read: {error.strerror or error}") from error
        if raw is None:
            raise FormatError("the source has neither a path nor a stream; give one of them")
        if self.path is not None and self.path.suffix.lower() == ".gz":
            packed = True
        else:
            start, raw = _peek(raw, len(_GZIP))
            packed = start == _GZIP
        self._utf8 = Utf8(gzip.GzipFile(fileobj=raw) if packed else raw, self._encoding)  # type: ignore[arg-type]
        return io.BufferedReader(self._utf8, BUFFER)

    def position(self) -> int:
        """Return the number of bytes read from the file on disk: 0 before it is opened, its size once it is closed."""
        if self._raw is None or not (self._raw.closed or self._raw.seekable()):
            return 0
        return Path(self._raw.name).stat().st_size if self._raw.closed else self._raw.tell()

    def head(self, size: int = 4096) -> bytes:
        """Return the first `size` bytes of `open`, or fewer if the source ends or breaks off; a stream may block."""
        begun = None
        try:
            if self.is_stream:
                begun = self._begun or self._begin()
                start, self._begun = _peek(begun, size)
                return start
            with self.open() as handle:
                return _first_bytes(handle, size)
        except OSError as error:
            self._begun = begun
            raise FormatError(f"{self.name}: cannot be read: {error}") from error

    def lines(self, reject: Reject) -> Iterator[Line]:
        """Yield all lines, split at `\\n` alone, without a byte order mark.

        `Line.problem` reports bytes that cannot be decoded. A compressed file that breaks off is rejected after its
        last whole line.
        """
        with self.open() as handle:
            number = 0
            try:
                for number, raw in enumerate(iter(lambda: handle.readline(MOST + 1), b""), 1):
                    self.line = number
                    if len(raw) > MOST:
                        reason = f"the line is longer than {MOST >> 20} MiB; the rest of the file is not read"
                        self.reject(reject, reason, line=number)
                        return
                    yield _line(number, self.without_mark(raw) if number == 1 else raw, self._foreign())
            except BROKEN_GZIP as error:
                self.reject(reject, f"the compressed file breaks off: {error}", line=number + 1)

    def chunks(self, reject: Reject) -> Iterator[bytes]:
        """Yield all bytes in pieces; a compressed file that breaks off is rejected after its last readable bytes."""
        with self.open() as handle:
            try:
                while chunk := handle.read1(BUFFER):  # type: ignore[attr-defined]
                    yield chunk
            except BROKEN_GZIP as error:
                self.reject(reject, f"the compressed file breaks off: {error}")

    def text(self) -> str:
        """Return the text of the whole file with its line ends unchanged.

        Raises:
            FormatError: if some bytes cannot be decoded (the message has the position of the first one), if the file
                is longer than `MOST` bytes, or if it is compressed and breaks off.
        """
        with self.open() as handle:
            try:
                raw = self.without_mark(handle.read(MOST + 1))
            except BROKEN_GZIP as error:
                raise FormatError(f"{self.name}: the compressed file breaks off: {error}") from error
        if len(raw) > MOST:
            raise FormatError(f"{self.name}: the text is longer than {MOST >> 20} MiB; split it")
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise FormatError(f"{self.name}: {self._foreign() or not_utf8(error)}") from error

    def without_mark(self, raw: bytes) -> bytes:
        """Return the first bytes of a file without its byte order mark."""
        return raw.removeprefix(codecs.BOM_UTF8)

    def _foreign(self) -> str | None:
        """Return the message about bytes that are invalid in the file's encoding; None if that is UTF-8."""
        if self._utf8 is None or not self.recoded:
            return None
        return f"holds bytes that are not {self._utf8.encoding}; check the file's encoding (`encoding`)"


class _Visible(io.TextIOWrapper):
    """A text stream for a terminal that replaces control characters of the documents."""

    def write(self, text: str, /) -> int:
        return super().write(visible(text))


class Sink:
    """The destination of a writer: a file, a folder or an open stream.

    Args:
        path: the file or folder; None for a stream.
        stream: the binary stream; None: standard output.
        suffix: the suffix that a file has until it is complete.
    """

    def __init__(self, path: Path | None, stream: IO[bytes] | None = None, *, suffix: str = PART) -> None:
        self.path = path
        self._stream = stream
        self._suffix = suffix

    @property
    def is_terminal(self) -> bool:
        """Return whether the output goes straight to a terminal."""
        return self.path is None and (self._stream or sys.stdout.buffer).isatty()

    @contextmanager
    def open(self, path: Path | None = None, *, styled: bool = False) -> Iterator[IO[str]]:
        """Open a text stream in UTF-8 with `\\n` line ends; it is compressed if the name ends in `.gz`.

        A file is written under a temporary name beside its place and renamed at the end, so that an interrupted run
        leaves no incomplete file under the final name.

        Args:
            path: a file other than the sink's own, for formats of several files.
            styled: whether the writer emits escape sequences of its own; otherwise a terminal receives none.

        Raises:
            FormatError: if the file is a folder, or holds the unfinished output of an interrupted run.
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
        part = stream = text = None
        try:
            with uninterrupted():
                part = self._part(
                    target.resolve() if os.path.islink(target) else target
                )  # otherwise the new file would replace the link
                # Without a time stamp, so that the same documents give the same bytes
                packed = target.suffix.lower() == ".gz"
                stream = gzip.GzipFile("", "wb", fileobj=part.file, mtime=0) if packed else part.file
                text = io.TextIOWrapper(stream, encoding="utf-8", newline="\n")
            yield text
            with uninterrupted():
                text.detach()
                if stream is not part.file:
                    stream.close()
                part.keep()
        except BaseException:  # including an interrupt: no incomplete file stays
            if part is not None:
                part.discard(*(handle for handle in (text, stream) if handle is not None))  # type: ignore[arg-type]
            raise

    def _part(self, target: Path) -> PartialFile:
        part, run = (target.with_name(target.name + suffix) for suffix in (PART, PART + RUN))
        if self._suffix == PART and exists(part) and exists(run):
            raise FormatError(
                f"{part}: holds the finished part of an interrupted biomark annotate; run that again, "
                f"or remove {part} and {run}"
            )
        if exists(target) and target.is_dir():
            raise FormatError(f"{target}: cannot be written: it is a folder; name a file")
        opened = PartialFile(target, self._suffix)
        opened.empty()
        return opened


@dataclass(frozen=True, slots=True)
class Format:
    """A file format; each has a module in this package.

    Attributes:
        name: the format's name on the command line and in `read` and `write`.
        suffixes: the suffixes of file names from which the format is inferred.
        read: yields the documents of a source and passes unreadable parts to `reject`; None: output only.
        write: writes documents and counts in `lost` the information that the format cannot hold; None: input only.
        sniff: returns whether the first 4,096 bytes of a file look like this format.
        ambiguous: whether other formats use the same suffixes, so that the first bytes decide.
        files: for a format that is written as a folder, the suffixes of the files of each document; empty: the format
            is written as a file.
        refuses: returns the reason why a document cannot be written into a sink, or None if it can; None: it always
            can.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[Source, Reject], Iterator[Document]] | None = None
    write: Callable[[Iterable[Document], Sink, Counter[str]], None] | None = None
    sniff: Callable[[bytes], bool] | None = None
    ambiguous: bool = False
    files: tuple[str, ...] = ()
    refuses: Callable[[Document, Sink], str | None] | None = None

    @property
    def in_pairs(self) -> bool:
        """Return whether a document is a file of text and one of mentions; a folder of such pairs is read whole."""
        return len(self.files) > 1


def not_utf8(error: UnicodeDecodeError) -> str:
    """Return the message about bytes that are not UTF-8."""
    byte = f"byte {error.start} (0x{error.object[error.start]:02x})"
    return f"{byte} is not UTF-8; name the file's encoding (such as `encoding=latin-1`), or convert it with iconv"


def _line(number: int, raw: bytes, foreign: str | None) -> Line:
    raw = raw.removesuffix(b"\n").removesuffix(b"\r")
    try:
        return Line(number, raw.decode())
    except UnicodeDecodeError as error:
        return Line(number, raw.decode(errors="replace"), foreign or not_utf8(error))


def _first_bytes(stream: IO[bytes], size: int) -> bytes:
    """Return the first `size` bytes of a stream, or fewer if it ends or breaks off before."""
    read = getattr(stream, "read1", stream.read)
    start = b""
    try:
        while len(start) < size and (piece := read(size - len(start))):
            start += piece
    except BROKEN_GZIP:  # the reader will report it
        pass
    return start


def _peek(stream: IO[bytes], size: int) -> tuple[bytes, IO[bytes]]:
    """Return the first bytes of a stream, and a stream that still begins with them."""
    if stream.seekable():
        place = stream.tell()
        start = _first_bytes(stream, size)
        stream.seek(place)
        return start, stream
    start = _first_bytes(stream, size)
    return start, io.BufferedReader(Rewound(start, stream), BUFFER)
