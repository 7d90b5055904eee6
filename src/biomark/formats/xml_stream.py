"""Incremental reading of XML as a stream of records, without entities and without network access."""

from __future__ import annotations

import codecs
import re
from collections import deque
from collections.abc import Iterator
from itertools import chain
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from biomark.errors import FormatError
from biomark.formats.base import Reject, Source

_DECLARED = re.compile(rb"""\s*<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z][\w.-]*)["']""")
_KNOWN_TO_EXPAT = ("utf-8", "utf-16", "iso-8859-1", "us-ascii")
_MOST_BYTES = 1 << 26  # of a record, uncompressed: 64 MiB, several times the longest full texts
_MOST_ELEMENTS = 1_000_000  # of a record
_DEEPEST = 200  # levels of nested elements
LINE = "\n line"  # the attribute for the line of an element; no file can have an attribute of this name


def records(source: Source, reject: Reject, *roots: str) -> Iterator[Element]:
    """Yield the children of the root element one at a time; only one of them is in memory.

    `line_of` returns the line on which an element begins. If the file breaks off, is not well-formed, or has a record
    that is too large (64 MiB, a million elements, or 200 levels of nesting), the error is rejected after the records
    before it, and the rest is not read.

    Args:
        source: the file.
        reject: is called with the error.
        roots: the possible names of the root element.

    Raises:
        FormatError: if the root element has another name, or if the file declares entities.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import XMLParser

    builder = _Builder()
    chunks = source.chunks(reject)
    first = next(chunks, b"")
    encoding = "utf-8" if source.recoded else None  # None: as the XML declares
    parser = XMLParser(target=builder, encoding=encoding, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    builder.expat = parser.parser
    try:
        whole = chain((first,), chunks)
        for chunk in whole if source.recoded else _readable(whole):
            builder.bytes += len(chunk)
            parser.feed(chunk)
            if builder.bytes > _MOST_BYTES:
                raise _TooLargeError(f"is larger than {_MOST_BYTES >> 20} MiB")
            yield from _finished(builder, source, roots)
        parser.close()
    except ParseError as error:
        yield from _finished(builder, source, roots)
        line = error.position[0]
        problem = str(error).rpartition(": line")[0]
        hint = ", or its bytes are not in the encoding that it declares" if "invalid token" in problem else ""
        reason = f"invalid XML: {problem}{hint}; the rest of the file is not read"
        source.reject(reject, reason, line=line)
    except _TooLargeError as error:
        yield from _finished(builder, source, roots)
        source.reject(reject, f"a record {error}; the rest of the file is not read", line=builder.line)
    except _EncodingError as error:
        yield from _finished(builder, source, roots)
        source.reject(reject, f"{error}; convert the file to UTF-8, for instance with iconv", line=builder.line)
    except DefusedXmlException as error:
        reason = "the file declares or uses XML entities, which may include other files or endless text; remove them"
        raise FormatError(f"{source.name}:{builder.line}: {reason} ({type(error).__name__})") from error
    yield from _finished(builder, source, roots)


class _TooLargeError(Exception):
    """A record is larger than that of any document."""


class _EncodingError(Exception):
    """The encoding that the XML declares is unknown, or does not fit the bytes of the file."""


def _readable(chunks: Iterator[bytes]) -> Iterator[bytes | str]:
    """Yield the pieces of a file, decoded if the parser does not support the encoding that the XML declares."""
    first = next(chunks, b"")
    declared = _DECLARED.match(first)
    encoding = declared[1].decode() if declared else "utf-8"
    if encoding.lower() in _KNOWN_TO_EXPAT:
        yield from chain((first,), chunks)
        return
    try:
        "".encode(encoding)
        decoder = codecs.getincrementaldecoder(encoding)()
    except (LookupError, UnicodeError) as error:
        raise _EncodingError(f"the XML declares the unknown encoding {encoding}") from error
    try:
        for chunk in chain((first,), chunks):
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)
    except UnicodeError as error:
        raise _EncodingError(f"the bytes do not fit the encoding {encoding} that the XML declares: {error}") from error


def line_of(element: Element) -> int:
    """Return the line, from 1, on which an element of `records` begins."""
    return int(element.attrib[LINE])


def _finished(builder: _Builder, source: Source, roots: tuple[str, ...]) -> Iterator[Element]:
    if builder.root not in (None, *roots):
        raise FormatError(f"{source.name}: the root element is <{builder.root}>, not <{'> or <'.join(roots)}>")
    while builder.records:
        element = builder.records.popleft()
        source.line = line_of(element)
        yield element


class _Builder(TreeBuilder):
    """A tree builder that moves each complete child of the root into `records`."""

    def __init__(self) -> None:
        super().__init__()
        self.expat: object = None
        self.root: str | None = None
        self.records: deque[Element] = deque()
        self.bytes = self.elements = 0  # since the last record ended
        self._open: list[Element] = []

    @property
    def line(self) -> int:
        return getattr(self.expat, "CurrentLineNumber", 1)

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        attrs[LINE] = str(self.line)
        self.elements += 1
        if self.elements > _MOST_ELEMENTS:
            raise _TooLargeError(f"has more than {_MOST_ELEMENTS:,} elements")
        if len(self._open) > _DEEPEST:
            raise _TooLargeError(f"is nested too deeply (more than {_DEEPEST} levels)")
        element = super().start(tag, attrs)
        self.root = self.root or tag
        self._open.append(element)
        return element

    def end(self, tag: str, /) -> Element:
        element = super().end(tag)
        self._open.pop()
        if len(self._open) == 1:
            self._open[0].remove(element)
            self.records.append(element)
            self.bytes = self.elements = 0
        return element
