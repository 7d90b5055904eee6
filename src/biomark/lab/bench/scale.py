"""Runs into a folder: documents a second by processes, and memory by the number of documents."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from biomark import formats
from biomark.annotation.settings import LOCAL
from biomark.errors import ModelError, UsageError
from biomark.lab.bench import machine
from biomark.models import GIVEN
from biomark.runtime.machine import cores
from biomark.spans import Document
from biomark.text.sentences import with_sentences

COLLECTIONS = {"PubMed": (36_000_000, 1_300), "PMC": (7_000_000, 40_000)}
"""Collections of articles: how many, and roughly how many characters each has; see docs/scale.md."""

# On Linux, the peak memory of a process is at least that of the process that started it (`getrusage`), and this one may
# be larger than the measured one. A small process therefore starts the measured one.
_LAUNCHER = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
print(os.waitstatus_to_exitcode(status), used.ru_maxrss)
"""


def hours(characters: int, characters_a_second: float) -> int:
    """Return the hours that a number of characters takes."""
    return round(characters / characters_a_second / 3_600)


def scale(
    documents: Sequence[Document],
    *,
    model: str,
    workers: Sequence[int] = (1, 2),
    count: int = 400,
    sizes: Sequence[int] = (10_000, 100_000, 1_000_000),
    engine: str = LOCAL,
) -> dict[str, object]:
    """Measure time and memory of `biomark annotate --run`, from file to file, each time in a separate process.

    Args:
        documents: the documents that are repeated to make the inputs.
        model: finds the mentions where speed is measured.
        workers: the numbers of processes to measure, one after the other.
        count: documents whose mentions are found.
        sizes: numbers of short documents (a sentence each) that are read and written without a model, for the memory
            that depends on their number.
        engine: `ray` for the same runs on Ray beside those without it.

    Returns:
        Documents a second, start-up included, by `workers`, and on Ray if requested; MiB at most, in one process, and
        documents a second without a model, by `sizes`; the hours of one core that each of `COLLECTIONS` takes at the
        measured characters a second and core, without Ray.

    Raises:
        UsageError: if there is no document.
        ModelError: if a run fails.
    """
    if not documents:
        raise UsageError("there is no document; name a file or split that has some")
    split = [with_sentences(document) for document in documents]
    sentences = [sentence.of(document.text) for document in split for sentence in document.sentences] or [""]
    speed: dict[str, float] = {}
    memory: dict[str, int] = {}
    bare: dict[str, float] = {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        formats.write(_repeated([document.text for document in documents], count), folder / "in.jsonl")
        for number in workers:
            for where in dict.fromkeys((LOCAL, engine)):
                seconds, _ = measure(folder, "--model", model, "--workers", str(number), "--engine", where)
                speed[str(number) if where == LOCAL else f"{number} on {where}"] = round(count / seconds, 2)
        for size in sizes:
            formats.write(_repeated(sentences, size), folder / "in.jsonl")
            seconds, memory[str(size)] = measure(folder, "--model", GIVEN)
            bare[str(size)] = round(size / seconds, 1)
    characters = sum(len(document.text) for document in documents) / len(documents)
    # One process uses all cores as well, by threads.
    best = max(speed[str(number)] for number in workers) * characters / cores()
    return {
        "model": model,
        "documents": count,
        "characters a document": round(characters),
        "documents a second by workers": speed,
        "MiB at most by documents": memory,
        "documents a second without a model": bare,
        "hours of one core": {name: hours(number * length, best) for name, (number, length) in COLLECTIONS.items()},
        **machine("onnxruntime"),
    }


def _repeated(texts: Sequence[str], count: int) -> Iterator[Document]:
    return (Document(str(number), text) for number, text in enumerate(islice(cycle(texts), count)))


def measure(folder: Path, *options: str) -> tuple[float, int]:
    """Run `biomark annotate` on the file `in.jsonl` of a folder, in a process of its own.

    Args:
        folder: holds the input, and gets the run folder `out`.
        options: of the command.

    Returns:
        The seconds, and the peak memory of the process in MiB.

    Raises:
        ModelError: if the command fails.
    """
    arguments = ["annotate", str(folder / "in.jsonl"), "--run", str(folder / "out"), "--overwrite", *options]
    begin = time.perf_counter()
    launcher = [sys.executable, "-I", "-c", _LAUNCHER, sys.executable, "-m", "biomark", *arguments]
    launched = subprocess.run(launcher, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    seconds = time.perf_counter() - begin
    status, peak = map(int, launched.stdout.split())
    if status:
        raise ModelError(f"biomark {' '.join(arguments)} ended with status {status}")
    return seconds, peak // (2**20 if sys.platform == "darwin" else 2**10)
