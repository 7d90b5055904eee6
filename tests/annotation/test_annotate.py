"""Documents through a recognizer, in Python and from files to files."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import biomark
from biomark import corpora, formats, models
from biomark.annotation import Job, input_named, plan, run, size
from biomark.corpora import corpus_named
from biomark.errors import CorpusError, FormatError, UsageError
from biomark.spans import Document, Rejected
from conftest import TermRecognizer


def block(id: str, title: str = "Aspirin in asthma") -> str:
    return f"{id}|t|{title}\n{id}|a|ALOX5 and zileuton.\n\n"


@pytest.fixture
def first(tmp_path: Path) -> Path:
    path = tmp_path / "first.pubtator"
    path.write_text(block("1") + block("2"))
    return path


@pytest.fixture
def second(tmp_path: Path) -> Path:
    path = tmp_path / "second.pubtator"
    path.write_text(block("2", "TNF-α") + block("3"))
    return path


@pytest.fixture
def split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A split of the catalogue with one document."""
    (file,) = corpus_named("ncbi_disease").splits["devel"].files
    path = tmp_path / "corpora" / file
    path.parent.mkdir(parents=True)
    path.write_text(block("7") + "\n")
    monkeypatch.setenv("BIOMARK_CORPORA", str(tmp_path / "corpora"))
    return "ncbi_disease:devel"


def mentions(document: Document) -> list[tuple[str, str]]:
    return [(entity.mention(document.text), entity.type) for entity in document.entities]


def test_three_lines_of_python(recognizer: TermRecognizer) -> None:
    (document,) = biomark.annotate("aspirin-induced asthma", model=recognizer)
    assert mentions(document) == [("aspirin", "chemical"), ("asthma", "disease")]
    assert document.id == "1"


def test_the_default_model_is_loaded_by_name(recognizer: TermRecognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "load", {"default": recognizer}.__getitem__)
    monkeypatch.setattr(models, "_KEPT", {})
    assert [mentions(d) for d in biomark.annotate(["asthma", "no"])] == [[("asthma", "disease")], []]


def test_texts_files_and_documents_in_one_stream_and_in_order(first: Path, recognizer: TermRecognizer) -> None:
    items = ["a text", first, Document("own", "zileuton")]
    assert [d.id for d in biomark.annotate(items, model=recognizer)] == ["1", "1", "2", "own"]


@pytest.mark.parametrize("types", ["Chemical,gene", ("chemical", "Gene"), ["GENE", "chemical", "gene"]])
def test_types_are_taken_in_any_spelling(types: str, recognizer: TermRecognizer) -> None:
    (document,) = biomark.annotate("aspirin, asthma, ALOX5", types, model=recognizer)
    assert mentions(document) == [("aspirin", "chemical"), ("ALOX5", "gene")]


@pytest.mark.parametrize(("types", "told"), [("desease", "choose from disease, chemical, gene"), ("", "names no type")])
def test_an_unknown_type_is_told_before_anything_is_read(types: str, told: str, recognizer: TermRecognizer) -> None:
    def never() -> Iterator[str]:
        raise AssertionError("it was read")
        yield ""

    with pytest.raises(UsageError, match=told):
        biomark.annotate(never(), types, model=recognizer)


def test_low_scores_are_left_out(recognizer: TermRecognizer) -> None:
    (document,) = biomark.annotate("asthma and zileuton", model=recognizer, min_score=1 / 6)
    assert mentions(document) == [("asthma", "disease")]
    with pytest.raises(UsageError, match=r"\[0, 1\]"):
        biomark.annotate("asthma", model=recognizer, min_score=2.0)


def test_a_bad_document_comes_back_and_is_told(recognizer: TermRecognizer) -> None:
    rejects: list[Rejected] = []
    texts = ["asthma", "BROKEN asthma", "aspirin"]
    found = list(biomark.annotate(texts, model=recognizer, reject=rejects.append))
    assert [len(d.entities) for d in found] == [1, 0, 1]
    assert [r.document_id for r in rejects] == ["2"]
    with pytest.raises(FormatError, match="document 2: the text is broken"):
        list(biomark.annotate(texts, model=recognizer))


def test_it_streams(recognizer: TermRecognizer) -> None:
    def endless() -> Iterator[str]:
        while True:
            yield "asthma"

    stream = biomark.annotate(endless(), model=recognizer)
    assert [next(stream).id for _ in range(3)] == ["1", "2", "3"]


def test_several_inputs_into_one_output(first: Path, second: Path, tmp_path: Path, recognizer: TermRecognizer) -> None:
    rejects: list[Rejected] = []
    out = tmp_path / "out.pubtator"
    (job,) = plan([first, second], str(out), from_=None, to=None, screen=False)
    positions: list[int] = []
    run(job, recognizer, reject=rejects.append, progress=positions.append)
    written = list(formats.read(out))
    assert [d.id for d in written] == ["1", "2", "3"]
    assert mentions(written[0]) == [
        ("Aspirin", "chemical"),
        ("asthma", "disease"),
        ("ALOX5", "gene"),
        ("zileuton", "chemical"),
    ]
    assert len(rejects) == 1
    assert rejects[0].document_id == "2"
    assert rejects[0].source == str(second)
    assert "-o FOLDER/" in rejects[0].reason
    assert positions == sorted(positions)
    assert 0 < positions[-1] <= size(first) + size(second)


