"""Folders and streams in any format, encodings, and files that are written beside their place."""

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
from biomark.spans import Document, Entity, Passage, Rejected, Span
from format_cases import written


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
