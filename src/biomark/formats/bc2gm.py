"""BC2GM: one sentence on each line (`.in`), and its gene mentions in another file (`.eval`).

A line of `X.in` is `ID TEXT`; a line of `X.GENE.eval` is `ID|START END|MENTION`, whose offsets count characters
without white space and include the last one; `X.ALTGENE.eval` lists the alternatives that the official score accepts.
Every sentence is a document. Given either of `X.in` and `X.GENE.eval` (or `X.eval`), the reader also reads the other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from biomark.entity_types import canonical
from biomark.errors import FormatError, SpanError
from biomark.formats.base import Format, Line, Reject, Sink, Source
from biomark.formats.losses import add, count_losses
from biomark.spans import Document, Entity, Span

_MENTION = re.compile(r"([^|]+)\|(\d{1,18}) (\d{1,18})\|(.*)")


def read(source: Source, reject: Reject) -> Iterator[Document]:
    """Yield the sentences with the mentions of the `.eval` files beside them; see the module."""
    genes: Path | None = None
    alternatives: Path | None = None
    if source.path is not None and re.search(r"\.eval(\.gz)?$", source.path.name):
        genes = source.path
        sentences = sentences_beside(source.path)
        if sentences is None:
            stem = _stem(source.path)
            raise FormatError(f"{source.path}: the file of its sentences is missing; put {stem}.in beside it")
        source = source.beside(sentences)
    if source.path is not None:
        genes = genes or _beside(source.path, ".GENE.eval", ".eval")
        alternatives = _beside(source.path, ".ALTGENE.eval")
    mentions, others = _mentions(genes, reject), _mentions(alternatives, reject)
    for line in source.lines(reject):
        if not line.text.strip():
            continue
        document_id, _, text = line.text.partition(" ")
        if line.problem or not text.strip():
            reason = line.problem or "a line of sentences must be ID TEXT"
            source.reject(reject, reason, raw=line.text, document_id=document_id, line=line.number)
            continue
        entities = _entities(mentions.pop(document_id, []), text, "GENE", genes, reject)
        accepted = _entities(others.pop(document_id, []), text, "ALTGENE", alternatives, reject)
        yield Document(document_id, text, sentences=(Span(0, len(text)),), entities=entities, alternatives=accepted)
    _reject_unused(mentions, genes, source.name, reject)
    _reject_unused(others, alternatives, source.name, reject)


def read_mentions(path: Path, documents: Iterable[Document], reject: Reject) -> Iterator[Document]:
    """Yield documents with their mentions replaced by those of an `.eval` file.

    Use it for an `.eval` file without a file of sentences, such as the predictions of a system.

    Args:
        path: the `.eval` file.
        documents: the sentences of the gold standard.
        reject: is called with each mention that cannot be read or has no sentence.
    """
    mentions = _mentions(path, reject)
    for document in documents:
        entities = _entities(mentions.pop(document.id, []), document.text, "GENE", path, reject)
        yield Document(document.id, document.text, document.passages, document.sentences, entities)
    _reject_unused(mentions, path, "gold", reject)


def sentences_beside(path: Path) -> Path | None:
    """Return the `.in` file that belongs to an `.eval` file, or None if there is none."""
    names = (f"{_stem(path)}.in", f"{_stem(path)}.in.gz")
    return next((path.with_name(name) for name in names if path.with_name(name).exists()), None)


def _stem(path: Path) -> str:
    return re.sub(r"(\.GENE|\.ALTGENE)?\.eval(\.gz)?$", "", path.name)


def _reject_unused(mentions: dict[str, list[Line]], path: Path | None, sentences: str, reject: Reject) -> None:
    """Reject the mentions whose sentence is not in the file of sentences."""
    reason = f"{sentences} has no sentence with this id"
    for document_id, lines in mentions.items():
        for line in lines:
            Source(path).reject(reject, reason, raw=line.text, document_id=document_id, line=line.number)


def _beside(path: Path, *suffixes: str) -> Path | None:
    stem = path.name.removesuffix(".gz").removesuffix(".in")
    names = [stem + suffix + gz for suffix in suffixes for gz in ("", ".gz")]
    return next((path.with_name(name) for name in names if path.with_name(name).exists()), None)


def _mentions(path: Path | None, reject: Reject) -> dict[str, list[Line]]:
    """Return the lines of an `.eval` file by sentence id."""
    mentions: dict[str, list[Line]] = {}
    if path is None:
        return mentions
    source = Source(path)
    for line in source.lines(reject):
        match = _MENTION.fullmatch(line.text)
        if match and not line.problem:
            mentions.setdefault(match[1], []).append(line)
        elif line.text.strip():
            reason = line.problem or "a line of mentions must be ID|START END|TEXT"
            source.reject(reject, reason, raw=line.text, line=line.number)
    return mentions


def _entities(lines: list[Line], text: str, entity_type: str, path: Path | None, reject: Reject) -> tuple[Entity, ...]:
    places = [i for i, character in enumerate(text) if not character.isspace()] if lines else []
    entities = []
    for line in lines:
        match = _MENTION.fullmatch(line.text)
        if match is None:  # pragma: no cover - _mentions matched it
            continue
        start, last = int(match[2]), int(match[3])
        try:
            if not start <= last < len(places):
                raise SpanError(
                    f"offsets {start} {last} are reversed or lie beyond the sentence ({len(places)} characters)"
                )
            span = Span(places[start], places[last] + 1)
            # The official script ignores the mention's text, so some systems leave it out.
            if match[4].strip() and "".join(span.of(text).split()) != "".join(match[4].split()):
                raise SpanError(f"at {start} {last} the sentence has {span.of(text)!r}, not {match[4]!r}")
            entities.append(Entity((span,), entity_type))
        except SpanError as error:
            Source(path).reject(reject, str(error), raw=line.text, document_id=match[1], line=line.number)
    return tuple(entities)


def write(documents: Iterable[Document], sink: Sink, lost: Counter[str]) -> None:
    """Write `X.in` and `X.GENE.eval`, and `X.ALTGENE.eval` if there are alternatives.

    Only the mentions are written into a sink whose name ends in `.eval`, and only the sentences into a stream. The
    format holds genes alone; mentions of other types are left out.
    """
    path = sink.path
    if path is None:
        with sink.open() as sentences:
            for document in documents:
                sentences.write(_sentence(document, lost))
                add(lost, "mentions (write to a file to have them)", len(document.entities))
        return
    name = path.name.removesuffix(".gz")
    only_mentions = name.endswith(".eval")
    stem = name.removesuffix(".in")
    gene = path if only_mentions else path.with_name(stem + ".GENE.eval")
    alternative = path.with_name(stem + ".ALTGENE.eval")
    with sink.open(gene) as genes:
        rows: list[str] = []
        if only_mentions:
            for document in documents:
                genes.writelines(_rows(document, document.entities, lost))
                add(lost, "alternatives", len(document.alternatives))
            return
        with sink.open() as sentences:
            for document in documents:
                sentences.write(_sentence(document, lost))
                genes.writelines(_rows(document, document.entities, lost))
                rows += _rows(document, document.alternatives, lost)
    if rows:
        with sink.open(alternative) as alternatives:
            alternatives.writelines(rows)
    else:  # alternatives of an earlier output would be read as those of these sentences
        alternative.unlink(missing_ok=True)


def _sentence(document: Document, lost: Counter[str]) -> str:
    held = ("sentence offsets",) if len(document.sentences) <= 1 else ()
    count_losses(document, lost, holds=("mentions", "alternatives", *held))
    text, ends = re.subn(r"[\n\r]", " ", document.text)
    add(lost, "line ends (written as blanks)", ends)
    return f"{document.id} {text}\n"


def _rows(document: Document, entities: Iterable[Entity], lost: Counter[str]) -> list[str]:
    rows = []
    before = [0]  # characters without white space before each offset
    for character in document.text:
        before.append(before[-1] + (not character.isspace()))
    for entity in entities:
        if entity.type != "ALTGENE" and canonical(entity.type) != "gene":
            add(lost, "mentions of other types than gene")
            continue
        if before[entity.start] == before[entity.end]:
            add(lost, "mentions of white space alone")
            continue
        mention = re.sub(r"[\n\r]", " ", entity.extent.of(document.text))
        rows.append(f"{document.id}|{before[entity.start]} {before[entity.end] - 1}|{mention}\n")
    return rows


def _refuses(document: Document, sink: Sink) -> str | None:
    return "a BC2GM id must not contain white space or |" if re.search(r"[\s|]", document.id) else None


FORMAT = Format("bc2gm", (".in", ".eval"), read, write, refuses=_refuses)
