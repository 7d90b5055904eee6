"""i2b2 2010: clinical notes `ID.txt` with concepts `ID.con`, a folder of such pairs or one of them.

A line of the concept file is `c="the cough" 12:3 12:4||t="problem"`: the words in lower case, the line (from 1) and
word (from 0) where the concept begins, those of its last word, and its type. Words are separated by white space; if
more concepts fit when every single blank ends a word, words are counted that way.

The concepts of a text may also be in a folder `concept` or `concepts` beside the folder `txt` of the texts, as in the
task's release. Its assertions (`.ast`) and relations (`.rel`) are not read.

Text is written unchanged. A mention is written as the whole words that it touches.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from biomark.errors import FormatError, SpanError
from biomark.formats.base import Format, Line, Reject, Sink, Source, with_mark
from biomark.formats.identifiers import file_name, file_stem, no_file_name
from biomark.formats.losses import add, count_losses, one_line
from biomark.formats.pairs import folder_to_write
from biomark.formats.placing import fits, short
from biomark.spans import Document, Entity, Span

SUFFIX = ".con"
_CONCEPT = re.compile(
    r'c="(.*)"\s+(\d{1,18}):(\d{1,18})\s+(\d{1,18}):(\d{1,18})\s*\|\|\s*t="(.+)"\s*', re.ASCII | re.DOTALL
)
_EXAMPLE = 'c="the cough" 12:3 12:4||t="problem"'
_WORD = re.compile(r"\S+", re.ASCII)
_PIECE = re.compile(r"(?:^|(?<= ))[^ ]*")
_TEXTS, _CONCEPTS = "txt", ("concept", "concepts")

WordLines = list[list[Span | None]]
"""The spans of the words of each line; None for an empty word between two blanks."""


def concepts_of(text: Path) -> Path | None:
    """Return the concept file of a text, or None if there is none."""
    places = [text.with_suffix(SUFFIX)]
    if text.parent.name == _TEXTS:
        places += [text.parent.parent / name / f"{text.stem}{SUFFIX}" for name in _CONCEPTS]
    return next((path for path in places if path.is_file()), None)


def text_of(concepts: Path) -> Path:
    """Return the path of the text of a concept file, whether or not it exists."""
    beside = concepts.with_suffix(".txt")
    apart = concepts.parent.parent / _TEXTS / beside.name
    return apart if concepts.parent.name in _CONCEPTS and not beside.is_file() and apart.is_file() else beside


def annotated(path: Path) -> bool:
    """Return whether a text has a concept file, or a folder contains concept files."""
    if path.is_dir():
        return next(path.rglob(f"*{SUFFIX}"), None) is not None
    return concepts_of(path) is not None


def read(source: Source, reject: Reject) -> Iterator[Document]:
    """Yield the documents of a folder in the order of their names, or the document of one pair of files."""
    if source.path is None:
        raise FormatError("i2b2 cannot be read from a stream; name a folder or a file")
    if not source.path.is_dir():
        text = text_of(source.path) if source.path.suffix == SUFFIX else source.path
        yield from _pair(source, text, source.own_id(text.stem), reject)
        return
    folder = source.path
    for text in sorted({*folder.rglob("*.txt"), *map(text_of, folder.rglob(f"*{SUFFIX}"))}):
        yield from _pair(source, text, file_stem(text.with_suffix("").relative_to(folder)), reject)


def _pair(parent: Source, path: Path, document_id: str, reject: Reject) -> Iterator[Document]:
    source = parent.beside(path)
    try:
        text = source.text()
    except FormatError as error:
        source.reject(reject, str(error).removeprefix(f"{source.name}: "), document_id=document_id)
        return
    if not text:
        source.reject(reject, "the file is empty", document_id=document_id)
        return
    entities: list[Entity] = []
    if (beside := concepts_of(path)) is not None:
        concepts = parent.beside(beside)
        rows: list[tuple[Line, re.Match[str]]] = []
        for line in concepts.lines(reject):
            match = _CONCEPT.fullmatch(line.text)
            if line.problem or (match is None and line.text.strip()):
                problem = line.problem or f"not a concept of i2b2 2010; a line must look like {_EXAMPLE}"
                concepts.reject(reject, problem, raw=line.text, document_id=document_id, line=line.number)
            elif match is not None:
                rows.append((line, match))
        words = _reading(text, [match for _, match in rows])
        for line, match in rows:
            try:
                entities.append(_entity(match, text, words))
            except SpanError as error:
                concepts.reject(reject, str(error), raw=line.text, document_id=document_id, line=line.number)
    yield Document(document_id, text, entities=tuple(entities))


def _reading(text: str, concepts: Sequence[re.Match[str]]) -> WordLines:
    """Return the words of each line, counted in the way that fits most of the concepts."""

    def fitting(words: WordLines) -> int:
        return sum(_fits(match, text, words) for match in concepts)

    words = _words(text)
    if fitting(words) == len(concepts):
        return words
    return max((words, _words(text, blanks=True)), key=fitting)


def _words(text: str, *, blanks: bool = False) -> WordLines:
    """Return the words of each line.

    Args:
        text: the whole note.
        blanks: whether every single blank ends a word, so that there are empty words between two blanks.
    """
    words: WordLines = []
    start = 0
    for line in text.split("\n"):
        if blanks:
            pieces = [_WORD.search(line, *piece.span()) for piece in _PIECE.finditer(line)]
        else:
            pieces = list(_WORD.finditer(line))
        words.append([Span(start + piece.start(), start + piece.end()) if piece else None for piece in pieces])
        start += len(line) + 1
    return words


def _fits(match: re.Match[str], text: str, words: WordLines) -> bool:
    try:
        _entity(match, text, words)
    except SpanError:
        return False
    return True


def _entity(match: re.Match[str], text: str, words: WordLines) -> Entity:
    """Return the mention of a concept.

    Raises:
        SpanError: if its words lie outside the text, or differ from the text.
    """
    concept_words, entity_type = match[1], match[6]
    concept = f'the concept "{short(concept_words)}" ({match[2]}:{match[3]} {match[4]}:{match[5]})'
    first, last = (_word(words, int(match[n]), int(match[n + 1]), concept) for n in (2, 4))
    if first.start > last.start:
        raise SpanError(f"{concept} ends before it begins")
    span = Span(first.start, last.end)
    text_words = " ".join(span.of(text).split())
    if text_words.casefold() != " ".join(concept_words.split()).casefold() and not fits(text_words, concept_words):
        raise SpanError(f'{concept} differs from the text, which has "{short(text_words)}"')
    return Entity((span,), entity_type)


def _word(words: WordLines, line: int, number: int, concept: str) -> Span:
    if not 0 < line <= len(words):
        raise SpanError(f"{concept} lies outside the text, whose lines are numbered from 1 to {len(words)}")
    count = len(words[line - 1])
    if number >= count:
        numbered = f"{count} word{'s'[: count - 1]}, numbered from 0" if count else "no words"
        raise SpanError(f"{concept} lies outside line {line} of the text, which has {numbered}")
    word = words[line - 1][number]
    if word is None:
        raise SpanError(f"{concept} begins or ends between two blanks of line {line} of the text")
    return word


def write(documents: Iterable[Document], sink: Sink, lost: Counter[str]) -> None:
    """Write a folder with two files for each document.

    Raises:
        FormatError: if the sink is a stream or a file.
    """
    folder = folder_to_write(sink, "i2b2", (".txt", SUFFIX))
    for document in documents:
        name = file_name(document.id)
        count_losses(document, lost, holds=("mentions",))
        lines = list(_lines(document, lost))
        # In this order, so that an interrupted run leaves no text without its mentions
        with sink.open(folder / f"{name}{SUFFIX}") as out:
            out.writelines(f"{line}\n" for line in lines)
        with sink.open(folder / f"{name}.txt") as out:
            out.write(with_mark(document.text))


def _lines(document: Document, lost: Counter[str]) -> Iterator[str]:
    """Yield the lines of the concept file."""
    lines = enumerate(_words(document.text), 1)
    words = [(word, f"{line}:{n}") for line, row in lines for n, word in enumerate(row) if word is not None]
    starts, ends = [word.start for word, _ in words], [word.end for word, _ in words]
    for entity in document.entities:
        first, last = bisect_right(ends, entity.start), bisect_left(starts, entity.end) - 1
        if first > last:
            add(lost, "mentions of white space alone (left out)")
            continue
        whole = (starts[first], ends[last]) == (entity.start, entity.end)
        add(lost, "mentions that end inside words or in white space (written as whole words)", not whole)
        mention = " ".join(word.of(document.text) for word, _ in words[first : last + 1])
        lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in mention)
        yield f'c="{lower}" {words[first][1]} {words[last][1]}||t="{one_line(entity.type, lost)}"'


FORMAT = Format(
    "i2b2",
    (SUFFIX,),
    read,
    write,
    files=(SUFFIX, ".txt"),
    refuses=lambda document, sink: no_file_name(document.id),
)
