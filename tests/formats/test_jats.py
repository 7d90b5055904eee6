"""Full texts in JATS: which passages there are, what is read of them, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from biomark import formats
from format_cases import parsed

GOLDEN = Path(__file__).parent.parent / "golden" / "gout.nxml"
PASSAGES = [
    ("title", "", "Gout and the MOS1 gene 1"),
    ("abstract", "Aims", "To treat gout."),
    ("abstract", "Results", "Ca2+ fell."),
    ("title_1", "1 Introduction", "1 Introduction"),
    ("paragraph", "1 Introduction", "Gout 1,2 is treated by:"),
    ("paragraph", "1 Introduction", "fernadol;"),
    ("paragraph", "1 Introduction", "mossamine,"),
    ("paragraph", "1 Introduction", "as others say [1]."),
    ("title_2", "1 Introduction", "Mice"),
    ("paragraph", "1 Introduction", "Two."),
    ("fig_caption", "1 Introduction", "Figure 1 A knee. It swells."),
    ("paragraph", "1 Introduction", "With x/y of it."),
    ("table_caption", "1 Introduction", "Table 1 Doses."),
    ("table", "1 Introduction", "Drug\tDose (mg)\nfernadol\t5\n\t7"),
    ("table_footnote", "1 Introduction", "By mouth."),
    ("title_1", "Thanks", "Thanks"),
    ("paragraph", "Thanks", "To Fern."),
    ("title_1", "References", "References"),
    ("ref", "References", "1 Moss, J. Gout in mice. J Gout 2001;3:4."),
    ("ref", "References", "2 Fern L Gout 1999"),
]


def test_an_article() -> None:
    (document,) = formats.read(GOLDEN)
    found = [
        (p.kind, p.infons.get("label") or p.infons.get("section", ""), p.span.of(document.text))
        for p in document.passages
    ]
    assert found == PASSAGES
    assert document.text == "\n".join(text for _, _, text in PASSAGES)
    assert document.id == "PMC77"
    assert document.infons == {"pmcid": "PMC77", "doi": "10.1/gout.77", "journal": "Journal of Gout", "year": "2024"}


@pytest.mark.parametrize("name", ["x.nxml", "x.xml", "x.XML", "x.unknown"])
@pytest.mark.parametrize("doctype", [True, False])
def test_it_is_detected(name: str, doctype: bool, tmp_path: Path) -> None:
    data = GOLDEN.read_text("utf-8")
    path = tmp_path / name
    path.write_text(
        data if doctype else data.replace("<!DOCTYPE", "<!-- ", 1).replace('.dtd">', '.dtd"-->', 1), "utf-8"
    )
    assert formats.guess_format(path).name == "jats_xml"
    assert [d.id for d in formats.read(path)] == ["PMC77"]


def article(ids: str, body: str = "<p>Gout.</p>") -> str:
    return f"<article><front><article-meta>{ids}</article-meta></front><body>{body}</body></article>"


def test_several_articles_and_their_ids() -> None:
    pmid, pmc, doi = (
        f'<article-id pub-id-type="{t}">{i}</article-id>' for t, i in (("pmid", 5), ("pmcid", "PMC6"), ("doi", "d"))
    )
    data = (
        f"<pmc-articleset>{article(doi + pmc + pmid)}{article(doi + pmc)}\n{article('')}{article(doi)}</pmc-articleset>"
    )
    documents, rejects = parsed(data.encode(), "jats_xml")
    assert [(d.id, d.text) for d in documents] == [("5", "Gout."), ("PMC6", "Gout."), ("d", "Gout.")]
    assert [(r.reason, r.line) for r in rejects] == [("the article has no PMID, PMCID or DOI", 2)]


def test_what_comes_before_a_break_is_read() -> None:
    documents, rejects = parsed(GOLDEN.read_bytes().partition(b"<back>")[0], "jats_xml")
    assert [d.text.count("\n") for d in documents] == [16]
    assert "invalid XML" in rejects[0].reason


def test_endless_nesting_is_rejected() -> None:
    deep = article('<article-id pub-id-type="pmid">5</article-id>', "<list>" * 50_000 + "</list>" * 50_000)
    documents, rejects = parsed(f"<pmc-articleset>{deep}</pmc-articleset>".encode(), "jats_xml")
    assert documents == []
    assert "nested too deeply" in rejects[0].reason
