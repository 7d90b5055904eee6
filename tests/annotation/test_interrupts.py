"""What is kept of runs that are interrupted or killed, and what other runs may do with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from biomark import formats, models
from biomark.annotation.journal import Journal
from biomark.runtime import interrupts
from biomark.runtime.interrupts import Interrupted, uninterrupted
from biomark.spans import Document
from conftest import ROOT, Outcome, TermRecognizer
from killing import interrupt, points

Biomark = Callable[..., Outcome]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the system has other signals")
PROGRAM = [sys.executable, "-W", "error", str(ROOT / "tests" / "waiting.py")]
NAMES = ("asthma", "Aspirin", "zileuton", "TNF-α", "ALOX5")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recognizer: TermRecognizer) -> Path:
    monkeypatch.setattr(models, "load", lambda *how: recognizer)
    monkeypatch.chdir(tmp_path)
    Path("in.pubtator").write_text("".join(f"{n}|t|{name} here\n{n}|a|\n\n" for n, name in enumerate(NAMES)))
    Path("notes").mkdir()
    for name in NAMES:
        Path("notes", f"{name}.txt").write_text(f"{name} here")
    return tmp_path


@contextmanager
def waiting(documents: int, *arguments: str, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """A run that has found the mentions of some documents and waits; it is killed in the end."""
    command = [*PROGRAM, str(documents), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload]
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line == b"waiting\n", process.communicate()
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(documents: int, number: int, *arguments: str) -> tuple[int, str]:
    """The exit status and standard error of such a run, which a signal ends."""
    with waiting(documents, *arguments) as process:
        process.send_signal(number)
        _, error = process.communicate()
    return process.returncode, error.decode()


def ids(path: str | Path) -> list[str]:
    return [document.id for document in formats.read(Path(path), "jsonl")]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("out.pubtator", signal.SIGINT),
        ("out.jsonl", signal.SIGTERM),
        ("out.html", signal.SIGKILL),
        ("out.bioc.xml.gz", signal.SIGKILL),
        ("out.in", signal.SIGTERM),
        ("brat_out", signal.SIGKILL),
    ],
)
def test_what_is_finished_is_kept_and_the_same_command_goes_on(
    biomark: Biomark, name: str, number: signal.Signals
) -> None:
    command = ("annotate", "in.pubtator", "-o", name, *(("--to", "brat") if name == "brat_out" else ()))
    status, error = ended(3, number, *command)
    if number == signal.SIGKILL:
        assert status == -number
    else:
        assert status == 128 + number
        assert (
            f"Interrupted; finished documents are kept in {name}.part; run the same command again to continue" in error
        )
        assert "Traceback" not in error
    assert {path.name for path in Path().iterdir()} == {"in.pubtator", "notes", f"{name}.part", f"{name}.part.json"}
    assert ids(f"{name}.part") == ["0", "1", "2"]
    with Path(f"{name}.part").open("a") as file:
        file.write('{"id": "3", "text": "half a li')
    done = biomark(*command)
    assert done.status == 0, done.err
    assert f"{name}: 3 documents are finished by an earlier run; this run continues it" in done.err
    assert not list(Path().glob("*.part*"))
    assert biomark("annotate", "in.pubtator", "-o", f"whole/{name}", *command[4:]).status == 0
    for path in Path("whole").rglob("*"):
        if path.is_file() and path.suffix != ".gz":
            assert path.read_bytes() == Path(path.relative_to("whole")).read_bytes()
    if not name.endswith(".html"):
        whole, again = (list(formats.read(Path(parent, name))) for parent in ("whole", "."))
        assert whole == again
        assert len(again) == 5


def test_a_run_that_has_finished_nothing_leaves_nothing() -> None:
    status, error = ended(0, signal.SIGINT, "annotate", "in.pubtator", "-o", "out.pubtator")
    assert status == 130
    assert "Interrupted; no document was finished, so nothing is kept" in error
    assert not list(Path().glob("out*"))


def test_an_interrupt_while_standard_input_is_awaited() -> None:
    command = [*PROGRAM, "9", "annotate", "--from", "jsonl", "-o", "out.jsonl"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(b'{"id": "a", "text": "asthma"}\n')
    process.stdin.flush()
    while not Path("out.jsonl.part").exists() or not Path("out.jsonl.part").stat().st_size:
        assert process.poll() is None
    assert interrupt(process, signal.SIGTERM) == 143  # although its input is still open
    assert b"kept in out.jsonl.part" in process.communicate()[1]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--types", "disease"), "--types: not set  →  now disease"),
        (("--min-score", "0.2"), "--min-score: not set  →  now 0.2"),
        (("--to", "jsonl"), "output format: pubtator  →  now jsonl"),
        (("notes/asthma.txt",), "inputs: in.pubtator  →  now in.pubtator, notes/asthma.txt"),
    ],
)
def test_another_run_is_refused_with_what_differs(biomark: Biomark, more: tuple[str, ...], told: str) -> None:
    command = ("annotate", "in.pubtator", "-o", "out.pubtator")
    ended(3, signal.SIGTERM, *command)
    kept = Path("out.pubtator.part").read_bytes()
    done = biomark(*command, *more)
    assert done.status == 2
    assert told in done.err
    assert "discard it (--overwrite)" in done.err
    assert "in.pubtator" in done.err or "output" in done.err
    assert Path("out.pubtator.part").read_bytes() == kept
    assert biomark(*command, *more, "--overwrite").status == 0
    assert not list(Path().glob("*.part*"))


def test_inputs_or_a_model_that_changed_are_another_run(biomark: Biomark, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("annotate", "in.pubtator", "-o", "out.pubtator")
    ended(3, signal.SIGTERM, *command)
    with monkeypatch.context() as patch:
        patch.setattr(models, "checksum", lambda name: "another")
        done = biomark(*command)
    assert (done.status, "→  now default, checksum another" in done.err) == (2, True)
    with Path("in.pubtator").open("a") as file:
        file.write("9|t|more\n9|a|\n\n")
    done = biomark(*command)
    assert (done.status, "input files: 1 of " in done.err) == (2, True)
    assert biomark("convert", "in.pubtator", "out.pubtator").status == 2  # which would throw it away
    assert ids("out.pubtator.part") == ["0", "1", "2"]


def test_other_texts_from_standard_input_are_another_run(biomark: Biomark) -> None:
    command = ("annotate", "--lines", "-o", "out.jsonl")
    with Path("a").open("w") as file:
        file.write("asthma\nzileuton\nALOX5\n")
    with Path("a").open("rb") as file, waiting(2, *command, stdin=file) as process:
        process.send_signal(signal.SIGTERM)
        process.communicate()
    done = biomark(*command, stdin=b"asthma\nother\nALOX5\n")
    assert done.status == 2
    assert "out.jsonl.part: has document '2' where the inputs now have '2' or another text" in done.err
    assert biomark(*command, stdin=b"asthma\nzileuton\nALOX5\n").status == 0
    assert [d.text for d in formats.read(Path("out.jsonl"))] == ["asthma", "zileuton", "ALOX5"]


def test_what_was_rejected_before_still_counts(biomark: Biomark) -> None:
    text = Path("in.pubtator").read_text().replace("Aspirin here", "BROKEN")
    Path("in.pubtator").write_text(text)
    command = ("annotate", "in.pubtator", "-o", "out.pubtator")
    _, error = ended(3, signal.SIGINT, *command)
    assert "rejected: document 1: the text is broken" in error
    done = biomark(*command)
    assert done.status == 1
    assert "out.pubtator: the earlier run reported 1 rejects in its documents" in done.err


def test_two_runs_to_one_output_do_not_share_what_they_finish(biomark: Biomark) -> None:
    command = ("annotate", "in.pubtator", "-o", "out.pubtator")
    with waiting(3, *command):
        kept = Path("out.pubtator.part").read_bytes()
        for other in (command, ("annotate", "notes", "-o", "out.pubtator", "--overwrite")):
            done = biomark(*other)
            assert done.status == 2
            assert "out.pubtator.part: another run is writing this file" in done.err
        assert biomark("convert", "in.pubtator", "out.pubtator").status == 2
        assert Path("out.pubtator.part").read_bytes() == kept
    assert biomark(*command).status == 0
    assert len(list(formats.read(Path("out.pubtator")))) == 5


def test_a_part_that_is_a_link_is_not_followed(biomark: Biomark) -> None:
    Path("mine").write_text("mine")
    for link in ("out.jsonl.part", "out.jsonl.part.json"):
        Path(link).symlink_to("mine")
        done = biomark("annotate", "in.pubtator", "-o", "out.jsonl", "--overwrite")
        assert Path("mine").read_text() == "mine"
        assert (done.status, "out.jsonl.part: is a link" in done.err) in ((2, True), (0, False))
        Path(link).unlink(missing_ok=True)
    assert biomark("annotate", "in.pubtator", "-o", "out.jsonl", "--overwrite").status == 0


def test_a_batch_goes_on_where_it_was(biomark: Biomark) -> None:
    command = ("annotate", "notes", "gone.txt", "-o", "out/")
    status, error = ended(0, signal.SIGTERM, *command)
    assert status == 143
    assert "gone.txt: there is no such file" in error
    first = sorted(path.stem for path in Path("notes").iterdir())[0]
    assert biomark("annotate", f"notes/{first}.txt", "-o", f"out/{first}.jsonl").status == 0
    done = biomark(*command)
    assert (done.status, f"out/{first}.jsonl: exists already" in done.err) == (2, True)
    Path(f"out/{first}.jsonl").unlink()
    # It stops within the third file
    broken = Path("notes/zzz.txt")
    broken.write_text("a last one")
    program = Path(PROGRAM[-1]).read_text().replace("number == WAIT_AFTER", "'zileuton' in found.document.text")
    Path("third.py").write_text(program)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "tests"), *sys.path))}
    run = [sys.executable, "third.py", "0", *command]
    process = subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == b"waiting\n"
    process.send_signal(signal.SIGINT)
    process.communicate()
    whole = {path.name: path.stat().st_mtime_ns for path in Path("out").glob("*.jsonl")}
    assert len(whole) == 4  # all but zileuton and zzz
    corrected = Path("out", next(iter(whole)))
    corrected.write_text(json.dumps({"id": "x", "text": "corrected"}) + "\n")
    done = biomark(*command)
    assert done.status == 1  # gone.txt
    assert "an earlier run finished 4 of 6 outputs; this run continues it" in done.err
    assert {path.name for path in Path("out").iterdir()} == {f"{name}.jsonl" for name in (*NAMES, "zzz")}
    assert ids(corrected) == ["x"]
    assert biomark(*command).status == 2


def test_a_killed_brat_run_reads_back_whole_or_not_at_all() -> None:
    command = [*PROGRAM, "9", "convert", "-", "out", "--to", "brat", "--from", "jsonl"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        entity = {"spans": [[0, 6]], "type": "Disease"}
        for name in "ab":
            process.stdin.write(json.dumps({"id": name, "text": "asthma", "entities": [entity]}).encode() + b"\n")
        process.stdin.flush()
        while not Path("out/a.txt").exists():
            assert process.poll() is None
        process.kill()
    found = list(formats.read(Path("out"), reject=lambda rejected: None))
    assert found
    assert all(document.entities for document in found)


def test_a_signal_waits_for_the_end_of_what_must_not_be_cut(capfd: pytest.CaptureFixture[str]) -> None:
    reached = []

    def interrupted() -> None:
        with uninterrupted():
            with uninterrupted():
                signal.raise_signal(signal.SIGTERM)
                reached.append("inner")
            reached.append("outer")
        reached.append("beyond")

    with interrupts.handled(), pytest.raises(Interrupted) as caught:
        interrupted()
    assert reached == ["inner", "outer"]
    assert caught.value.status == 143
    assert capfd.readouterr().err == "\nInterrupted\n"


def test_a_document_that_is_being_written_when_a_signal_arrives_is_kept(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write = formats.write

    def interrupted(*arguments: object) -> object:
        found = write(*arguments)  # type: ignore[arg-type]
        signal.raise_signal(signal.SIGTERM)
        return found

    monkeypatch.setattr(formats, "write", interrupted)
    with interrupts.handled(), pytest.raises(Interrupted), Journal(Path("out.jsonl"), {}) as journal:
        journal.add(Document("a", "asthma"), ())
    assert "; finished documents are kept in out.jsonl.part; run the same command again" in capfd.readouterr().err
    assert ids("out.jsonl.part") == ["a"]


def test_a_signal_after_the_last_document_is_reported_with_a_complete_output(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def run() -> None:
        with interrupts.handled(), Journal(Path("out.jsonl"), {}) as journal:
            journal.add(Document("a", "asthma"), ())
            journal.finish("jsonl")
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted):
        run()
    assert capfd.readouterr().err == "\nInterrupted; out.jsonl is complete\n"
    assert [path.name for path in Path().glob("out*")] == ["out.jsonl"]


def test_a_signal_that_was_swallowed_is_raised_again() -> None:
    with interrupts.handled():
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGTERM)  # Ctrl-C is ignored where the tests run in the background of a shell
        signal.raise_signal(signal.SIGTERM)  # the same wish, which a wrapper sent twice
        with pytest.raises(Interrupted):
            interrupts.check()
    interrupts.check()


def test_signals_that_are_ignored_stay_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts.handled():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("out.jsonl", 17),
        ("out.jsonl.gz", 19),
        ("out.pubtator", 23),
        pytest.param("often.jsonl", 5, marks=pytest.mark.slow),
        pytest.param("often.pubtator", 7, marks=pytest.mark.slow),
    ],
)
def test_a_file_whose_run_is_killed_anywhere_is_whole_in_the_end_and_alone(
    biomark: Biomark, name: str, step: int
) -> None:
    def annotate(output: str) -> Outcome:
        return biomark("annotate", "in.pubtator", "-o", output)

    assert annotate(f"whole{name}").status == 0
    wanted = Path(f"whole{name}").read_bytes()
    for at in points(lambda: annotate(name), step):
        # A run that was killed after its last step has left nothing to do, so that its output is a file like any other.
        whole = Path(name).exists() and not list(Path().glob(f"{name}.*"))
        again = annotate(name)
        assert again.status == (2 if whole else 0), (at, again.err)
        assert Path(name).read_bytes() == wanted, at
        assert not list(Path().glob(f"{name}.*")), at
        Path(name).unlink()
