"""brat's pairs of files: lines that survive, line ends, folders, killed runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from biomark import formats
from biomark.errors import FormatError
from biomark.spans import Document, Entity, Infons, Relation, Span
from format_cases import parsed

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
