"""CoNLL: one token on each line with its tag in the last column; an empty line ends a sentence.

Reading. Columns are separated by tabs, or by blanks in a line without tabs. One rule decodes the schemes IO, IOB1,
BIO (IOB2), BIOES and BILOU, so that the scheme need not be inferred from the start of a stream: `B`, `S` and `U` begin
a mention; `I`, `M`, `E` and `L` continue the mention of the previous token if it has the same type, and otherwise
begin one; `S`, `U`, `E` and `L` end it. Adjacent `B` tokens are therefore separate mentions. A tag without a type
(`B`) is of type `entity`.

Each sentence is a document, numbered from 1, whose text is its tokens joined by blanks. In a file with `-DOCSTART-`
lines, each of them begins a document, whose sentences are joined by line ends. Comments are skipped; those that name a
document (`# doc_id = 7`, `# newdoc id = 7`, `#begin document (7)`) begin one. If the first column numbers the words of
each sentence, the second column is read as the word, and a reject reports this.

Writing. BIO with five columns, from which text and offsets can be read back exactly:

    -DOCSTART-  ID     SENTENCES  BEFORE  O
    TOKEN       START  END        AFTER   TAG

`AFTER` is the white space that follows the token (`BEFORE`: that begins the document): `-` for
none, `_` for a blank, escapes such as `\\n` for others. `SENTENCES` is the number of the document's
sentences, 0 if it has not been split. Readers that take the first column as the token and the
last as its tag can read the file as well.
"""

from __future__ import annotations

import re
import warnings
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

from biomark.errors import FormatError, SpanError
from biomark.formats.base import Format, Line, Reject, Sink, Source, is_offset
from biomark.formats.losses import GAPS, add, count_losses, one_line
from biomark.spans import Document, Entity, Span, flat

_START = "-DOCSTART-"
_TAG = re.compile(r"(?:([BIOESLUM])|([BIESLUM])-(.+))", re.DOTALL)
_DOCUMENT = re.compile(r"#\s*(?:(?:doc_?id|newdoc(?:[ _]id)?)\b\s*[=:]?|begin document\b)(.*)", re.IGNORECASE)
_COMMENT = re.compile(
    r"#\s*(?:[A-Za-z_][\w.-]*(?: [\w.-]+)?\s*[=:](?:\s.*)?|(?:newdoc|newpar|end document)\b.*)", re.IGNORECASE
)
_TOKEN = re.compile(r"[^\W_]+|[^\w\s]|_")
_NO_TYPE = "entity"
_TAGGED = re.compile(rb"[^\s{<]\S*[ \t](?:\S*[ \t])*(O|[BIESLUM](?:-\S+)?)")


@dataclass(frozen=True, slots=True)
class Token:
    """A token with its tag and the white space that follows it."""

    text: str
    tag: str
    after: str = " "


@dataclass(slots=True)
class _DocumentLines:
    """The lines of a document: the line that begins it (`-DOCSTART-` or a comment), if any, and its sentences."""

    start: Line | None = None
    sentences: list[list[Line]] = field(default_factory=list)


def read(source: Source, reject: Reject) -> Iterator[Document]:
    """Yield the documents of a CoNLL file; see the module."""
    words = _TokenReader(source, reject)
    for number, group in enumerate(_groups(source, reject), 1):
        first = group.start or group.sentences[0][0]
        columns = first.text.split("\t") if group.start else []
        exact = len(columns) == 5 and is_offset(columns[2])
        document_id = str(number)
        source.line = first.number  # the source has already read the next document
        try:
            if exact:
                document_id = _unescaped(columns[1])
                yield _exact_document(document_id, columns, group, source, reject)
            else:
                if (match := _DOCUMENT.fullmatch(first.text)) and group.start:
                    document_id = re.sub(r"^\((.*)\)(;.*)?$", r"\1", match[1].strip()) or document_id
                yield tagged_document(document_id, [words.tokens(lines, document_id) for lines in group.sentences])
        except (FormatError, SpanError) as error:
            source.reject(reject, str(error), raw=first.text, document_id=document_id, line=first.number)


