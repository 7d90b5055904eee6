"""One HTML page on which people view, correct and download mentions; output only.

The page needs no other file and no network: it contains the documents, as lines of JSON, and the script that shows
them (`biomark.page`). Documents are written one at a time.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Mapping

from biomark.entity_types import entity_types
from biomark.formats.base import Format, Sink
from biomark.formats.display import PALETTE
from biomark.page import frame, line
from biomark.spans import Document
from biomark.text.sentences import with_sentences


def write(documents: Iterable[Document], sink: Sink, lost: Counter[str]) -> None:
    """Write the page; see the module. It holds all parts of a document, so `lost` stays unchanged."""
    _write(documents, sink, "")


def page(documents: Iterable[Document] = (), *, api: str = "") -> str:
    """Return the page as one text.

    Args:
        documents: the documents that the page shows at first.
        api: the base of the service's addresses, relative to the page's address (`v1`); empty: the page uses no
            service.
    """
    stream = io.BytesIO()
    _write(documents, Sink(None, stream), api)
    return stream.getvalue().decode()


def _write(documents: Iterable[Document], sink: Sink, api: str) -> None:
    before, after = frame(_settings(), api=api)
    with sink.open() as out:
        out.write(before)
        for document in documents:
            out.write(line(_values(document)))
        out.write(after)


def _values(document: Document) -> Mapping[str, object]:
    """Return the fields of a document as in JSON Lines; `split` has computed sentences if it has none of its own."""
    values = document.to_dict()
    if not document.sentences:
        values["split"] = [[sentence.start, sentence.end] for sentence in with_sentences(document).sentences]
    return values


def _settings() -> Mapping[str, object]:
    types = {
        known.name: {"label": known.label, "definition": known.definition, "aliases": known.aliases}
        for known in entity_types().values()
    }
    return {"types": types, "palette": PALETTE}


FORMAT = Format("html", (".html", ".htm"), write=write)
