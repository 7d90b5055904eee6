"""Formats of several files (brat, plain text), PubMed's XML, and which format a name speaks for."""

from __future__ import annotations

import gzip
import io
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from biomark import formats
from biomark.errors import FormatError
from biomark.spans import Document, Entity, Infons, Passage, Rejected, Relation, Span
from format_cases import parsed, written

ANNOTATIONS = """T1	Disease 0 4;12 18	Gout attack
T7	Drug 22 32	colchicine
N1	Reference T1 MeSH:D006073	Gout
N2	Reference T1 OMIM:138900
R1	Treats Arg1:T7 Arg2:T1
E1	Cure:T7 Theme:T1
A1	Negated E1
M1	Certain T1
*	Equiv T1 T7
#1	AnnotatorNotes T1	see T99?
"""


def test_brat_lines_survive(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x/a.txt").write_text("Gout is\nthe attack by colchicine")
    (tmp_path / "x/a.ann").write_text(ANNOTATIONS)
    (document,) = formats.read(tmp_path)
    assert document.id == "x/a"
    gout, drug = document.entities
    assert gout.spans == (Span(0, 4), Span(12, 18))
    assert gout.ids == ("MeSH:D006073", "OMIM:138900")
    assert (drug.type, drug.infons["id"]) == ("Drug", "T7")
    assert document.relations == (Relation("Treats", (("Arg1", "T7"), ("Arg2", "T1"))),)
    assert document.infons["brat"].split("\n") == ANNOTATIONS.split("\n")[5:-1]
    assert not formats.write([document], tmp_path / "y", "brat")
    assert list(formats.read(tmp_path / "y")) == [document]
    assert sorted((tmp_path / "y/x%2Fa.ann").read_text().split("\n")) == sorted(ANNOTATIONS.split("\n"))


def test_brat_lines_about_mentions_that_are_gone_are_counted(tmp_path: Path) -> None:
    document = Document("a", "Gout", infons=Infons({"brat": "A1\tNegation T1\n#1\tNote R1\tx"}))
    lost = formats.write([document], tmp_path / "y", "brat")
    assert lost == {"brat lines about mentions that are not there": 1}
    assert (tmp_path / "y/a.ann").read_text() == "#1\tNote R1\tx\n"


@pytest.mark.parametrize("offsets", ["6 10", "5 9"])
def test_brat_with_windows_line_ends(offsets: str, tmp_path: Path) -> None:
    """Offsets count `\\r\\n` as two, as they stand in the file, or as one."""
    (tmp_path / "a.txt").write_bytes(b"One\r\n Gout\r\nx")
    (tmp_path / "a.ann").write_bytes(f"T1\tDisease {offsets}\tGout\r\n".encode())
    (document,) = formats.read(tmp_path / "a.ann")
    assert document.text == "One\r\n Gout\r\nx"
    assert document.entities[0].spans == (Span(6, 10),)


@pytest.mark.parametrize("name", ["a.txt", "a.ann"])
def test_brat_from_one_file_of_the_pair(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Gout")
    (tmp_path / "a.ann").write_text("T1\tDisease 0 4\tGout\n")
    (document,) = formats.read(tmp_path / name)
    assert document.entities == (Entity((Span(0, 4),), "Disease"),)


def test_brat_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="folder"):
        formats.write([], tmp_path / "a.ann")
    with pytest.raises(FormatError, match="stream"):
        parsed(b"", "brat")


def test_text_folder(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes("K\u00f6ln\r\n".encode())
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"zipped"))
    (tmp_path / "c.txt").write_bytes(b"\xff\xfe\xff")
    (tmp_path / "notes.md").write_bytes(b"no text")
    rejects: list[Rejected] = []
    documents = list(formats.read(tmp_path, reject=rejects.append))
    assert [(d.id, d.text) for d in documents] == [("a", "zipped"), ("b", "K\u00f6ln\r\n")]
    assert [Path(one.source or "").name for one in rejects] == ["c.txt", "notes.md"]
    assert "bytes that are not utf-16" in rejects[0].reason
    assert "cannot be read: neither the name nor the first bytes fit a format" in rejects[1].reason
    formats.write(documents, tmp_path / "out", "text")
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == {
        "a.txt": b"zipped",
        "b.txt": "K\u00f6ln\r\n".encode(),
    }


def test_texts_in_one_file_begin_on_lines_of_their_own() -> None:
    data, lost = written([Document("1", "a"), Document("2", "b\n"), Document("3", "c")], "text")
    assert data == b"a\nb\nc"
    assert lost == {"boundaries between documents (write into a folder to keep them)": 2}


