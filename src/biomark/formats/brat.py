"""brat standoff: a folder of pairs `ID.txt` and `ID.ann`, or one such pair.

Instead of `ID.ann` there may be `ID.a1` and `ID.a2`, as in the BioNLP shared tasks.

The reader converts mentions (`T`, also discontinuous ones), their identifiers (`N`, as `RESOURCE:ID`) and binary
relations (`R`). It keeps all other lines (`E`, `A`, `M`, `*`, `#`) in the document's infon `brat`; the writer writes
them again if the mentions that they refer to exist.

Offsets count code points of the text in the file. If more mentions fit when `\\r\\n` counts as one character, or when
the file's byte order mark counts, the reader counts that way. A mention across lines is written as one part for each
line, and such parts are joined again when they are read. brat has no place for a mention's score and infons; they are
written as a note (`#`) of the type `biomark`, and an identifier without a resource as `-:ID`.
"""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from biomark.errors import FormatError, SpanError
from biomark.formats.base import Format, Line, Reject, Sink, Source, with_mark
from biomark.formats.identifiers import file_name, file_stem, no_file_name
from biomark.formats.json_values import Json, infons_of, parsed, score_of
from biomark.formats.losses import GAPS, add, count_losses, one_line
from biomark.formats.pairs import folder_to_write
from biomark.formats.placing import beyond, fits, misplaced
from biomark.spans import Document, Entity, Infons, Relation, Span

_MENTION = re.compile(r"(T\S+)\t(.{0,1000}?) (\d{1,18} \d{1,18}(?:;\d{1,18} \d{1,18})*)\t(.*)", re.DOTALL)
_IDENTIFIER = re.compile(r"N\S+\tReference (T\S+) ([^\t]*)(?:\t(.*))?", re.DOTALL)
_RELATION = re.compile(r"(R\S+)\t(\S+) ([^\s:]+):(\S+) ([^\s:]+):(\S+)\s*")
_NOTE = re.compile(r"#\S+\tbiomark (T\S+)\t(.*)", re.DOTALL)
_REFERENCE = re.compile(r"(?<![\w.-])T\d+(?![\w.-])")
_RESOURCE = re.compile(r"[^\s:-][^\s:]*:.")
_ENDS = re.compile(r"[\r\n]+")
_RAW = "brat"
_SUFFIXES = (".ann", ".a1", ".a2")


@dataclass(frozen=True, slots=True)
class _AnnotationLine:
    """A line of an annotation file with its parsed columns."""

    source: Source
    line: Line
    match: re.Match[str]

    def reject(self, reject: Reject, reason: str, document_id: str) -> None:
        self.source.reject(reject, reason, raw=self.line.text, document_id=document_id, line=self.line.number)


@dataclass(slots=True)
class _AnnotationFile:
    """The lines of the annotation files of a text, by kind."""

    mentions: dict[str, _AnnotationLine] = field(default_factory=dict)
    identifiers: dict[str, list[_AnnotationLine]] = field(default_factory=dict)
    notes: dict[str, Json] = field(default_factory=dict)
    relations: list[_AnnotationLine] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def annotated(path: Path) -> bool:
    """Return whether a text has annotation files beside it, or a folder contains annotation files."""
    if path.is_dir():
        return any(next(path.rglob(f"*{suffix}"), None) is not None for suffix in _SUFFIXES)
    return bool(_beside(path.with_suffix("")))


def _beside(stem: Path) -> list[Path]:
    """Return the annotation files of a text: `.ann`, or else those of the shared tasks."""
    ann, *others = (stem.with_name(stem.name + suffix) for suffix in _SUFFIXES)
    return [ann] if ann.exists() else [path for path in others if path.exists()]


def read(source: Source, reject: Reject) -> Iterator[Document]:
    """Yield the documents of a folder in the order of their names, or the document of one pair of files."""
    if source.path is None:
        raise FormatError("brat cannot be read from a stream; name a folder or a file")
    if not source.path.is_dir():
        yield from _pair(source, source.path.with_suffix(""), source.own_id(source.path.stem), reject)
        return
    folder = source.path
    stems = {path.with_suffix("") for suffix in (".txt", *_SUFFIXES) for path in folder.rglob(f"*{suffix}")}
    for stem in sorted(stems):
        yield from _pair(source, stem, file_stem(stem.relative_to(folder)), reject)


