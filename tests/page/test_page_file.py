"""The page as a file: what it holds, and that the files which it gives away are what Python writes."""

from __future__ import annotations

import io
import json
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from page_cases import EVIL, TEXT, TITLE, example

from biomark import formats
from biomark.demonstrations import demonstrations
from biomark.formats import html
from biomark.page import frame, part, script
from biomark.spans import Document, Entity, Rejected, Relation, Span
from browser import Open
from format_cases import documents as any_documents

pytest_plugins = ("page_fixtures",)


def test_the_page_holds_all_that_it_needs_and_may_load_nothing() -> None:
    page = html.page([example()])
    assert not re.search(
        r"""(?<!data-)\bsrc\s*=|url\(|@import|https?:|innerHTML|insertAdjacentHTML|document\.write""", page
    )
    assert "connect-src 'none'" in page
    assert "default-src 'none'" in page
    assert "connect-src 'self'" in html.page(api="v1")
    assert page.count("</script>") == 3
    assert page.count("<script") == 3


def test_the_modules_have_no_name_twice_and_import_names_alone() -> None:
    names = re.findall(r"^(?:async )?(?:function\*?|class|const|let) (\w+)", script(), re.MULTILINE)
    assert len(names) == len(set(names)) > 100
    assert "import {" not in script()
    assert not re.search(r"^import(?! \{[^}]*\} from \"\./\w+\.js\";$)", part("main.js"), re.MULTILINE)


def test_a_document_cannot_leave_its_line() -> None:
    page = html.page([Document(EVIL, EVIL, entities=(Entity((Span(0, 3),), EVIL),))])
    before, behind = frame(html._settings())
    line = page.removeprefix(before).removesuffix(behind)
    assert "<" not in line
    assert json.loads(line)["text"] == EVIL


def test_the_file_keeps_sentences_apart_that_the_document_does_not_have() -> None:
    line = html.page([Document("d", "One is. Two are.")]).split('id="documents">\n')[1].split("\n")[0]
    assert json.loads(line) == {"id": "d", "text": "One is. Two are.", "entities": [], "split": [[0, 7], [8, 16]]}


@settings(max_examples=20)
@given(st.lists(any_documents(), min_size=1, max_size=8))
def test_every_file_from_the_page_is_what_python_writes(modules: Any, documents: list[Document]) -> None:
    code = """(all) => all.map((values) => {
      const json = m.jsonOf(m.documentOf(values));
      return [m.jsonLines([json]), m.biocJson([json]), m.pubtator([json]), m.brat([json])];
    })"""
    found = modules.evaluate(code, [document.to_dict() for document in documents])
    for document, (*texts, brat) in zip(documents, found, strict=True):
        for format, text in zip(("jsonl", "bioc_json", "pubtator"), texts, strict=True):
            stream = io.BytesIO()
            rejects: list[object] = []
            formats.write(document, stream, format, reject=rejects.append)
            assert rejects or text == stream.getvalue().decode(), format
        assert dict(brat) == _folder(document)


@settings(max_examples=15)
@given(st.lists(any_documents(), min_size=1, max_size=8))
def test_the_page_reads_pairs_of_brat_as_python_does(modules: Any, documents: list[Document]) -> None:
    pairs, expected = [], []
    for document in documents:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "pair.txt")
            formats.write(document, Path(folder, "brat"), "brat", reject=lambda _: None)
            for text in Path(folder, "brat").glob("*.txt"):
                text.rename(path)
                text.with_suffix(".ann").rename(path.with_suffix(".ann"))
                rejects: list[Rejected] = []
                read = [one.to_dict() for one in formats.read(path, "brat", reject=rejects.append)]
                if read:  # an empty text is an error
                    pairs.append(
                        [
                            path.name,
                            path.read_bytes().decode("utf-8-sig"),
                            path.with_suffix(".ann").read_bytes().decode(),
                        ]
                    )
                    expected.append([read, len(rejects)])
    code = """(pairs) => pairs.map((files) => {
      const { documents, rejects } = m.readBrat(...files);
      return [documents.map((one) => JSON.parse(m.jsonLines([m.jsonOf(one)]))), rejects.length];
    })"""
    assert modules.evaluate(code, pairs) == expected


BROKEN = """T1\tDisease 0 4\tGout
T2\tDisease 0 4\tgouts
T3\tDrug 5 400\tcolchicine
what is this?
R1\tTreats Arg1:T3 Arg2:T1
N1\tReference T9 MESH:D1
T1\tDisease 0 4\tGout
"""


