"""Parquet, and archives of files."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given

from biomark import formats
from biomark.errors import FormatError
from biomark.formats import Sink
from biomark.spans import Document, Entity, Infons, Passage, Rejected, Relation, Span
from format_cases import documents as any_documents

DOCUMENT = Document(
    "İ-1",
    "β-blockers, 1,25-dihydroxyvitamin D3\nand asthma",
    (Passage(Span(0, 36), "title", Infons({"section": "x"})),),
    (Span(0, 36), Span(37, 47)),
    (Entity((Span(0, 10),), "chemical", ("MESH:D1", "x"), 0.25), Entity((Span(0, 2), Span(41, 47)), "disease")),
    (Entity((Span(41, 47),), "disease", infons=Infons({"a": "b"})),),
    (Relation("CID", (("Chemical", "D1"), ("", "D2"))),),
    Infons({"file": "a.xml.gz"}),
)


@pytest.fixture
def pq() -> object:
    return pytest.importorskip("pyarrow.parquet")


@given(any_documents())
def test_parquet_holds_all_of_a_document(tmp_path_factory: pytest.TempPathFactory, document: Document) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path_factory.mktemp("tables") / "a.parquet"
    assert not formats.write([DOCUMENT, document] if document.id != DOCUMENT.id else [document], path)
    assert list(formats.read(path))[-1] == document


def test_two_tables_for_two_questions(tmp_path: Path, pq: object) -> None:
    path = tmp_path / "a.parquet"
    bare = Document("2", "")
    for name in ("a.parquet", "b.parquet"):
        formats.write([DOCUMENT, bare], tmp_path / name)
    assert list(formats.read(path)) == [DOCUMENT, bare]
    documents = pq.read_table(path).to_pylist()  # type: ignore[attr-defined]
    assert [(row["id"], row["file"], row["mentions"]) for row in documents] == [("İ-1", "a.xml.gz", 2), ("2", None, 0)]
    mentions = pq.read_table(tmp_path / "a.mentions.parquet").to_pylist()  # type: ignore[attr-defined]
    assert [(m["document"], m["start"], m["end"], m["text"], m["type"], m["ids"], m["score"]) for m in mentions] == [
        ("İ-1", 0, 10, "β-blockers", "chemical", ["MESH:D1", "x"], 0.25),
        ("İ-1", 0, 47, "β- asthma", "disease", [], None),
    ]
    assert path.read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a.mentions.parquet", "a.parquet", "b.mentions.parquet", "b.parquet",
    ]  # fmt: skip
    (tmp_path / "b.parquet").unlink()
    (tmp_path / "b.mentions.parquet").unlink()
    assert len(list(formats.read(tmp_path))) == 2  # the table of mentions is read with its documents


def test_tables_of_others_are_read_by_their_columns(tmp_path: Path, pq: object) -> None:
    import pyarrow as pa

    rows = [{"id": 7, "text": "asthma", "year": 2026, "odd": [1]}, {"id": None, "text": None}, {"id": 9, "text": "x"}]
    path = tmp_path / "theirs.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)  # type: ignore[attr-defined]
    rejects: list[Rejected] = []
    found = list(formats.read(path, reject=rejects.append))
    assert [(d.id, d.text, dict(d.infons)) for d in found] == [("7", "asthma", {"year": "2026"}), ("9", "x", {})]
    assert [(r.reason, r.document_id) for r in rejects] == [("row 2 has no text", "2")]
    pq.write_table(pa.table({"body": ["x"]}), path)  # type: ignore[attr-defined]
    with pytest.raises(FormatError, match="there is no column text; the columns are body"):
        list(formats.read(path))


def test_tables_that_do_not_belong_together_are_refused(tmp_path: Path, pq: object) -> None:
    path, beside = tmp_path / "a.parquet", tmp_path / "a.mentions.parquet"
    formats.write([DOCUMENT], path)
    whole = beside.read_bytes()
    formats.write([Document("x", "asthma")], tmp_path / "b.parquet")
    beside.write_bytes((tmp_path / "b.mentions.parquet").read_bytes())
    with pytest.raises(FormatError, match=r"a.mentions.parquet has other mentions"):
        list(formats.read(path))
    for content in (b"", b"PAR1", whole[: len(whole) // 2]):
        beside.write_bytes(content)
        with pytest.raises(FormatError, match="cannot be read as Parquet"):
            list(formats.read(path))
    beside.unlink()
    with pytest.raises(FormatError, match="the table of its mentions is missing"):
        list(formats.read(path))
    for way in (lambda: list(formats.read(io.BytesIO(whole))), lambda: formats.write([], Sink(None), "parquet")):
        with pytest.raises(FormatError, match=r"cannot be (read from|written into) a stream"):
            way()


FILES = {
    "set/one.pubtator": b"1|t|asthma\n1|a|\n\n",
    "set/two.xml.gz": gzip.compress(
        b"<PubmedArticleSet><PubmedArticle><PMID>2</PMID><ArticleTitle>gout</ArticleTitle></PubmedArticle>"
        b"</PubmedArticleSet>"
    ),
    "set/note.txt": "İ asthma".encode(),
    "set/.hidden": b"x",
    "set/odd.bin": b"\x00\x01",
}


def archive(path: Path) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in FILES.items():
                file.writestr(name, content)
        return path
    with tarfile.open(path, {"tar": "w", "tgz": "w:gz", "gz": "w:gz", "xz": "w:xz"}[path.suffix[1:]]) as file:
        for name, content in FILES.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("set/link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    return path


@pytest.mark.parametrize("name", ["a.tar", "a.tgz", "a.tar.gz", "a.tar.xz", "a.zip"])
def test_files_in_archives_are_read_each_in_its_format(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / name)
    rejects: list[Rejected] = []
    found = list(formats.read(path, reject=rejects.append))
    assert [(d.id, d.text) for d in found] == [("1", "asthma"), ("2", "gout"), ("note", "İ asthma")]
    assert [r.source for r in rejects] == [f"{path}/set/odd.bin"]
    assert "cannot be read: unknown format" in rejects[0].reason


@pytest.mark.parametrize("name", ["a.tgz", "a.zip"])
def test_an_archive_that_breaks_off_is_rejected(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / name)
    path.write_bytes(path.read_bytes()[:-40])
    rejects: list[Rejected] = []
    list(formats.read(path, reject=rejects.append))
    assert any("the archive breaks off" in r.reason for r in rejects)


def test_archives_in_archives_are_refused_by_name(tmp_path: Path) -> None:
    inner = archive(tmp_path / "inner.tar").read_bytes()
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as file:
        file.writestr("inner.tar", inner)
    rejects: list[Rejected] = []
    assert list(formats.read(tmp_path / "outer.zip", reject=rejects.append)) == []
    assert len(rejects) == 1
    assert str(rejects[0].source).endswith("outer.zip/inner.tar")
