"""brat standoff: a folder of pairs `ID.txt` and `ID.ann`, or one such pair.

Read are mentions (`T`, also of several parts), their identifiers (`N`, as `RESOURCE:ID`) and
binary relations (`R`). All other lines (`E`, `A`, `M`, `*`, `#`) are kept as they are in the
document's infon `brat` and written again, as long as the mentions that they name are there.

Offsets count code points of the text as it is in the file; where they fit only if `\\r\\n` counts
as one, they are read so. A mention's score and infons, for which brat has no place, are written
as a note (`#`) of the type `biomark`, and an identifier without a resource as `-:ID`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from biomark.errors import FormatError, SpanError
from biomark.formats.base import Format, Line, Reject, Sink, Source, with_mark
from biomark.formats.identifiers import decoded, file_name, file_stem
from biomark.formats.jsonl import Json, infons_of, score_of
from biomark.formats.losses import GAPS, add, count_losses, one_line
from biomark.spans import Document, Entity, Infons, Relation, Span

_MENTION = re.compile(r"(T\S+)\t(.*) (\d{1,18} \d{1,18}(?:;\d{1,18} \d{1,18})*)\t(.*)", re.DOTALL)
_IDENTIFIER = re.compile(r"N\S+\tReference (T\S+) ([^\t]*)(?:\t(.*))?", re.DOTALL)
_RELATION = re.compile(r"(R\S+)\t(\S+) ([^\s:]+):(\S+) ([^\s:]+):(\S+)\s*")
_NOTE = re.compile(r"#\S+\tbiomark (T\S+)\t(.*)", re.DOTALL)
_REFERENCE = re.compile(r"(?<![\w.-])T\d+(?![\w.-])")
_RESOURCE = re.compile(r"[^\s:-][^\s:]*:.")
_RAW = "brat"


@dataclass(slots=True)
class _Annotations:
    """What an `.ann` file says, line by line."""

    mentions: dict[str, tuple[Line, re.Match[str]]] = field(default_factory=dict)
    identifiers: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    notes: dict[str, Json] = field(default_factory=dict)
    relations: list[tuple[Line, re.Match[str]]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def read(source: Source, reject: Reject) -> Iterator[Document]:
    """The documents of a folder in the order of their names, or that of one pair of files."""
    if source.path is None:
        raise FormatError("brat is a folder of files, or a file; it cannot be read from a stream")
    if not source.path.is_dir():
        yield from _pair(source.path.with_suffix(""), decoded(source.path.stem), reject)
        return
    folder = source.path
    stems = {path.with_suffix("") for suffix in ("txt", "ann") for path in folder.rglob(f"*.{suffix}")}
    for stem in sorted(stems):
        yield from _pair(stem, file_stem(stem.relative_to(folder)), reject)


def _pair(stem: Path, id: str, reject: Reject) -> Iterator[Document]:
    text_source, source = (Source(stem.with_name(f"{stem.name}.{suffix}")) for suffix in ("txt", "ann"))
    try:
        text = text_source.text()
    except FormatError as error:
        reason = str(error).removeprefix(f"{text_source.name}: ")
        text_source.reject(reject, reason, document_id=id)
        return
    if not text:
        text_source.reject(reject, "the file is empty", document_id=id)
        return
    found = _Annotations()
    if source.path is not None and source.path.exists():
        for line in source.lines(reject):
            problem = line.problem or (_sort(line, found) if line.text.strip() else None)
            if problem:
                source.reject(reject, problem, raw=line.text, document_id=id, line=line.number)
    yield _document(id, text, found, source, reject)


def _sort(line: Line, found: _Annotations) -> str | None:
    """Put a line where it belongs; what is wrong with it, or None."""
    if match := _MENTION.fullmatch(line.text):
        if match[1] in found.mentions:
            return f"a second mention with the id {match[1]}"
        found.mentions[match[1]] = line, match
    elif match := _IDENTIFIER.fullmatch(line.text):
        found.identifiers.setdefault(match[1], []).append((match[2].removeprefix("-:"), match[3] or ""))
    elif match := _RELATION.fullmatch(line.text):
        found.relations.append((line, match))
    elif match := _NOTE.fullmatch(line.text):
        try:
            found.notes[match[1]] = json.loads(match[2])
        except ValueError as error:
            return f"the note is not JSON: {error}"
    elif line.text[0] in "EAM*#N":
        found.others.append(line.text)
    else:
        return "is no line of brat's: T, N, R, E, A, M, * or #, then a number, a tab, and what belongs to it"
    return None


def _document(id: str, text: str, found: _Annotations, source: Source, reject: Reject) -> Document:
    places = _places(text, found)
    names = {target for _, match in found.relations for target in (match[4], match[6])}
    names |= {name for line in found.others for name in _references(line)}
    entities: dict[str, Entity] = {}
    for number, (name, (line, match)) in enumerate(found.mentions.items(), 1):
        try:
            entity = _entity(match, text, places, found)
        except (SpanError, FormatError) as error:
            source.reject(reject, str(error), raw=line.text, document_id=id, line=line.number)
            continue
        numbered = name != f"T{number}" or name in names
        entities[name] = replace(entity, infons=entity.infons.with_(id=name)) if numbered else entity
    relations = []
    for number, (line, match) in enumerate(found.relations, 1):
        missing = [name for name in (match[4], match[6]) if name.startswith("T") and name not in entities]
        if missing:
            reason = f"relates {' and '.join(missing)}, which is no mention"
            source.reject(reject, reason, raw=line.text, document_id=id, line=line.number)
            continue
        infons = Infons({} if match[1] == f"R{number}" else {"id": match[1]})
        relations.append(Relation(match[2], ((match[3], match[4]), (match[5], match[6])), infons))
    for name in found.identifiers.keys() - found.mentions.keys():
        source.reject(reject, f"{name} has an identifier (N) but is no mention", document_id=id)
    infons = Infons({_RAW: "\n".join(found.others)} if found.others else {})
    return Document(id, text, entities=tuple(entities.values()), relations=tuple(relations), infons=infons)


def _references(line: str) -> list[str]:
    """The mentions that a line is about, which its second column names."""
    return _REFERENCE.findall(line.split("\t")[1]) if "\t" in line else []


def _places(text: str, found: _Annotations) -> list[int] | None:
    """Where each offset lies in the text, if `\\r\\n` counts as one; None if offsets are plain code points."""
    if "\r\n" not in text:
        return None
    places = [place for place in range(len(text)) if text[max(0, place - 1) : place + 1] != "\r\n"] + [len(text)]
    matches = [match for _, match in found.mentions.values()]
    plain = sum(_fits(match, text, None) for match in matches)
    return places if sum(_fits(match, text, places) for match in matches) > plain else None


def _fits(match: re.Match[str], text: str, places: list[int] | None) -> bool:
    try:
        spans = _spans(match[3], text, places)
    except SpanError:
        return False
    return "".join("".join(span.of(text) for span in spans).split()) == "".join(match[4].split())


def _spans(column: str, text: str, places: list[int] | None) -> tuple[Span, ...]:
    spans = []
    for part in column.split(";"):
        start, end = map(int, part.split())
        length = len(text) if places is None else len(places) - 1
        if end > length:
            raise SpanError(f"offsets {start}-{end} lie beyond the end of the text ({length} code points)")
        spans.append(Span(start, end) if places is None else Span(places[start], places[end]))
    return tuple(sorted(spans))


def _entity(match: re.Match[str], text: str, places: list[int] | None, found: _Annotations) -> Entity:
    name, type, column, mention = match.groups()
    spans = _spans(column, text, places)
    if not _fits(match, text, places):
        there = " ".join(span.of(text) for span in spans)
        raise SpanError(f"at {column.replace(' ', '-')} the text has {there!r}, not {mention!r}")
    note = found.notes.get(name, {})
    if not isinstance(note, dict):
        raise FormatError(f"the biomark note of {name} is no JSON object")
    ids = found.identifiers.get(name, [])
    infons = infons_of(note).with_(**{f"name of {id}": told for id, told in ids if told})
    return Entity(spans, type, tuple(id for id, _ in ids), score_of(note), infons)


def write(documents: Iterable[Document], sink: Sink, lost: Counter[str]) -> None:
    """Write a folder, two files a document.

    Raises:
        FormatError: if the sink is a stream or a file.
    """
    folder = sink.path
    if folder is None or folder.is_file() or folder.suffix in (".ann", ".txt"):
        raise FormatError("brat is written into a folder; name one")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FormatError(f"{folder}: cannot be written: {error.strerror or error}") from error
    for document in documents:
        name = file_name(document.id)
        annotations = _lines(document, lost)
        with sink.open(folder / f"{name}.txt") as out:
            out.write(with_mark(document.text))
        with sink.open(folder / f"{name}.ann") as out:
            out.writelines(f"{line}\n" for line in annotations)


def _lines(document: Document, lost: Counter[str]) -> list[str]:
    """The lines of the `.ann` file."""
    holds = ("mentions", GAPS, "identifiers", "scores", "mention infons", "relations")
    count_losses(replace(document, infons=document.infons.without(_RAW)), lost, holds=holds)
    raw = document.infons[_RAW].split("\n") if _RAW in document.infons else []
    names = _names(document.entities, {name for line in raw for name in _references(line)})
    taken = {line.partition("\t")[0] for line in raw}
    ids, notes = _fresh("N", taken), _fresh("#", taken)
    lines: list[str] = []
    for name, entity in zip(names, document.entities, strict=True):
        lines += _entity_lines(name, entity, document.text, ids, lost)
        lines += (f"{next(notes)}\tbiomark {name}\t{note}" for note in _notes(entity))
    lines += _relation_lines(document, names, lost)
    kept = [line for line in raw if all(name in names for name in _references(line))]
    add(lost, "brat lines about mentions that are not there", len(raw) - len(kept))
    return lines + kept


def _fresh(letter: str, taken: set[str]) -> Iterator[str]:
    """Ids of lines that the raw lines do not use."""
    return (id for number in count(1) if (id := f"{letter}{number}") not in taken)


def _names(entities: tuple[Entity, ...], meant: set[str]) -> list[str]:
    """The mentions' ids: their own where they are brat's, else numbers that no line gives to another (`meant`)."""
    own = [entity.infons.get("id", "") for entity in entities]
    kept = {id for id in own if re.fullmatch(r"T\S+", id)}
    taken = kept | meant
    used: set[str] = set()
    names = []
    spare = _fresh("T", taken | {f"T{number}" for number in range(1, len(own) + 1)})
    for number, id in enumerate(own, 1):
        wanted = id if id in kept else f"T{number}"
        name = next(spare) if wanted in used or (wanted in taken and wanted != id) else wanted
        used.add(name)
        names.append(name)
    return names


def _entity_lines(name: str, entity: Entity, text: str, fresh: Iterator[str], lost: Counter[str]) -> Iterator[str]:
    where = ";".join(f"{span.start} {span.end}" for span in entity.spans)
    mention = one_line(entity.mention(text), Counter())
    yield f"{name}\t{one_line(entity.type, lost)} {where}\t{mention}"
    for id in entity.ids:
        resource = id if _RESOURCE.match(id) else f"-:{id}"
        told = entity.infons.get(f"name of {id}", "")
        columns = [next(fresh), f"Reference {name} {one_line(resource, lost)}", one_line(told, lost)]
        yield "\t".join(columns if told else columns[:2])


def _notes(entity: Entity) -> Iterator[str]:
    """Score and infons as JSON, if there are any that no other line tells."""
    infons = entity.infons.without("id", *(f"name of {id}" for id in entity.ids))
    note: dict[str, object] = {"infons": dict(infons)} if infons else {}
    if entity.score is not None:
        note["score"] = entity.score
    if note:
        yield json.dumps(note, ensure_ascii=False)


def _relation_lines(document: Document, names: list[str], lost: Counter[str]) -> Iterator[str]:
    """Relations of two mentions; brat has no place for others."""
    known = {entity.infons.get("id", name): name for name, entity in zip(names, document.entities, strict=True)}
    for number, relation in enumerate(document.relations, 1):
        arguments = [f"{role or f'Arg{n}'}:{known.get(id)}" for n, (role, id) in enumerate(relation.arguments, 1)]
        line = f"{relation.infons.get('id', f'R{number}')}\t{relation.type} {' '.join(arguments)}"
        if _RELATION.fullmatch(line) and all(id in known for _, id in relation.arguments):
            yield line
        else:
            lost["relations that brat cannot hold (not between two mentions, or with blanks in names)"] += 1


FORMAT = Format("brat", (".ann",), read, write)