def test_lines_of_brat_that_cannot_be_read_are_named(modules: Any) -> None:
    found = modules.evaluate(
        "(files) => { const { documents, rejects } = m.readBrat(...files); return [documents[0].entities, rejects] }",
        ["a.txt", "Gout is old.", BROKEN],
    )
    assert [e["type"] for e in found[0]] == ["Disease"]
    assert [(r["line"], r["reason"].split(";")[0]) for r in sorted(found[1], key=lambda r: r["line"])] == [
        (2, "at 0-4 the text has “Gout”, not “gouts”"),
        (3, "offsets 5-400 lie beyond the end of the text (12 code points)"),
        (4, "not a brat annotation: a line must begin with T, N, R, E, A, M, * or #, a number and a tab"),
        (5, "the relation has an unknown mention: T3"),
        (6, "the identifier (N) is of an unknown mention: T9"),
        (7, "another mention has the id T1"),
    ]


def _folder(*documents: Document) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        formats.write(documents, Path(folder) / "brat", "brat")
        return {path.name: path.read_bytes().decode() for path in (Path(folder) / "brat").iterdir()}


def test_units_and_code_points(modules: Any) -> None:
    text = "a😀b𝒳𝒴 e\u0301İ"
    code = """(text) => {
      const offsets = new m.Offsets(text);
      const places = Array.from({ length: offsets.points + 1 }, (_, n) => offsets.unit(n));
      return [offsets.points, places.map((unit) => [unit, offsets.point(unit)])];
    }"""
    points, places = modules.evaluate(code, text)
    assert points == len(text)
    assert places == [[len(text[:n].encode("utf-16-le")) // 2, n] for n in range(len(text) + 1)]


def test_demonstrations_are_those_of_python(modules: Any) -> None:
    stop = TEXT.index(".") + 1
    sentences = (Span(0, len(TITLE)), Span(len(TITLE) + 1, stop), Span(stop + 1, len(TEXT)))
    document = Document("d", TEXT, sentences=sentences, entities=example().entities)
    code = """(values) => {
      const json = m.jsonOf(m.documentOf(values));
      return m.demonstrations([json], ["disease", "chemical"], (type) => type);
    }"""
    found = json.loads(modules.evaluate(code, document.to_dict()))
    expected = list(demonstrations([document], ["disease", "chemical"]))
    assert [(f["instruction"], f["input"], f["output"], f["document_id"], tuple(f["window"])) for f in found] == [
        (d.instruction, d.input, d.output, d.document_id, (d.window.start, d.window.end)) for d in expected
    ]
    assert any("<mark>severe asthma</mark>" in f["output"] for f in found)


def test_a_table_has_a_row_a_mention_and_no_formula(modules: Any) -> None:
    document = Document("=1+1", '"a", b\nc', entities=(Entity((Span(0, 3), Span(5, 8)), "@t", ("A", "B"), 1.0),))
    table = modules.evaluate("(values) => m.csv([m.jsonOf(m.documentOf(values))])", document.to_dict())
    assert table == (
        'document,passage,start,end,text,type,score,identifiers\r\n\'=1+1,,0,8,"""a"" b\nc",\'@t,1.0,A|B\r\n'
    )


def test_relations_and_alternatives_stay() -> None:
    document = Document(
        "d", "a b", alternatives=(Entity((Span(0, 1),), "x"),), relations=(Relation("R", (("", "a"), ("", "b"))),)
    )
    line = html.page([document]).split('id="documents">\n')[1].split("\n")[0]
    assert Document.from_dict(json.loads(line)) == document


def test_files_are_saved(show: Open) -> None:
    page = show(example(), Document("pm-2", "Gout.")).page
    for format in ("bioc_json", "brat"):
        page.locator("#take").click()
        page.locator(f"dialog input[value={format}]").check()
        with page.expect_download() as download:
            page.locator("dialog button[type=submit]").click()
        saved = Path(download.value.path())
        if format == "bioc_json":
            again = list(formats.read(saved, "bioc_json"))
            assert [d.text for d in again] == [TEXT, "Gout."]
            assert [e.spans for e in again[0].entities] == [e.spans for e in example().entities]
        else:
            with zipfile.ZipFile(saved) as archive:
                assert archive.testzip() is None
                assert {name: archive.read(name).decode() for name in archive.namelist()} == _folder(
                    example(), Document("pm-2", "Gout.")
                )
