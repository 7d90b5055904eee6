"""What commands write beside or in place of what is there: nothing is lost unless it is asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cli_cases import ABSTRACT, Biomark

pytest_plugins = ("cli_fixtures",)

pytestmark = pytest.mark.usefixtures("cli_folder")


CORRECTED = "corrected by hand"


@pytest.mark.parametrize(
    ("command", "there"),
    [
        (("annotate", "in.pubtator", "-o", "out.pubtator"), "out.pubtator"),
        (("convert", "in.pubtator", "out.pubtator"), "out.pubtator"),
        (("annotate", "in.pubtator", "note.txt", "-o", "out/"), "out/note.jsonl"),
        (("annotate", "in.pubtator", "-o", "out", "--to", "brat"), "out/7.ann"),
        (("convert", "in.pubtator", "out", "--to", "brat"), "out/7.txt"),
        (("convert", "in.pubtator", "x.in"), "x.ALTGENE.eval"),
        (("convert", "in.pubtator", "out", "--to", "text"), "out/7.txt"),
        (("convert", "in.pubtator", "out/", "--to", "jsonl"), "out/in.jsonl"),
    ],
)
def test_nothing_is_overwritten_unless_it_is_asked_for(biomark: Biomark, command: tuple[str, ...], there: str) -> None:
    Path("out").mkdir() if "/" in there else None
    Path(there).write_text(CORRECTED)
    before = sorted(Path().rglob("*"))
    done = biomark(*command)
    assert (done.status, done.out) == (2, "")
    assert f"{there}: exists already; name another output, or replace it (--overwrite)" in done.err
    assert Path(there).read_text() == CORRECTED
    assert sorted(Path().rglob("*")) == before
    assert biomark(*command, "--overwrite").status == 0
    assert not Path(there).exists() or Path(there).read_text() != CORRECTED


def test_an_empty_file_may_be_written(biomark: Biomark) -> None:
    Path("out.pubtator").touch()  # as mktemp does
    assert biomark("annotate", "in.pubtator", "-o", "out.pubtator").status == 0


@pytest.mark.parametrize("command", [("annotate", "in.pubtator", "-o", "out"), ("convert", "in.pubtator", "out")])
def test_documents_are_added_to_a_brat_folder(biomark: Biomark, command: tuple[str, ...]) -> None:
    assert biomark("annotate", "note.txt", "-o", "out", "--to", "brat").status == 0
    Path("out/note.ann").write_text(CORRECTED)
    assert biomark(*command, "--to", "brat").status == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["7.ann", "7.txt", "note.ann", "note.txt"]
    assert Path("out/note.ann").read_text() == CORRECTED
    done = biomark("annotate", "-", "-o", "out", "--to", "brat", stdin=ABSTRACT.encode())
    assert (done.status, "exists already" in done.err) == (2, True)


@pytest.mark.parametrize(
    "command",
    [
        ("convert", "in.pubtator", "in.pubtator"),
        ("convert", "in.pubtator", "link.pubtator", "--overwrite"),
        ("annotate", "in.pubtator", "-o", "./in.pubtator", "--overwrite"),
        ("convert", "pair", "pair", "--to", "brat", "--overwrite"),
        ("convert", "pair/a.txt", "pair", "--to", "brat", "--overwrite"),
        ("convert", "x.in", "x.in", "--overwrite"),
        ("convert", "x.GENE.eval", "x.in", "--overwrite"),
        ("annotate", "pair", "-o", "pair/", "--overwrite"),
    ],
)
def test_nothing_is_converted_in_place(biomark: Biomark, command: tuple[str, ...]) -> None:
    os.link("in.pubtator", "link.pubtator")
    Path("pair").mkdir()
    Path("pair/a.txt").write_text("asthma")
    Path("pair/a.ann").write_text("T1\tDisease 0 6\tasthma\n")
    Path("x.in").write_text("S1 IL-2\n")
    Path("x.GENE.eval").write_text("S1|0 3|IL-2\n")
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    done = biomark(*command)
    assert (done.status, "is both input and output" in done.err) == (2, True)
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_brat_makes_its_folder(biomark: Biomark) -> None:
    for command in (("annotate", "in.pubtator", "-o", "one"), ("convert", "in.pubtator", "two")):
        assert biomark(*command, "--to", "brat").status == 0
    assert sorted(str(path) for path in Path().rglob("7.*")) == ["one/7.ann", "one/7.txt", "two/7.ann", "two/7.txt"]
