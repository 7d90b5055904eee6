"""Conversion of files to UTF-8 from any encoding, so that readers of formats handle UTF-8 alone."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable
from typing import IO

from biomark.errors import UsageError

# In this order, because the byte order mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BROKEN = "biomark.broken"
BUFFER = 1 << 14  # bytes; small, because a compressed file that breaks off loses the piece that is being read


def _broken(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replace bytes that cannot be decoded with one byte that is invalid in UTF-8 (an error handler of `codecs`)."""
    if isinstance(error, UnicodeDecodeError):
        return "\udcff", error.end
    if isinstance(error, UnicodeEncodeError):
        return b"\xff", error.end
    raise error


codecs.register_error(_BROKEN, _broken)


def encoding_named(name: str) -> str:
    """Return Python's name of a text encoding.

    Raises:
        UsageError: if there is no such encoding.
    """
    try:
        codec = codecs.lookup(name)
        "".encode(codec.name)  # fails for encodings of bytes, such as base64
    except (LookupError, ValueError) as error:
        raise UsageError(f"unknown encoding {name!r}; use for instance `encoding=latin-1`, cp1252 or utf-16") from error
    return codec.name


class Utf8(io.RawIOBase):
    """A stream of UTF-8 bytes, converted from a stream in another encoding.

    A byte order mark takes precedence over `encoding`.

    Args:
        stream: the original bytes; it stays open.
        encoding: Python's name of the encoding; None: UTF-8, unless there is another byte order mark.

    Attributes:
        encoding: the encoding of the original bytes; final once the first bytes are read.
        recoded: whether the bytes are converted from an encoding other than UTF-8; valid once the first bytes are read.
    """

    def __init__(self, stream: IO[bytes], encoding: str | None = None) -> None:
        self.recoded = False
        self._read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
        self.encoding = encoding
        self._decoder: codecs.IncrementalDecoder | None = None
        self._left = b""
        self._began = self._ended = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """See `io.RawIOBase`."""
        if not self._began:
            self._begin()
        while not self._left and not self._ended:
            piece = self._read(BUFFER)
            self._ended = not piece
            self._left = self._recoded(piece)
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size

    def _begin(self) -> None:
        self._began = True
        start = b""
        while len(start) < len(codecs.BOM_UTF32_LE) and (piece := self._read(BUFFER)):
            start += piece
        self.encoding = next((name for mark, name in _MARKS if start.startswith(mark)), self.encoding)
        if self.encoding not in (None, "utf-8"):
            self.recoded = True
            self._decoder = codecs.getincrementaldecoder(self.encoding)(_BROKEN)
        self._left = self._recoded(start)

    def _recoded(self, piece: bytes) -> bytes:
        if self._decoder is None:
            return piece
        return self._decoder.decode(piece, final=not piece).encode("utf-8", _BROKEN)


class Rewound(io.RawIOBase):
    """A stream that starts again with the bytes that were already read from it.

    Args:
        start: the bytes that were read.
        stream: the stream with the remaining bytes; it stays open.
    """

    def __init__(self, start: bytes, stream: IO[bytes]) -> None:
        self._start = start
        self._read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """See `io.RawIOBase`."""
        piece = self._start[: len(buffer)] or self._read(len(buffer))
        self._start = self._start[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)
