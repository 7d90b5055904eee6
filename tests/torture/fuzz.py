"""Broken files of every format that biomark reads, and careless answers of every shape: `torture.py --only fuzz`.

A trial writes documents with many mentions, changes the bytes, and reads them. Whatever the bytes are,

- only errors of `biomark.errors` are raised, and only by readers;
- a trial ends within `PATIENCE` seconds of processor time;
- each mention lies within its text. Where the file or the answer has the words of a mention as well, the text has these
  words at the mention's offsets.

For the last one, the type of each mention is a name of its words (`files.WORDS`), and such files are changed at few
places far from each other, so that no change makes another valid file of them. Trials depend on the seed and their
number alone.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import shutil
import signal
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from answers import decode_changed
from files import NAMES, WORDS, Files, files_of

from biomark import formats
from biomark.errors import BiomarkError
from biomark.formats.placing import fits
from biomark.shapes import SHAPES
from biomark.spans import Document, Rejected

_ANSWERS = 5  # of a trial; they have fewer mentions than files
PATIENCE = 60.0  # seconds of processor time
_SIGNS: tuple[bytes, ...] = (
    *(sign.encode() for sign in ("\0", "\t", "\n", "\r\n", "\u2028", "\ufeff", *'|"\\{}[],:<>&')),
    *(b"&amp;", b"]]>", b"\\ud800", b"null", b"1e999", b"-0", b"NaN", b"\xff", b"\xed\xa0\x80", b"\x1f\x8b"),
)
_NUMBERS = (
    b"0",
    b"-1",
    b"1",
    b"007",
    b"99999999999999999999",
    b"9" * 5000,
    b"1.0",
    b"1e2",
    "１".encode(),
    b"true",
    b'""',
)


# The formats whose files have the words of each mention beside its offsets
_WITH_WORDS = frozenset(("pubtator", "bioc_xml", "bioc_json", "jsonl", "json", "brat", "i2b2", "langextract", "bern2"))


@dataclass(slots=True)
class Tally:
    """What was tried, and the faults: for each, the trial's name and what went wrong."""

    mentions: int = 0
    documents: int = 0
    rejects: int = 0
    refused: int = 0
    verified: int = 0
    trials: Counter[str] = field(default_factory=Counter)
    in_answers: int = 0
    slowest: float = 0.0
    faults: list[str] = field(default_factory=list)


class HangError(Exception):
    """A trial did not end."""


def changed_little(data: bytes, rng: random.Random) -> bytes:
    """Two changes of a character or a number, in the middle of each half of the data."""
    half = len(data) // 2
    return b"".join(_changed_once(part, rng) for part in (data[:half], data[half:]))


