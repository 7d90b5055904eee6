"""Parts of documents that are to be left alone, such as the references of a full text.

Formats that know the parts of a text name them: by the kind of a passage, or by an infon (`section_type` of PubMed
Central's BioC, `section` of JATS). In plain text the list of references is found by its heading.
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
_HEADINGS = 5  # of the last ones that are looked at
_LOOKED_AT = 40  # lines behind a heading
_SHARE = 0.4  # of them that look like entries


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A document as it is to be read, and what is to be left alone of it.

    Attributes:
        document: the one to annotate; its passages and sentences are those that are left, if there are any.
        spans: what is left alone, in order and apart.
    """

    document: Document
    spans: tuple[Span, ...]

    def restored(self, annotated: Document, original: Document) -> Document:
        """The annotated document with all its parts again, and without mentions in those to be left alone."""
        alone = Apart(self.spans)
        kept = tuple(e for e in annotated.entities if all(map(alone.is_free, e.spans)))
        return replace(annotated, passages=original.passages, sentences=original.sentences, entities=kept)


def leave_out(document: Document, names: Collection[str]) -> LeftOut | None:
    """A document without some of its parts; None if it has none of them.

    Args:
        document: any.
        names: of parts: `references`, a kind of passage (`table`, `fig_caption`), or what an infon calls a section
            (`methods`); case does not matter.
    """
    wanted = frozenset(name.strip().casefold() for name in names)
    alone: list[Span] = []
    rest: list[Passage] = []
    for passage in document.passages or (Passage(span, "") for span in whole_text(document)):
        if _is_named(passage, wanted):
            alone.append(passage.span)
            continue
        found = _references(passage.span, document.text) if REFERENCES in wanted else None
        if found is None:
            rest.append(passage)
            continue
        alone.append(found)
        edges = ((passage.span.start, found.start), (found.end, passage.span.end))
        rest += [replace(passage, span=Span(start, end)) for start, end in edges if start < end]
    if not alone:
        return None
    apart = Apart(alone)
    sentences = tuple(sentence for sentence in document.sentences if apart.is_free(sentence))
    reduced = replace(document, passages=tuple(rest), sentences=sentences) if rest else document
    return LeftOut(reduced, tuple(alone))


def _is_named(passage: Passage, wanted: Collection[str]) -> bool:
    names = {passage.kind.casefold(), *(passage.infons.get(name, "").casefold() for name in _NAMES_OF_PLACE)}
    names |= {re.sub(r"^[\divx.]+ ", "", name) for name in names}  # 2. Methods
    return not names.isdisjoint(wanted) or (REFERENCES in wanted and not names.isdisjoint(_REFERENCE_KINDS))


def _references(span: Span, text: str) -> Span | None:
    """The list of references in a passage: from the last heading of this name that has entries behind it."""
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
