"""Exclude parts of documents from annotation, such as the references of a full text.

Some formats name the parts of a text by the kind of a passage or by an infon (`section_type` of PubMed Central's BioC,
`section` of JATS). In plain text, the list of references is identified by its heading.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from biomark.spans import Apart, Document, Passage, Span, whole_text

REFERENCES = "references"
_REFERENCE_KINDS = frozenset(
    ("ref", "refs", "reference", REFERENCES, "ref_list", "ref-list", "bibliography", "literature cited")
)
_NAMES_OF_PLACE = ("type", "section_type", "section", "label")

_HEADING = re.compile(
    r"^[^\S\n]*(?:#+ *)?(?:\d{1,2}\.? +|[IVX]+\. +)?(?:list of )?(?:references?(?: and notes| cited| list)?|"
    r"bibliography|literature cited|works cited)[^\S\n]*:?[^\S\n]*(?:\n|\r|$)",
    re.IGNORECASE | re.MULTILINE,
)
_NEXT = re.compile(
    r"^[^\S\n]*(?:#+ *)?(?:\d{1,2}\.? +)?(?:appendix|appendices|supplement\w*(?: \w+)?|figure legends?|figures?|"
    r"tables?|acknowledge?ments?|abbreviations|author contributions?|funding|conflicts? of interests?|"
    r"competing interests)(?: [A-Z0-9])?[^\S\n]*:?[^\S\n]*(?:\n|\r|$)",
    re.IGNORECASE | re.MULTILINE,
)
_ENTRY = re.compile(r"\[?\d{1,4}[.)\]]|.*\b(?:19|20)\d\d[a-z]?\b|.*\b(?:doi|et al|pmid|https?)\b", re.IGNORECASE)
_HEADINGS = 5  # the number of last headings that are examined
_LOOKED_AT = 40  # the number of lines after a heading that are examined
_SHARE = 0.4  # the smallest share of these lines that look like references


@dataclass(frozen=True, slots=True)
class ReducedDocument:
    """A document to annotate, without its excluded parts.

    Attributes:
        document: the document to annotate, with the remaining passages and sentences; unchanged if none remain.
        spans: the excluded parts, in order and without overlaps.
    """

    document: Document
    spans: tuple[Span, ...]

    def restored(self, annotated: Document, original: Document) -> Document:
        """Return the annotated document with its original passages and sentences, and no mentions in excluded parts."""
        alone = Apart(self.spans)
        kept = tuple(e for e in annotated.entities if all(map(alone.is_free, e.spans)))
        return replace(annotated, passages=original.passages, sentences=original.sentences, entities=kept)


def leave_out(document: Document, names: Collection[str]) -> ReducedDocument | None:
    """Exclude parts of a document from annotation; return None if the document has none of them.

    Args:
        document: any document.
        names: the names of parts in any case: `references`, the kind of a passage (`table`, `fig_caption`), or the
            name of a section in an infon (`methods`).
    """
    wanted = frozenset(name.strip().casefold() for name in names)
    alone: list[Span] = []
    remaining: list[Passage] = []
    for passage in document.passages or (Passage(span, "") for span in whole_text(document)):
        if _is_named(passage, wanted):
            alone.append(passage.span)
            continue
        references = _references(passage.span, document.text) if REFERENCES in wanted else None
        if references is None:
            remaining.append(passage)
            continue
        alone.append(references)
        edges = ((passage.span.start, references.start), (references.end, passage.span.end))
        remaining += [replace(passage, span=Span(start, end)) for start, end in edges if start < end]
    if not alone:
        return None
    apart = Apart(alone)
    sentences = tuple(sentence for sentence in document.sentences if apart.is_free(sentence))
    reduced = replace(document, passages=tuple(remaining), sentences=sentences) if remaining else document
    return ReducedDocument(reduced, tuple(alone))


def _is_named(passage: Passage, wanted: Collection[str]) -> bool:
    names = {passage.kind.casefold(), *(passage.infons.get(name, "").casefold() for name in _NAMES_OF_PLACE)}
    names |= {re.sub(r"^[\divx.]+ ", "", name) for name in names}  # 2. Methods
    return not names.isdisjoint(wanted) or (REFERENCES in wanted and not names.isdisjoint(_REFERENCE_KINDS))


def _references(span: Span, text: str) -> Span | None:
    """Return the span of the references in a passage, from their last heading that is followed by entries, or None."""
    part = span.of(text)
    for heading in list(_HEADING.finditer(part))[: -_HEADINGS - 1 : -1]:
        following = _NEXT.search(part, heading.end())
        end = following.start() if following else len(part)
        lines = [line.strip() for line in part[heading.end() : min(end, heading.end() + 20_000)].splitlines()]
        behind = [line for line in lines if line][:_LOOKED_AT]
        entries = sum(_ENTRY.match(line) is not None for line in behind)
        if behind and entries >= _SHARE * len(behind):
            return Span(heading.start(), end).shift(span.start)
    return None
