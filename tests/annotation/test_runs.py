"""Runs into a folder: they end anywhere and go on, and their bytes are those of a run that did not end."""

from __future__ import annotations

import contextlib
import errno
import gzip
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from biomark import formats, models
from biomark.annotation import Resuming, plan
from biomark.annotation.jobs import inputs_named
from biomark.annotation.processes import Processes
from biomark.annotation.runs import Manifest, Plan, run_into_folder
from biomark.annotation.workers import ParallelRecognizer
from biomark.errors import BiomarkError, FormatError, UsageError
from biomark.lab.bench.scale import hours, measure
from biomark.runtime.files import PartialFile
from biomark.runtime.progress import Pace
from biomark.spans import Document
from conftest import Outcome, TermRecognizer
from killing import Dying, content, killed, points

Biomark = Callable[..., Outcome]
TEXTS = ("Aspirin here", "BROKEN", "zileuton\nand TNF-α", "", "asthma, İ", "ALOX5", "Aspirin and asthma")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recognizer: TermRecognizer) -> Path:
    monkeypatch.setattr(models, "load", lambda *how: recognizer)
    monkeypatch.chdir(tmp_path)
    lines = [json.dumps({"id": str(n), "text": text}) for n, text in enumerate(TEXTS)]
    Path("a.jsonl").write_text("\n".join((*lines[:3], '{"id": 3, "text"', *lines[3:])) + "\n")
    Path("b.pubtator").write_text("b1|t|asthma\nb1|a|\n\nb2|t|Aspirin\nb2|a|of asthma\n\n2|t|asthma\n2|a|\n\n")
    return tmp_path


def a_run(into: str, to: str = "jsonl", size: int = 2, names: Sequence[str] = ("a.jsonl", "b.pubtator")) -> Manifest:
    (job,) = plan(inputs_named(names), None, from_=None, to=to, screen=False)
    return run_into_folder(Plan(Path(into), job, size=size), TermRecognizer())


def rejects(into: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(into, "rejects.jsonl").read_text().splitlines()]


def documents(into: str) -> list[Document]:
    paths = sorted(Path(into, "shards").iterdir())
    return [document for path in paths for document in formats.read(path)]


def test_every_document_has_one_result(biomark: Biomark) -> None:
    done = biomark("annotate", "a.jsonl", "b.*", "--run", "out", "--set", "shard=4")
    assert done.status == 1
    assert "out: 9 documents in 3 shards" in done.err
    assert "out/rejects.jsonl: all rejects and their reasons" in done.err
    found = documents("out")
    assert [d.id for d in found] == ["0", "1", "2", "3", "4", "5", "6", "b1", "b2"]
    assert [d.infons["file"] for d in found] == ["a.jsonl"] * 7 + ["b.pubtator"] * 2
    assert [[e.mention(d.text) for e in d.entities] for d in found[4:]] == [
        ["asthma"], ["ALOX5"], ["Aspirin", "asthma"], ["asthma"], ["Aspirin", "asthma"],
    ]  # fmt: skip
    told = [(r["reason"], r.get("source"), r.get("line"), r.get("document")) for r in rejects("out")]
    assert told[0][1:] == ("a.jsonl", 4, None)
    assert told[1:] == [
        ("the text is broken", None, None, "1"),
        ("an earlier document of the run has the same id", "b.pubtator", None, "2"),
    ]
    manifest = json.loads(Path("out/manifest.json").read_text())
    assert manifest["whole"] is True
    assert [(s["documents"], s["mentions"]) for s in manifest["shards"]] == [(4, 3), (4, 5), (1, 2)]
    assert manifest["rejected"] == 3
    assert {path.name for path in Path("out").iterdir()} == {"manifest.json", "rejects.jsonl", "shards"}


@pytest.mark.parametrize(("to", "size", "step"), [("jsonl", 2, 47), ("pubtator", 3, 53), ("bioc_xml", 100, 31)])
def test_a_run_that_is_killed_anywhere_ends_with_the_same_bytes(to: str, size: int, step: int) -> None:
    a_run("whole", to, size)
    wanted = content(Path("whole"))
    assert len(wanted) > 2
    count = 0
    for at in points(lambda: a_run("out", to, size), step):
        a_run("out", to, size)
        found = content(Path("out"))
        found.pop("run.lock", None)
        assert found == wanted, at
        shutil.rmtree("out")
        count += 1
    assert count > 5