def _groups(source: Source, reject: Reject) -> Iterator[_DocumentLines]:
    """Yield the lines of each document: a sentence, or all lines between two lines that begin documents."""
    group = _DocumentLines()
    for sentence in _sentences(source, reject):
        if _begins(sentence[0]):
            if group.start:
                yield group
            group = _DocumentLines(sentence[0])
        elif group.start:
            group.sentences.append(sentence)
        else:
            yield _DocumentLines(None, [sentence])
    if group.start:
        yield group


def _begins(line: Line) -> bool:
    """Return whether a line begins a document."""
    return line.text.startswith(_START) or ("\t" not in line.text and _DOCUMENT.fullmatch(line.text) is not None)


def _is_comment(line: Line) -> bool:
    """Return whether a line is a comment: `# sent_id = 3`, or a line that begins with `#` and does not end in a tag."""
    text = line.text
    if not text.startswith("#"):
        return False
    last_column = text.rstrip(" ").rpartition("\t" if "\t" in text else " ")[2]
    if "\t" in text:
        return text.startswith("# ") and not _TAG.fullmatch(last_column)
    return _COMMENT.fullmatch(text) is not None or not _TAG.fullmatch(last_column)


def _sentences(source: Source, reject: Reject) -> Iterator[list[Line]]:
    """Yield the lines of each sentence, and each line that begins a document; reject sentences with invalid bytes."""
    sentence: list[Line] = []

    def ended() -> Iterator[list[Line]]:
        bad = next((line for line in sentence if line.problem), None)
        if bad:
            reason = f"{bad.problem}; the sentence is left out"
            source.reject(reject, reason, raw=bad.text, line=bad.number)
        elif sentence:
            yield list(sentence)
        sentence.clear()

    for line in source.lines(reject):
        if _begins(line):
            yield from ended()
            yield [line]
        elif not line.text.strip(" \t"):
            yield from ended()
        elif not _is_comment(line):
            sentence.append(line)
    yield from ended()


class _TokenReader:
    """Extracts the words and tags from the lines of a file's sentences."""

    def __init__(self, source: Source, reject: Reject) -> None:
        self._source = source
        self._reject = reject
        self._reported = False
        self._next = 1  # the number of the word after the last numbered sentence

    def tokens(self, lines: list[Line], document_id: str) -> list[Token]:
        """Return the words and tags of a sentence; a line without a tag is rejected, and its word is tagged O."""
        rows = [self._columns(line) for line in lines]
        place = 1 if self._are_numbered(rows, lines[0], document_id) else 0
        tokens = []
        for line, columns in zip(lines, rows, strict=True):
            problem = None
            if len(columns) < 2:
                problem = "the line has one column, not a token and a tag; the token is read as untagged"
            elif not _TAG.fullmatch(columns[-1]):
                problem = f"unknown tag {columns[-1]!r:.80}; the token is read as untagged"
            if problem:
                self._source.reject(self._reject, problem, raw=line.text, document_id=document_id, line=line.number)
            tokens.append(Token(columns[min(place, len(columns) - 1)], "O" if problem else columns[-1]))
        return tokens

    @staticmethod
    def _columns(line: Line) -> list[str]:
        columns = line.text.split("\t") if "\t" in line.text else line.text.split(" ")
        return [column for column in columns if column]

    def _are_numbered(self, rows: list[list[str]], first: Line, document_id: str) -> bool:
        """Return whether the first of three or more columns numbers the words, from 0, 1 or after the last sentence.

        A single word is not enough evidence, because its first column may be a number by chance.
        """
        begin = next((begin for begin in (1, 0, self._next) if rows[0][0] == str(begin)), None)
        if begin is None or not all(len(row) > 2 and row[0] == str(number) for number, row in enumerate(rows, begin)):
            return False
        if len(rows) == 1 and not self._reported:
            return False
        self._next = begin + len(rows)
        if not self._reported:
            self._reported = True
            reason = "the first column numbers the words; the second is read as the word in all sentences"
            self._source.reject(self._reject, reason, raw=first.text, document_id=document_id, line=first.number)
        return True


