"""PubMed's XML (PubmedArticleSet): title and abstract of each article; input only.

The text is the title (the one in the article's language if there is no English one) and the sections of the abstract,
joined by line ends. A section's label and category are infons
of its passage and not part of the text. Markup (italics, superscripts) is removed, and each run of blanks and line
ends becomes one blank. The journal, the year, the DOI and the number of a version other than the first become infons;
abstracts in other languages (`OtherAbstract`) and the other fields of the record are skipped.

PubMed's daily update files repeat articles that have changed, and list those that are deleted (`DeleteCitation`).
`read` yields the articles alone; `events` yields the deletions as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from biomark.formats.base import Format, Reject, Source, is_offset
from biomark.formats.xml_stream import line_of, records
from biomark.spans import Document, Infons, Passage, Span

_ROOTS = ("PubmedArticleSet", "MedlineCitationSet", "PubmedBookArticleSet")
_ARTICLES = ("PubmedArticle", "PubmedBookArticle", "MedlineCitation")
_DELETED = "DeleteCitation"
_RESUME = ("PubmedArticle", "PubmedBookArticle", _DELETED)  # not those that may stand inside others
_PMIDS = ("PMID", "MedlineCitation/PMID", "BookDocument/PMID")  # the article's own, not those of its references
_NO_TITLE = ("", "[Not Available].")  # of articles that PubMed has only under their title in another language
VERSION = "version"  # the infon of versions other than the first
_INFONS = {
    "journal": ".//Journal/Title",
    "year": ".//PubDate/Year",
    # The article's own DOI, not those of its references.
    "doi": "*/ArticleIdList/ArticleId[@IdType='doi']",
}


@dataclass(frozen=True, slots=True)
class Deletion:
    """A version of an article that PubMed has deleted.

    Attributes:
        id: the PMID.
        version: the number of the version, from 1.
    """

    id: str
    version: int


def read(source: Source, reject: Reject) -> Iterator[Document]:
    """Yield the articles, one at a time; see the module."""
    return (event for event in events(source, reject) if isinstance(event, Document))


def events(source: Source, reject: Reject) -> Iterator[Document | Deletion]:
    """Yield articles and deletions in the order of the file."""
    for element in records(source, reject, *_ROOTS, resume=_RESUME):
        if element.tag == _DELETED:
            yield from (Deletion(_text(pmid), _version(pmid)) for pmid in element.iter("PMID"))
        if element.tag not in _ARTICLES:
            continue
        pmid = next(filter(_text, map(element.find, _PMIDS)), None)
        if pmid is None:
            source.reject(reject, "the article has no PMID", line=line_of(element))
            continue
        yield _document(_text(pmid), _version(pmid), element)


def version_of(document: Document) -> int:
    """Return the number of the version of an article, from 1."""
    number = document.infons.get(VERSION, "1")
    return int(number) if is_offset(number) else 1


def _version(pmid: Element) -> int:
    number = pmid.get("Version", "1")
    return int(number) if is_offset(number) else 1


def _document(document_id: str, version: int, article: Element) -> Document:
    titles = (_text(article.find(path)) for path in (".//ArticleTitle", ".//VernacularTitle", ".//BookTitle"))
    sections = [("title", next((title for title in titles if title not in _NO_TITLE), ""), Infons())]
    for section in article.findall(".//Abstract/AbstractText") or article.findall(".//Abstract"):
        names = {"label": section.get("Label"), "category": section.get("NlmCategory")}
        infons = Infons({key: value for key, value in names.items() if value})
        sections.append(("abstract", _text(section), infons))
    passages = []
    offset = 0
    for kind, text, infons in sections:
        if text:
            passages.append(Passage(Span(offset, offset + len(text)), kind, infons))
            offset += len(text) + 1
    metadata = {key: _text(article.find(path)) for key, path in _INFONS.items()}
    metadata[VERSION] = str(version) if version != 1 else ""
    whole = "\n".join(text for _, text, _ in sections if text)
    return Document(
        document_id, whole, tuple(passages), infons=Infons({key: value for key, value in metadata.items() if value})
    )


def _text(element: Element | None) -> str:
    """Return the text of an element without markup; "" for None."""
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