def test_a_run_that_is_killed_again_and_again_comes_to_its_end() -> None:
    a_run("whole")
    ends = 0
    while killed(lambda: a_run("out"), 80):
        ends += 1
    assert ends > 2
    assert content(Path("out")) == content(Path("whole"))


def test_a_run_that_is_begun_anew_has_nothing_of_the_one_before() -> None:
    a_run("whole", "pubtator", 3)
    wanted = content(Path("whole"))

    def anew() -> None:
        (job,) = plan(inputs_named(["a.jsonl", "b.pubtator"]), None, from_=None, to="pubtator", screen=False)
        run_into_folder(Plan(Path("out"), job, size=3), TermRecognizer(), resuming=Resuming(anew=True))

    for at in range(0, 120, 17):
        a_run("out", "jsonl", 1)
        assert killed(anew, at)
        with contextlib.suppress(UsageError):  # it was killed before it had begun
            a_run("out", "pubtator", 3)
        begun = Manifest.of(Path("out/manifest.json"))
        assert begun is not None
        if begun.facts["output format"] == "jsonl":
            anew()
        assert content(Path("out")) == wanted, at
        shutil.rmtree("out")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--types", "disease"), "--types: not set  →  now disease"),
        (("--to", "pubtator"), "output format: jsonl  →  now pubtator"),
        (("--set", "shard=3"), "documents a shard: 10,000  →  now 3"),
        (("b.pubtator",), "inputs: a.jsonl  →  now a.jsonl, b.pubtator"),
    ],
)
def test_another_run_is_refused_with_both_values(biomark: Biomark, more: tuple[str, ...], told: str) -> None:
    biomark("annotate", "a.jsonl", "--run", "out")
    before = content(Path("out"))
    done = biomark("annotate", "a.jsonl", *more, "--run", "out")
    assert done.status == 2
    assert told in done.err
    assert content(Path("out")) == before
    Path("out/mine.txt").write_text("mine")
    Path("out/shards/mine.txt").write_text("mine")
    assert biomark("annotate", "a.jsonl", *more, "--run", "out", "--overwrite").status == 1
    assert (Path("out/mine.txt").read_text(), Path("out/shards/mine.txt").read_text()) == ("mine", "mine")


