"""Documents on their way to a writer: each with an id of its own, and those that the format cannot write rejected."""

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
    """The documents that a format can write.

    A reader would take two documents with one id for one, or reject the second: it gets a number behind its id,
    which is counted.
    """
    seen: dict[int, int] = {}  # the hash of an id, and the number behind the last one like it
    for given in [documents] if isinstance(documents, Document) else documents:
        if not isinstance(given, Document):
            reason = f"{given!r:.80} ({type(given).__name__}) is no biomark.Document, which alone can be written"
            reject(Rejected(reason, source=None if sink.path is None else str(sink.path)))
            continue
        document_id = given.id if file_format.read is None else _own_id(given.id, seen)  # for people, ids may repeat
        add(lost, "ids that another document has (written as ID-2, ID-3 …)", document_id != given.id)
        document = replace(given, id=document_id) if document_id != given.id else given
        problem = file_format.refuses(document, sink) if file_format.refuses is not None else None
        if problem is None and not _is_unicode(document):
            problem = "the document holds halves of characters (\\ud800 to \\udfff), which no file can hold"
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
