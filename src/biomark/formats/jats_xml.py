"""JATS, the XML of full texts in PubMed Central: an article, or several in a `pmc-articleset`; input only.

A passage is the title, a paragraph of the abstract, a heading, a paragraph, the caption of a figure or table, a table
(a line for each row, a tab between cells) or a reference; line ends separate passages. A passage's infon `section` is
the heading of its outermost section; headings inside an abstract are infons (`label`). Markup is removed, each run of
blanks and line ends becomes one blank, and a blank precedes the superscript number of a reference. The reader skips
keywords, abstracts in other languages, TeX beside a formula, labels of lists, and articles within the article (letters
of reviewers, translations).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from biomark.formats.base import Format, Reject, Source
from biomark.formats.xml_stream import line_of, records
from biomark.spans import Document, Infons, Passage, Span

_ROOTS = ("article", "pmc-articleset")
_META = {
    "pmid": ".//article-meta/article-id[@pub-id-type='pmid']",
    "pmcid": ".//article-meta/article-id[@pub-id-type='pmcid']",
    "pmc": ".//article-meta/article-id[@pub-id-type='pmc']",
    "doi": ".//article-meta/article-id[@pub-id-type='doi']",
    "journal": ".//journal-meta//journal-title",
    "year": ".//article-meta/pub-date/year",
}
# Each of these elements begins a new passage, and so does the text after it.
_BLOCKS = frozenset(
    "abstract ack app app-group boxed-text caption def-item def-list disp-formula disp-quote fig fig-group fn fn-group "
    "glossary list list-item notes p preformat ref-list sec statement supplementary-material table-wrap "
    "table-wrap-group title verse-group".split()
)
_SECTIONS = frozenset(("ack", "app", "glossary", "notes", "ref-list", "sec"))
_SILENT = frozenset(("label", "tex-math", "annotation", "object-id", "journal-meta"))
_PARTS = ("body", "back", "floats-group")


@dataclass(frozen=True, slots=True)
class _PassagePosition:
    """The position of a passage: the kind of its paragraphs, its section, and the level of its headings (from 1)."""

    kind: str = "paragraph"
    section: str = ""
    depth: int = 1

    def inside(self, heading: str) -> _PassagePosition:
        """Return the position in a section with this heading."""
        return _PassagePosition(self.kind, self.section or heading, self.depth + 1)


@dataclass(frozen=True, slots=True)
class _PassageText:
    """The text of a passage with its kind and infons."""

    kind: str
    text: str
    infons: Infons


def read(source: Source, reject: Reject) -> Iterator[Document]:
    """Yield the articles, one at a time; see the module."""
    single: list[Element] = []
    for element in records(source, reject, *_ROOTS, resume=("article",)):
        if element.tag == "article":
            yield from _article(list(element), line_of(element), source, reject)
        else:
            single.append(element)
    if single:
        yield from _article(single, line_of(single[0]), source, reject)


def _article(parts: Iterable[Element], line: int, source: Source, reject: Reject) -> Iterator[Document]:
    article = Element("article")
    article.extend(part for part in parts if part.tag in ("front", *_PARTS))
    try:
        metadata = {name: _text(article.find(path)) for name, path in _META.items()}
        text, passages = _joined(_parts(article))
    except RecursionError:
        source.reject(reject, "the elements of the article are nested too deeply", line=line)
        return
    pmc = metadata.pop("pmc") or metadata["pmcid"]
    metadata["pmcid"] = f"PMC{pmc.removeprefix('PMC')}" if pmc else ""
    document_id = metadata["pmid"] or metadata["pmcid"] or metadata["doi"]
    if not document_id:
        source.reject(reject, "the article has no PMID, PMCID or DOI", line=line)
        return
    yield Document(
        document_id, text, passages, infons=Infons({name: value for name, value in metadata.items() if value})
    )


def _joined(parts: Iterable[_PassageText]) -> tuple[str, tuple[Passage, ...]]:
    texts, passages, offset = [], [], 0
    for part in parts:
        texts.append(part.text)
        passages.append(Passage(Span(offset, offset + len(part.text)), part.kind, part.infons))
        offset += len(part.text) + 1
    return "\n".join(texts), tuple(passages)


def _parts(article: Element) -> Iterator[_PassageText]:
    yield from _part("title", _text(article.find(".//article-meta//article-title")), _PassagePosition())
    for abstract in article.iterfind(".//article-meta/abstract"):
        yield from _block(abstract, _PassagePosition("abstract"))
    for name in _PARTS:
        for part in article.iterfind(name):
            yield from _flow(part, _PassagePosition())


def _part(kind: str, text: str, place: _PassagePosition) -> Iterator[_PassageText]:
    """Yield the passage, unless it is blank."""
    if text.strip():
        name = "label" if place.kind == "abstract" else "section"
        yield _PassageText(kind, text, Infons({name: place.section} if place.section else {}))


def _flow(element: Element, place: _PassagePosition) -> Iterator[_PassageText]:
    """Yield the passages of an element: its texts, and the blocks between them."""
    text: list[str] = []
    for piece in _pieces(element):
        if isinstance(piece, str):
            text.append(piece)
            continue
        yield from _part(place.kind, _even("".join(text)), place)
        text = []
        yield from _block(piece, place)
    yield from _part(place.kind, _even("".join(text)), place)


def _block(element: Element, place: _PassagePosition) -> Iterator[_PassageText]:
    tag = element.tag
    if tag in _SECTIONS:
        yield from _section(element, place)
    elif tag == "title":  # of an abstract, a box, a list
        if place.kind != "abstract":
            yield from _part(f"title_{place.depth}", _text(element), place)
    elif tag == "fig":
        yield from _part("fig_caption", _caption(element), place)
    elif tag == "table-wrap":
        yield from _part("table_caption", _caption(element), place)
        for table in element.iter("table"):
            yield from _part("table", "\n".join(_rows(table)), place)
        for foot in element.iterfind("table-wrap-foot"):
            yield from _part("table_footnote", _text(foot), place)
    elif tag == "def-item":
        yield from _part(place.kind, _text(element), place)
    else:
        yield from _flow(element, place)


def _section(element: Element, place: _PassagePosition) -> Iterator[_PassageText]:
    heading = _even(" ".join(_text(element.find(name)) for name in ("label", "title")))
    inside = place.inside(heading)
    if place.kind != "abstract":
        yield from _part(f"title_{place.depth}", heading, inside)
    for child in element:
        if child.tag == "ref":
            yield from _part("ref", _reference(child), inside)
        elif child.tag in _BLOCKS and child.tag != "title":
            yield from _block(child, inside)


def _pieces(element: Element) -> Iterator[str | Element]:
    """Yield the pieces of text in an element, and the blocks between them."""
    yield element.text or ""
    for child in element:
        tag = child.tag.rpartition("}")[2]
        if tag in _BLOCKS:
            yield child
        elif tag not in _SILENT:
            yield " " if tag in ("break", "td", "th", "tr", "alternatives") or _is_raised_reference(child) else ""
            yield from _pieces(child)
        yield child.tail or ""


def _is_raised_reference(element: Element) -> bool:
    """Return whether an element is the superscript number of a reference, which would merge with the word before it."""
    if element.tag == "sup":
        return element.find("xref") is not None
    return element.tag == "xref" and element.find("sup") is not None


def _text(element: Element | None) -> str:
    """Return the text of an element without markup, with a blank between blocks."""
    if element is None:
        return ""
    return _even("".join(p if isinstance(p, str) else f" {_text(p)} " for p in _pieces(element)))


def _even(text: str) -> str:
    return re.sub(r"[ \t\r\n]+", " ", text).strip(" ")


def _caption(element: Element) -> str:
    """Return the label and caption of a figure or table."""
    return _even(f"{_text(element.find('label'))} {_text(element.find('caption'))}")


def _rows(table: Element) -> Iterator[str]:
    for row in table.iter("tr"):
        cells = [_text(cell) for cell in row if cell.tag in ("td", "th")]
        if any(cells):
            yield "\t".join(cells).rstrip("\t")


def _reference(element: Element) -> str:
    """Return a reference as it is printed, or its parts joined with blanks if it has no printed form."""
    texts = [_text(element.find("label"))]
    for citation in element:
        if citation.tag == "element-citation":
            texts += citation.itertext()
        elif citation.tag == "citation-alternatives":
            texts.append(_text(next(iter(citation), None)))
        elif citation.tag != "label":
            texts.append(_text(citation))
    return _even(" ".join(texts))


FORMAT = Format(
    "jats_xml",
    (".nxml", ".jats.xml", ".xml", ".XML"),
    read,
    sniff=lambda head: (
        re.search(rb"<!DOCTYPE\s+(article|pmc-articleset)\b|<pmc-articleset[\s>]", head) is not None
        or re.match(rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<article[\s>]", head, re.DOTALL) is not None
    ),
    ambiguous=True,
)