def _changed_once(data: bytes, rng: random.Random) -> bytes:
    if len(data) < 8:
        return data
    at = rng.randrange(len(data) // 4, len(data) * 3 // 4)
    if rng.random() < 0.5 and (number := re.compile(rb"\d{1,9}").search(data, at)):
        value = int(number[0])
        other = rng.choice(
            (*_NUMBERS, *(str(max(0, value + by)).encode() for by in (-1000, -7, -2, -1, 1, 2, 7, 1000)))
        )
        return data[: number.start()] + other + data[number.end() :]
    sign = rng.choice((*_SIGNS, bytes([rng.randrange(256)])))
    return data[:at] + rng.choice((sign, b"")) + data[at + rng.randrange(2) :]


def changed_much(data: bytes, rng: random.Random) -> bytes:
    """Up to eight changes: pieces cut out, repeated, exchanged, replaced; the end cut off."""
    for _ in range(rng.randrange(1, 9)):
        if data:
            data = rng.choice(_CHANGES)(data, rng)
    return data


def _cut_out(data: bytes, rng: random.Random) -> bytes:
    at, size = rng.randrange(len(data)), rng.choice((1, 10, 100, len(data) // 4))
    return data[:at] + data[at + size :]


def _repeated(data: bytes, rng: random.Random) -> bytes:
    at, to, size = rng.randrange(len(data)), rng.randrange(len(data)), rng.choice((1, 10, 100, 4096))
    return data[:to] + data[at : at + size] + data[to:]


def _lines_exchanged(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def _ended(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) // 2, len(data))]


def _replaced(data: bytes, rng: random.Random) -> bytes:
    return data.replace(rng.choice(_SIGNS), rng.choice(_SIGNS), rng.randrange(1, 20))


_CHANGES = (_cut_out, _repeated, _lines_exchanged, _ended, _replaced, _changed_once, _changed_once)


def repacked(data: bytes, rng: random.Random) -> bytes:
    """The same text compressed or in another encoding, perhaps cut off or changed there."""
    kind = rng.randrange(3)
    if kind == 0:
        return changed_little(gzip.compress(data, 1, mtime=0), rng)
    text = data.decode("utf-8", "replace").encode("utf-16" if kind == 1 else "utf-8-sig")
    return changed_little(text, rng)


class _Checker:
    """Checks what is read, and counts it."""

    def __init__(self, tally: Tally, *, strict: bool) -> None:
        self.tally = tally
        self.strict = strict

    def reject(self, rejected: Rejected) -> None:
        str(rejected)
        self.tally.rejects += 1

    def document(self, document: Document) -> None:
        """Raises AssertionError if a mention is not where it should be."""
        self.tally.documents += 1
        text = document.text
        for entity in (*document.entities, *document.alternatives):
            self.tally.mentions += 1
            for span in entity.spans:
                if not 0 <= span.start < span.end <= len(text):
                    raise AssertionError(f"{span} of {len(text)}")
            words = WORDS.get(entity.type) if self.strict else None
            if words is not None:
                self.tally.verified += 1
                if (mention := entity.mention(text)) != words and not fits(mention, words):
                    raise AssertionError(f"document {document.id}: {entity.spans}: {mention!r} is not {words!r}")

    def again(self, documents: Sequence[Document], name: str) -> None:
        """Check that documents can be written, and are the same in biomark's own format."""
        for document in documents:
            values = json.loads(json.dumps(document.to_dict()))
            if Document.from_dict(values) != document:
                raise AssertionError(f"document {document.id} is another one after it was written")
            for entity, written in zip(document.entities, values["entities"], strict=True):
                if written["text"] != " ".join(document.text[a:b] for a, b in written["spans"]) or not entity.spans:
                    raise AssertionError(f"document {document.id}: {written} has other words than its text")
        formats.write(documents, io.BytesIO(), name, reject=self.reject)


def read_changed(name: str, rng: random.Random, checker: _Checker, *, small: bool = False) -> None:
    """One trial of a reader: files of its format, changed."""
    files = files_of(name, rng.randrange(8), small=small)
    change = changed_little if checker.strict else rng.choice((changed_little, changed_much, changed_much, repacked))
    chosen = rng.choice(tuple(files))
    files = {**files, chosen: change(files[chosen], rng)}
    documents = []
    source = _source(files, name)
    try:
        for document in formats.read(
            source, name if rng.random() < 0.8 or name == "marked" else None, reject=checker.reject
        ):
            checker.document(document)
            documents.append(document)
    except BiomarkError as error:
        str(error)
        checker.tally.refused += 1
    if rng.random() < 0.1:
        writers = [f.name for f in formats.FORMATS.values() if f.write is not None and f.name not in NAMES]
        checker.again(documents, rng.choice(writers))


def _source(files: Files, name: str) -> io.BytesIO | Path:
    if list(files) == ["x"]:
        return io.BytesIO(files["x"])
    place = Path("changed")
    shutil.rmtree(place, ignore_errors=True)
    for file, data in files.items():
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).write_bytes(data)
    return place / NAMES[name]


READERS = tuple(known.name for known in formats.FORMATS.values() if known.read is not None)
KINDS = (*READERS, *(f"shape {shape}" for shape in SHAPES))


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """End a block that takes too much processor time, however busy the machine is."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise HangError(f"not done after {seconds} seconds of processor time")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def trial(seed: int, number: int, tally: Tally, *, small: bool = False) -> None:
    """Do a trial; a fault is added to the tally with all that is needed to do it again."""
    rng = random.Random(f"{seed} {number}")
    name = KINDS[number % len(KINDS)]
    begun, before = time.process_time(), tally.mentions
    try:
        with limited(PATIENCE):
            if name.startswith("shape "):
                for _ in range(_ANSWERS):
                    decode_changed(name.removeprefix("shape "), rng, tally)
            else:
                read_changed(name, rng, _Checker(tally, strict=name in _WITH_WORDS and rng.random() < 0.5), small=small)
    except Exception:
        tally.faults.append(f"--seed {seed} --trial {number} ({name}): {traceback.format_exc(limit=-6)}")
    tally.slowest = max(tally.slowest, time.process_time() - begun)
    tally.trials[name] += 1
    tally.in_answers += tally.mentions - before if name.startswith("shape ") else 0


def fuzz(seed: int, mentions: int) -> Tally:
    """Do trials until so many mentions were checked, or twenty faults found."""
    tally, number = Tally(), 0
    while tally.mentions < mentions and len(tally.faults) < 20:
        trial(seed, number, tally)
        number += 1
    return tally
