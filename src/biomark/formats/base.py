"""What all formats share: where bytes come from and go to, and what a format is."""

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
from biomark.runtime.files import PART, RUN, Part
from biomark.runtime.interrupts import uninterrupted
from biomark.screen import visible
from biomark.spans import Document, Rejected

Reject = Callable[[Rejected], None]

BROKEN_GZIP = (EOFError, zlib.error, gzip.BadGzipFile)
MOST = 1 << 26  # bytes of a line or of a text, uncompressed: 64 MiB; what is longer is no document
_GZIP = b"\x1f\x8b\x08"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file without its end (`\\n` or `\\r\\n`).

    Attributes:
        number: counted from 1.
        text: decoded; where that fails, with U+FFFD in the place of bad bytes.
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
    """A file, a folder or an open stream, as a reader sees it: in UTF-8 and uncompressed.

    Args:
        path: see below.
        stream: where the bytes come from if there is no path.
        encoding: of the file, as Python calls it; None: UTF-8. A byte order mark goes before it.
        root: the folder that is read, of which the file is a part.

    Attributes:
        path: the file or folder; None for a stream.
        name: how messages call it.
        line: the number of the line read last (for messages).
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
        self._begun: IO[bytes] | None = None  # a stream whose first bytes were looked at

    def beside(self, path: Path) -> Source:
        """Another file, read in the same way as this one."""
        return Source(path, encoding=self._encoding, root=self._root)

    def inside(self, path: Path) -> Source:
        """A file of this folder."""
        return Source(path, encoding=self._encoding, root=self.path)

    @property
    def encoding(self) -> str | None:
        """Which encoding the file is said to be in."""
        return self._encoding

    @property
    def place(self) -> PurePath:
        """The path of the file within the folder that is read; its name if it is read alone."""
        if self.path is None:
            return PurePath(self.name)
        return self.path.relative_to(self._root) if self._root is not None else PurePath(self.path.name)

    def own_id(self, stem: str) -> str:
        """The id of a document that has a file for itself.

        Args:
            stem: the file's name without suffixes.
        """
        if self.path is None:
            return self.name
        return decoded(stem) if self._root is None else file_stem(self.place.with_name(stem))

    @property
    def is_stream(self) -> bool:
        """Whether its bytes can be read once only: an open stream, or a path that is neither file nor folder."""
        return self.path is None or not (self.path.is_file() or self.path.is_dir())

    @property
    def recoded(self) -> bool:
        """Whether the file is in another encoding than UTF-8; known once its first bytes are read."""
        return self._utf8 is not None and self._utf8.recoded

    def reject(
        self, reject: Reject, reason: str, *, raw: str = "", document_id: str | None = None, line: int | None = None
    ) -> None:
        """Hand something over to `reject`, with this source's name."""
        reject(Rejected(reason, raw=raw, document_id=document_id, source=self.name, line=line))

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """The bytes: uncompressed if the name ends in `.gz` or they begin as gzip does, and in UTF-8.

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
            raise FormatError("there is nothing to read from")
        if self.path is not None and self.path.suffix.lower() == ".gz":
            packed = True
        else:
            start, raw = _looked_at(raw, len(_GZIP))
            packed = start == _GZIP
        self._utf8 = Utf8(gzip.GzipFile(fileobj=raw) if packed else raw, self._encoding)  # type: ignore[arg-type]
        return io.BufferedReader(self._utf8, BUFFER)

    def position(self) -> int:
        """How many bytes of the file on the disk have been read: 0 before it is opened, all once it is closed."""
        if self._raw is None or not (self._raw.closed or self._raw.seekable()):
            return 0
        return Path(self._raw.name).stat().st_size if self._raw.closed else self._raw.tell()

    def head(self, size: int = 4096) -> bytes:
        """The first bytes, as `open` gives them; fewer if they end or break off before. A stream waits for them."""
        begun = None
        try:
            if self.is_stream:
                begun = self._begun or self._begin()
                start, self._begun = _looked_at(begun, size)
                return start
            with self.open() as handle:
                return _start(handle, size)
        except OSError as error:
            self._begun = begun
            raise FormatError(f"{self.name}: cannot be read: {error}") from error

    def lines(self, reject: Reject) -> Iterator[Line]:
        """All lines, split at `\\n` alone; a byte order mark is left out.

        Bytes that the encoding does not have are told in `Line.problem`; a compressed file that breaks off is
        rejected after its last whole line.
        """
        with self.open() as handle:
            number = 0
            try:
                for number, raw in enumerate(iter(lambda: handle.readline(MOST + 1), b""), 1):
                    self.line = number
                    if len(raw) > MOST:
                        reason = f"the line is longer than {MOST >> 20} MiB; what follows is not read"
                        self.reject(reject, reason, line=number)
                        return
                    yield _line(number, self.without_mark(raw) if number == 1 else raw, self._foreign())
            except BROKEN_GZIP as error:
                self.reject(reject, f"the compressed file breaks off: {error}", line=number + 1)

    def chunks(self, reject: Reject) -> Iterator[bytes]:
        """All bytes, piece by piece; a compressed file that breaks off is rejected after what can be read."""
        with self.open() as handle:
            try:
                while chunk := handle.read1(BUFFER):  # type: ignore[attr-defined]
                    yield chunk
            except BROKEN_GZIP as error:
                self.reject(reject, f"the compressed file breaks off: {error}")

    def text(self) -> str:
        """The whole file, line ends as they are.

        Raises:
            FormatError: if it has bytes that the encoding does not have; the message says at which byte.
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
        """The first bytes of a file without its byte order mark."""
        return raw.removeprefix(codecs.BOM_UTF8)

    def _foreign(self) -> str | None:
        """What to tell of bytes that the file's own encoding does not have; None if that is UTF-8."""
        if self._utf8 is None or not self.recoded:
            return None
        return f"holds bytes that are not {self._utf8.encoding}; is that the file's encoding (`encoding`)?"


