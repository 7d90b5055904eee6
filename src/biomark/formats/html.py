"""One HTML page for people to look at mentions, to correct them and to take them away.

The page needs no other file and no network: it holds the documents, as lines of JSON, and the script that shows them
(`biomark.page`). It is written as documents come. Output only.
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
    """Write the page; see the module. It holds all of a document, so nothing is lost."""
    _write(documents, sink, "")


def page(documents: Iterable[Document] = (), *, api: str = "") -> str:
    """The page as one text.

    Args:
        documents: what it shows at first.
        api: the base of the service's addresses, relative to the page's own (`v1`); empty for a file that asks none.
    """
    stream = io.BytesIO()
    _write(documents, Sink(None, stream), api)
    return stream.getvalue().decode()


def _write(documents: Iterable[Document], sink: Sink, api: str) -> None:
    before, behind = frame(_settings(), api=api)
    with sink.open() as out:
        out.write(before)
        for document in documents:
            out.write(line(_values(document)))
        out.write(behind)


def _values(document: Document) -> Mapping[str, object]:
    """The document as JSON Lines have it; `split` has its sentences if it has none of its own."""
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
