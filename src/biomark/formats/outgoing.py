"""Preparation of documents for a writer: unique ids, and rejection of documents that the format cannot write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from biomark.formats.base import Format, Reject, Sink
from biomark.formats.losses import add
from biomark.spans import Document, Infons, Rejected


def writable(
    documents: Document | Iterable[Document], file_format: Format, sink: Sink, lost: Counter[str], reject: Reject
) -> Iterator[Document]:
    """Yield the documents that a format can write, with unique ids.

    A reader would merge two documents with the same id, or reject the second one. Therefore a number is appended to
    the id of the second one, and counted in `lost`.

    Args:
        documents: one document or a stream of documents.
        file_format: the format.
        sink: the destination.
        lost: counts of the losses by kind.
        reject: is called for each document that cannot be written.
    """
    seen: dict[int, int] = {}  # hash of an id → the last number that was appended to it
    for original in [documents] if isinstance(documents, Document) else documents:
        if not isinstance(original, Document):
            reason = f"{original!r:.80} ({type(original).__name__}) is not a biomark.Document"
            reject(Rejected(reason, source=None if sink.path is None else str(sink.path)))
            continue
        document_id = (
            original.id if file_format.read is None else _own_id(original.id, seen)
        )  # in output for people, ids may repeat
        add(lost, "ids that another document has (written as ID-2, ID-3 …)", document_id != original.id)
        document = replace(original, id=document_id) if document_id != original.id else original
        problem = file_format.refuses(document, sink) if file_format.refuses is not None else None
        if problem is None and not _is_unicode(document):
            problem = "the document contains lone surrogates (\\ud800 to \\udfff), which no file can hold"
        if problem is None:
            yield document
        else:
            reject(Rejected(problem, document_id=document_id, source=None if sink.path is None else str(sink.path)))


def _own_id(document_id: str, seen: dict[int, int]) -> str:
    own = document_id
    while (key := hash(own)) in seen:
        seen[hash(document_id)] = number = seen.get(hash(document_id), 1) + 1
        own = f"{document_id}-{number}"
    seen[key] = 1
    return own


def _is_unicode(document: Document) -> bool:
    texts = [document.id, document.text, *_pairs(document.infons)]
    for passage in document.passages:
        texts += [passage.kind, *_pairs(passage.infons)]
    for entity in (*document.entities, *document.alternatives):
        texts += [entity.type, *entity.ids, *_pairs(entity.infons)]
    for relation in document.relations:
        texts += [relation.type, *(text for argument in relation.arguments for text in argument)]
        texts += _pairs(relation.infons)
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True


def _pairs(infons: Infons) -> list[str]:
    return [text for pair in infons.items() for text in pair]
