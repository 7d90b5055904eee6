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
_LONGEST_TAG = 64  # bytes that the first characters of a record's tag may take
LINE = "\n line"  # the attribute for the line of an element; no file can have an attribute of this name


def records(source: Source, reject: Reject, *roots: str, resume: tuple[str, ...] = ()) -> Iterator[Element]:
    """Yield the children of the root element one at a time; only one of them is in memory.

    `line_of` returns the line on which an element begins. A child that is not well-formed is rejected, and reading
    resumes at the next child. If there is none, if the file breaks off, or if a child is too large (64 MiB, a million
    elements, or 200 levels of nesting), the error is rejected, and the rest of the file is not read.

    Args:
        source: the file.
        reject: is called with the errors.
        roots: the possible names of the root element.
        resume: the names of children at which reading can resume.

    Raises:
        FormatError: if the root element has another name, or if the file declares entities.
    """
    from defusedxml import DefusedXmlException

    parse = _Parse(source, _Pieces(source, reject))
    while True:
        try:
            for _ in parse.pieces():
                yield from _finished(parse.builder, source, roots)
            parse.close()
            problem = ""
        except ParseError as error:
            problem = _explained(error)
        except (_TooLargeError, _EncodingError) as error:
            yield from _finished(parse.builder, source, roots)
            source.reject(reject, str(error), line=parse.builder.line)
            return
        except DefusedXmlException as error:
            reason = (
                "the file declares or uses XML entities, which may include other files or endless text; remove them"
            )
            raise FormatError(f"{source.name}:{parse.builder.line}: {reason} ({type(error).__name__})") from error
        yield from _finished(parse.builder, source, roots)
        if not problem:
            return
        line, next_parse = parse.line, parse.resumed(resume)
        rest = (
            "the rest of the file is not read" if next_parse is None else f"reading goes on in line {next_parse.line}"
        )
        source.reject(reject, f"invalid XML: {problem}; {rest}", line=line)
        if next_parse is None:
            return
        parse = next_parse


def _explained(error: ParseError) -> str:
    problem = str(error).rpartition(": line")[0]
    hint = ", or its bytes are not in the encoding that it declares" if "invalid token" in problem else ""
    return f"{problem}{hint}"


class _Parse:
    """A parser from one place of a file on, with the elements that it has completed.

    Args:
        source: the file.
        pieces: the bytes from this place on.
        root: the start tag of the root element, if the parser starts inside it.
        line: the line of the place, from 1.
    """

    def __init__(self, source: Source, pieces: _Pieces, root: bytes = b"", line: int = 1) -> None:
        from defusedxml.ElementTree import XMLParser

        self.builder = _Builder(line - 1)
        self._source = source
        self._pieces = pieces
        self._parser = XMLParser(
            target=self.builder, encoding=pieces.encoding, forbid_dtd=False, forbid_entities=True, forbid_external=True
        )
        self.builder.expat = self._parser.parser
        self._last = root  # the last bytes that the parser has got
        self._fed = len(root)
        self._parser.feed(root)

    @property
    def line(self) -> int:
        """The line of the parser's error, or its present line."""
        return self.builder.line

    def pieces(self) -> Iterator[None]:
        """Parse one piece of the file after the other, up to its end.

        Raises:
            ParseError: if the file is not well-formed.
            _TooLargeError: if a record is too large.
            _EncodingError: if the bytes do not fit the declared encoding.
        """
        for piece in self._pieces:
            self._last, self._fed = piece, self._fed + len(piece)
            self.builder.bytes += len(piece)
            self._parser.feed(piece)
            if self.builder.bytes > _MOST_BYTES:
                raise _TooLargeError(f"is larger than {_MOST_BYTES >> 20} MiB")
            yield

    def close(self) -> None:
        """Check that the root element has ended."""
        self._parser.close()

    def resumed(self, names: tuple[str, ...]) -> _Parse | None:
        """Return a parser of the file from the next record on, after an error; None if there is none."""
        root = self.builder.root
        if root is None or not names or not self._pieces.is_ascii:
            return None
        start = re.compile(rb"<(?:%s)[\s/>]" % b"|".join(name.encode() for name in (*names, *self.builder.record_name)))
        error_at = self._parser.parser.ErrorByteIndex - (self._fed - len(self._last))
        line, rest = self.builder.line, self._last[max(0, error_at + 1) :]
        while not (match := start.search(rest)):
            end = max(0, len(rest) - _LONGEST_TAG)
            piece = next(self._pieces, None)
            if piece is None:
                return None
            line, rest = line + rest.count(b"\n", 0, end), rest[end:] + piece
        self._pieces.put_back(rest[match.start() :])
        line += rest.count(b"\n", 0, match.start())
        return _Parse(self._source, self._pieces, self._pieces.tag(root), line)