@pytest.mark.parametrize("id", ["../../x", "a/b", ".", "", "CON:", "%41", "a\nb", "α β"])
def test_ids_that_are_no_file_names(id: str, tmp_path: Path) -> None:
    formats.write([Document(id, "text")], tmp_path / "out", "text")
    (path,) = (tmp_path / "out").iterdir()
    assert path.is_file()
    assert [d.id for d in formats.read(tmp_path / "out")] == [id]


def test_a_folder_of_all_formats_in_any_case(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    files = {
        "A.PubTator": b"1|t|Gout\n1|a|\n",
        "B.TXT": b"Plain text.",
        "C.JSONL.GZ": gzip.compress(b'{"id": "j", "text": "Gout"}\n'),
        "D.XML": b"<collection><document><id>x</id><passage><offset>0</offset><text>Gout</text></passage>"
        b"</document></collection>",
        "deep/e.txt": b"Gout",
        "deep/e.ann": b"T1\tDisease 0 4\tGout\n",
        "deep/f.ann": b"T1\tDisease 0 4\tGout\n",
        "g.docx": b"PK\x03\x04",
        "h.in": b"S1 IL-2\n",
        "h.GENE.eval": b"S1|0 3|IL-2\n",
        "broken.xml": b"<other></other>",
        ".hidden.txt": b"no",
        "annotation.conf": b"[entities]",
        "z.jsonl.part": b'{"id": "z", "text": "z"}\n',
        "z.jsonl.part.json": b"{}",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    os.symlink(tmp_path / "gone.txt", folder / "link.txt")
    rejects: list[Rejected] = []
    found = list(formats.read(folder, reject=rejects.append))
    assert [(d.id, len(d.entities)) for d in found] == [
        ("1", 0), ("B", 0), ("j", 0), ("x", 0), ("deep/e", 1), ("S1", 1)
    ]  # fmt: skip
    assert [Path(one.source or "").name for one in rejects] == ["broken.xml", "f.txt", "g.docx", "link.txt"]
    some = list(formats.read(folder, "jsonl", reject=rejects.append))
    assert [d.id for d in some] == ["j"]
    assert "A.PubTator" in str(rejects[4])
    assert "the name of a jsonl file ends in .jsonl or .ndjson" in rejects[4].reason


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.txt").write_text("Gout")
    (tmp_path / "closed").chmod(0)
    rejects: list[Rejected] = []
    assert [d.id for d in formats.read(tmp_path, reject=rejects.append)] == ["a"]
    (tmp_path / "closed").chmod(0o700)
    assert "closed" in str(rejects[0])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le-bom", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("name", ["a.pubtator", "a.txt", "a.jsonl", "a.json", "a.xml", "a.conll", "a.pubtator.gz"])
def test_a_byte_order_mark_says_the_encoding(name: str, encoding: str, tmp_path: Path) -> None:
    text, document = "TNF-α rises", Document("a", "TNF-α rises", (Passage(Span(0, 11), "title"),))
    plain = tmp_path / "plain" / name.removesuffix(".gz")
    if name == "a.txt":
        plain.parent.mkdir()
        plain.write_text(text)
    else:
        formats.write([document], plain)
    content = plain.read_text("utf-8")
    marked = "\ufeff" + content if encoding == "utf-16-le-bom" else content
    data = marked.encode("utf-16-le" if encoding == "utf-16-le-bom" else encoding)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert list(formats.read(tmp_path / name)) == list(formats.read(plain))


@pytest.mark.parametrize("name", ["a.pubtator", "a.txt", "a.jsonl", "a.xml", "a.ann"])
def test_an_encoding_that_is_named(name: str, tmp_path: Path) -> None:
    document = Document("a", "Ménière and œdema €", (Passage(Span(0, 19), "title"),))
    formats.write(
        [document], tmp_path / "x" if name == "a.ann" else tmp_path / name, "brat" if name == "a.ann" else None
    )
    for path in tmp_path.rglob("a.*"):
        path.write_bytes(path.read_bytes().decode().encode("cp1252"))
    (path,) = tmp_path.rglob(name)
    (found,) = formats.read(formats.Source(path, encoding="cp1252"))
    assert found.text.rstrip("\n") == document.text
    rejects: list[Rejected] = []
    assert not list(formats.read(formats.Source(path, encoding="ascii"), reject=rejects.append))
    assert rejects


class Slow(io.RawIOBase):
    """A pipe, which cannot be read again and gives a byte at a time."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        piece, self.data = self.data[:1], self.data[1:]
        buffer[: len(piece)] = piece
        return len(piece)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["gout.pubtator", "gout.bioc.xml", "gout.bioc.json", "gout.jsonl"])
def test_a_stream_is_recognised_as_a_file_is(name: str, packed: bool) -> None:
    golden = Path(__file__).parent.parent / "golden" / name
    data = gzip.compress(golden.read_bytes()) if packed else golden.read_bytes()
    for stream in (Slow(data), io.BytesIO(data)):
        assert list(formats.read(stream)) == list(formats.read(golden))  # type: ignore[arg-type]
    with pytest.raises(FormatError, match=r"unknown format; name the format \(`input format`\)"):
        list(formats.read(io.BytesIO(b"Gout.\n")))


def test_a_document_a_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes("Gout.\r\n\n TNF-α \n\0\n".encode())
    rejects: list[Rejected] = []
    found = list(formats.read(tmp_path / "notes.txt", "lines", reject=rejects.append))
    assert [(d.id, d.text) for d in found] == [("notes:1", "Gout."), ("notes:3", " TNF-α ")]
    assert [(r.document_id, r.line) for r in rejects] == [("notes:4", 4)]
    assert [d.id for d in formats.read(io.BytesIO(b"a\nb"), "lines")] == ["1", "2"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_file_is_written_beside_its_place_by_one_process_through_no_link(tmp_path: Path) -> None:
    out, part, other = tmp_path / "x.jsonl", tmp_path / "x.jsonl.part", tmp_path / "other"
    other.write_text("mine")
    for make in (lambda: part.symlink_to(other), lambda: os.link(other, part), lambda: os.mkfifo(part)):
        make()
        with pytest.raises(FormatError, match=r"x\.jsonl\.part: is .*remove it"):
            formats.write([Document("1", "a")], out)
        assert other.read_text() == "mine"
        part.unlink()

    def documents() -> Iterator[Document]:
        with pytest.raises(FormatError, match="another run is writing this file"):
            formats.write([Document("2", "b")], out)
        yield Document("1", "a")

    formats.write(documents(), out)
    assert [d.id for d in formats.read(out)] == ["1"]
    part.write_text("left by a run that was killed")
    formats.write([Document("3", "c")], out)
    assert [d.id for d in formats.read(out)] == ["3"]
    assert {path.name for path in tmp_path.iterdir()} == {"x.jsonl", "other"}


def test_a_killed_brat_run_leaves_no_text_without_its_mentions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever it is killed: after each file that takes its place."""
    documents = [Document(str(n), "Gout", entities=(Entity((Span(0, 4),), "Disease"),)) for n in range(2)]
    states: list[list[Document]] = []
    replace_ = Path.replace

    def seen(self: Path, target: Path) -> Path:
        moved = replace_(self, target)
        states.append(list(formats.read(tmp_path / "out", "brat", reject=lambda rejected: None)))
        return moved

    monkeypatch.setattr(Path, "replace", seen)
    formats.write(documents, tmp_path / "out", "brat")
    assert [len(state) for state in states] == [0, 1, 1, 2]
    assert all(document.entities for state in states for document in state)


MEDLINE = """<?xml version="1.0"?>
<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle, 1st January 2019//EN" "https://example.org/x.dtd">
<PubmedArticleSet>
<PubmedArticle><MedlineCitation><PMID Version="1">11</PMID><Article>
  <Journal><JournalIssue><PubDate><Year>2021</Year></PubDate></JournalIssue><Title>J Gout</Title></Journal>
  <ArticleTitle>The <i>TNF</i>-α<sup>2+</sup>
    study.</ArticleTitle>
  <Abstract><AbstractText Label="AIMS" NlmCategory="OBJECTIVE">To <b>treat</b> gout.</AbstractText>
  <AbstractText Label="RESULTS">It worked &lt;5%.</AbstractText>
  <CopyrightInformation>no</CopyrightInformation></Abstract>
</Article></MedlineCitation><PubmedData><ArticleIdList><ArticleId IdType="doi">10.1/x</ArticleId></ArticleIdList>
<ReferenceList><Reference><ArticleIdList><ArticleId IdType="doi">10.9/y</ArticleId></ArticleIdList></Reference>
</ReferenceList></PubmedData></PubmedArticle>
<PubmedArticle><MedlineCitation><Article><ArticleTitle>Lost</ArticleTitle></Article></MedlineCitation></PubmedArticle>
<PubmedArticle><MedlineCitation><PMID>12</PMID><Article><ArticleTitle>Gout.</ArticleTitle></Article></MedlineCitation>
</PubmedArticle>
</PubmedArticleSet>"""


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


PUBTATOR = b"1|t|Gout\n1|a|\n"
BIOC = b'<?xml version="1.0"?>\n<collection><document><id>1</id></document></collection>'


@pytest.mark.parametrize(
    ("name", "data", "format"),
    [
        ("x.xml", BIOC, "bioc_xml"),
        ("x.XML", BIOC, "bioc_xml"),
        ("x.xml", MEDLINE.encode(), "medline_xml"),
        ("x.xml.gz", gzip.compress(MEDLINE.encode()), "medline_xml"),
        ("x.json", b'{"documents": [{"id": "1", "passages": []}]}', "bioc_json"),
        ("x.json", b'{"PubTator3": []}', "bioc_json"),
        ("x.json", b'{"id": "1", "text": "a"}\n', "jsonl"),
        ("x.jsonl", b'{"id": "1", "text": "a"}\n', "jsonl"),
        ("x.jsonl", b'{"id": "1", "tokens": ["a"], "tags": ["O"]}\n', "jsonl"),
        ("x.jsonl", b'{"id": "1", "passages": [{"offset": 0, "text": "a"}]}\n', "bioc_json"),
        ("x.txt", b"Plain text about gout.\n", "text"),
        ("x.txt", b"{Not} JSON: text.\n", "text"),
        ("x.txt", PUBTATOR, "pubtator"),
        ("x.txt", b"\xef\xbb\xbf" + PUBTATOR, "pubtator"),
        ("x.PubTator.txt", PUBTATOR, "pubtator"),
        ("x.tsv", b"Gout\tB-Disease\nis\tO\n", "conll"),
        ("x.conll", b"Gout NN B-Disease\n", "conll"),
        ("x.iob", b"", "conll"),
        ("x.bio", b"Gout\tO\n", "conll"),
        ("x", b"Gout\tO\n", "conll"),
        ("x.txt", b"Gout B-Disease\nis O\n\n", "conll"),
        ("x.txt", b"Gout\tB-Disease\n", "conll"),
        ("x.txt", b"Chronic hepatitis B\nThe patient has fever.\nGiven aspirin.\n", "text"),
        ("x.txt", b"Angiotensin I\n", "text"),
        ("x.txt", b"Blood of type O\n", "text"),
        ("x.txt", b"Vitamin E\nVitamin B\n", "text"),
        ("x.json", b'\xef\xbb\xbf{"source":"x","documents":[{"id":"1","passages":[]}]}', "bioc_json"),
        ("x.json", b'{"id":"1","passages":[{"text":"' + b"gout " * 2000 + b'","offset":0}]}', "bioc_json"),
        ("x.json", b'{"id":"1","text":"gout","passages":[{"start":0,"end":4}]}', "jsonl"),
        ("x.in", b"S1 Gout\n", "bc2gm"),
        ("x.unknown", PUBTATOR, "pubtator"),
        ("x.unknown", b"Gout\n", None),
    ],
)
def test_format_of_a_file(name: str, data: bytes, format: str | None, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    if format:
        assert formats.guess_format(path).name == format
    else:
        with pytest.raises(FormatError, match="`input format`"):
            formats.guess_format(path)


@pytest.mark.parametrize(
    ("name", "format"),
    [("x.xml", "bioc_xml"), ("x.json", "bioc_json"), ("x.tsv.gz", "conll"), ("x.txt", "text"), ("x.jsonl", "jsonl")],
)
def test_format_to_write(name: str, format: str) -> None:
    assert formats.guess_format(Path(name), writing=True).name == format


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_read_whole(tmp_path: Path) -> None:
    data = b"".join(b"%d|t|Gout number %d\n%d|a|\n\n" % (n, n, n) for n in range(5000))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(FormatError, match="`input format`"):  # and nothing of it is gone
        formats.guess_format(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    source = formats.Source(pipe)
    positions = [source.position() for _ in formats.read(source, "pubtator")]
    writer.join()
    assert positions == [0] * 5000


def test_names_of_files_that_are_no_ids_of_ours(tmp_path: Path) -> None:
    deep = tmp_path / "in" / "/".join(["a folder with a rather long name"] * 8)
    deep.mkdir(parents=True)
    (deep / "x.txt").write_text("Gout")
    with open(os.fsencode(tmp_path / "in") + b"/caf\xe9.txt", "wb") as file:
        file.write(b"Gout")
    ids = {document.id for document in formats.read(tmp_path / "in")}
    assert ids == {(deep / "x").relative_to(tmp_path / "in").as_posix(), r"caf\xe9"}
    (document,) = formats.read(Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/caf\xe9.txt")))
    formats.write([document], tmp_path / "out.jsonl")
    assert next(formats.read(tmp_path / "out.jsonl")) == document


def test_where_nothing_can_be_written_or_read(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    documents = [Document("1", "a")]
    for path, format, told in (
        (tmp_path / "folder", "jsonl", "folder: cannot be written: it is a folder"),
        (tmp_path / "file" / "x", "brat", "cannot be written"),
        (tmp_path / ("x" * 300), "jsonl", "cannot be written"),
    ):
        with pytest.raises(FormatError, match=told):
            formats.write(documents, path, format)
    with pytest.raises(FormatError, match="there is no such file or folder"):
        next(formats.read(tmp_path / ("x" * 300), "jsonl"))
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "target.jsonl")
    formats.write(documents, tmp_path / "link.jsonl")
    assert (tmp_path / "link.jsonl").is_symlink()
    assert list(formats.read(tmp_path / "target.jsonl")) == documents


def test_lines_about_mentions_that_were_replaced_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("No gout. Headache after colchicine.")
    (tmp_path / "a.ann").write_text(
        "T1\tDisease 3 7\tgout\nT2\tDrug 24 34\tcolchicine\nA1\tNegated T1\n#1\tAnnotatorNotes T2\twrong dose\n"
    )
    (document,) = formats.read(tmp_path)
    found = replace(document, entities=(Entity((Span(9, 17),), "Symptom"), document.entities[1]), relations=())
    lost = formats.write([found], tmp_path / "out", "brat")
    assert (tmp_path / "out/a.ann").read_text() == (
        "T3\tSymptom 9 17\tHeadache\nT2\tDrug 24 34\tcolchicine\n#1\tAnnotatorNotes T2\twrong dose\n"
    )
    assert lost == {"brat lines about mentions that are not there": 1}


def test_bc2gm_writes_what_it_can_read(tmp_path: Path) -> None:
    blank, gene = Entity((Span(4, 5),), "gene"), Entity((Span(0, 4),), "gene")
    document = Document("S1", "IL-2\nis", entities=(gene, blank), alternatives=(gene,))
    lost = formats.write([document], tmp_path / "x.in")
    assert (lost["mentions of white space alone"], lost["line ends (written as blanks)"]) == (1, 1)
    (found,) = formats.read(tmp_path / "x.in")
    assert (len(found.entities), len(found.alternatives)) == (1, 1)
    formats.write([replace(document, alternatives=())], tmp_path / "x.in")
    assert next(formats.read(tmp_path / "x.in")).alternatives == ()
    with pytest.raises(FormatError, match="must not contain white space or"):
        formats.write([Document("a|b", "x")], tmp_path / "y.in")


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    def documents() -> object:
        yield Document("1", "a")
        raise KeyboardInterrupt

    for name in ("x.jsonl", "x.xml.gz"):
        with pytest.raises(KeyboardInterrupt):
            formats.write(documents(), tmp_path / name)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_convert_command(biomark: Callable[..., object], tmp_path: Path) -> None:
    source = tmp_path / "x.txt"
    source.write_bytes(b"1|t|Gout\n1|a|\n1\t0\t4\tGout\tDisease\tD006073\n1\t0\t9\tGout\tDisease\n\n")
    outcome = biomark("convert", source, tmp_path / "x.bio")
    assert outcome.status == 1  # type: ignore[attr-defined]
    assert "x.txt:4: document 1" in outcome.err  # type: ignore[attr-defined]
    assert "left out: 1 identifiers" in outcome.err  # type: ignore[attr-defined]
    assert "Gout\t0\t4\t-\tB-Disease" in (tmp_path / "x.bio").read_text()


def test_bc2gm_takes_genes_alone(tmp_path: Path) -> None:
    entities = (Entity((Span(0, 4),), "gene"), Entity((Span(8, 12),), "disease"), Entity((Span(5, 7),), "Protein"))
    lost = formats.write([Document("S1", "IL-2 is gout", entities=entities)], tmp_path / "x.in")
    assert lost["mentions of other types than gene"] == 1
    assert (tmp_path / "x.GENE.eval").read_text() == "S1|0 3|IL-2\nS1|4 5|is\n"
