"""PubTator: `id|t|title`, `id|a|abstract`, then one mention on each line, and an empty line.

A mention's line has the columns id, start, end, text, type, identifier (optional) and, for a
composite mention, its parts (optional). Offsets count code points of title + one character +
abstract. A relation's line has the columns id, type and two identifiers, in BioRED also its novelty.

Full texts (NLM-Chem) have a block for each passage, all with the article's id and an empty abstract, and with
offsets from 0 in each block. They are read as one document of many passages and written as such blocks again.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from biomark.errors import SpanError
from biomark.formats.base import Format, Line, Reject, Sink, Source, is_offset
from biomark.formats.identifiers import split_ids
from biomark.formats.losses import add, count_losses, one_line
from biomark.formats.parts import placed
from biomark.spans import NO_INFONS, Document, Entity, Passage, Rejected, Relation, Span

_HEAD = re.compile(r"([^|\t]*)\|([ta])\|(.*)", re.DOTALL)
# BioRED adds to a relation whether the article is the first to report it.
_NOVELTY = ("Novel", "No")
_INFONS = ("identifier", "parts")


@dataclass(slots=True)
class _Block:
    """A title, an abstract, and the lines of annotations up to the next empty line."""

    id: str
    number: int
    title: str
    abstract: str | None
    annotations: list[Line]

    @property
    def text(self) -> str:
        """The text to which the offsets refer."""
        return f"{self.title}\n{self.abstract}" if self.abstract else self.title


def read(source: Source, reject: Reject) -> Iterator[Document]:
    """Yield the documents of a PubTator file; see the module."""
    article: list[_Block] = []
    for lines in _groups(source, reject):
        block = _block(lines, source, reject)
        if block is None:
            continue
        if article and block.id == article[0].id and not block.abstract and not article[0].abstract:
            article.append(block)
            continue
        if article:
            yield _document(article, source, reject)
        article = [block]
    if article:
        yield _document(article, source, reject)


def _groups(source: Source, reject: Reject) -> Iterator[list[Line]]:
    """Yield the lines between empty lines; a title line begins a new group even without an empty line before it."""
    group: list[Line] = []
    for line in source.lines(reject):
        head = _HEAD.match(line.text)
        if group and (not line.text.strip() or (head and head[2] == "t")):
            yield group
            group = []
        if line.text.strip():
            group.append(line)
    if group:
        yield group


def _block(lines: list[Line], source: Source, reject: Reject) -> _Block | None:
    for line in lines:
        if line.problem:
            head = _HEAD.match(lines[0].text)
            source.reject(reject, line.problem, raw=line.text, document_id=head[1] if head else None, line=line.number)
            return None
    title = _HEAD.match(lines[0].text)
    if title is None or title[2] != "t":
        reason = "a PubTator document must begin with ID|t|TITLE; its lines are skipped"
        source.reject(reject, reason, raw=lines[0].text, line=lines[0].number)
        return None
    abstract = _HEAD.match(lines[1].text) if len(lines) > 1 else None
    if abstract is not None and (abstract[2] != "a" or abstract[1] != title[1]):
        reason = f"the abstract belongs to another document ({abstract[1]}); both are skipped"
        source.reject(reject, reason, raw=lines[1].text, document_id=title[1], line=lines[1].number)
        return None
    annotations = lines[2:] if abstract else lines[1:]
    return _Block(title[1], lines[0].number, title[3], abstract[3] if abstract else None, annotations)


def _document(article: list[_Block], source: Source, reject: Reject) -> Document:
    """Return the document of one block, or of all blocks of a full text."""
    pieces: list[str] = []
    passages: list[Passage] = []
    entities: list[Entity] = []
    relations: list[Relation] = []
    offset = 0
    for block in map(_as_counted, article):
        kinds = ("passage", "passage") if len(article) > 1 else ("title", "abstract")
        text = block.text
        cuts = [(0, len(block.title), kinds[0]), (len(block.title) + 1, len(text), kinds[1])]
        passages += [Passage(Span(offset + a, offset + b), kind) for a, b, kind in cuts if a < b]
        for line in block.annotations:
            annotation = _annotation(line, block, text, source, reject)
            if isinstance(annotation, Entity):
                entities.append(annotation.shift(offset))
            elif annotation is not None:
                relations.append(annotation)
        pieces.append(text)
        offset += len(text) + 1
    text = "\n".join(pieces)
    source.line = article[0].number  # the source has already read the next document
    return Document(article[0].id, text, tuple(passages), entities=tuple(entities), relations=tuple(relations))


def _as_counted(block: _Block) -> _Block:
    """Return the block that fits its offsets: in some files they ignore blanks around title or abstract."""
    title, abstract = block.title, block.abstract
    readings = [(title, abstract), (title.rstrip(), abstract), (title.strip(), abstract)]
    readings.append((title.strip(), abstract and abstract.strip()))
    blocks = [replace(block, title=t, abstract=a) for t, a in dict.fromkeys(readings)]
    return max(blocks, key=_fitting) if len(blocks) > 1 else block


def _fitting(block: _Block) -> int:
    """Return the number of the block's mentions whose words are at their offsets."""
    rejects: list[Rejected] = []
    annotations = (_annotation(line, block, block.text, Source(None), rejects.append) for line in block.annotations)
    return sum(isinstance(annotation, Entity) for annotation in annotations)


