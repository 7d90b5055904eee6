"""Runs into a folder: documents a second by processes, and memory by the number of documents."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from biomark import formats
from biomark.errors import ModelError, UsageError
from biomark.lab.bench import machine
from biomark.models import GIVEN
from biomark.spans import Document
from biomark.text.sentences import with_sentences


def scale(
    documents: Sequence[Document],
    *,
    model: str,
    workers: Sequence[int] = (1, 2),
    count: int = 400,
    sizes: Sequence[int] = (10_000, 100_000),
) -> dict[str, object]:
    """Measure time and memory of `biomark annotate --run`, from file to file, each time in a separate process.

    Args:
        documents: what the inputs are made of, by repetition.
        model: finds the mentions where speed is measured.
        workers: how many processes, one after the other.
        count: documents whose mentions are found.
        sizes: numbers of short documents (a sentence each) that are read and written without a model, for the memory
            that depends on their number.

    Returns:
        Documents a second, start-up included, by `workers`; MiB at most, in one process, by `sizes`.

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
    with TemporaryDirectory() as name:
        folder = Path(name)
        formats.write(_repeated([document.text for document in documents], count), folder / "in.jsonl")
        for number in workers:
            seconds, _ = _run(folder, "--model", model, "--workers", str(number))
            speed[str(number)] = round(count / seconds, 2)
        for size in sizes:
            formats.write(_repeated(sentences, size), folder / "in.jsonl")
            _, memory[str(size)] = _run(folder, "--model", GIVEN)
    return {
        "model": model,
        "documents": count,
        "characters a document": round(sum(len(d.text) for d in documents) / len(documents)),
        "documents a second by workers": speed,
        "MiB at most by documents": memory,
        **machine("onnxruntime"),
    }


def _repeated(texts: Sequence[str], count: int) -> Iterator[Document]:
    return (Document(str(number), text) for number, text in enumerate(islice(cycle(texts), count)))


def _run(folder: Path, *options: str) -> tuple[float, int]:
    """Annotate the input into a folder; return the seconds, and the peak memory of the process in MiB."""
    arguments = ["annotate", str(folder / "in.jsonl"), "--run", str(folder / "out"), "--overwrite", *options]
    begin = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "biomark", *arguments], stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise ModelError(f"biomark {' '.join(arguments)} ended with status {process.returncode}")
    kib = used.ru_maxrss // 1024 if sys.platform == "darwin" else used.ru_maxrss
    return time.perf_counter() - begin, kib // 1024