def _exact_document(
    document_id: str, start: list[str], group: _DocumentLines, source: Source, reject: Reject
) -> Document:
    """Read a document with the five columns that this module writes."""
    offset = len(before := _unescaped_white(start[3]))
    sentences = []
    for lines in group.sentences:
        tokens = []
        for line in lines:
            columns = line.text.split("\t")
            token = columns[0]
            if len(columns) != 5 or columns[1:3] != [str(offset), str(offset + len(token))]:
                reason = f"line {line.number} must have 5 columns and begin at offset {offset}"
                raise FormatError(f"{reason}; the document is left out")
            if not _TAG.fullmatch(columns[4]):
                reason = f"unknown tag {columns[4]!r}; the token is read as untagged"
                source.reject(reject, reason, raw=line.text, document_id=document_id, line=line.number)
                columns[4] = "O"
            tokens.append(Token(token, columns[4], _unescaped_white(columns[3])))
            offset += len(token) + len(tokens[-1].after)
        sentences.append(tokens)
    document = tagged_document(document_id, sentences, before=before)
    return document if int(start[2]) else replace(document, sentences=())


def tagged_document(document_id: str, sentences: list[list[Token]], *, before: str | None = None) -> Document:
    """Return the document of tagged tokens.

    Args:
        document_id: the document's id.
        sentences: the tokens of each sentence.
        before: the white space before the first token, if the white space of the tokens is exact;
            None: tokens are joined by blanks and sentences by line ends.

    Raises:
        FormatError: if a tag does not belong to any of the schemes that the module lists.
    """
    pieces = [before or ""]
    offset = len(pieces[0])
    spans: list[Span] = []
    entities: list[Entity] = []
    for tokens in sentences:
        places = []
        for last, token in ((i == len(tokens) - 1, t) for i, t in enumerate(tokens)):
            places.append(Span(offset, offset + len(token.text)))
            after = token.after if before is not None else "\n" if last else " "
            pieces += (token.text, after)
            offset += len(token.text) + len(after)
        if places:
            spans.append(Span(places[0].start, places[-1].end))
        entities += _mentions(places, [token.tag for token in tokens])
    text = "".join(pieces)
    return Document(
        document_id, text if before is not None else text.removesuffix("\n"), (), tuple(spans), tuple(entities)
    )


def _mentions(places: list[Span], tags: list[str]) -> Iterator[Entity]:
    """Yield the mentions of one sentence, decoded by the module's rule."""
    current: tuple[Span, str] | None = None
    for place, tag in zip(places, tags, strict=True):
        match = _TAG.fullmatch(tag)
        if match is None:
            raise FormatError(f"unknown tag {tag!r}; tags are O, B-TYPE, I-TYPE, E-TYPE, S-TYPE, L-TYPE and U-TYPE")
        letter, entity_type = (match[1], _NO_TYPE) if match[1] else (match[2], match[3])
        if current and letter in "IMEL" and current[1] == entity_type:
            current = Span(current[0].start, place.end), entity_type
        else:
            if current:
                yield Entity((current[0],), current[1])
            current = None if letter == "O" else (place, entity_type)
        if current and letter in "SUEL":
            yield Entity((current[0],), current[1])
            current = None
    if current:
        yield Entity((current[0],), current[1])


def write(documents: Iterable[Document], sink: Sink, lost: Counter[str]) -> None:
    """Write BIO with five columns; see the module.

    Tokens are runs of letters and digits, and single other characters; the ends of a mention are
    always token boundaries. Of nested and crossing mentions the longest are kept (`spans.flat`).
    """
    with sink.open() as out:
        for document in documents:
            count_losses(document, lost, holds=("sentence offsets", "mentions", GAPS))
            out.writelines(f"{line}\n" for line in _lines(document, lost))


def _lines(document: Document, lost: Counter[str]) -> Iterator[str]:
    text = document.text
    entities = _writable(document, lost)
    blocks = list(_blocks(document, entities))
    if document.sentences:
        written = {Span(tokens[0].start, tokens[-1].end) for tokens in blocks}
        moved = sum(sentence not in written for sentence in document.sentences)
        add(lost, "white space at the ends of sentences", moved)
        add(lost, "stretches outside sentences (written as sentences)", len(written) + moved - len(document.sentences))
    starts = [token.start for tokens in blocks for token in tokens] + [len(text)]
    tags = _tags(blocks, entities)
    document_id = document.id.encode("unicode_escape").decode()
    yield "\t".join((_START, document_id, str(len(document.sentences)), _escaped_white(text[: starts[0]]), "O"))
    following = iter(starts[1:])
    for tokens in blocks:
        yield ""
        for token in tokens:
            after = _escaped_white(text[token.end : next(following)])
            yield "\t".join((token.of(text), str(token.start), str(token.end), after, tags.get(token.start, "O")))
    yield ""