class _Pieces:
    """The bytes of a file in pieces, in an encoding that the parser supports.

    Args:
        source: the file.
        reject: is called if a compressed file breaks off.

    Attributes:
        encoding: the encoding of the pieces; None: as the XML declares, or UTF-8.
        is_ascii: whether the characters of ASCII are single bytes.
    """

    def __init__(self, source: Source, reject: Reject) -> None:
        chunks = source.chunks(reject)
        first = self._first = next(chunks, b"")
        declared = None if source.recoded else _DECLARED.match(first)
        name = declared[1].decode() if declared else "utf-8"
        known = name.lower() in _KNOWN_TO_EXPAT
        whole = chain((first,), chunks)
        self.encoding = (name if declared else "utf-8" if source.recoded else None) if known else "utf-8"
        self.is_ascii = not (known and name.lower() == "utf-16")
        self._bytes: Iterator[bytes] = whole if known else _recoded(whole, name)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._bytes)

    def tag(self, name: str) -> bytes:
        """Return the start tag of an element, with its attributes if it is in the first piece, as a single line."""
        tag = re.search(rb"<%s(?:\s[^<>]*)?>" % name.encode(), self._first)
        return b" ".join(tag[0].split()) if tag else f"<{name}>".encode()

    def put_back(self, piece: bytes) -> None:
        """Let a piece be the next one again."""
        self._bytes = chain((piece,), self._bytes)


class _TooLargeError(Exception):
    """A record is larger than that of any document."""

    def __str__(self) -> str:
        return f"a record {super().__str__()}; the rest of the file is not read"


class _EncodingError(Exception):
    """The encoding that the XML declares is unknown, or does not fit the bytes of the file."""

    def __str__(self) -> str:
        return f"{super().__str__()}; convert the file to UTF-8, for instance with iconv"


def _recoded(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Yield the pieces of a file in UTF-8 instead of an encoding that the parser does not support."""
    try:
        "".encode(encoding)
        decoder = codecs.getincrementaldecoder(encoding)()
    except (LookupError, UnicodeError) as error:
        raise _EncodingError(f"the XML declares the unknown encoding {encoding}") from error
    try:
        for chunk in chunks:
            yield decoder.decode(chunk).encode()
        yield decoder.decode(b"", final=True).encode()
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
    """A tree builder that moves each complete child of the root into `records`.

    Args:
        lines: the number of lines of the file before the place at which the parser starts.
    """

    def __init__(self, lines: int) -> None:
        super().__init__()
        self._lines = lines
        self.expat: object = None
        self.root: str | None = None
        self.records: deque[Element] = deque()
        self.bytes = self.elements = 0  # since the last record ended
        self._open: list[Element] = []

    @property
    def line(self) -> int:
        return self._lines + getattr(self.expat, "CurrentLineNumber", 1)

    @property
    def record_name(self) -> tuple[str, ...]:
        """The name of the unfinished record, if there is one."""
        return tuple(element.tag for element in self._open[1:2])

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