def test_a_changed_model_or_file_is_another_run(biomark: Biomark, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("annotate", "a.jsonl", "--run", "out")
    biomark(*command)
    with monkeypatch.context() as patch:
        patch.setattr(models, "checksum", lambda name: "another")
        done = biomark(*command)
    assert (done.status, "→  now default, checksum another" in done.err) == (2, True)
    with Path("a.jsonl").open("a") as file:
        file.write('{"id": "more", "text": "asthma"}\n')
    done = biomark(*command)
    assert (done.status, "input files: 1 of " in done.err) == (2, True)


@pytest.mark.parametrize("at", [0, 3, 6])
def test_an_input_that_grows_while_it_is_read_ends_the_run(biomark: Biomark, at: int) -> None:
    Path("c.jsonl").write_text("".join(f'{{"id": "{n}", "text": "asthma"}}\n' for n in range(7)))
    (job,) = plan(inputs_named(["c.jsonl"]), None, from_=None, to="jsonl", screen=False)

    def grow(pace: Pace) -> None:
        if pace.doing == "annotating" and pace.documents == at + 1:
            with Path("c.jsonl").open("a") as file:
                file.write('{"id": "late", "text": "asthma"}\n')

    with pytest.raises(UsageError, match="an input changed while it was read"):
        run_into_folder(Plan(Path("out"), job, size=3), TermRecognizer(), watch=grow)
    assert json.loads(Path("out/manifest.json").read_text())["whole"] is False
    with pytest.raises(UsageError, match="input files"):
        run_into_folder(Plan(Path("out"), job, size=3), TermRecognizer())
    run_into_folder(Plan(Path("out"), job, size=3), TermRecognizer(), resuming=Resuming(anew=True))
    assert b"late" in b"".join(content(Path("out/shards")).values())


def test_a_whole_run_is_done(biomark: Biomark) -> None:
    command = ("annotate", "b.pubtator", "--run", "out")
    assert biomark(*command).status == 0
    before = content(Path("out"))
    done = biomark(*command)
    assert (done.status, "out: all 3 documents are done" in done.err) == (0, True)
    assert content(Path("out")) == before
    Path("out/shards/00000.jsonl").unlink()
    done = biomark(*command)
    assert (done.status, "out/shards/00000.jsonl: the file is missing" in done.err) == (2, True)


def test_a_second_run_is_refused_while_the_first_one_lives(biomark: Biomark) -> None:
    lock = PartialFile(Path("out/run"), ".lock")
    done = biomark("annotate", "a.jsonl", "--run", "out")
    assert (done.status, "out/run.lock: another run is writing this file" in done.err) == (2, True)
    lock.discard()
    assert biomark("annotate", "a.jsonl", "--run", "out").status == 1


def test_what_cannot_be_a_run_is_refused(biomark: Biomark) -> None:
    Path("full").mkdir()
    Path("full/letter.txt").write_text("mine")
    for arguments, told in (
        (("a.jsonl", "--run", "full"), "full: contains files that are not from a biomark run"),
        (("a.jsonl", "--run", "a.jsonl"), "a.jsonl: not a folder"),
        (("-", "--run", "out"), "so they must be files"),
        (("full", "--run", "full"), "full/letter.txt: lies in the folder of the run, full"),
        (("a.jsonl", "--run", "out", "-o", "x.jsonl"), "--run FOLDER is the output"),
        (("a.jsonl", "--set", "shard=3"), "are settings of a run into a folder"),
        (("no*thing", "--run", "out"), "no*thing: no file matches this pattern"),
        (("a.jsonl", "--run", "out", "--to", "odd"), "unknown output format 'odd'"),
    ):
        done = biomark("annotate", *arguments)
        assert (done.status, told in done.err) == (2, True), done.err
    assert content(Path("full")) == {"letter.txt": b"mine"}
    Path("out").mkdir()
    Path("out/manifest.json").write_text('{"mine": 1}')
    done = biomark("annotate", "a.jsonl", "--run", "out", "--overwrite")
    assert (done.status, "out/manifest.json: not a manifest of a run" in done.err) == (2, True)


def test_a_full_disk_is_named_and_the_run_goes_on_later(biomark: Biomark, monkeypatch: pytest.MonkeyPatch) -> None:
    a_run("whole")
    calls = 0

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 5:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(FormatError, match=r"(disk is full; make room|No space left)"):
            a_run("out")
    a_run("out")
    assert content(Path("out")) == content(Path("whole"))


def article(pmid: int, text: str, version: int = 1) -> str:
    return (
        f'<PubmedArticle><MedlineCitation><PMID Version="{version}">{pmid}</PMID><Article>'
        f"<ArticleTitle>{text}</ArticleTitle></Article></MedlineCitation></PubmedArticle>\n"
    )


def deleted(*pmids: int, version: int = 1) -> str:
    names = "".join(f'<PMID Version="{version}">{pmid}</PMID>' for pmid in pmids)
    return f"<DeleteCitation>{names}</DeleteCitation>\n"


def pubmed(name: str, *parts: str) -> None:
    text = f"<PubmedArticleSet>\n{''.join(parts)}</PubmedArticleSet>\n"
    Path(name).write_bytes(gzip.compress(text.encode()))


def test_later_versions_supersede_earlier_ones_and_deletions_hold(biomark: Biomark) -> None:
    pubmed("pubmed26n0001.xml.gz", *(article(n, f"asthma {n}") for n in range(1, 6)))
    pubmed(
        "pubmed26n0002.xml.gz",
        article(2, "asthma 2 again"),
        article(6, "second", version=2),
        article(6, "first"),
        article(5, "asthma 5, soon deleted"),
        deleted(3, 5),
    )
    pubmed("pubmed26n0003.xml.gz", article(3, "asthma 3 is back"), article(2, "asthma 2 at last"), deleted(99))
    done = biomark("annotate", "pubmed26n*.xml.gz", "--run", "out", "--set", "shard=2")
    assert done.status == 0, done.err
    assert "skipped: 4 superseded and 2 deleted articles of PubMed" in done.err
    assert [(d.id, d.text) for d in documents("out")] == [
        ("1", "asthma 1"), ("4", "asthma 4"), ("6", "second"), ("3", "asthma 3 is back"), ("2", "asthma 2 at last"),
    ]  # fmt: skip
    assert [d.infons["file"] for d in documents("out")] == [f"pubmed26n000{n}.xml.gz" for n in (1, 1, 2, 3, 3)]
    assert documents("out")[2].infons["version"] == "2"
    for at in points(lambda: a_run("again", names=["pubmed26n*.xml.gz"]), 61):
        a_run("again", names=["pubmed26n*.xml.gz"])
        assert documents("again") == documents("out"), at
        assert Manifest.of(Path("again/manifest.json")).superseded == 4  # type: ignore[union-attr]
        shutil.rmtree("again")


def test_broken_files_are_rejected_and_the_rest_goes_on(biomark: Biomark) -> None:
    good = article(1, "asthma")
    pubmed("1.xml.gz", good)
    Path("2.xml").write_text(f"<PubmedArticleSet>{article(2, 'asthma')}{article(3, '&nosuch;')}{article(4, 'x')}")
    Path("3.xml").write_text(
        '<!DOCTYPE PubmedArticleSet [<!ENTITY x SYSTEM "file:///etc/passwd">]>\n'
        f"<PubmedArticleSet>{article(5, '&x;')}</PubmedArticleSet>"
    )
    pubmed("4.xml.gz", *(article(n, f"asthma {n * 7919}") for n in range(100, 2_000)))
    whole = Path("4.xml.gz").read_bytes()
    Path("4.xml.gz").write_bytes(whole[: len(whole) // 2])
    Path("5.jsonl").write_bytes(b'{"id": "a", "text": "as\xffthma"}\n{"id": "b", "text": "asthma"}\n')
    Path("6.jsonl").write_text('{"id": "c", "text": "\\ud800"}\n{"id": "d\\u0000", "text": "asthma\\u0000"}\n')
    done = biomark("annotate", "[1-6].*", "gone.txt", "--run", "out")
    assert done.status == 1
    ids = [document.id for document in documents("out")]
    cut = [id for id in ids if len(id) > 2 and id.isdigit()]
    assert [id for id in ids if id not in cut] == ["1", "2", "4", "b", "d\0"]
    assert cut == [str(n) for n in range(100, 100 + len(cut))]
    assert len(cut) > 500
    told = {(str(r["source"]), r.get("line")): str(r["reason"]) for r in rejects("out")}
    assert "undefined entity" in told["2.xml", 2]
    assert any("declares or uses XML entities" in reason for (name, _), reason in told.items() if name == "3.xml")
    assert any("breaks" in reason for (name, _), reason in told.items() if name == "4.xml.gz")
    assert "byte 23 (0xff) is not UTF-8" in told["5.jsonl", 1]
    assert ("6.jsonl", 1) in told
    assert ("gone.txt", None) in told


def test_progress_as_json_lines(biomark: Biomark) -> None:
    done = biomark("annotate", "a.jsonl", "--run", "out", "--set", "json_progress=true")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert lines[-1] == {
        "doing": "done", "documents": 7, "total": 7, "rejected": 2, "per_second": 0.0, "seconds_left": 0.0,
    }  # fmt: skip
    assert lines[0].keys() == lines[-1].keys()


def test_a_run_of_nothing_is_whole(biomark: Biomark) -> None:
    Path("empty.jsonl").write_text("")
    done = biomark("annotate", "empty.jsonl", "--run", "out")
    assert (done.status, "the file holds no document" in Path("out/rejects.jsonl").read_text()) == (1, True)
    assert json.loads(Path("out/manifest.json").read_text())["whole"] is True


def many(*odd: str) -> list[Document]:
    texts = [f"asthma and aspirin, {'x ' * (n * 37 % 900)}" for n in range(60)]
    return [Document(str(n), text) for n, text in enumerate((*texts[:31], *odd, *texts[31:]))]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_processes_find_what_one_finds(workers: int) -> None:
    wanted = list(TermRecognizer().annotate(many("BROKEN"), ["disease"], min_score=0.1))
    with ParallelRecognizer(Processes(TermRecognizer, workers)) as several:
        assert several.types == TermRecognizer.types
        for _ in range(2):
            assert list(several.annotate(many("BROKEN"), ["disease"], min_score=0.1)) == wanted
        assert list(several.annotate([])) == []


def test_a_process_that_is_killed_costs_no_document(tmp_path: Path) -> None:
    once = tmp_path / "once"
    with ParallelRecognizer(Processes(lambda: Dying(once), 2)) as several:
        found = list(several.annotate(many("DIE")))
        assert several.died == 1
    assert found == list(TermRecognizer().annotate(many("DIE")))


def test_a_document_that_kills_every_process_is_rejected_alone() -> None:
    with ParallelRecognizer(Processes(Dying, 2)) as several:
        found = list(several.annotate(many("DIE", "BROKEN")))
    assert [one.document.id for one in found] == [document.id for document in many("DIE", "BROKEN")]
    odd = [(one.document.text, one.rejected[0].reason) for one in found if one.rejected]
    assert [text for text, _ in odd] == ["DIE", "BROKEN"]
    assert "processes died on this document (signal 9)" in odd[0][1]


def test_an_error_in_a_process_is_the_run_s() -> None:
    with ParallelRecognizer(Processes(Dying, 2)) as several, pytest.raises(BiomarkError, match="an odd text"):
        list(several.annotate(many("ODD")))


def test_documents_larger_than_a_pipe_do_not_block() -> None:
    large = [Document(str(n), "asthma " + "x" * 2_000_000) for n in range(6)]
    with ParallelRecognizer(Processes(TermRecognizer, 2)) as several:
        found = [len(one.document.entities) for one in several.annotate(large)]
    assert found == [1] * 6


def test_workers_write_the_same_bytes(biomark: Biomark) -> None:
    a_run("whole", size=10_000)
    done = biomark("annotate", "a.jsonl", "b.pubtator", "--run", "out", "--workers", "2")
    assert done.status == 1, done.err
    shards = content(Path("out/shards"))
    assert shards == content(Path("whole/shards"))
    assert Path("out/rejects.jsonl").read_bytes() == Path("whole/rejects.jsonl").read_bytes()


def test_a_run_in_python_needs_no_options() -> None:
    (job,) = plan(inputs_named(["a.jsonl"]), None, from_=None, to="jsonl", screen=False)
    seen: list[int] = []
    manifest = run_into_folder(
        Plan(Path("out"), job, types="disease", size=3),
        TermRecognizer(),
        resuming=Resuming(report=lambda message: None),
        watch=lambda pace: seen.append(pace.documents),
    )
    assert (manifest.documents, seen) == (7, [1, 2, 3, 4, 5, 6, 7])
    with pytest.raises(UsageError, match="at least 1 document"):
        run_into_folder(Plan(Path("out"), job, size=0), TermRecognizer())


def test_the_benchmark_runs_and_counts(biomark: Biomark) -> None:
    Path("in.jsonl").write_text('{"id": "1", "text": "Asthma. Aspirin helped."}\n')
    arguments = ("--model", "given", "--workers", "1", "--documents", "3", "--size", "5", "--size", "7")
    done = biomark("bench", "scale", "in.jsonl", *arguments)
    assert done.status == 0, done.err
    found = json.loads(done.out)
    assert found["documents a second by workers"].keys() == {"1"}
    assert found["MiB at most by documents"].keys() == {"5", "7"}
    assert all(20 < mib < 2_000 for mib in found["MiB at most by documents"].values())
    assert found["documents a second without a model"].keys() == {"5", "7"}
    assert found["hours of one core"].keys() == {"PubMed", "PMC"}


def test_the_hours_of_a_collection_are_its_characters_by_the_speed() -> None:
    assert hours(36_000_000 * 1_300, 25_250) == 515


def test_the_peak_memory_of_a_run_is_not_that_of_the_process_that_measures_it(tmp_path: Path) -> None:
    ballast = bytearray(b"x" * (500 << 20))
    (tmp_path / "in.jsonl").write_text('{"id": "1", "text": "Fever."}\n', "utf-8")
    _, mib = measure(tmp_path, "--model", "given")
    assert 20 < mib < len(ballast) >> 20
