"""Malformed files of every format: an error or a reject that says where, and the rest is read."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from biomark import formats
from biomark.errors import FormatError
from biomark.formats import base, json_stream, xml_stream
from biomark.spans import Document, Entity, Passage, Rejected, Span
from format_cases import parsed, written

STREAMED = ("pubtator", "bioc_xml", "bioc_json", "conll", "bc2gm", "jsonl")
TEXT = "Gout in Köln."
DOCUMENT = Document(
    "d",
    TEXT,
    (Passage(Span(0, len(TEXT)), "title"),),
    entities=(Entity((Span(0, 4),), "Disease", ("D006073",)),),
)


def many(count: int) -> list[Document]:
    return [replace(DOCUMENT, id=f"d{number}") for number in range(count)]


def read_file(path: Path, format: str | None = None) -> tuple[list[Document], list[Rejected]]:
    rejects: list[Rejected] = []
    return list(formats.read(path, format, reject=rejects.append)), rejects


def test_a_small_gzip_that_is_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    lines = b"".join(b'{"id": "%d", "text": "gout %d"}\n' % (n, n * 7919) for n in range(40))
    path = tmp_path / "cut.txt.gz"  # told by its first bytes, which are all that there are
    path.write_bytes(gzip.compress(lines)[:-12])
    documents, (reject,) = read_file(path)
    assert 0 < len(documents) <= 40
    assert "breaks off" in str(reject)


@pytest.mark.parametrize("format", STREAMED)
def test_truncated_gzip_gives_what_is_before_the_cut(format: str, tmp_path: Path) -> None:
    path = tmp_path / "cut.gz"
    data, _ = written([replace(d, id=f"{hash(d.id):x}") for d in many(3000)], format)
    packed = gzip.compress(data)
    path.write_bytes(packed[: len(packed) * 2 // 3])
    documents, rejects = read_file(path, format)
    assert 1000 < len(documents) < 3000
    assert "breaks off" in str(rejects[0]) or "breaks off" in str(rejects[-1])
    assert all(reject.source == str(path) for reject in rejects)


@pytest.mark.parametrize("format", STREAMED)
def test_file_cut_in_the_third_document(format: str) -> None:
    data, _ = written(many(3), format)
    cut = data.rindex(b"d2") + 6
    documents, rejects = parsed(data[:cut], format)
    assert [d.id for d in documents][:2] == ["d0", "d1"]
    if format in ("bioc_xml", "bioc_json", "jsonl"):
        assert len(documents) == 2
        assert rejects[0].line in (4, 3, 5, 6)
        assert any(word in rejects[0].reason for word in ("invalid", "not JSON"))


@pytest.mark.parametrize("format", STREAMED)
def test_latin1_spoils_one_document(format: str) -> None:
    data, _ = written(many(3), format)
    second = data.index(b"d1")
    spoilt = data[:second] + data[second:].replace("ö".encode(), b"\xf6", 1)
    documents, rejects = parsed(spoilt, format)
    assert [d.id for d in documents if d.text == TEXT] == ["d0", "d2"]
    assert ("not in the encoding" if format == "bioc_xml" else "not UTF-8") in rejects[0].reason
    assert rejects[0].source == "standard input"


@pytest.mark.parametrize("format", STREAMED)
def test_utf16(format: str) -> None:
    data = written(many(2), format)[0].decode().encode("utf-16")
    assert parsed(data, format) == parsed(written(many(2), format)[0], format)
    cut = parsed(data[:-3], format)  # in the middle of a character
    assert len(cut[0]) + len(cut[1]) >= 2
    lone = data.replace("ö".encode("utf-16-le"), b"\x00\xd8", 1)  # half of a pair
    documents, rejects = parsed(lone, format)
    assert rejects
    assert "d1" in {document.id for document in documents}


@pytest.mark.parametrize("format", STREAMED)
def test_second_document_with_an_id_is_rejected_where_it_begins(format: str) -> None:
    double = [
        DOCUMENT,
        replace(DOCUMENT, id="e"),
        replace(DOCUMENT, id="q7", text="Another text."),
        replace(DOCUMENT, id="f"),
    ]
    data = written(double, format)[0].replace(b"q7", b"d")
    documents, (reject,) = parsed(data, format)
    assert [d.id for d in documents] == ["d", "e", "f"]
    assert reject.document_id == "d"
    assert "another document" in reject.reason
    named = data.decode().split("\n")[(reject.line or 0) - 1]
    assert "Another" in named or "\td\t" in named


@pytest.mark.parametrize("format", [*STREAMED, "medline_xml", "jats_xml", "text"])
def test_empty_file(format: str) -> None:
    documents, rejects = parsed(b"", format)
    assert not documents
    assert len(rejects) == 1


@pytest.mark.parametrize("format", [*STREAMED, "medline_xml", "jats_xml", "text"])
@pytest.mark.parametrize("junk", [bytes(range(256)) * 40, b"\0" * 5000, b"\x89PNG\r\n\x1a\n\0\0"])
def test_binary_file(format: str, junk: bytes) -> None:
    documents, rejects = parsed(junk, format)
    assert rejects
    assert not documents or format in ("conll", "bc2gm")


@pytest.mark.parametrize("format", STREAMED)
def test_the_default_is_to_stop_at_the_first_reject(format: str) -> None:
    with pytest.raises(FormatError, match="standard input"):
        list(formats.read(io.BytesIO(bytes(range(256))), format))


def change(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new, 1)


LINE = '{"id": "x", "text": "Gout", '
CASES = [
    # a mention beyond the text, with another text, reversed or of no length
    ("pubtator", "1|t|Gout\n1|a|\n1\t0\t99\tGout\tDisease\n\n2|t|ok\n", "beyond the end", 3, "1"),
    ("pubtator", "1|t|Gout\n1|a|\n1\t1\t4\tGout\tDisease\n\n2|t|ok\n", "at 1-4 the text has 'out'", 3, "1"),
    ("pubtator", "1|t|Gout\n1|a|\n1\t4\t0\tGout\tDisease\n\n2|t|ok\n", "start < end", 3, "1"),
    ("pubtator", "1|t|Gout\n1|a|\n1\tx\t4\tGout\tDisease\n\n2|t|ok\n", "must be offsets", 3, "1"),
    ("pubtator", "1|t|Gout\n1|a|\n9\t0\t4\tGout\tDisease\n\n2|t|ok\n", "another document", 3, "1"),
    ("pubtator", "1|t|Gout\n1|a|\n1\t0\t4\tGout\tDisease\tD\tx\ty\n\n2|t|ok\n", "5 to 7 columns", 3, "1"),
    ("pubtator", "1|t|Gout\n1|a|\n1\t0\t4\n\n2|t|ok\n", "5 to 7 columns", 3, "1"),
    ("pubtator", "1|t|Gout\n1|a|\n1\t0\t4\tGout\n\n2|t|ok\n", "5 to 7 columns", 3, "1"),
    ("pubtator", f"1|t|Gout\n1|a|\n1\t0\t{'9' * 5000}\tGout\tDisease\n\n2|t|ok\n", "must be offsets", 3, "1"),
    ("pubtator", "lost\n\n2|t|ok\n", "must begin with", 1, None),
    ("pubtator", "1|t|Gout\n7|a|\n\n2|t|ok\n", "another document", 2, "1"),
    ("jsonl", '{"id": "x"}\n{"id": "2", "text": "ok"}\n', "a document needs", 1, "x"),
    ("jsonl", '["x"]\n{"id": "2", "text": "ok"}\n', "a JSON object", 1, None),
    ("jsonl", '{"id": "x", "text": 1.5}\n{"id": "2", "text": "ok"}\n', '"text" must be a text', 1, "x"),
    ("jsonl", LINE + '"entities": [{"spans": [[0, 9]], "type": "D"}]}\n{"id":2,"text":"ok"}', "beyond the end", 1, "x"),
    ("jsonl", LINE + '"entities": [{"spans": [[2, 1]], "type": "D"}]}\n{"id":2,"text":"ok"}', "start < end", 1, "x"),
    ("jsonl", LINE + '"entities": [{"spans": [[0, 1]]}]}\n{"id":2,"text":"ok"}', '"type" is missing', 1, "x"),
    ("jsonl", LINE + '"entities": [{"spans": [], "type": "D"}]}\n{"id":2,"text":"ok"}', "at least one span", 1, "x"),
    ("jsonl", LINE + '"entities": [{"spans": [[0, true]], "type": "D"}]}\n{"id":2,"text":"ok"}', "offsets", 1, "x"),
    ("jsonl", LINE + '"entities": {}, "sentences": 4}\n{"id":2,"text":"ok"}', "list", 1, "x"),
    ("jsonl", '{"id": "x", "text": "\\ud800"}\n{"id":2,"text":"ok"}', "half a character", 1, "x"),
    ("jsonl", '{"id": "x", "tokens": ["a"], "tags": []}\n{"id":2,"text":"ok"}', "same length, got 1 and 0", 1, "x"),
    ("jsonl", '{"id": "x", "tokens": ["a"], "tags": ["?"]}\n{"id":2,"text":"ok"}', "unknown tag", 1, "x"),
    ("conll", "Gout\n\nok\tO\n", "one column", 1, "1"),
    ("conll", "Gout\tB-D\nis\tQ-D\n\nok\tO\n", "unknown tag 'Q-D'", 2, "1"),
    (
        "conll",
        "-DOCSTART-\tx\t0\t-\tO\n\nGout\t1\t5\t-\tO\n\n-DOCSTART-\t2\t0\t-\tO\n\nok\t0\t2\t-\tO\n",
        "offset 0",
        1,
        "x",
    ),
    ("bc2gm", "S1\nS2 ok\n", "ID TEXT", 1, "S1"),
]


@pytest.mark.parametrize(("format", "text", "reason", "line", "id"), CASES)
def test_reject_names_line_document_and_reason(format: str, text: str, reason: str, line: int, id: str | None) -> None:
    documents, (reject,) = parsed(text.encode(), format)
    assert documents[-1].text == "ok"
    assert reason in reject.reason
    assert (reject.line, reject.document_id, reject.source) == (line, id, "standard input")


BIOC_XML = """<collection><document><id>1</id><passage><offset>0</offset><text>Gout in Köln</text>
<annotation id="0"><infon key="type">Disease</infon><location offset="0" length="4"/><text>Gout</text></annotation>
</passage></document>
<document><id>2</id><passage><offset>0</offset><text>ok</text></passage></document></collection>"""
BIOC_CHANGES = [
    (change('offset="0" length="4"', 'offset="1" length="4"'), "at 1-5 the text has 'out '", 2, 2),
    (change('offset="0" length="4"', 'offset="9" length="4"'), "9-13 lie beyond the end", 2, 2),
    (change('offset="0" length="4"', 'offset="0" length="0"'), "start < end", 2, 2),
    (change('<location offset="0" length="4"/>', ""), "no location", 2, 2),
    (change('offset="0" length="4"', 'offset="a" length="4"'), "must be a whole number, got 'a'", 2, 2),
    (change("<offset>0</offset>", ""), "must be a whole number, got None", 1, 1),
    (change("<offset>0</offset>", "<offset>99999999999</offset>"), "too far behind", 1, 1),
    (
        change("</passage>", "</passage><passage><offset>3</offset><text>x</text></passage>"),
        "begins before the previous one ends",
        1,
        1,
    ),
    (change("<id>1</id>", ""), "no id", 1, 1),
]


@pytest.mark.parametrize(("changed", "reason", "line", "documents"), BIOC_CHANGES)
def test_bioc_xml_rejects(changed: Callable[[str], str], reason: str, line: int, documents: int) -> None:
    assert len(parsed(BIOC_XML.encode(), "bioc_xml")[0]) == 2
    found, (reject,) = parsed(changed(BIOC_XML).encode(), "bioc_xml")
    assert found[-1].text == "ok"
    assert len(found) == documents
    assert reason in reject.reason
    assert reject.line == line


BIOC_JSON = (
    '{"documents": [\n{"id": "1", "passages": [{"offset": 0, "text": "Gout", "annotations": [{"id": "0",'
    ' "infons": {"type": "Disease"}, "text": "Gout", "locations": [{"offset": 0, "length": 4}]}]}]},\n'
    '{"id": "2", "passages": [{"offset": 0, "text": "ok"}]}\n]}\n'
)


@pytest.mark.parametrize(
    ("changed", "reason", "documents"),
    [
        (change('"length": 4', '"length": 3'), "at 0-3 the text has 'Gou'", 2),
        (change('"length": 4', '"length": "x"'), '"length" must be a whole number', 2),
        (change('"id": "1", ', ""), "no id", 1),
        (change('"annotations": [', '"annotations": [3, '), "expected a JSON object, got 3", 2),
        (change('"passages"', '"parts"'), '"passages"', 1),
        (change('"Gout", "annotations"', '"\\ud9ff", "annotations"'), "half a character", 1),
        (change('"offset": 0,', '"offset": ,'), "invalid JSON", 1),
    ],
)
def test_bioc_json_rejects(changed: Callable[[str], str], reason: str, documents: int) -> None:
    assert len(parsed(BIOC_JSON.encode(), "bioc_json")[0]) == 2
    found, (reject,) = parsed(changed(BIOC_JSON).encode(), "bioc_json")
    assert found[-1].text == "ok"
    assert len(found) == documents
    assert reason in reject.reason
    assert reject.line == 2


LAUGHS = '<!DOCTYPE c [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'
OUTSIDE = '<!DOCTYPE c [<!ENTITY c SYSTEM "file:///etc/hostname">]>'
DTD = '<!DOCTYPE c [<!ENTITY % c SYSTEM "http://127.0.0.1:9/x.dtd"> %c;]>'


@pytest.mark.parametrize("attack", [LAUGHS, OUTSIDE, DTD])
@pytest.mark.parametrize(
    ("format", "root"), [("bioc_xml", "collection"), ("medline_xml", "PubmedArticleSet"), ("jats_xml", "article")]
)
def test_entities_are_refused(attack: str, format: str, root: str, tmp_path: Path) -> None:
    path = tmp_path / "evil.xml"
    path.write_text(f"{attack}<{root}><document><id>&c;</id></document></{root}>")
    with pytest.raises(FormatError, match=r"evil\.xml:1: .*entities"):
        list(formats.read(path, format))


def test_wrong_root_names_the_right_ones() -> None:
    with pytest.raises(FormatError, match="<article>, not <collection>"):
        parsed(b"<article><x/></article>", "bioc_xml")


def brat_pair(folder: Path, text: str, annotations: str) -> Path:
    (folder / "a.txt").write_bytes(text.encode())
    (folder / "a.ann").write_bytes(annotations.encode())
    (folder / "b.txt").write_bytes(b"ok")
    return folder


@pytest.mark.parametrize(
    ("annotations", "reason", "line"),
    [
        ("T1\tDisease 1 5\tGout\n", "at 1-5 the text has 'out '", 1),
        ("T1\tDisease 0 40\tGout\n", "beyond the end", 1),
        ("T1\tDisease 4 0\tGout\n", "start < end", 1),
        ("T1\tDisease 0 4;2 6\tGout\n", "the text has", 1),
        ("T1\tDisease 0 4\tGout\nT1\tDisease 0 4\tGout\n", "another mention has the id T1", 2),
        ("R1\tCauses Arg1:T1 Arg2:T2\n", "the relation has an unknown mention: T1 and T2", 1),
        ("hello\n", "not a brat annotation", 1),
        ("N1\tReference T9 MeSH:D1\n", "the identifier (N) is of an unknown mention: T9", 1),
    ],
)
def test_brat_rejects(annotations: str, reason: str, line: int | None, tmp_path: Path) -> None:
    documents, (reject,) = read_file(brat_pair(tmp_path, "Gout in mice", annotations))
    assert [d.text for d in documents] == ["Gout in mice", "ok"]
    assert reason in reject.reason
    assert (reject.line, reject.document_id, reject.source) == (line, "a", str(tmp_path / "a.ann"))


def test_brat_text_that_is_missing_or_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "a.ann").write_text("T1\tDisease 0 4\tGout\n")
    (tmp_path / "b.txt").write_bytes(b"K\xf6ln")
    (tmp_path / "c.txt").write_bytes(b"ok")
    documents, rejects = read_file(tmp_path, "brat")
    assert [d.id for d in documents] == ["c"]
    assert [(r.document_id, r.source) for r in rejects] == [
        ("a", str(tmp_path / "a.txt")),
        ("b", str(tmp_path / "b.txt")),
    ]


def _pubmed(path: Path, *titles: str) -> Path:
    articles = (
        f"<PubmedArticle><PMID>{n}</PMID><ArticleTitle>{t}</ArticleTitle></PubmedArticle>" for n, t in enumerate(titles)
    )
    path.write_text(f"<PubmedArticleSet>{''.join(articles)}</PubmedArticleSet>")
    return path


@pytest.mark.parametrize(
    ("limit", "value", "odd", "told"),
    [
        ("_MOST_BYTES", 1 << 20, "x" * (3 << 20), "a record is larger than 1 MiB"),
        ("_MOST_ELEMENTS", 100, "<i/>" * 200, "a record has more than 100 elements"),
        ("_DEEPEST", 50, "<i>" * 60 + "</i>" * 60, "a record is nested too deeply (more than 50 levels)"),
    ],
)
def test_a_record_that_no_document_has_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, odd: str, told: str
) -> None:
    monkeypatch.setattr(xml_stream, limit, value)
    rejects: list[Rejected] = []
    found = list(formats.read(_pubmed(tmp_path / "a.xml", "asthma", odd, "gout"), reject=rejects.append))
    assert [document.text for document in found] == ["asthma"]
    assert [rejected.line for rejected in rejects] == [1]
    assert told in rejects[0].reason


def test_a_line_or_a_text_that_no_document_has_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "MOST", 1 << 20)
    rejects: list[Rejected] = []
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "a", "text": "asthma"}\n' + "x" * (2 << 20))
    assert [document.id for document in formats.read(path, reject=rejects.append)] == ["a"]
    assert [(rejected.line, rejected.reason) for rejected in rejects] == [
        (2, "the line is longer than 1 MiB; the rest of the file is not read")
    ]
    (tmp_path / "a.txt").write_text("x" * (2 << 20))
    with pytest.raises(FormatError, match="the text is longer than 1 MiB; split it"):
        list(formats.read(tmp_path / "a.txt"))
    monkeypatch.setattr(json_stream, "MOST", 1 << 20)
    path = tmp_path / "a.json"
    long = '{"id": "b", "text": "' + "x" * (3 << 20) + '"}'
    path.write_text(f'[{{"id": "a", "text": "asthma"}},\n{long},\n{{"id": "c", "text": "x"}}]')
    rejects.clear()
    assert [document.id for document in formats.read(path, reject=rejects.append)] == ["a", "c"]
    assert [rejected.line for rejected in rejects] == [2]
    assert "a value is longer than 1 MiB" in rejects[0].reason
