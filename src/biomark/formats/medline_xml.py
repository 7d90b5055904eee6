"""PubMed's XML (PubmedArticleSet): title and abstract of each article; for input only.

The text is the title and the sections of the abstract, joined by line ends. A section's label and
category are infons of its passage and no part of the text. Markup inside (italics, superscripts)
is taken off, and each run of blanks and line ends is one blank. Abstracts in other languages
(`OtherAbstract`) and the rest of the record are not read, but for journal, year and DOI.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from biomark.formats.base import Format, Reject, Source
from biomark.formats.xml_stream import line_of, records
from biomark.spans import Document, Infons, Passage, Span

_ROOTS = ("PubmedArticleSet", "MedlineCitationSet", "PubmedBookArticleSet")
_ARTICLES = ("PubmedArticle", "PubmedBookArticle", "MedlineCitation")
_INFONS = {
    "journal": ".//Journal/Title",
    "year": ".//PubDate/Year",
    # Not those of the articles that it refers to.
    "doi": "*/ArticleIdList/ArticleId[@IdType='doi']",
}


def read(source: Source, reject: Reject) -> Iterator[Document]:
    """Articles, one at a time; see the module."""
    for element in records(source, reject, *_ROOTS):
        if element.tag not in _ARTICLES:
            continue
        id = _text(element.find(".//PMID"))
        if not id:
            source.reject(reject, "the article has no PMID", line=line_of(element))
            continue
        yield _document(id, element)


def _document(id: str, article: Element) -> Document:
    titles = (_text(article.find(path)) for path in (".//ArticleTitle", ".//VernacularTitle", ".//BookTitle"))
    sections = [("title", next(filter(None, titles), ""), Infons())]
    abstract = article.find(".//Abstract")
    for section in abstract.findall("AbstractText") if abstract is not None else ():
        names = {"label": section.get("Label"), "category": section.get("NlmCategory")}
        infons = Infons({key: value for key, value in names.items() if value})
        sections.append(("abstract", _text(section), infons))
    passages = []
    offset = 0
    for kind, text, infons in sections:
        if text:
            passages.append(Passage(Span(offset, offset + len(text)), kind, infons))
            offset += len(text) + 1
    found = {key: _text(article.find(path)) for key, path in _INFONS.items()}
    whole = "\n".join(text for _, text, _ in sections if text)
    return Document(id, whole, tuple(passages), infons=Infons({key: value for key, value in found.items() if value}))


def _text(element: Element | None) -> str:
    """All text inside, markup taken off."""
    if element is None:
        return ""
    return re.sub(r"[ \t\r\n]+", " ", "".join(element.itertext())).strip(" ")


FORMAT = Format(
    "medline_xml",
    (".medline.xml", ".pubmed.xml", ".xml", ".XML"),
    read,
    sniff=lambda head: (
        re.search(rb"<(PubmedArticleSet|MedlineCitationSet|PubmedBookArticleSet)[\s>]", head) is not None
    ),
    ambiguous=True,
)