def _pair(parent: Source, stem: Path, document_id: str, reject: Reject) -> Iterator[Document]:
    text_source = parent.beside(stem.with_name(f"{stem.name}.txt"))
    try:
        text = text_source.text()
    except FormatError as error:
        reason = str(error).removeprefix(f"{text_source.name}: ")
        text_source.reject(reject, reason, document_id=document_id)
        return
    if not text:
        text_source.reject(reject, "the file is empty", document_id=document_id)
        return
    annotations = _AnnotationFile()
    for path in _beside(stem):
        source = parent.beside(path)
        for line in source.lines(reject):
            problem = line.problem or (_sort(line, source, annotations) if line.text.strip() else None)
            if problem:
                source.reject(reject, problem, raw=line.text, document_id=document_id, line=line.number)
    has_mark = text_source.head(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8
    yield _document(document_id, text, annotations, _places(text, annotations, has_mark=has_mark), reject)


def _sort(line: Line, source: Source, annotations: _AnnotationFile) -> str | None:
    """Add a line to `annotations`; return the problem if it is invalid, or None."""
    if match := _MENTION.fullmatch(line.text):
        if match[1] in annotations.mentions:
            return f"another mention has the id {match[1]}; give each mention its own id"
        annotations.mentions[match[1]] = _AnnotationLine(source, line, match)
    elif match := _IDENTIFIER.fullmatch(line.text):
        annotations.identifiers.setdefault(match[1], []).append(_AnnotationLine(source, line, match))
    elif match := _RELATION.fullmatch(line.text):
        annotations.relations.append(_AnnotationLine(source, line, match))
    elif match := _NOTE.fullmatch(line.text):
        try:
            note = parsed(match[2])
        except FormatError as error:
            return f"the note {error}"
        if not isinstance(note, dict):
            return f"the biomark note of {match[1]} must be a JSON object"
        annotations.notes[match[1]] = note
    elif line.text[0] in "EAM*#N":
        annotations.others.append(line.text)
    else:
        return "not a brat annotation: a line must begin with T, N, R, E, A, M, * or #, a number and a tab"
    return None


def _document(
    document_id: str, text: str, annotations: _AnnotationFile, places: Sequence[int], reject: Reject
) -> Document:
    names = {target for row in annotations.relations for target in (row.match[4], row.match[6])}
    names |= {name for line in annotations.others for name in _references(line)}
    entities: dict[str, Entity] = {}
    for number, (name, row) in enumerate(annotations.mentions.items(), 1):
        try:
            entity = _entity(row.match, text, places, annotations)
        except (SpanError, FormatError) as error:
            row.reject(reject, str(error), document_id)
            continue
        keeps_id = name != f"T{number}" or name in names
        entities[name] = replace(entity, infons=entity.infons.with_(id=name)) if keeps_id else entity
    relations = []
    for number, row in enumerate(annotations.relations, 1):
        match = row.match
        missing = [name for name in (match[4], match[6]) if name.startswith("T") and name not in entities]
        if missing:
            row.reject(reject, f"the relation has an unknown mention: {' and '.join(missing)}", document_id)
            continue
        infons = Infons({} if match[1] == f"R{number}" else {"id": match[1]})
        relations.append(Relation(match[2], ((match[3], match[4]), (match[5], match[6])), infons))
    for row in (
        row for name, rows in annotations.identifiers.items() if name not in annotations.mentions for row in rows
    ):
        row.reject(reject, f"the identifier (N) is of an unknown mention: {row.match[1]}", document_id)
    infons = Infons({_RAW: "\n".join(annotations.others)} if annotations.others else {})
    return Document(document_id, text, entities=tuple(entities.values()), relations=tuple(relations), infons=infons)


def _references(line: str) -> list[str]:
    """Return the ids of the mentions in the second column of a line."""
    return _REFERENCE.findall(line.split("\t")[1]) if "\t" in line else []


def _places(text: str, annotations: _AnnotationFile, *, has_mark: bool) -> Sequence[int]:
    """Return the offset in the text for each offset in the files: the same, unless more mentions fit otherwise.

    Args:
        text: the text of the document.
        annotations: the mentions with the offsets of the files.
        has_mark: whether the text's file begins with a byte order mark, which offsets may count.
    """
    readings: list[Sequence[int]] = [range(len(text) + 1)]
    if "\r\n" in text:
        readings.append([n for n in range(len(text)) if text[max(0, n - 1) : n + 1] != "\r\n"] + [len(text)])
    if has_mark:
        readings += [[0, *places] for places in readings]
    if len(readings) == 1:
        return readings[0]
    matches = [row.match for row in annotations.mentions.values()]
    return max(readings, key=lambda places: sum(_fits(match, text, places) for match in matches))


def _fits(match: re.Match[str], text: str, places: Sequence[int]) -> bool:
    try:
        return _misfit(match, text, _spans(match[3], places)) is None
    except SpanError:
        return False


def _misfit(match: re.Match[str], text: str, spans: Sequence[Span]) -> str | None:
    """Return the message if a mention's words differ from the text, with its parts in the order of file or text."""
    words = " ".join(span.of(text) for span in sorted(spans))
    if fits(words, match[4]) or fits(" ".join(span.of(text) for span in spans), match[4]):
        return None
    return misplaced(match[3].replace(" ", "-"), words, match[4])


def _spans(column: str, places: Sequence[int]) -> list[Span]:
    spans = []
    for part in column.split(";"):
        start, end = map(int, part.split())
        if end >= len(places):
            raise SpanError(beyond(f"{start}-{end}", len(places) - 1))
        if start >= end:
            raise SpanError(f"a span needs 0 <= start < end, got {start} and {end}")
        spans.append(Span(places[start], places[end]))
    return spans


def _joined(spans: Sequence[Span], text: str) -> tuple[Span, ...]:
    """Return the parts in the order of the text; parts with only a line end between them are joined."""
    parts: list[Span] = []
    for span in sorted(spans):
        if parts and _is_line_end(text[parts[-1].end : span.start]):
            parts[-1] = Span(parts[-1].start, span.end)
        else:
            parts.append(span)
    return tuple(parts)


def _is_line_end(text: str) -> bool:
    return "\n" in text and not text.strip("\r\n")


def _entity(match: re.Match[str], text: str, places: Sequence[int], annotations: _AnnotationFile) -> Entity:
    mention_id, entity_type, column, _ = match.groups()
    spans = _spans(column, places)
    if (problem := _misfit(match, text, spans)) is not None:
        raise SpanError(problem)
    note = annotations.notes.get(mention_id, {})
    ids = [(row.match[2].removeprefix("-:"), row.match[3]) for row in annotations.identifiers.get(mention_id, [])]
    infons = infons_of(note).with_(**{f"name of {identifier}": name for identifier, name in ids if name})
    return Entity(_joined(spans, text), entity_type, tuple(identifier for identifier, _ in ids), score_of(note), infons)


def write(documents: Iterable[Document], sink: Sink, lost: Counter[str]) -> None:
    """Write a folder with two files for each document.

    Raises:
        FormatError: if the sink is a stream or a file.
    """
    folder = folder_to_write(sink, "brat", (".txt", *_SUFFIXES))
    for document in documents:
        name = file_name(document.id)
        annotations = _lines(document, lost)
        # In this order, so that an interrupted run leaves no text without its mentions
        with sink.open(folder / f"{name}.ann") as out:
            out.writelines(f"{line}\n" for line in annotations)
        with sink.open(folder / f"{name}.txt") as out:
            out.write(with_mark(document.text))


def _lines(document: Document, lost: Counter[str]) -> list[str]:
    """Return the lines of the `.ann` file."""
    holds = ("mentions", GAPS, "identifiers", "scores", "mention infons", "relations")
    count_losses(replace(document, infons=document.infons.without(_RAW)), lost, holds=holds)
    raw = document.infons[_RAW].split("\n") if _RAW in document.infons else []
    entities = tuple(entity for entity in document.entities if list(_lines_of(entity, document.text)))
    add(lost, "mentions of line ends alone", len(document.entities) - len(entities))
    names = _names(entities, {name for line in raw for name in _references(line)})
    taken = {line.partition("\t")[0] for line in raw}
    ids, notes = _fresh("N", taken), _fresh("#", taken)
    lines: list[str] = []
    for name, entity in zip(names, entities, strict=True):
        lines += _entity_lines(name, entity, document.text, ids, lost)
        lines += (f"{next(notes)}\tbiomark {name}\t{note}" for note in _notes(entity))
    known = {entity.infons.get("id", name): name for name, entity in zip(names, entities, strict=True)}
    lines += _relation_lines(document.relations, known, lost)
    kept = [line for line in raw if all(name in names for name in _references(line))]
    add(lost, "brat lines about mentions that are not there", len(raw) - len(kept))
    return lines + kept


def _lines_of(entity: Entity, text: str) -> Iterator[Span]:
    """Yield a mention's parts as in brat: a part across lines becomes one part for each line."""
    for span in entity.spans:
        start = span.start
        for end in (end for end in _ENDS.finditer(text, span.start, span.end) if "\n" in end[0]):
            if start < end.start():
                yield Span(start, end.start())
            start = end.end()
        if start < span.end:
            yield Span(start, span.end)


def _fresh(letter: str, taken: set[str]) -> Iterator[str]:
    """Yield new ids of lines, none of them in `taken`."""
    return (line_id for number in count(1) if (line_id := f"{letter}{number}") not in taken)


def _names(entities: tuple[Entity, ...], referenced: set[str]) -> list[str]:
    """Return the ids of mentions: their own if these suit brat, else new ones that no line refers to (`referenced`)."""
    own = [entity.infons.get("id", "") for entity in entities]
    kept = {own_id for own_id in own if re.fullmatch(r"T\S+", own_id)}
    taken = kept | referenced
    used: set[str] = set()
    names = []
    spare = _fresh("T", taken | {f"T{number}" for number in range(1, len(own) + 1)})
    for number, own_id in enumerate(own, 1):
        wanted = own_id if own_id in kept else f"T{number}"
        name = next(spare) if wanted in used or (wanted in taken and wanted != own_id) else wanted
        used.add(name)
        names.append(name)
    return names


def _entity_lines(name: str, entity: Entity, text: str, fresh: Iterator[str], lost: Counter[str]) -> Iterator[str]:
    parts = list(_lines_of(entity, text))
    where = ";".join(f"{span.start} {span.end}" for span in parts)
    if (joined := _joined(parts, text)) != entity.spans:
        gone = "gaps" if len(joined) < len(entity.spans) else "ends"
        add(lost, f"line ends that are {gone} of mentions")
    mention = one_line(entity.mention(text), Counter())
    yield f"{name}\t{one_line(entity.type, lost)} {where}\t{mention}"
    for identifier in entity.ids:
        resource = identifier if _RESOURCE.match(identifier) else f"-:{identifier}"
        name_of_identifier = entity.infons.get(f"name of {identifier}", "")
        columns = [next(fresh), f"Reference {name} {one_line(resource, lost)}", one_line(name_of_identifier, lost)]
        yield "\t".join(columns if name_of_identifier else columns[:2])


def _notes(entity: Entity) -> Iterator[str]:
    """Yield the score and infons as JSON, unless there are none that need a note."""
    infons = entity.infons.without("id", *(f"name of {identifier}" for identifier in entity.ids))
    note: dict[str, object] = {"infons": dict(infons)} if infons else {}
    if entity.score is not None:
        note["score"] = entity.score
    if note:
        yield json.dumps(note, ensure_ascii=False)


def _relation_lines(relations: Iterable[Relation], known: Mapping[str, str], lost: Counter[str]) -> Iterator[str]:
    """Yield the lines of relations between two mentions; brat cannot hold others."""
    for number, relation in enumerate(relations, 1):
        arguments = [
            f"{role or f'Arg{n}'}:{known.get(target)}" for n, (role, target) in enumerate(relation.arguments, 1)
        ]
        line = f"{relation.infons.get('id', f'R{number}')}\t{relation.type} {' '.join(arguments)}"
        if _RELATION.fullmatch(line) and all(target in known for _, target in relation.arguments):
            yield line
        else:
            lost["relations that brat cannot hold (not between two mentions, or with blanks in names)"] += 1


FORMAT = Format(
    "brat",
    _SUFFIXES,
    read,
    write,
    files=(".ann", ".txt"),
    refuses=lambda document, sink: no_file_name(document.id),
)