def tokens_and_tags(document: Document, lost: Counter[str]) -> Iterator[list[tuple[Span, str]]]:
    """Yield the tokens of each sentence with their BIO tags, by the rules of `write`.

    Args:
        document: a document that is split into sentences.
        lost: counts of the mentions that tags cannot hold.
    """
    entities = _writable(document, lost)
    blocks = list(_blocks(document, entities))
    tags = _tags(blocks, entities)
    for tokens in blocks:
        yield [(token, tags.get(token.start, "O")) for token in tokens]


def _writable(document: Document, lost: Counter[str]) -> tuple[Entity, ...]:
    """Return the mentions that tags can hold, without white space at their ends."""
    trimmed = []
    ends = sorted({end for sentence in document.sentences for end in (sentence.start, sentence.end)})
    for entity in document.entities:
        mention = entity.extent.of(document.text)
        start, end = entity.end - len(mention.lstrip()), entity.start + len(mention.rstrip())
        crossing = start < end and bisect_right(ends, start) < bisect_left(ends, end)
        if len(entity.spans) == 1 and start < end and not crossing:
            trimmed.append(replace(entity, spans=(Span(start, end),), type=one_line(entity.type, lost)))
            add(lost, "white space at the ends of mentions", Span(start, end) != entity.extent)
    kept = flat(trimmed)
    add(
        lost,
        "mentions that are nested, discontinuous or across sentences (left out)",
        len(document.entities) - len(kept),
    )
    return kept


def _blocks(document: Document, entities: Iterable[Entity]) -> Iterator[list[Span]]:
    """Yield the tokens of each sentence, split also where mentions and sentences begin and end; see `write`."""
    ends = {end for sentence in document.sentences for end in (sentence.start, sentence.end)}
    cuts = sorted(ends | {end for entity in entities for end in (entity.start, entity.end)})
    block: list[Span] = []
    at = 0
    for match in _TOKEN.finditer(document.text):
        start = match.start()
        while at < len(cuts) and cuts[at] < match.end():
            if cuts[at] > start:
                block.append(Span(start, cuts[at]))
                start = cuts[at]
            if cuts[at] in ends and block:
                yield block
                block = []
            at += 1
        block.append(Span(start, match.end()))
    if block:
        yield block


def _tags(blocks: list[list[Span]], entities: tuple[Entity, ...]) -> dict[int, str]:
    """Return the tags other than O by the offset of their token."""
    tags = {}
    waiting = iter(entities)
    entity = next(waiting, None)
    for token in (token for tokens in blocks for token in tokens):
        while entity and entity.end <= token.start:
            entity = next(waiting, None)
        if entity and entity.start <= token.start:
            tags[token.start] = f"{'B' if token.start == entity.start else 'I'}-{entity.type}"
    return tags


def _escaped_white(white: str) -> str:
    return white.encode("unicode_escape").decode().replace(" ", "_") or "-"


def _unescaped_white(column: str) -> str:
    return "" if column == "-" else _unescaped(column.replace("_", " "))


@lru_cache(maxsize=1 << 10)
def _unescaped(column: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Python only warns about an invalid escape
            text = column.encode("ascii").decode("unicode_escape")
        text.encode()  # fails for lone surrogates
        return text
    except (UnicodeError, DeprecationWarning) as error:
        raise FormatError(f"column {column!r:.80} has an invalid escape: {error}") from error


def _looks_like(head: bytes) -> bool:
    """Return whether every line ends in a tag; without tabs, an `O` is needed, because "vitamin E" is a text."""
    *lines, last = (line.strip() for line in head.split(b"\n"))
    lines = [line for line in lines or [last] if line]  # the last line may be cut off
    tags = [match[1] for line in lines if (match := _TAGGED.fullmatch(line))]
    return len(lines) == len(tags) > 0 and (b"\t" in lines[0] or (len(tags) > 1 and b"O" in tags))


FORMAT = Format("conll", (".conll", ".iob", ".iob2", ".bio", ".tsv"), read, write, sniff=_looks_like)
