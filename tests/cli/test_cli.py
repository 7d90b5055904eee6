"""The commands annotate and convert, run as people run them, with sense and with nonsense."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_cases import ABSTRACT, ANNOTATED, Biomark

from biomark import formats
from biomark.corpora import corpus_named
from biomark.spans import Document
from conftest import HANG, Outcome
from killing import interrupt

pytest_plugins = ("cli_fixtures",)

pytestmark = pytest.mark.usefixtures("cli_folder")


# A shell that runs the tests in the background has them ignore interrupts, and so would this process.
LISTENING = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from biomark.cli import main; main()"
)


def real(*arguments: str, **options: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-W", "error", "-c", LISTENING, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload, no-any-return]


def test_from_file_to_file(biomark: Biomark) -> None:
    assert biomark("annotate", "in.pubtator", "-o", "out.pubtator") == Outcome(0, "", "left out: 4 scores\n")
    assert Path("out.pubtator").read_text() == ANNOTATED
    assert sorted(p.name for p in Path().iterdir()) == ["in.pubtator", "note.txt", "out.pubtator"]


def test_to_standard_output_in_the_format_of_the_input(biomark: Biomark) -> None:
    assert biomark("annotate", "in.pubtator").out == ANNOTATED
    assert biomark("annotate", "in.pubtator", "-o", "-").out == ANNOTATED


def test_plain_text_becomes_json_lines(biomark: Biomark) -> None:
    (line,) = biomark("annotate", "note.txt").out.splitlines()
    record = json.loads(line)
    assert record["text"] == "Asthma eased by zileuton.\n"
    assert "zileuton" in record["text"]
    assert len(record["entities"]) == 2


@pytest.mark.parametrize("arguments", [("annotate",), ("annotate", "-"), ("annotate", "--from", "text")])
def test_standard_input_in_no_known_format_is_plain_text(biomark: Biomark, arguments: tuple[str, ...]) -> None:
    done = biomark(*arguments, "--to", "terminal", stdin="TNF-α in asthma".encode())
    assert done.status == 0
    assert "[TNF-α|gene] in [asthma|disease]" in done.out


def test_standard_input_in_another_format(biomark: Biomark) -> None:
    assert biomark("annotate", "--from", "pubtator", "--to", "pubtator", stdin=ABSTRACT.encode()).out == ANNOTATED


def test_types_and_scores(biomark: Biomark) -> None:
    done = biomark("annotate", "in.pubtator", "--types", "gene,Chemical", "--min-score", "0.2", "--to", "terminal")
    assert "[TNF-α|gene]" in done.out
    assert "aspirin" in done.out
    assert "|chemical]" not in done.out


def test_a_page_for_each_input(biomark: Biomark) -> None:
    assert biomark("annotate", "in.pubtator", "note.txt", "-o", "pages/", "--to", "html").status == 0
    assert sorted(p.name for p in Path("pages").iterdir()) == ["in.html", "note.html"]
    assert "zileuton" in Path("pages/note.html").read_text()


def test_rejects_are_told_and_the_rest_is_done(biomark: Biomark) -> None:
    Path("in.pubtator").write_text(ABSTRACT + ABSTRACT.replace("7|", "8|").replace("Asthma", "BROKEN") + "nonsense\n\n")
    done = biomark("annotate", "in.pubtator")
    assert done.status == 1
    assert done.out.startswith(ANNOTATED)
    assert "rejected: document 8: the text is broken" in done.err
    assert "rejected: in.pubtator:7" in done.err
    assert "2 rejected, everything else is done" in done.err


def test_progress_is_told_when_asked_for(biomark: Biomark) -> None:
    done = biomark("annotate", "in.pubtator", "--set", "progress=true")
    assert "1 documents" in done.err
    assert done.out == ANNOTATED
    assert "documents" not in biomark("annotate", "in.pubtator").err


def test_without_anything_in_a_terminal_help_is_shown(biomark: Biomark) -> None:
    done = biomark("annotate", stdin=None)
    assert done.status == 2
    assert "Usage" in done.out
    assert "--min-score" in done.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("in.pubtator", "--to", "pubtater"), "unknown output format 'pubtater'; choose from pubtator,"),
        (("in.pubtator", "--from", "words"), "unknown input format 'words'; choose from pubtator,"),
        (("in.pubtator", "--types", "desease"), "unknown type 'desease'; choose from disease, chemical, gene"),
        (("in.pubtator", "--types", ","), "--types names no type"),
        (("in.pubtator", "--model", "huge"), "unknown model 'huge'"),
        (("gone.pubtator",), "gone.pubtator: there is no such file or folder"),
        (("gone.txt", "gone.pubtator", "-o", "out.pubtator"), "gone.txt: there is no such file"),
        (("in.pubtator", "-o", "out.xlsx"), "out.xlsx: no format has this suffix; choose from pubtator (.pubtator"),
        (("in.pubtator", "-o", "note.txt", "--to", "jsonl"), "note.txt: exists already"),
        (("in.pubtator", "--encoding", "utf-9"), "unknown encoding 'utf-9'; use for instance --encoding latin-1"),
        (("in.pubtator", "--encoding", "base64"), "unknown encoding 'base64'"),
        (("in.pubtator", "--lines", "--from", "text"), "leave out --lines or --from text"),
        (("in.pubtator", "-o", "in.pubtator"), "both input and output"),
        (("in.pubtator", "-o", "in.pubtator/x.jsonl"), "in.pubtator/x.jsonl: cannot be written"),
        (("noise.bin",), "noise.bin: neither the name nor the first bytes fit a format"),
        (("in.pubtator", "--min-score", "2"), "min-score"),
        (("in.pubtator", "--nonsense"), "--nonsense"),
    ],
)
def test_nonsense_is_one_clear_message_and_status_2(biomark: Biomark, arguments: tuple[str, ...], told: str) -> None:
    Path("noise.bin").write_bytes(bytes(range(256)))
    before = sorted(Path().iterdir())
    done = biomark("annotate", *arguments)
    assert told in " ".join(done.err.split())
    assert done.status == 2
    assert done.out == ""
    assert "Traceback" not in done.err
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize("command", ["annotate", "convert"])
@pytest.mark.parametrize(
    ("content", "status"), [(b"", 1), (b"\n\n", 1), (bytes(range(256)) * 40, 1), (b"\xff\xfe1\0|\0t\0", 1)]
)
def test_files_without_sense_are_rejected_by_name(biomark: Biomark, command: str, content: bytes, status: int) -> None:
    Path("odd.pubtator").write_bytes(content)
    output = ("-o", "out.pubtator") if command == "annotate" else ("out.pubtator",)
    done = biomark(command, "odd.pubtator", *output)
    assert done.status == status
    assert "odd.pubtator" in done.err
    assert "Traceback" not in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(biomark: Biomark) -> None:
    Path("in.pubtator").chmod(0)
    done = biomark("annotate", "in.pubtator")
    assert (done.status, "in.pubtator: cannot be read" in done.err) == (2, True)


def test_a_compressed_file_that_is_none(biomark: Biomark) -> None:
    Path("noise.pubtator.gz").write_bytes(bytes(range(256)))
    done = biomark("annotate", "noise.pubtator.gz")
    assert (done.status, done.out) == (1, "")
    assert "rejected: noise.pubtator.gz:1: the compressed file breaks off" in done.err


def test_a_folder_without_text_holds_no_document(biomark: Biomark) -> None:
    Path("empty").mkdir()
    done = biomark("annotate", "empty", "--to", "jsonl")
    assert (done.status, done.out) == (1, "")
    assert "empty: the file holds no document" in done.err


def test_convert_between_streams(biomark: Biomark) -> None:
    done = biomark("convert", "-", "-", "--from", "pubtator", "--to", "terminal", stdin=ANNOTATED.encode())
    assert "[Asthma|disease] and [aspirin|chemical]" in done.out
    done = biomark("convert", "-", "-", "--to", "terminal", stdin=b"")
    assert (done.status, "--from" in done.err) == (2, True)


def test_convert_a_split_of_the_catalogue(biomark: Biomark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIOMARK_CORPORA", "corpora")
    (file,) = corpus_named("bc5cdr_disease").splits["devel"].files
    path = Path("corpora", file)
    path.parent.mkdir(parents=True)
    path.write_text(ANNOTATED.replace("\tdisease", "\tDisease"))  # as the corpus spells it
    done = biomark("convert", "bc5cdr_disease:devel", "-", "--to", "terminal")
    assert "[Asthma|disease]" in done.out  # by biomark's names, and without types that the corpus does not annotate
    assert "aspirin|" not in done.out
    assert "name a split of bc5cdr_disease" in biomark("convert", "bc5cdr_disease:tset", "-").err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no disk that is always full")
def test_a_full_disk_is_told() -> None:
    command = [sys.executable, "-m", "biomark", "convert", "in.pubtator", "-", "--to", "jsonl"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode != 0
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_closed_pipe_is_no_error_to_tell_of() -> None:
    Path("big.pubtator").write_text("".join(ABSTRACT.replace("7|", f"{n}|") for n in range(20000)))
    for format in ("pubtator", "terminal", "html"):
        process = real("convert", "big.pubtator", "-", "--to", format)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        process.wait(HANG)
        assert process.stderr.read() == b""
        process.stderr.close()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_leaves_no_half_file(number: signal.Signals, status: int) -> None:
    process = real("convert", "-", "out.pubtator", "--from", "pubtator", stdin=subprocess.PIPE)
    assert process.stdin is not None
    # More than its buffers hold: what it has written shows that it is at work, and it waits for the rest.
    process.stdin.write(b"".join(ABSTRACT.replace("7|", f"{n}|").encode() for n in range(3000)) + b"8|t|more\n")
    process.stdin.flush()
    while not Path("out.pubtator.part").exists():
        assert process.poll() is None
        time.sleep(0.02)
    try:
        assert interrupt(process, number) == status  # before its input is closed: it must not wait for more
    finally:
        process.kill()
        _, error = process.communicate()
    assert error.decode() == "\nInterrupted; nothing is kept\n"
    assert not list(Path().glob("out*"))


NOTES = {"in.xml": "<collection></collection>", "x.docx": "PK", "sub/N.TXT": "zileuton", ".git": "no"}


def test_a_folder_is_read_with_all_formats_and_what_is_not_read_is_named(biomark: Biomark) -> None:
    Path("folder/sub").mkdir(parents=True)
    Path("in.pubtator").rename("folder/in.PubTator")
    for name, content in NOTES.items():
        Path("folder", name).write_text(content)
    done = biomark("annotate", "folder", "-o", "all.jsonl")
    assert done.status == 1
    assert [json.loads(line)["id"] for line in Path("all.jsonl").read_text().splitlines()] == ["7", "sub/N"]
    assert "rejected: folder/x.docx: cannot be read: neither the name nor the first bytes fit a format" in done.err
    assert ".git" not in done.err
    done = biomark("annotate", "folder", "note.txt", "gone.txt", "-o", "each/")
    assert done.status == 1
    assert "gone.txt: there is no such file" in done.err
    written = sorted(str(path.relative_to("each")) for path in Path("each").rglob("*") if path.is_file())
    assert written == ["in.PubTator", "in.xml", "note.jsonl", "sub/N.jsonl"]
    done = biomark("convert", "folder", "converted/", "--to", "jsonl")
    assert done.status == 1
    written = sorted(str(path.relative_to("converted")) for path in Path("converted").rglob("*") if path.is_file())
    assert written == ["in.PubTator.jsonl", "in.xml.jsonl", "sub/N.jsonl"]
    # What was written into the folder that is read is no input
    assert biomark("annotate", "folder", "-o", "folder/out.jsonl").status == 1
    assert biomark("annotate", "folder", "-o", "folder/out.jsonl", "--overwrite").status == 1
    assert len(Path("folder/out.jsonl").read_text().splitlines()) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_of_a_batch_that_may_not_be_read_is_rejected(biomark: Biomark) -> None:
    Path("note.txt").chmod(0)
    for output in ("out.jsonl", "out/"):
        done = biomark("annotate", "in.pubtator", "note.txt", "-o", output)
        assert (done.status, "note.txt: cannot be read" in done.err) == (1, True)
    assert [path.name for path in Path("out").iterdir()] == ["in.pubtator"]


def test_a_file_that_breaks_in_a_batch_is_rejected(biomark: Biomark) -> None:
    Path("other.xml").write_text("<other></other>")
    for output in ("out.jsonl", "out/"):
        done = biomark("annotate", "in.pubtator", "other.xml", "-o", output)
        assert (done.status, "rejected: other.xml: the root element is <other>" in done.err) == (1, True)
    assert [path.name for path in Path("out").iterdir()] == ["in.pubtator"]
    done = biomark("annotate", "other.xml")
    assert (done.status, "biomark: other.xml: the root element" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("data", "arguments", "expected"),
    [
        (b'{"id": "j", "text": "asthma"}\n', (), ["j"]),
        (ABSTRACT.encode(), (), ["7"]),
        (gzip.compress(ABSTRACT.encode(), mtime=0), (), ["7"]),
        (ABSTRACT.encode("utf-16"), (), ["7"]),
        ("Ménière".encode("latin-1"), ("--encoding", "latin-1"), ["standard input"]),
        (b"asthma\n\nzileuton\n", ("--lines",), ["1", "3"]),
        (b"asthma and\nzileuton\n", (), ["standard input"]),
    ],
)
def test_standard_input_is_recognised_as_a_file_is(
    biomark: Biomark, data: bytes, arguments: tuple[str, ...], expected: list[str]
) -> None:
    done = biomark("annotate", "--to", "jsonl", *arguments, stdin=data)
    assert done.status == 0, done.err
    assert [json.loads(line)["id"] for line in done.out.splitlines()] == expected
    if arguments or expected != ["standard input"]:
        done = biomark("convert", "-", "-", "--to", "jsonl", *arguments, stdin=data)
        assert [json.loads(line)["id"] for line in done.out.splitlines()] == (
            [] if "--encoding" in arguments else expected
        )


HOSTILE = "\x1b]0;owned\x07\x1b[2J\u009b31m\u202e"


def test_no_control_character_of_a_file_reaches_a_terminal(biomark: Biomark) -> None:
    gold = f"1|t|Asthma and gout\n1|a|x\n1\t0\t6\tAsthma\tDis{HOSTILE}\n1\t11\t15\tflu{HOSTILE}\tD\n\n"
    other = f"{HOSTILE}|t|Croup\n{HOSTILE}|a|\n{HOSTILE}\t0\t5\tCroup\tD\n\n"
    Path("gold.pubtator").write_text(gold + other)
    Path("predicted.pubtator").write_text(gold)
    Path(f"x{HOSTILE}.jsonl").write_text("[]\n")
    for arguments in (
        ("convert", "gold.pubtator", "out.bioc.xml"),
        ("convert", "gold.pubtator", "-", "--to", "terminal"),
        ("convert", f"x{HOSTILE}.jsonl", "out.jsonl"),
        ("convert", f"{HOSTILE}.jsonl", "out.jsonl"),
        ("evaluate", "gold.pubtator", "predicted.pubtator"),
        ("evaluate", "gold.pubtator", "predicted.pubtator", "--json"),
        ("compare", "gold.pubtator", "predicted.pubtator", "predicted.pubtator"),
        ("annotate", "gold.pubtator", "--types", f"a{HOSTILE}"),
    ):
        done = biomark(*arguments)
        assert done.out + done.err
        assert not set("\x1b\x07\u009b\u202e") & set(done.out + done.err), arguments


def test_documents_on_a_screen_have_no_control_characters(tmp_path: Path) -> None:
    """Files and pipes get them as they are."""
    document = Document("1", f"Croup {HOSTILE}")
    for format in ("pubtator", "jsonl", "text"):
        master, slave = os.openpty()
        with os.fdopen(master, "rb") as screen, os.fdopen(slave, "wb") as stream:
            formats.write([document], stream, format)
            stream.flush()
            shown = os.read(screen.fileno(), 10_000).decode()
        assert "Croup" in shown
        assert not set("\x1b\x07\u009b\u202e") & set(shown)
        pipe = io.BytesIO()
        formats.write([document], pipe, format)
        assert "\u009b" in pipe.getvalue().decode()
