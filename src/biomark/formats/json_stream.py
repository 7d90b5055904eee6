"""Incremental reading of JSON: the members of lists and objects one at a time, in constant memory."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Sequence

from biomark.formats.base import MOST, Reject, Source
from biomark.formats.json_values import DECODER, Repeated

_WHITE = " \t\r\n"


class Broken(Exception):
    """The JSON is invalid at this place; the reader that uses the stream catches the error."""


def documents(source: Source, reject: Reject, lists: Sequence[str] = ()) -> Iterator[object]:
    """Yield the documents of a file that contains a list, several consecutive values, or collections of documents.

    Invalid JSON is rejected, and reading continues at the next line that begins with an object.

    Args:
        source: the file.
        reject: is called where the JSON is invalid.
        lists: the fields under which a collection may hold its documents.
    """
    stream = JsonStream(source, reject)
    broken = False
    while character := stream.peek():
        if broken and character in ",]}":  # the remainder of the invalid value
            stream.skip()
            continue
        source.line = stream.line
        try:
            yield from _items(stream, source, lists)
        except Broken as error:
            source.reject(reject, f"invalid JSON: {error}", line=stream.line)
            stream.skip_to_object_line()
            broken = True


def _items(stream: JsonStream, source: Source, lists: Sequence[str]) -> Iterator[object]:
    """Yield the documents of the next value; the members of its list of documents are read one at a time."""
    if stream.peek() == "[":
        for item in stream.members(source):
            yield from _unwrapped(item, lists)
        return
    if stream.peek() != "{":
        raise Broken("documents must be objects or lists of objects")
    fields: dict[str, object] = {}
    streamed = False
    for key in stream.fields():
        if key in lists and stream.peek() == "[":
            streamed = True
            yield from stream.members(source)
        else:
            value = stream.value()
            fields[key] = Repeated([fields[key], value]) if key in fields else value
    if not streamed:
        yield fields


def _unwrapped(item: object, lists: Sequence[str]) -> Iterator[object]:
    """Yield the documents of a collection, or the item itself if it is not a collection."""
    collections = [item[key] for key in lists if isinstance(item.get(key), list)] if isinstance(item, dict) else []
    if collections:
        yield from collections[0]
    else:
        yield item


class JsonStream:
    """A file of JSON values that is read piece by piece.

    Bytes that are not UTF-8 become lone surrogates, so that only the document that contains them is rejected.

    Attributes:
        line: the line, from 1, of the value that was last read or is being read.
    """

    def __init__(self, source: Source, reject: Reject) -> None:
        self.line = 1
        self._chunks = source.chunks(reject)
        self._without_mark = source.without_mark
        self._utf8 = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text = ""
        self._at = 0
        self._began = self._ended = False  # whether the first piece and the end of the file have been read

    def peek(self) -> str:
        """Return the next character that is not white space, without consuming it; "" at the end of the file."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _WHITE:
                    return self._text[self._at]
                self._advance(1)
            if not self._more():
                return ""

    def value(self) -> object:
        """Read and return the next value.

        Raises:
            Broken: if the value is cut off or invalid.
        """
        self.peek()
        wanted = 0
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                # An error well before the end of the buffer does not go away when more is read.
                cut = error.pos > len(self._text) - 16 or error.msg.startswith("Unterminated string")
                if cut and len(self._text) - self._at > MOST:
                    raise Broken(f"a value is longer than {MOST >> 20} MiB; split the document") from error
                if not (cut and self._more(wanted)):
                    raise Broken(f"{error.msg} (column {error.colno})" if not cut else "the file ends here") from error
            except (RecursionError, ValueError) as error:  # too deep, or a number of thousands of digits
                raise Broken(f"a value cannot be read: {error}") from error
            else:
                if end < len(self._text) or not self._more():  # a number may continue after the buffer
                    self._advance(end - self._at)
                    return value
            wanted = len(self._text)  # double the buffer each time, for linear cost in the length of the value

    def members(self, source: Source) -> Iterator[object]:
        """Yield the members of the list that comes next, and set `source.line` to the line of each.

        Raises:
            Broken: if the list is cut off or invalid.
        """
        for _ in self._parts("[", "]"):
            self.peek()
            source.line = self.line
            yield self.value()

    def fields(self) -> Iterator[str]:
        """Yield the keys of the next object; after each, the caller reads the value with `value` or `members`.

        Raises:
            Broken: if the object is cut off or invalid.
        """
        for _ in self._parts("{", "}"):
            key = self.value()
            if not isinstance(key, str):
                raise Broken("a key must be a text")
            self._take(":")
            yield key

    def skip_to_object_line(self) -> None:
        """Skip to the next line that begins with an object, as in JSON Lines."""
        while True:
            end = self._text.find("\n", self._at)
            if end < 0:
                self._advance(len(self._text) - self._at)
                if not self._more():
                    return
                continue
            self._advance(end + 1 - self._at)
            if self._at == len(self._text):
                self._more()
            if self._text.startswith("{", self._at):
                return

    def skip(self) -> None:
        """Skip the next character."""
        self._advance(1)

    def _parts(self, opening: str, closing: str) -> Iterator[None]:
        """Yield before each member of a list or object; the caller reads the member before the next step."""
        self._take(opening)
        if self.peek() == closing:
            self._advance(1)
            return
        while True:
            yield
            if self.peek() == closing:
                self._advance(1)
                return
            self._take(",")

    def _take(self, character: str) -> None:
        """Skip white space and the next character, which must be this one."""
        following = self.peek()
        if following != character:
            raise Broken(f"expected {character!r}, got {following!r}" if following else "the file ends here")
        self._advance(1)

    def _advance(self, by: int) -> None:
        self.line += self._text.count("\n", self._at, self._at + by)
        self._at += by

    def _more(self, wanted: int = 0) -> bool:
        """Read more than `wanted` new characters, and drop the consumed ones; return False at the end of the file."""
        pieces = [self._text[self._at :]]
        size = 0
        while not self._ended and size <= wanted:
            chunk = next(self._chunks, b"")
            piece = self._utf8.decode(chunk if self._began else self._without_mark(chunk), final=not chunk)
            self._began, self._ended = True, not chunk
            pieces.append(piece)
            size += len(piece)
        self._text, self._at = "".join(pieces), 0
        return size > 0
