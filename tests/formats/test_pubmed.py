"""PubMed's XML as PubMed and others write it: broken articles, odd titles and abstracts, numbers of versions."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from biomark import formats
from biomark.spans import Document, Infons, Passage, Rejected, Span
from format_cases import MEDLINE, parsed, written

XML = '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE PubmedArticleSet SYSTEM "pubmed_260101.dtd">\n'
MATH = (
    '<m:math xmlns:m="http://www.w3.org/1998/Math/MathML"><m:mi>p</m:mi>\n<m:mo>&lt;</m:mo>\n<m:mn>0.05</m:mn></m:math>'
)


def article(pmid: str, title: str, more: str = "", version: str = ' Version="1"') -> str:
    fields = f"<Article><ArticleTitle>{title}</ArticleTitle>{more}</Article>"
    citation = f"<MedlineCitation>\n<PMID{version}>{pmid}</PMID>\n{fields}</MedlineCitation>"
    return f"<PubmedArticle>\n{citation}\n</PubmedArticle>"


def read(*articles: str) -> tuple[list[Document], list[Rejected]]:
    text = f"{XML}<PubmedArticleSet>\n{chr(10).join(articles)}\n</PubmedArticleSet>"
    return parsed(text.encode("utf-8", "surrogateescape"), "medline_xml")


BROKEN = [
    "a &broken; b",
    "a & b",
    "a&nbsp;b",
    "p < 0.05",
    "<i>a</b>",
    "&#0;",
    "&#xD800;",
    "K\udcf6ln",
    "\x01",
    "</Article>",
]


@pytest.mark.parametrize("title", BROKEN)
def test_a_broken_article_costs_no_other_one(title: str) -> None:
    documents, rejects = read(article("1", "Gout"), article("2", title), article("3", "Köln"), article("4", title))
    assert [(document.id, document.text) for document in documents] == [("1", "Gout"), ("3", "Köln")]
    assert [(reject.line, "invalid XML" in reject.reason) for reject in rejects] == [(12, True), (22, True)]
    assert "reading goes on in line 14" in rejects[0].reason
    assert "the rest of the file is not read" in rejects[1].reason


def test_a_broken_article_costs_no_deletion() -> None:
    from io import BytesIO

    from biomark.formats import Source
    from biomark.formats.medline_xml import Deletion, events

    deleted = "<DeleteCitation>\n<PMID>7</PMID><PMID Version='2'>8</PMID></DeleteCitation>"
    file = f"<PubmedArticleSet>{article('1', 'a & b')}{deleted}</PubmedArticleSet>"
    rejects: list[Rejected] = []
    assert list(events(Source(None, BytesIO(file.encode())), rejects.append)) == [Deletion("7", 1), Deletion("8", 2)]
    assert len(rejects) == 1


@pytest.mark.parametrize("size", [100, 65_536, 1 << 20])
@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "windows-1252"])
def test_broken_articles_in_any_piece_of_the_file(size: int, encoding: str) -> None:
    titles = {number: f"Köln {number} " + "x" * (number * 7919 % 400) for number in range(size // 250 + 2)}
    broken = set(range(1, len(titles), 3))
    articles = [article(str(number), title + " & b" * (number in broken)) for number, title in titles.items()]
    text = f'<?xml version="1.0" encoding="{encoding}"?><PubmedArticleSet>{"".join(articles)}</PubmedArticleSet>'
    documents, rejects = parsed(text.encode(encoding), "medline_xml")
    assert {int(document.id): document.text.strip() for document in documents} == {
        number: title.strip() for number, title in titles.items() if number not in broken
    }
    assert [reject.line for reject in rejects] == [4 * number + 4 for number in sorted(broken)]


def test_names_that_the_root_declares_hold_after_a_broken_article() -> None:
    text = (
        f'<PubmedArticleSet\n xmlns:x="http://x">{article("1", "a & b")}\n{article("2", "<x:i>Gout</x:i>")}'
        f"{article('3', 'a & b')}</PubmedArticleSet>"
    )
    documents, rejects = parsed(text.encode(), "medline_xml")
    assert [document.text for document in documents] == ["Gout"]
    assert [reject.line for reject in rejects] == [5, 14]


def test_a_broken_document_of_bioc_costs_no_other_one() -> None:
    data, _ = written([Document(name, f"Gout in {name}") for name in "abc"], "bioc_xml")
    documents, (reject,) = parsed(data.replace(b"Gout in b", b"Gout & b"), "bioc_xml")
    assert [document.id for document in documents] == ["a", "c"]
    assert "reading goes on in line" in reject.reason


@pytest.mark.parametrize(
    ("title", "more", "text"),
    [
        ("", "", ""),
        ("", "<VernacularTitle>Gicht.</VernacularTitle>", "Gicht."),
        ("[Not Available].", "<VernacularTitle>Gicht.</VernacularTitle>", "Gicht."),
        ("[Gout].", "<VernacularTitle>Gicht.</VernacularTitle>", "[Gout]."),
        ("<b>The <i>TP<sub>53</sub></i></b> gene &#x3b1;", "", "The TP53 gene α"),
        (f"A {MATH} b", "", "A p < 0.05 b"),
        ("a<!-- x -->b<?pi x?>c<![CDATA[<i>&amp;]]>", "", "abc<i>&amp;"),
        ("A <zzz>b</zzz>", "<Odd><PMID>9</PMID></Odd>", "A b"),
        ("A", "<Abstract>b</Abstract>", "A\nb"),
        ("A", "<Abstract><AbstractText/><AbstractText Label='AIM'>b\n c</AbstractText></Abstract>", "A\nb c"),
        (
            "A",
            "<Abstract><AbstractText>b</AbstractText><CopyrightInformation/></Abstract>",
            "A\nb",
        ),
        ("A", "<OtherAbstract Language='fre'><AbstractText>b</AbstractText></OtherAbstract>", "A"),
    ],
)
def test_titles_and_abstracts(title: str, more: str, text: str) -> None:
    (document,), rejects = read(article("1", title, more))
    assert (document.id, document.text, rejects) == ("1", text, [])
    assert [passage.span.of(text) for passage in document.passages] == text.split("\n") * bool(text)


@pytest.mark.parametrize(
    ("version", "number"), [("", None), (' Version="1"', None), (' Version="2"', "2"), (' Version="x"', None)]
)
def test_numbers_of_versions(version: str, number: str | None) -> None:
    (document,), _ = read(article("1", "Gout", version=version))
    assert document.infons.get("version") == number


def test_the_pmid_is_the_article_s_own() -> None:
    cited = (
        "<CommentsCorrectionsList><CommentsCorrections><PMID>7</PMID></CommentsCorrections></CommentsCorrectionsList>"
    )
    first = article("1", "Gout").replace("<MedlineCitation>", f"<MedlineCitation>{cited}")
    without = first.replace('<PMID Version="1">1</PMID>', "")
    documents, (reject,) = read(first, without)
    assert [document.id for document in documents] == ["1"]
    assert "no PMID" in reject.reason


@pytest.mark.parametrize("packed", [False, True])
def test_medline(packed: bool, tmp_path: Path) -> None:
    path = tmp_path / ("x.xml.gz" if packed else "x.xml")
    path.write_bytes(gzip.compress(MEDLINE.encode()) if packed else MEDLINE.encode())
    rejects: list[object] = []
    first, second = formats.read(path, reject=rejects.append)
    assert first.id == "11"
    assert first.text == "The TNF-α2+ study.\nTo treat gout.\nIt worked <5%."
    assert first.passages == (
        Passage(Span(0, 18), "title"),
        Passage(Span(19, 33), "abstract", Infons({"label": "AIMS", "category": "OBJECTIVE"})),
        Passage(Span(34, 48), "abstract", Infons({"label": "RESULTS"})),
    )
    assert first.infons == {"journal": "J Gout", "year": "2021", "doi": "10.1/x"}
    assert (second.id, second.text) == ("12", "Gout.")
    assert "no PMID" in str(rejects[0])
    assert ":14: " in str(rejects[0])


def test_medline_cut_off_gives_the_articles_before() -> None:
    documents, rejects = parsed(MEDLINE[:-60].encode(), "medline_xml")
    assert [d.id for d in documents] == ["11"]
    assert "invalid XML" in rejects[-1].reason