def test_a_file_for_each_input_in_a_folder(
    first: Path, second: Path, tmp_path: Path, recognizer: TermRecognizer
) -> None:
    jobs = plan([first, second], f"{tmp_path}/out/", from_=None, to=None, screen=False)
    for job in jobs:
        run(job, recognizer)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["first.pubtator", "second.pubtator"]
    assert [d.id for d in formats.read(tmp_path / "out" / "second.pubtator")] == ["2", "3"]


def test_a_split_of_the_catalogue(split: str, first: Path, tmp_path: Path, recognizer: TermRecognizer) -> None:
    out = tmp_path / "out.pubtator"
    (job,) = plan([first, input_named(split)], str(out), from_=None, to=None, screen=False)
    positions: list[int] = []
    run(job, recognizer, progress=positions.append)
    assert [d.id for d in formats.read(out)] == ["1", "2", "7"]
    assert positions == sorted(positions)
    rejects: list[Rejected] = []
    (job,) = plan([input_named(split)] * 2, str(out), from_=None, to=None, screen=False)
    run(job, recognizer, reject=rejects.append)
    assert [(one.source, one.document_id) for one in rejects] == [(split, "7")]


def test_annotations_that_were_there_are_replaced(tmp_path: Path, recognizer: TermRecognizer) -> None:
    path = tmp_path / "gold.pubtator"
    path.write_text("1|t|Aspirin\n1|a|\n1\t0\t7\tAspirin\tDisease\tMESH:X\n\n")
    (document,) = biomark.annotate(path, model=recognizer)
    assert mentions(document) == [("Aspirin", "chemical")]
    assert document.entities[0].ids == ()


