"""Coverage-guided fuzzing of every reader and of the aligner, with atheris: `torture.py --only atheris --seconds 60`.

libFuzzer keeps the inputs that reach new code, and changes them further; what must hold is in `fuzz.py`. libFuzzer ends
its process, so that each target has one of its own, which is forked from one that has imported biomark:

    python tests/torture/guided.py pubtator aligner --seconds 60
    python tests/torture/guided.py pubtator --again BASE64    # an input that was a fault
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import random
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent.parent)]

ALIGNER = "aligner"
_LARGEST = 4096  # bytes of an input
_MEMORY = 2048  # MiB
_HANGS = 120  # seconds of an input
_TAIL = 3_000  # characters of a report
_BETWEEN = b"\0"  # separates the source from the answer in inputs of the aligner
_RUNS = re.compile(r"^Done (\d+) runs", re.MULTILINE)
_COVERAGE = re.compile(r"\bcov: (\d+)")
_INPUT = re.compile(r"^Base64: (\S*)$", re.MULTILINE)


def guided(names: Sequence[str], seconds: int, seed: int) -> dict[str, object]:
    """Fuzz targets, each for some seconds, in a process that instruments biomark.

    Returns:
        Whether there is no fault (`ok`), the targets with `faults`, the `runs` of all, and for each of the `targets`
        its `runs`, the covered places (`coverage`), and the fault if there is one.
    """
    command = [sys.executable, str(Path(__file__).absolute()), *names, "--seconds", str(seconds), "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr.decode("utf-8", "replace")[-_TAIL:])
        done.check_returncode()
    rows: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    faults = [name for name, row in rows.items() if "fault" in row]
    return {"ok": not faults, "faults": faults, "runs": sum(row["runs"] for row in rows.values()), "targets": rows}


def _row(status: int, report: str) -> dict[str, Any]:
    """Return the facts in a report of libFuzzer."""
    runs, coverage, data = _RUNS.findall(report), _COVERAGE.findall(report), _INPUT.findall(report)
    row: dict[str, Any] = {"runs": int(runs[-1]) if runs else 0, "coverage": int(coverage[-1]) if coverage else 0}
    if status or not runs:
        row |= {"status": status, "again": data[-1] if data else "", "fault": report[-_TAIL:]}
    return row


def _reader(name: str) -> Callable[[bytes], None]:
    """A function that reads an input in a format, and raises an error if something is wrong."""
    import fuzz
    from files import files_of

    from biomark import formats
    from biomark.errors import BiomarkError

    valid = files_of(name, 1, small=True)

    def read(data: bytes) -> None:
        checker = fuzz._Checker(fuzz.Tally(), strict=False)
        if name == "archive":
            files = {"x.tar.gz": _archived(data)}
        elif len(valid) == 1:
            files = dict.fromkeys(valid, data)
        else:
            files = {**valid, tuple(valid)[data[0] % len(valid)] if data else next(iter(valid)): data[1:]}
        documents = []
        try:
            for document in formats.read(fuzz._source(files, name), name, reject=checker.reject):
                checker.document(document)
                documents.append(document)
        except BiomarkError as error:
            str(error)
        checker.again(documents, "jsonl")

    return read


def _archived(data: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name in ("a.jsonl", "b.pubtator"):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def _align(data: bytes) -> None:
    """Read an answer in the shape that the first byte names; then come the source, and the answer."""
    from answers import TYPES, _check

    from biomark.shapes import SHAPES
    from biomark.spans import Document

    shape = tuple(SHAPES.values())[data[0] % len(SHAPES) if data else 0]
    source, _, written = data[1:].partition(_BETWEEN)
    text, answer = source.decode("utf-8", "ignore"), written.decode("utf-8", "surrogateescape")
    types = TYPES[:1] if shape.single else TYPES
    decoded = shape.decode(answer, text, types)
    _check(Document("1", text), decoded.entities, types)
    for rejected in decoded.rejected:
        str(rejected)


def _target(name: str) -> Callable[[bytes], None]:
    return _align if name == ALIGNER else _reader(name)


def _seeds(name: str) -> Iterator[bytes]:
    """Valid inputs, from which the fuzzer starts."""
    from answers import TYPES
    from files import corpus, files_of

    from biomark.shapes import SHAPES
    from biomark.spans import Entity

    if name == ALIGNER:
        for number, shape in enumerate(SHAPES.values()):
            types = TYPES[:1] if shape.single else TYPES
            for document in corpus(random.Random(number), 3, 4):
                entities = tuple(Entity(e.spans, types[len(e.type) % len(types)]) for e in document.entities)
                answer = shape.encode(document.text, entities, types).text
                yield bytes([number]) + document.text.encode() + _BETWEEN + answer.encode()
        return
    for variant in range(4):
        files = files_of("jsonl" if name == "archive" else name, variant, small=True)
        for number, data in enumerate(files.values()):
            yield data if len(files) == 1 else bytes([number]) + data


def _fuzz(names: Sequence[str], seconds: int, seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Fuzz targets one after the other, each in a process of its own; yield what came of each."""
    import atheris

    with atheris.instrument_imports(include=["biomark"]):
        targets = {name: _target(name) for name in names}
        for target in targets.values():
            target(b"")  # imports what the target imports late
    for name, target in targets.items():
        place, report = Path(f"inputs-{name}"), Path(f"report-{name}")
        place.mkdir()
        for number, data in enumerate(_seeds(name)):
            (place / str(number)).write_bytes(data[:_LARGEST])
        limits = (
            f"-max_total_time={seconds}",
            f"-max_len={_LARGEST}",
            f"-timeout={_HANGS}",
            f"-rss_limit_mb={_MEMORY}",
        )
        if (child := os.fork()) == 0:
            written = os.open(report, os.O_CREAT | os.O_WRONLY)
            os.dup2(written, 1)
            os.dup2(written, 2)
            atheris.Setup([sys.argv[0], *limits, f"-seed={seed + 1}", str(place)], target)
            atheris.Fuzz()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        yield name, _row(status, report.read_text("utf-8", "replace"))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", metavar="BASE64")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        if options.again is None:
            rows = dict(_fuzz(options.names, options.seconds, options.seed))
            sys.stdout.write(json.dumps(rows) + "\n")
        else:
            _target(options.names[0])(base64.b64decode(options.again))
        os.chdir("/")


if __name__ == "__main__":
    main()
