"""CHEMDNER (BioCreative IV, BC4CHEMD): abstracts (`X.abstracts.txt`) and their mentions (`X.annotations.txt`).

A line of the abstracts is `PMID, title, abstract`, and one of the mentions `PMID, T or A, start, end, mention, class`,
separated by tabs (Krallinger et al. 2015). Offsets count code points from the beginning of the title (T) or of the
abstract (A). Title and abstract are passages, joined by one line end. Given either file, the reader also reads the
other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from biomark.errors import FormatError, SpanError
from biomark.formats.base import Format, Line, Reject, Source, is_offset
from biomark.formats.placing import beyond, fits, misplaced
from biomark.spans import Document, Entity, Passage, Span

ABSTRACTS, ANNOTATIONS = ".abstracts.txt", ".annotations.txt"
_MENTION = "a line of mentions must have six columns, separated by tabs: PMID, T or A, start, end, mention, class"


def abstracts_beside(path: Path) -> Path | None:
    """Return the file of abstracts that belongs to a file of mentions, or None if there is none."""
    return _other(path, ANNOTATIONS, ABSTRACTS)


def read(source: Source, reject: Reject) -> Iterator[Document]:
    """Yield the abstracts with their mentions; see the module.

    Raises:
        FormatError: if a file of mentions has no abstracts beside it.
    """
    annotations: Path | None = None
    if source.path is not None and source.path.name.removesuffix(".gz").endswith(ANNOTATIONS):
        annotations, abstracts = source.path, abstracts_beside(source.path)
        if abstracts is None:
            stem = source.path.name.removesuffix(".gz").removesuffix(ANNOTATIONS)
            raise FormatError(f"{source.path}: the abstracts are missing; put {stem}{ABSTRACTS} beside it")
        source = source.beside(abstracts)
    elif source.path is not None:
        annotations = _other(source.path, ABSTRACTS, ANNOTATIONS)
    beside = source.beside(annotations) if annotations is not None else None
    mentions = _mentions(beside, reject) if beside is not None else {}
    for line in source.lines(reject):
        columns = line.text.split("\t")
        if line.problem or len(columns) != 3 or not columns[0].strip():
            if line.text.strip():
                problem = line.problem or "a line of abstracts must have three columns: PMID, title, abstract"
                source.reject(reject, problem, raw=line.text, line=line.number)
            continue
        document = _document(*columns)
        rows = mentions.pop(document.id, [])
        entities = _entities(rows, document, beside, reject) if beside is not None else ()
        yield Document(document.id, document.text, document.passages, entities=entities)
    for document_id, rows in mentions.items():
        for row in rows:
            reason = f"{source.name} has no abstract with this id"
            (beside or source).reject(reject, reason, raw=row.text, document_id=document_id, line=row.number)


def _other(path: Path, own: str, other: str) -> Path | None:
    stem = path.name.removesuffix(".gz").removesuffix(own)
    places = [path.with_name(f"{stem}{other}{packed}") for packed in ("", ".gz")]
    return next((place for place in places if place.is_file()), None)


def _mentions(source: Source, reject: Reject) -> dict[str, list[Line]]:
    """Return the lines of a file of mentions by PMID."""
    mentions: dict[str, list[Line]] = {}
    for line in source.lines(reject):
        columns = line.text.split("\t")
        whole = len(columns) == 6 and columns[1] in ("T", "A") and all(map(is_offset, columns[2:4]))
        if whole and not line.problem:
            mentions.setdefault(columns[0].strip(), []).append(line)
        elif line.text.strip():
            source.reject(reject, line.problem or _MENTION, raw=line.text, line=line.number)
    return mentions


def _document(document_id: str, title: str, abstract: str) -> Document:
    text = f"{title}\n{abstract}"
    passages = (Passage(Span(0, len(title)), "title"), Passage(Span(len(title) + 1, len(text)), "abstract"))
    return Document(document_id.strip(), text, tuple(passage for passage in passages if len(passage.span)))


def _entities(lines: list[Line], document: Document, source: Source, reject: Reject) -> tuple[Entity, ...]:
    title, abstract = document.text.split("\n", 1)
    parts = {"T": (title, 0), "A": (abstract, len(title) + 1)}
    entities: list[Entity] = []
    for line in lines:
        _, part, first, last, mention, kind = line.text.split("\t")
        text, offset = parts[part]
        start, end, where = int(first), int(last), f"{part} {first} {last}"
        try:
            if end > len(text):
                raise SpanError(beyond(where, len(text)))
            span = Span(start, end)
            if not fits(span.of(text), mention):
                raise SpanError(misplaced(where, span.of(text), mention))
            entities.append(Entity((span.shift(offset),), kind.strip()))
        except SpanError as error:
            source.reject(reject, str(error), raw=line.text, document_id=document.id, line=line.number)
    return tuple(sorted(entities, key=lambda entity: (entity.start, entity.end)))


FORMAT = Format("chemdner", (ABSTRACTS, ANNOTATIONS), read)
