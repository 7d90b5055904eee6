"""brat standoff: a folder of pairs `ID.txt` and `ID.ann`, or one such pair.

In the place of `ID.ann` there may be `ID.a1` and `ID.a2`, into which the BioNLP shared tasks part it.

Read are mentions (`T`, also of several parts), their identifiers (`N`, as `RESOURCE:ID`) and
binary relations (`R`). All other lines (`E`, `A`, `M`, `*`, `#`) are kept as they are in the
document's infon `brat` and written again, as long as the mentions that they name are there.

Offsets count code points of the text as it is in the file; where more mentions fit if `\\r\\n`
counts as one, or if the file's byte order mark counts, they are read so. A mention over a line's
end is written in a part for each line, and such parts are read as one piece. A mention's score and
infons, for which brat has no place, are written as a note (`#`) of the type `biomark`, and an
identifier without a resource as `-:ID`.
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
class _Row:
    """A line of an annotation file, taken apart."""

    source: Source
    line: Line
    match: re.Match[str]

    def reject(self, reject: Reject, reason: str, document_id: str) -> None:
        self.source.reject(reject, reason, raw=self.line.text, document_id=document_id, line=self.line.number)


@dataclass(slots=True)
class _Annotations:
    """What the annotation files of a text hold, line by line."""

    mentions: dict[str, _Row] = field(default_factory=dict)
    identifiers: dict[str, list[_Row]] = field(default_factory=dict)
    notes: dict[str, Json] = field(default_factory=dict)
    relations: list[_Row] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def annotated(path: Path) -> bool:
    """Whether a text has annotations beside it, or a folder has files of annotations."""
    if path.is_dir():
        return any(next(path.rglob(f"*{suffix}"), None) is not None for suffix in _SUFFIXES)
    return bool(_beside(path.with_suffix("")))


def _beside(stem: Path) -> list[Path]:
    """The annotation files of a text: `.ann`, else those of the shared tasks."""
    ann, *others = (stem.with_name(stem.name + suffix) for suffix in _SUFFIXES)
    return [ann] if ann.exists() else [path for path in others if path.exists()]


def read(source: Source, reject: Reject) -> Iterator[Document]:
    """The documents of a folder in the order of their names, or that of one pair of files."""
    if source.path is None:
        raise FormatError("brat is a folder of files, or a file; it cannot be read from a stream")
    if not source.path.is_dir():
        yield from _pair(source, source.path.with_suffix(""), source.own_id(source.path.stem), reject)
        return
    folder = source.path
    stems = {path.with_suffix("") for suffix in (".txt", *_SUFFIXES) for path in folder.rglob(f"*{suffix}")}
    for stem in sorted(stems):
        yield from _pair(source, stem, file_stem(stem.relative_to(folder)), reject)


def _pair(given: Source, stem: Path, document_id: str, reject: Reject) -> Iterator[Document]:
    text_source = given.beside(stem.with_name(f"{stem.name}.txt"))
    try:
        text = text_source.text()
    except FormatError as error:
        reason = str(error).removeprefix(f"{text_source.name}: ")
        text_source.reject(reject, reason, document_id=document_id)
        return
    if not text:
        text_source.reject(reject, "the file is empty", document_id=document_id)
        return
    found = _Annotations()
    for path in _beside(stem):
        source = given.beside(path)
        for line in source.lines(reject):
            problem = line.problem or (_sort(line, source, found) if line.text.strip() else None)
            if problem:
                source.reject(reject, problem, raw=line.text, document_id=document_id, line=line.number)
    marked = text_source.head(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8
    yield _document(document_id, text, found, _places(text, found, marked=marked), reject)


def _sort(line: Line, source: Source, found: _Annotations) -> str | None:
    """Put a line where it belongs; what is wrong with it, or None."""
    if match := _MENTION.fullmatch(line.text):
        if match[1] in found.mentions:
            return f"a second mention with the id {match[1]}"
        found.mentions[match[1]] = _Row(source, line, match)
    elif match := _IDENTIFIER.fullmatch(line.text):
        found.identifiers.setdefault(match[1], []).append(_Row(source, line, match))
    elif match := _RELATION.fullmatch(line.text):
        found.relations.append(_Row(source, line, match))
    elif match := _NOTE.fullmatch(line.text):
        try:
            note = parsed(match[2])
        except FormatError as error:
            return f"the note {error}"
        if not isinstance(note, dict):
            return f"the biomark note of {match[1]} is no JSON object"
        found.notes[match[1]] = note
    elif line.text[0] in "EAM*#N":
        found.others.append(line.text)
    else:
        return "is no line of brat's: T, N, R, E, A, M, * or #, then a number, a tab, and what belongs to it"
    return None


def _document(document_id: str, text: str, found: _Annotations, places: Sequence[int], reject: Reject) -> Document:
    names = {target for row in found.relations for target in (row.match[4], row.match[6])}
    names |= {name for line in found.others for name in _references(line)}
    entities: dict[str, Entity] = {}
    for number, (name, row) in enumerate(found.mentions.items(), 1):
        try:
            entity = _entity(row.match, text, places, found)
        except (SpanError, FormatError) as error:
            row.reject(reject, str(error), document_id)
            continue
        numbered = name != f"T{number}" or name in names
        entities[name] = replace(entity, infons=entity.infons.with_(id=name)) if numbered else entity
    relations = []
    for number, row in enumerate(found.relations, 1):
        match = row.match
        missing = [name for name in (match[4], match[6]) if name.startswith("T") and name not in entities]
        if missing:
            row.reject(reject, f"relates {' and '.join(missing)}, which is no mention", document_id)
            continue
        infons = Infons({} if match[1] == f"R{number}" else {"id": match[1]})
        relations.append(Relation(match[2], ((match[3], match[4]), (match[5], match[6])), infons))
    for row in (row for name, rows in found.identifiers.items() if name not in found.mentions for row in rows):
        row.reject(reject, f"{row.match[1]} has an identifier (N) but is no mention", document_id)
    infons = Infons({_RAW: "\n".join(found.others)} if found.others else {})
    return Document(document_id, text, entities=tuple(entities.values()), relations=tuple(relations), infons=infons)


def _references(line: str) -> list[str]:
    """The mentions that a line is about, which its second column names."""
    return _REFERENCE.findall(line.split("\t")[1]) if "\t" in line else []


def _places(text: str, found: _Annotations, *, marked: bool) -> Sequence[int]:
    """Where each offset of the files lies in the text: as they stand, unless more mentions fit otherwise.

    Args:
        marked: whether the text's file begins with a byte order mark, which offsets may count.
    """
    readings: list[Sequence[int]] = [range(len(text) + 1)]
    if "\r\n" in text:
        readings.append([n for n in range(len(text)) if text[max(0, n - 1) : n + 1] != "\r\n"] + [len(text)])
    if marked:
        readings += [[0, *places] for places in readings]
    if len(readings) == 1:
        return readings[0]
    matches = [row.match for row in found.mentions.values()]
    return max(readings, key=lambda places: sum(_fits(match, text, places) for match in matches))


def _fits(match: re.Match[str], text: str, places: Sequence[int]) -> bool:
    try:
        return _misfit(match, text, _spans(match[3], places)) is None
    except SpanError:
        return False


def _misfit(match: re.Match[str], text: str, spans: Sequence[Span]) -> str | None:
    """What is wrong with the words of a mention, whose parts are in the order of the file or of the text."""
    there = " ".join(span.of(text) for span in sorted(spans))
    if fits(there, match[4]) or fits(" ".join(span.of(text) for span in spans), match[4]):
        return None
    return misplaced(match[3].replace(" ", "-"), there, match[4])


def _spans(column: str, places: Sequence[int]) -> list[Span]:
    spans = []
    for part in column.split(";"):
        start, end = map(int, part.split())
        if end >= len(places):
            raise SpanError(beyond(f"{start}-{end}", len(places) - 1))
        if start >= end:
            raise SpanError(f"a span needs 0 <= start < end, not {start} and {end}")
        spans.append(Span(places[start], places[end]))
    return spans


def _joined(spans: Sequence[Span], text: str) -> tuple[Span, ...]:
    """The parts in the text's order; those with nothing but a line's end between them are one."""
    parts: list[Span] = []
    for span in sorted(spans):
        if parts and _is_line_end(text[parts[-1].end : span.start]):
            parts[-1] = Span(parts[-1].start, span.end)
        else:
            parts.append(span)
    return tuple(parts)


def _is_line_end(text: str) -> bool:
    return "\n" in text and not text.strip("\r\n")


def _entity(match: re.Match[str], text: str, places: Sequence[int], found: _Annotations) -> Entity:
    name, entity_type, column, _ = match.groups()
    spans = _spans(column, places)
    if (problem := _misfit(match, text, spans)) is not None:
        raise SpanError(problem)
    note = found.notes.get(name, {})
    ids = [(row.match[2].removeprefix("-:"), row.match[3]) for row in found.identifiers.get(name, [])]
    infons = infons_of(note).with_(**{f"name of {identifier}": told for identifier, told in ids if told})
    return Entity(_joined(spans, text), entity_type, tuple(identifier for identifier, _ in ids), score_of(note), infons)


def write(documents: Iterable[Document], sink: Sink, lost: Counter[str]) -> None:
    """Write a folder, two files a document.

    Raises:
        FormatError: if the sink is a stream or a file.
    """
    folder = folder_to_write(sink, "brat", (".txt", *_SUFFIXES))
    for document in documents:
        name = file_name(document.id)
        annotations = _lines(document, lost)
        # In this order, so that a run that is killed leaves no text without its mentions
        with sink.open(folder / f"{name}.ann") as out:
            out.writelines(f"{line}\n" for line in annotations)
        with sink.open(folder / f"{name}.txt") as out:
            out.write(with_mark(document.text))


def _lines(document: Document, lost: Counter[str]) -> list[str]:
    """The lines of the `.ann` file."""
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
    """A mention's parts, those over a line's end in one part for each line, as brat has them."""
    for span in entity.spans:
        start = span.start
        for end in (end for end in _ENDS.finditer(text, span.start, span.end) if "\n" in end[0]):
            if start < end.start():
                yield Span(start, end.start())
            start = end.end()
        if start < span.end:
            yield Span(start, span.end)


def _fresh(letter: str, taken: set[str]) -> Iterator[str]:
    """Ids of lines that the raw lines do not use."""
    return (line_id for number in count(1) if (line_id := f"{letter}{number}") not in taken)


def _names(entities: tuple[Entity, ...], meant: set[str]) -> list[str]:
    """The mentions' ids: their own where they are brat's, else numbers that no line gives to another (`meant`)."""
    own = [entity.infons.get("id", "") for entity in entities]
    kept = {own_id for own_id in own if re.fullmatch(r"T\S+", own_id)}
    taken = kept | meant
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
        told = entity.infons.get(f"name of {identifier}", "")
        columns = [next(fresh), f"Reference {name} {one_line(resource, lost)}", one_line(told, lost)]
        yield "\t".join(columns if told else columns[:2])


def _notes(entity: Entity) -> Iterator[str]:
    """Score and infons as JSON, if there are any that no other line tells."""
    infons = entity.infons.without("id", *(f"name of {identifier}" for identifier in entity.ids))
    note: dict[str, object] = {"infons": dict(infons)} if infons else {}
    if entity.score is not None:
        note["score"] = entity.score
    if note:
        yield json.dumps(note, ensure_ascii=False)


def _relation_lines(relations: Iterable[Relation], known: Mapping[str, str], lost: Counter[str]) -> Iterator[str]:
    """Relations of two mentions; brat has no place for others."""
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