@pytest.mark.parametrize(
    ("names", "output", "to", "screen", "expected"),
    [
        (["a.pubtator"], None, None, True, [(None, "terminal")]),
        (["a.pubtator"], None, None, False, [(None, "pubtator")]),
        (["a.pubtator"], None, "html", True, [(None, "html")]),
        (["a.txt"], None, None, False, [(None, "jsonl")]),
        (["a.txt", "a.pubtator"], None, None, False, [(None, "jsonl")]),
        (["a.in"], None, None, False, [(None, "jsonl")]),
        (["a.in"], "b", None, False, [("b", "bc2gm")]),
        (["a.pubtator"], "b.jsonl", None, True, [("b.jsonl", "jsonl")]),
        (["a.pubtator"], "b.jsonl.gz", None, True, [("b.jsonl.gz", "jsonl")]),
        (["a.pubtator"], "b.csv", "jsonl", True, [("b.csv", "jsonl")]),
        (["a.pubtator"], "B.XML.GZ", None, True, [("B.XML.GZ", "bioc_xml")]),
        (["a.pubtator"], "b", None, True, [("b", "pubtator")]),
        (["a.txt", "a.in"], "b", None, True, [("b", "jsonl")]),
        (["a.pubtator"], "b", "brat", True, [("b", "brat")]),
        (["a.pubtator", "a.txt"], "b/", "jsonl", True, [("b/a.pubtator.jsonl", "jsonl"), ("b/a.txt.jsonl", "jsonl")]),
        (["pair/a.txt"], "b/", "bioc_json", True, [("b/a.bioc.json", "bioc_json")]),
        (["pair"], "b/", None, True, [("b", "brat"), ("b/deep/C.JSONL", "jsonl")]),
        (["pair"], "b/", "jsonl", True, [("b/a.jsonl", "jsonl"), ("b/deep/C.JSONL", "jsonl")]),
        (["pair", "gone.txt"], "b.jsonl", None, True, [("b.jsonl", "jsonl")]),
        (["a.txt", "a.pubtator"], "b/", None, True, [("b/a.jsonl", "jsonl"), ("b/a.pubtator", "pubtator")]),
        (["a.pubtator.gz"], "b/", "jsonl", True, [("b/a.jsonl", "jsonl")]),
        (["a.pubtator.gz"], "b/", None, True, [("b/a.pubtator.gz", "pubtator")]),
        (["a.txt", "a.pubtator"], "b/", "brat", True, [("b", "brat")]),
        (["-"], "b/", None, True, [("b/standard-input.jsonl", "jsonl")]),
        (["-"], None, None, False, [(None, "jsonl")]),
        (["ncbi_disease:devel"], None, None, False, [(None, "jsonl")]),
        (
            ["ncbi_disease:devel", "a.pubtator"],
            "b/",
            None,
            True,
            [("b/ncbi_disease-devel.jsonl", "jsonl"), ("b/a.pubtator", "pubtator")],
        ),
        (["jnlpba"], None, None, False, [(None, "pubtator")]),
    ],
)
def test_which_format_and_which_file(
    names: list[str],
    output: str | None,
    to: str | None,
    screen: bool,
    expected: list[tuple[str | None, str]],
    split: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("jnlpba").write_text(block("1"))  # a file goes before a corpus of its name
    Path("a.pubtator").write_text(block("1"))
    Path("a.pubtator.gz").write_bytes(gzip.compress(block("1").encode()))
    Path("a.txt").write_text("asthma")
    Path("a.in").write_text("1 asthma\n")
    Path("pair/deep").mkdir(parents=True)
    for name, content in (("a.txt", "asthma"), ("a.ann", ""), ("deep/C.JSONL", '{"text": "asthma"}'), ("x.docx", "PK")):
        Path("pair", name).write_text(content)
    rejects: list[Rejected] = []
    chosen = {"from_": None, "to": to, "screen": screen, "reject": rejects.append}
    jobs = plan([input_named(name) for name in names], output, **chosen)  # type: ignore[arg-type]
    assert [Path(one.source or "").name for one in rejects] == (
        ["x.docx"] * ("pair" in names) + ["gone.txt"] * ("gone.txt" in names)
    )
    assert [(job.output, job.format) for job in jobs] == [(Path(o) if o else None, f) for o, f in expected]


@pytest.mark.parametrize(
    ("names", "output", "to", "told"),
    [
        (["a.pubtator"], "a.pubtator", None, "a.pubtator: is both input and output"),
        (["a.pubtator"], ".", None, "is both input and output"),
        (["a.pubtator", "sub/a.pubtator"], "out/", None, "2 inputs would go into out/a.pubtator"),
        (["a.pubtator"], "b.txt", None, "plain text cannot store mentions"),
        (["a.pubtator"], "b.xlsx", None, r"b.xlsx: no format has this suffix; choose from pubtator \(.pubtator"),
        (["a.pubtator"], "b.docx", None, "b.docx: no format has this suffix.* html .*`output format`"),
        (["a.pubtator"], "link.pubtator", None, "is both input and output"),
        (["gone.pubtator", "gone.txt"], "b.jsonl", None, "gone.pubtator: there is no such file or folder"),
        (["a.pubtator"], None, "text", "plain text cannot store mentions"),
        (["a.pubtator"], None, "pubtater", "unknown output format 'pubtater'; choose from pubtator, "),
        (["a.pubtator"], None, "medline_xml", "unknown output format 'medline_xml'"),
        (["gone.pubtator"], None, None, "gone.pubtator: there is no such file or folder"),
        (["brat/a.txt"], "brat", "brat", "brat/a.txt: is both input and output"),
        (["brat/a.ann"], "brat/", "brat", "is both input and output"),
        (["Aspirin-induced asthma is rare. " * 20], None, None, "to annotate a text, pass it through standard input"),
        (["noise.bin"], None, None, "noise.bin: neither the name nor the first bytes fit a format; name the format"),
        (["ncbi_disease:tset"], None, None, "name a split of ncbi_disease, such as ncbi_disease:train"),
        (["ncbi_disease:devel"], None, None, "biomark corpora fetch ncbi_disease"),
    ],
)
def test_what_makes_no_sense_is_told_before_any_work(
    names: list[str], output: str | None, to: str | None, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sub").mkdir()
    for name in ("a.pubtator", "sub/a.pubtator"):
        Path(name).write_text(block("1"))
    Path("noise.bin").write_bytes(bytes(range(256)))
    os.link("a.pubtator", "link.pubtator")
    Path("brat").mkdir()
    for name in ("brat/a.txt", "brat/a.ann"):
        Path(name).write_text("")
    monkeypatch.setattr(corpora, "corpus_folders", lambda: (tmp_path,))
    chosen = {"from_": None, "to": to, "screen": False, "reject": lambda rejected: None}
    with pytest.raises((UsageError, FormatError, CorpusError), match=told):
        plan([input_named(name) for name in names], output, **chosen)  # type: ignore[arg-type]


def test_a_failure_in_the_middle_leaves_no_output(first: Path, tmp_path: Path) -> None:
    class Failing(TermRecognizer):
        def annotate(self, documents, types=None, *, min_score=None):  # type: ignore[no-untyped-def]
            yield from list(super().annotate(documents, types))[:1]
            raise KeyboardInterrupt

    out = tmp_path / "out.pubtator"
    with pytest.raises(KeyboardInterrupt):
        run(Job((first,), out, "pubtator"), Failing())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["first.pubtator"]


def test_position_of_a_compressed_file_counts_its_bytes_on_the_disk(tmp_path: Path, recognizer: TermRecognizer) -> None:
    path = tmp_path / "a.pubtator.gz"
    path.write_bytes(gzip.compress("".join(block(str(n)) for n in range(5000)).encode()))
    positions: list[int] = []
    run(Job((path,), tmp_path / "out.pubtator", "pubtator"), recognizer, progress=positions.append)
    assert len(positions) == 5000
    assert positions[0] < positions[-1] <= size(path)


def test_sizes() -> None:
    assert size(None) == size(Path(__file__).parent) == 0
    assert size(Path(__file__)) == len(Path(__file__).read_bytes())