class _Visible(io.TextIOWrapper):
    """Text for a terminal, without control characters of the documents."""

    def write(self, text: str, /) -> int:
        return super().write(visible(text))


class Sink:
    """A file, a folder or an open stream, as a writer sees it.

    Args:
        path: the file or folder; None for a stream.
        stream: the stream; None: standard output.
        suffix: what names of files have beside their own until they are whole.
    """

    def __init__(self, path: Path | None, stream: IO[bytes] | None = None, *, suffix: str = PART) -> None:
        self.path = path
        self._stream = stream
        self._suffix = suffix

    @property
    def is_terminal(self) -> bool:
        """Whether people see what is written as it is written."""
        return self.path is None and (self._stream or sys.stdout.buffer).isatty()

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
        part = stream = text = None
        try:
            with uninterrupted():
                part = self._part(
                    target.resolve() if os.path.islink(target) else target
                )  # or it would replace the link
                # No time of writing in it, so that the same documents are the same bytes
                packed = target.suffix.lower() == ".gz"
                stream = gzip.GzipFile("", "wb", fileobj=part.file, mtime=0) if packed else part.file
                text = io.TextIOWrapper(stream, encoding="utf-8", newline="\n")
            yield text
            with uninterrupted():
                text.detach()
                if stream is not part.file:
                    stream.close()
                part.keep()
        except BaseException:  # an interrupt as well: nothing half written stays
            if part is not None:
                part.discard(*(one for one in (text, stream) if one is not None))  # type: ignore[arg-type]
            raise

    def _part(self, target: Path) -> Part:
        part, run = (target.with_name(target.name + suffix) for suffix in (PART, PART + RUN))
        if self._suffix == PART and exists(part) and exists(run):
            raise FormatError(
                f"{part}: holds what an interrupted biomark annotate has finished; run that again, "
                f"or remove {part} and {run}"
            )
        if exists(target) and target.is_dir():
            raise FormatError(f"{target}: cannot be written: it is a folder; name a file")
        opened = Part(target, self._suffix)
        opened.empty()
        return opened


@dataclass(frozen=True, slots=True)
class Format:
    """One format; a module of this package each.

    Attributes:
        name: as the command line takes it.
        suffixes: the ends of file names that speak for it.
        read: yields documents, gives `reject` the rest; None if it is for output only.
        write: writes the stream, counts in `lost` what it cannot hold; None if for input only.
        sniff: whether the first 4,096 bytes of a file look like it.
        ambiguous: whether other formats use the same suffixes, so that the bytes decide.
        files: the ends of the names of the files that each document has in a folder, where the format is written as
            one; none: it is written as a file.
        refuses: why a document cannot be written into a sink, or None if it can; None: it always can.
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
        """Whether each document has a text and a file of mentions; a folder of them is read as a whole."""
        return len(self.files) > 1


def not_utf8(error: UnicodeDecodeError) -> str:
    """What to tell of bytes that are not UTF-8."""
    byte = f"byte {error.start} (0x{error.object[error.start]:02x})"
    return f"{byte} is not UTF-8; name the file's encoding (`encoding=latin-1`, say), or convert it with iconv"


def _line(number: int, raw: bytes, foreign: str | None) -> Line:
    raw = raw.removesuffix(b"\n").removesuffix(b"\r")
    try:
        return Line(number, raw.decode())
    except UnicodeDecodeError as error:
        return Line(number, raw.decode(errors="replace"), foreign or not_utf8(error))


def _start(stream: IO[bytes], size: int) -> bytes:
    """The first bytes of a stream; fewer if it ends or breaks off before."""
    read = getattr(stream, "read1", stream.read)
    found = b""
    try:
        while len(found) < size and (piece := read(size - len(found))):
            found += piece
    except BROKEN_GZIP:  # where it does is for its reader to tell
        pass
    return found


def _looked_at(stream: IO[bytes], size: int) -> tuple[bytes, IO[bytes]]:
    """The first bytes of a stream, and a stream that still has them."""
    if stream.seekable():
        place = stream.tell()
        start = _start(stream, size)
        stream.seek(place)
        return start, stream
    start = _start(stream, size)
    return start, io.BufferedReader(Rewound(start, stream), BUFFER)