def _annotation(line: Line, block: _Block, text: str, source: Source, reject: Reject) -> Entity | Relation | None:
    """Return the mention or relation of a line; None if it is rejected."""
    columns = line.text.split("\t")
    try:
        if columns[0] != block.id:
            raise SpanError(f"the line belongs to another document ({columns[0]})")
        if (
            len(columns) > 1
            and not is_offset(columns[1])
            and (len(columns) == 4 or (len(columns) == 5 and columns[4] in _NOVELTY))
        ):
            return Relation(columns[1], tuple(("", argument) for argument in columns[2:]))
        if not 5 <= len(columns) <= 7:
            raise SpanError(f"a mention must have 5 to 7 columns separated by tabs, this line has {len(columns)}")
        if not (is_offset(columns[1]) and is_offset(columns[2])):
            raise SpanError("columns 2 and 3 must be offsets")
        return _entity(columns, text)
    except SpanError as error:
        source.reject(reject, str(error), raw=line.text, document_id=block.id, line=line.number)
        return None


def _entity(columns: list[str], text: str) -> Entity:
    span = Span(int(columns[1]), int(columns[2]))
    ids: tuple[str, ...] = ()
    infons = NO_INFONS
    if len(columns) > 5:
        ids = split_ids(columns[5])
        if "|".join(ids) != columns[5] or not ids:
            infons = infons.with_(identifier=columns[5])
    if len(columns) > 6:
        infons = infons.with_(parts=columns[6])
    return placed(Entity((span,), columns[4], ids, infons=infons), text, columns[3])


def write(documents: Iterable[Document], sink: Sink, lost: Counter[str]) -> None:
    """Write PubTator; see the module."""
    with sink.open() as out:
        for original in documents:
            document = replace(original, relations=tuple(_with_identifiers(original, lost)))
            parts = _parts(document)
            _count(document, len(parts), lost)
            for part in parts:
                out.write(_block_text(part, lost))


def _refuses(document: Document, sink: Sink) -> str | None:
    return "a PubTator id must not contain |, tabs or line ends" if re.search(r"[|\t\n\r]", document.id) else None


def _count(document: Document, blocks: int, lost: Counter[str]) -> None:
    """Count the losses of a document that is written as `blocks` blocks."""
    count_losses(document, lost, holds=("passages", "mentions", "identifiers", "relations"), infons=_INFONS)
    kinds = ("title", "abstract") if blocks == 1 else ("passage",)
    touch = any(p.span.start and not _blank_before(document, p) for p in document.passages if p.kind == "abstract")
    add(lost, "abstracts that touch what is before them (written as title)", touch and blocks == 1)
    add(lost, "kinds of passages other than title and abstract", sum(p.kind not in kinds for p in document.passages))
    roles = sum(any(role for role, _ in r.arguments) for r in document.relations)
    add(lost, "roles of relations", roles)
    between = document.text[_cut(document) :][:1] if blocks == 1 else ""
    add(lost, "blanks between title and abstract (read as line ends)", between not in ("", "\n"))
    ends = sum(document.text.count(end) for end in "\n\r") - (blocks - 1) - (between == "\n")
    add(lost, "line ends within title and abstract (written as blanks)", ends)


