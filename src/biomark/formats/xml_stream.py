"""XML as a stream of records, without entities and without the network."""

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
_MOST_BYTES = 1 << 26  # of a record, uncompressed: 64 MiB, some times the longest full texts
_MOST_ELEMENTS = 1_000_000  # of a record
_DEEPEST = 200  # elements within each other
LINE = "\n line"  # an attribute for the line of an element; no file can hold one of this name


def records(source: Source, reject: Reject, *roots: str) -> Iterator[Element]:
    """The children of the root element, one at a time; each is let go of before the next is built.

    Every element tells by `line_of` where it began. Where the file breaks off, is not well-formed, or has a record that
    is no document's (64 MiB, a million elements, 200 within each other), that is rejected, after the records before it.

    Args:
        source: the file.
        reject: is given the break.
        roots: what the root element may be called.

    Raises:
        FormatError: if the root is another one, or if the file declares entities.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import XMLParser

    builder = _Builder()
    chunks = source.chunks(reject)
    first = next(chunks, b"")
    encoding = "utf-8" if source.recoded else None  # else the declaration says it
    parser = XMLParser(target=builder, encoding=encoding, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    builder.expat = parser.parser
    try:
        whole = chain((first,), chunks)
        for chunk in whole if source.recoded else _readable(whole):
            builder.bytes += len(chunk)
            parser.feed(chunk)
            if builder.bytes > _MOST_BYTES:
                raise _TooLargeError(f"more than {_MOST_BYTES >> 20} MiB")
            yield from _finished(builder, source, roots)
        parser.close()
    except ParseError as error:
        yield from _finished(builder, source, roots)
        line = error.position[0]
        what = str(error).rpartition(": line")[0]
        hint = ", or its bytes are not in the encoding that it declares" if "invalid token" in what else ""
        reason = f"the XML breaks here: {what}{hint}; what follows is not read"
        source.reject(reject, reason, line=line)
    except _TooLargeError as error:
        yield from _finished(builder, source, roots)
        source.reject(reject, f"a record has {error}, as no document has; what follows is not read", line=builder.line)
    except _EncodingError as error:
        yield from _finished(builder, source, roots)
        source.reject(reject, f"{error}; convert the file to UTF-8, for instance with iconv", line=builder.line)
    except DefusedXmlException as error:
        reason = "declares or refers to XML entities, which may hide other files or endless text; take them out"
        raise FormatError(f"{source.name}:{builder.line}: {reason} ({type(error).__name__})") from error
    yield from _finished(builder, source, roots)


class _TooLargeError(Exception):
    """A record is larger than that of a document can be."""


class _EncodingError(Exception):
    """The encoding that the XML declares is unknown, or its bytes are not in it."""


def _readable(chunks: Iterator[bytes]) -> Iterator[bytes | str]:
    """The pieces of a file, decoded where the parser itself does not know the encoding that the XML declares."""
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
        raise _EncodingError(f"declares the encoding {encoding}, which is unknown") from error
    try:
        for chunk in chain((first,), chunks):
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)
    except UnicodeError as error:
        raise _EncodingError(f"declares the encoding {encoding}, but its bytes are not in it: {error}") from error


def line_of(element: Element) -> int:
    """The line, counted from 1, in which an element of `records` begins."""
    return int(element.attrib[LINE])


def _finished(builder: _Builder, source: Source, roots: tuple[str, ...]) -> Iterator[Element]:
    if builder.root not in (None, *roots):
        raise FormatError(f"{source.name}: the root element is <{builder.root}>, not <{'> or <'.join(roots)}>")
    while builder.records:
        element = builder.records.popleft()
        source.line = line_of(element)
        yield element


class _Builder(TreeBuilder):
    """Builds elements, and takes each child of the root out of the tree when it ends."""

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
            raise _TooLargeError(f"more than {_MOST_ELEMENTS:,} elements")
        if len(self._open) > _DEEPEST:
            raise _TooLargeError(f"more than {_DEEPEST} elements within each other")
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
