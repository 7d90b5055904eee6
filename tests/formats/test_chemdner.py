"""CHEMDNER: tables of abstracts, and of their mentions."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from biomark.corpora import read_split
from biomark.errors import FormatError
from format_cases import read

ABSTRACTS = (
    "101\tZinc and α-tocopherol in sleep\tWe gave zinc sulfate. Zn(2+) was measured.\n102\tNo chemicals\tNone here.\n"
)
MENTIONS = (
    "101\tA\t22\t28\tZn(2+)\tFORMULA\n101\tT\t0\t4\tZinc\tSYSTEMATIC\n"
    "101\tT\t9\t21\tα-tocopherol\tTRIVIAL\n101\tA\t8\t20\tzinc sulfate\tSYSTEMATIC\n"
)
FOUND = [
    ("SYSTEMATIC", "Zinc"),
    ("TRIVIAL", "α-tocopherol"),
    ("SYSTEMATIC", "zinc sulfate"),
    ("FORMULA", "Zn(2+)"),
]


def pair(folder: Path, abstracts: str = ABSTRACTS, mentions: str = MENTIONS, stem: str = "training") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{stem}.abstracts.txt").write_text(abstracts, "utf-8")
    (folder / f"{stem}.annotations.txt").write_text(mentions, "utf-8")
    return folder


@pytest.mark.parametrize("name", ["", "training.abstracts.txt", "training.annotations.txt"])
def test_mentions_get_offsets_in_title_and_abstract(tmp_path: Path, name: str) -> None:
    (first, second), rejects = read(pair(tmp_path) / name)
    assert not rejects
    assert first.text == "Zinc and α-tocopherol in sleep\nWe gave zinc sulfate. Zn(2+) was measured."
    assert [(p.kind, p.span.of(first.text)[:7]) for p in first.passages] == [
        ("title", "Zinc an"),
        ("abstract", "We gave"),
    ]
    assert [(e.type, e.mention(first.text)) for e in first.entities] == FOUND
    assert (first.id, second.id, second.entities) == ("101", "102", ())


def test_compressed_tables(tmp_path: Path) -> None:
    for path in list(pair(tmp_path).iterdir()):
        (tmp_path / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    for name in ("", "training.annotations.txt.gz"):
        (first, _), rejects = read(tmp_path / name)
        assert not rejects
        assert len(first.entities) == 4


@pytest.mark.parametrize(
    ("abstracts", "mentions", "reason", "line"),
    [
        (ABSTRACTS, "101\tT\t0\t4\tIron\tTRIVIAL\n", "at T 0 4 the text has 'Zinc', not 'Iron'", 1),
        (ABSTRACTS, "\n101\tT\t0\t99\tZinc\tTRIVIAL\n", r"offsets T 0 99 lie beyond the end .*30 code points", 2),
        (ABSTRACTS, "101\tT\t4\t0\tZinc\tTRIVIAL\n", "a span needs 0 <= start < end, got start 4 and end 0", 1),
        (ABSTRACTS, "101\tX\t0\t4\tZinc\tTRIVIAL\n", "PMID, T or A, start, end, mention, class", 1),
        (ABSTRACTS, "101 T 0 4 Zinc TRIVIAL\n", "six columns, separated by tabs", 1),
        (ABSTRACTS, "999\tT\t0\t4\tZinc\tTRIVIAL\n", r"training.abstracts.txt has no abstract with this id", 1),
        ("101\tZinc and sleep\n" + ABSTRACTS, "", "three columns: PMID, title, abstract", 1),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, abstracts: str, mentions: str, reason: str, line: int) -> None:
    documents, (rejected,) = read(pair(tmp_path, abstracts, mentions) / "training.abstracts.txt")
    assert len(documents) == 2, "the rest is read"
    assert not any(document.entities for document in documents)
    assert rejected.line == line
    with pytest.raises(FormatError, match=reason):
        raise FormatError(str(rejected))


def test_mentions_alone_are_an_error(tmp_path: Path) -> None:
    (pair(tmp_path) / "training.abstracts.txt").unlink()
    with pytest.raises(FormatError, match=r"the abstracts are missing; put training\.abstracts\.txt beside it"):
        read(tmp_path / "training.annotations.txt")


def test_the_catalogue_reads_the_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair(tmp_path / "bc4chemd", stem="evaluation")
    monkeypatch.setenv("BIOMARK_CORPORA", str(tmp_path))
    first, _ = read_split("bc4chemd:test")
    assert {entity.type for entity in first.entities} == {"chemical"}