def _parts(document: Document) -> list[Document]:
    """Return a document for each block of a full text, or the document itself if it has only title and abstract."""
    cuts = [p.span for p in document.passages]
    if [p.kind for p in document.passages] in ([], ["title"], ["title", "abstract"], ["abstract"]):
        return [document]
    text = document.text
    whole = len(cuts) > 1 and cuts[0].start == 0 and cuts[-1].end == len(text)
    if not whole or not all(b.start == a.end + 1 and text[a.end] == "\n" for a, b in pairwise(cuts)):
        return [document]
    inside: list[list[Entity]] = [[] for _ in cuts]
    ends = [cut.end for cut in cuts]
    for entity in document.entities:
        place = bisect_right(ends, entity.start)
        if not cuts[place].contains(entity.extent):
            return [document]
        inside[place].append(entity.shift(-cuts[place].start))
    if any("\n" in cut.of(text) for cut in cuts):
        return [document]
    parts = [Document(document.id, cut.of(text), entities=tuple(own)) for cut, own in zip(cuts, inside, strict=True)]
    return [replace(parts[0], relations=document.relations), *parts[1:]]


def _cut(document: Document) -> int:
    """Return the offset at which the title ends: before the abstract, at the first line end, or at the end of the text.

    The character at this offset is white space, because PubTator does not write it.
    """
    text = document.text
    abstracts = [p for p in document.passages if p.kind == "abstract" and p.span.start]
    if abstracts and _blank_before(document, abstracts[0]):
        return abstracts[0].span.start - 1
    return text.find("\n") if "\n" in text[:-1] else len(text)


def _blank_before(document: Document, passage: Passage) -> bool:
    return document.text[passage.span.start - 1].isspace()


def _block_text(document: Document, lost: Counter[str]) -> str:
    """Return the title, abstract and annotations of one block.

    The character between title and abstract is dropped, and other line ends become blanks, so that no offset moves.
    """
    cut = _cut(document)
    title, abstract = (_blank(text) for text in (document.text[:cut], document.text[cut + 1 :]))
    rows = [f"{document.id}|t|{title}", f"{document.id}|a|{abstract}"]
    rows += [_row(document, entity, lost) for entity in document.entities]
    relations = [relation for relation in document.relations if _is_held(relation)]
    add(lost, "relations of other than two arguments", len(document.relations) - len(relations))
    rows += [_relation_row(document, relation, lost) for relation in relations]
    return "\n".join(rows) + "\n\n"


def _blank(text: str) -> str:
    return text.replace("\n", " ").replace("\r", " ")


def _with_identifiers(document: Document, lost: Counter[str]) -> Iterator[Relation]:
    """Yield the relations, with identifiers in place of mentions, because PubTator relates identifiers alone."""
    mentions = {entity.infons["id"]: entity.ids for entity in document.entities if "id" in entity.infons}
    identifiers = {identifier for entity in document.entities for identifier in entity.ids}
    for relation in document.relations:
        targets = [target for _, target in relation.arguments]
        if any(target in identifiers or target not in mentions for target in targets):
            yield relation
        elif all(mentions[target] for target in targets):
            yield replace(relation, arguments=tuple(("", "|".join(mentions[target])) for target in targets))
        else:
            lost["relations of mentions without identifiers"] += 1


def _is_held(relation: Relation) -> bool:
    """Return whether a relation's line differs from that of a mention."""
    _, *others = (argument for _, argument in relation.arguments) if relation.arguments else ("",)
    return not is_offset(relation.type) and (len(others) == 1 or (len(others) == 2 and others[1] in _NOVELTY))


def _relation_row(document: Document, relation: Relation, lost: Counter[str]) -> str:
    columns = [document.id, relation.type, *(argument for _, argument in relation.arguments)]
    return "\t".join(one_line(column, lost) for column in columns)


def _row(document: Document, entity: Entity, lost: Counter[str]) -> str:
    mention = _blank(entity.extent.of(document.text)).replace("\t", " ")
    columns = [document.id, str(entity.start), str(entity.end), mention, one_line(entity.type, lost)]
    identifier = entity.infons.get("identifier")
    if identifier is None or split_ids(identifier) != entity.ids:
        identifier = "|".join(entity.ids) if entity.ids else None
    parts = entity.infons.get("parts")
    if identifier is not None or parts is not None:
        columns.append(one_line(identifier or "", lost))
    if parts is not None:
        columns.append(one_line(parts, lost))
    return "\t".join(columns)


FORMAT = Format(
    "pubtator",
    (".pubtator", ".pubtator.txt", ".PubTator"),
    read,
    write,
    sniff=lambda head: re.match(rb"\s*+[^|\t\n]*+\|t\|", head) is not None,
    refuses=_refuses,
)
