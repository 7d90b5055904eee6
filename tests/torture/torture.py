"""What a long run must survive, done to it: kills at random points, full disks, broken files, bombs, dead workers.

    python tests/torture/torture.py [--only kills --kills 1000] [--only fuzz --mentions 1e7] [--seed 0]
    python tests/torture/torture.py --only atheris --seconds 60 [--target pubtator]

Mentions are found by a list of terms, since what is tried is all around the model. Prints a line for each trial, and
one JSON object at the end; the exit status is 1 if a trial failed.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import io
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stderr
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path

import typer.main

sys.path.insert(0, str(Path(__file__).parent.parent))

import fuzz as fuzzing
import guided

from biomark import formats, models
from biomark.annotation import plan
from biomark.annotation.jobs import inputs_named
from biomark.annotation.processes import Processes
from biomark.annotation.runs import Manifest, Plan, run_into_folder
from biomark.annotation.workers import ParallelRecognizer
from biomark.cli import main
from biomark.errors import BiomarkError
from biomark.recognizers import Annotated
from biomark.spans import Document
from killing import content, killed, killed_after
from terms import TermRecognizer

FORMATS = ("jsonl", "pubtator", "bioc_xml", "bioc_json", "conll", "parquet")
PIECES = ("asthma", "aspirin", "TNF-α", "İ", "😀", "e\u0301", "zileuton\n", "BROKEN ", "of", "x" * 50, "\u2028")
DAY = 86_400  # seconds
MEMORY = 800  # MiB that no broken file may take
# What a process has written stays when it is killed, on any file system; here nothing waits for a disk.
MEMORY_DISK = Path("/dev/shm")
Trial = Callable[[argparse.Namespace], dict[str, object]]


def corpus(count: int, rng: random.Random) -> list[Document]:
    return [
        Document(f"d{n}", " ".join(rng.choices(PIECES, weights=[9, 9, 9, 3, 3, 3, 3, 1, 9, 1, 1], k=rng.randrange(20))))
        for n in range(count)
    ]


def inputs(count: int, rng: random.Random) -> list[str]:
    """Files of several formats in this folder, with duplicate ids and a line that is broken."""
    documents = corpus(count, rng)
    formats.write(documents[: count // 3], "1.jsonl")
    with Path("1.jsonl").open("a") as file:
        file.write('{"id": "cut", "te\n')
    formats.write(documents[count // 3 - 2 : 2 * count // 3], "2.pubtator.gz", "pubtator")
    formats.write(documents[2 * count // 3 :], "3.bioc.json")
    article = "<PubmedArticle><PMID>{}</PMID><ArticleTitle>asthma {}</ArticleTitle></PubmedArticle>"
    for name, numbers in (("4", range(5)), ("5", range(3, 8))):
        articles = "".join(article.format(n, name) for n in numbers)
        text = f"<PubmedArticleSet>{articles}<DeleteCitation><PMID>1</PMID></DeleteCitation></PubmedArticleSet>"
        Path(f"{name}.xml.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    return ["1.jsonl", "2.pubtator.gz", "3.bioc.json", "4.xml.gz", "5.xml.gz"]


def into_folder(folder: str, names: Sequence[str], to: str, size: int = 7) -> Manifest:
    (job,) = plan(inputs_named(names), None, from_=None, to=to, screen=False, reject=lambda rejected: None)
    return run_into_folder(Plan(Path(folder), job, size=size), TermRecognizer())


def without_lock(folder: str) -> dict[str, bytes]:
    return {name: data for name, data in content(Path(folder)).items() if name != "run.lock"}


def remove(name: str) -> None:
    """Remove a run's folder, or its file with what lies beside it."""
    for path in (Path(name), *Path().glob(f"{name}.*")):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def command(*arguments: str) -> Callable[[], None]:
    """What `biomark ARGUMENTS` does, to be run in a forked process, which need not import biomark again."""

    def work() -> None:
        sys.argv = ["biomark", *arguments]
        with redirect_stderr(io.StringIO()) as messages:
            try:
                main()
            except SystemExit as end:
                # 1: there are rejects. A file whose run was killed after it was whole is there already.
                if end.code not in (0, 1) and "exists already" not in messages.getvalue():
                    raise RuntimeError(messages.getvalue()) from end

    return work


def ways(names: Sequence[str]) -> dict[str, Callable[[str], Callable[[], None]]]:
    """The runs that are killed, by name: each returns the work that writes a place whose name begins with a word."""
    given = ("annotate", *names, "--model", "given")
    found: dict[str, Callable[[str], Callable[[], None]]] = {
        f"--run --to {to}": lambda word, to=to: command(*given, "--run", word, "--to", to, "--set", "shard=7")  # type: ignore[misc]
        for to in FORMATS
    }
    for end in (".pubtator", ".jsonl.gz"):
        found[f"-o out{end}"] = lambda word, end=end: command(*given, "-o", word + end)  # type: ignore[misc]
    found["--run --workers 2"] = lambda word: command(*given, "--run", word, "--set", "shard=7", "--workers", "2")
    return found


def finished(work: Callable[[], object]) -> float:
    """Do some work in a process of its own; return the seconds that it took."""
    begun = time.monotonic()
    if killed(work, sys.maxsize):
        raise RuntimeError("the work was killed, though nothing kills it")
    return time.monotonic() - begun


def calls_of(work: Callable[[], object], most: int = 1 << 14) -> int:
    """How many calls at which work can be killed it makes, roughly."""
    low, high = 0, most
    while high - low > max(8, low // 50):
        middle = (low + high) // 2
        low, high = (middle, high) if killed(work, middle) else (low, middle)
        remove("probe")
    return low


def killer(probe: Callable[[], object], rng: random.Random) -> Callable[[Callable[[], object]], bool]:
    """What kills work like `probe`: half of the time before a call that changes a file, half at any time."""
    calls, seconds = calls_of(probe), finished(probe)
    remove("probe")

    def kill(work: Callable[[], object]) -> bool:
        if rng.random() < 0.5:
            return killed(work, rng.randrange(calls))
        return killed_after(work, rng.random() * seconds)

    return kill


def kills(options: argparse.Namespace) -> dict[str, object]:
    """The command into a folder of each format, and into a file: killed at random points, often again and again."""
    rng = random.Random(options.seed)
    models.load = lambda *arguments: TermRecognizer()  # type: ignore[assignment]
    typer.main.get_command = functools.cache(typer.main.get_command)
    plans = ways(inputs(30, rng))
    done: dict[str, int] = {}
    different: list[str] = []
    for number, (name, work) in enumerate(plans.items()):
        work("whole")()  # in this process, so that the ones that it forks need not import and build anything again
        wanted = {n.replace("whole", "out"): data for n, data in content(Path()).items() if n.startswith("whole")}
        kill = killer(work("probe"), rng)
        done[name] = 0
        until = time.monotonic() + options.minutes * 60 / len(plans)
        while done[name] < options.kills // len(plans) + (number < options.kills % len(plans)):
            if time.monotonic() > until:
                break
            while kill(work("out")):
                done[name] += 1
                if rng.random() < 0.5:
                    break
            finished(work("out"))
            found = {n: data for n, data in content(Path()).items() if n.startswith("out")}
            if found != {n: data for n, data in wanted.items() if n in found or "run.lock" not in n}:
                different.append(f"{name}: after {done[name]} kills")
            remove("out")
        remove("whole")
    return {"kills": sum(done.values()), "by way": done, "different": different, "ok": not different}


def clock_set_back(options: argparse.Namespace) -> dict[str, object]:
    """A run that is killed, and continued when the clock shows a day before: its files are then of the future."""
    names = inputs(60, random.Random(options.seed))
    into_folder("whole", names, "jsonl")
    now, times = time.time, 0

    def continued() -> None:
        time.time = lambda: now() - DAY
        time.time_ns = lambda: int(time.time() * 1e9)
        into_folder("out", names, "jsonl")

    for at in range(50, 5_000, 500):
        times += killed(lambda: into_folder("out", names, "jsonl"), at)
        for path in Path("out").rglob("*"):
            os.utime(path, (now() + DAY, now() + DAY))
        finished(continued)
        if without_lock("out") != without_lock("whole"):
            return {"ok": False, "killed at": at}
        remove("out")
    return {"ok": times > 1, "kills": times}


def full_disk(options: argparse.Namespace) -> dict[str, object]:
    """A run onto a small file system that fills up, then gets larger."""
    disk = Path("disk")
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=False).returncode:
        return {"ok": True, "left out": "no file system can be mounted here"}
    ends = 0
    try:
        names = inputs(600, random.Random(options.seed))
        into_folder("whole", names, "jsonl", 50)
        size = 64
        while True:
            try:
                into_folder("disk/out", names, "jsonl", 50)
                break
            except (BiomarkError, OSError) as error:
                if "full" not in str(error) and "No space" not in str(error):
                    raise
                ends += 1
                size += 32
                subprocess.run(["mount", "-o", f"remount,size={size}k", str(disk)], check=True)
        same = without_lock("disk/out") == without_lock("whole")
    finally:
        subprocess.run(["umount", str(disk)], check=False)
    return {"times full": ends, "ok": same and ends > 2}


def two_runs(options: argparse.Namespace) -> dict[str, object]:
    """Several runs into one folder at the same time: one goes on, the others are refused; the bytes are the same."""
    names = inputs(300, random.Random(options.seed))
    into_folder("whole", names, "jsonl", 20)
    refused = finished = 0
    for _ in range(10):
        children = []
        for _ in range(4):
            if (child := os.fork()) == 0:
                try:
                    into_folder("out", names, "jsonl", 20)
                    os._exit(0)
                except BiomarkError as error:
                    os._exit(3 if "another run is writing" in str(error) else 1)
                except BaseException:
                    os._exit(1)
            children.append(child)
        statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        refused, finished = refused + statuses.count(3), finished + statuses.count(0)
        if set(statuses) - {0, 3} or 0 not in statuses or without_lock("out") != without_lock("whole"):
            return {"ok": False, "statuses": statuses}
        shutil.rmtree("out")
    return {"ok": True, "refused": refused, "finished": finished}


class _Slow(TermRecognizer):
    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        for found in super().annotate(documents, types, min_score=min_score):
            time.sleep(0.0005)
            yield found


def dead_workers(options: argparse.Namespace) -> dict[str, object]:
    """Processes that find mentions are killed while they work; every document comes back, in its order."""
    rng = random.Random(options.seed)
    documents = corpus(3_000, rng)
    wanted = list(TermRecognizer().annotate(documents))
    with ParallelRecognizer(Processes(_Slow, 2)) as several:
        found = []
        for one in several.annotate(documents):
            found.append(one)
            if rng.random() < 0.02 and several.workers:
                pid = rng.choice(several.workers).process.pid
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
        return {"ok": found == wanted, "documents": len(found), "killed": several.died}


def broken_files(options: argparse.Namespace) -> dict[str, object]:
    """Bombs and broken files: each ends within memory, with rejects and with the documents that are good."""
    rows: dict[str, object] = {}
    for name, (make, least) in BROKEN.items():
        Path(name).parent.mkdir(exist_ok=True)
        make(Path(name))
        begun = time.monotonic()
        if (child := os.fork()) == 0:
            try:
                resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
                manifest = into_folder("out", [name], "jsonl", 10_000)
                lines = Path("out/rejects.jsonl").read_bytes().count(b"\n")
                bad = manifest.documents < least or (not lines and least == 0)
                os._exit(2 if bad or lines != manifest.rejected else 0)
            except BiomarkError as error:
                sys.stderr.write(f"{name}: {error}\n")
                os._exit(3)
            except BaseException as error:
                sys.stderr.write(f"{name}: {type(error).__name__}: {error:.300}\n".replace("\n", " ") + "\n")
                os._exit(1)
        _, status, used = os.wait4(child, 0)
        memory = used.ru_maxrss // 1024
        code = os.waitstatus_to_exitcode(status)
        rows[name] = {"ok": code == 0 and memory < MEMORY, "status": code, "MiB": memory,
                      "seconds": round(time.monotonic() - begun, 1)}  # fmt: skip
        shutil.rmtree("out", ignore_errors=True)
        Path(name).unlink()
    return {"ok": all(row["ok"] for row in rows.values()), "files": rows}  # type: ignore[index]


def _pubmed(*parts: str) -> bytes:
    return f"<PubmedArticleSet>{''.join(parts)}</PubmedArticleSet>".encode()


def _article(n: int, title: str) -> str:
    return f"<PubmedArticle><PMID>{n}</PMID><ArticleTitle>{title}</ArticleTitle></PubmedArticle>"


def _bomb(head: bytes, piece: bytes, count: int) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        with gzip.open(path, "wb", compresslevel=1) as file:
            file.write(head)
            for _ in range(count):
                file.write(piece)

    return make


def _laughs(path: Path) -> None:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    head = f'<!DOCTYPE PubmedArticleSet [<!ENTITY l0 "lol">{entities}]>'.encode()
    path.write_bytes(head + _pubmed(_article(1, "&l9;")))


def _lines(lines: Iterable[object]) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        with path.open("w") as file:
            file.writelines(f"{json.dumps(line)}\n" for line in lines)

    return make


MEGA = b"a" * (1 << 20)
OUTSIDE = b'<!DOCTYPE PubmedArticleSet [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
BROKEN: dict[str, tuple[Callable[[Path], object], int]] = {
    # name: what makes it, and how many documents are good; 0: there must be a reject
    "bomb.xml.gz": (_bomb(b"<PubmedArticleSet><PubmedArticle><PMID>1</PMID><ArticleTitle>", MEGA, 400), 0),
    "elements.xml.gz": (_bomb(b"<PubmedArticleSet><PubmedArticle>", b"<a/>" * 10_000, 400), 0),
    "deep.xml.gz": (_bomb(b"<PubmedArticleSet><PubmedArticle>", b"<a>" * 10_000, 100), 0),
    "bomb.jsonl.gz": (_bomb(b'{"id": "1", "text": "', MEGA, 400), 0),
    "bomb.pubtator.gz": (_bomb(b"1|t|", MEGA, 400), 0),
    "bomb.txt.gz": (_bomb(b"", MEGA, 400), 0),
    "bomb.bioc.json.gz": (_bomb(b'{"documents": [{"id": "1", "passages": [{"text": "', MEGA, 400), 0),
    "laughs.xml": (_laughs, 0),
    "outside.xml": (lambda path: path.write_bytes(OUTSIDE + _pubmed(_article(1, "&x;"))), 0),
    "entity.xml": (
        lambda path: path.write_bytes(_pubmed(_article(1, "asthma"), _article(2, "&odd;"), _article(3, "a"))),
        2,
    ),
    "nul.jsonl": (_lines([{"id": "\0", "text": "asthma\0"}]), 1),
    "nul.xml": (lambda path: path.write_bytes(_pubmed(_article(1, "asthma"), _article(2, "\0"), _article(3, "a"))), 2),
    "surrogates.jsonl": (_lines([{"id": "a", "text": "\ud800"}, {"id": "b", "text": "asthma"}]), 1),
    "bytes.jsonl": (lambda path: path.write_bytes(bytes(range(256)) * 4_000), 0),
    "same.jsonl": (_lines({"id": "a", "text": "asthma"} for _ in range(2_000)), 1),
    "sentence.jsonl": (_lines([{"id": "a", "text": "asthma" * (10 * (1 << 20) // 6)}]), 1),
    "small.jsonl": (_lines({"id": str(n), "text": "a"} for n in range(1_000_000)), 1_000_000),
}


def cut_gzip(options: argparse.Namespace) -> dict[str, object]:
    """A compressed file of PubMed that ends anywhere: what is whole before is read, and the end is rejected."""
    whole = gzip.compress(_pubmed(*(_article(n, f"asthma {n * 7919}") for n in range(2_000))), mtime=0)
    before, bad = 0, []
    points = range(1, len(whole), max(1, len(whole) // 40))
    for size in points:
        Path("cut.xml.gz").write_bytes(whole[:size])
        try:
            manifest = into_folder("out", ["cut.xml.gz"], "jsonl", 10_000)
        except BiomarkError:  # nothing speaks for a format in a few bytes
            shutil.rmtree("out", ignore_errors=True)
            continue
        if manifest.rejected < 1 or manifest.documents < before:
            bad.append(size)
        before = manifest.documents
        shutil.rmtree("out")
    return {"ok": not bad, "cuts": len(points), "bad": bad, "most documents": before}


def fuzz(options: argparse.Namespace) -> dict[str, object]:
    """Broken files of every format and careless answers of every shape; see `fuzz.py`."""
    if options.trial is None:
        tally = fuzzing.fuzz(options.seed, int(options.mentions))
    else:
        fuzzing.trial(options.seed, options.trial, tally := fuzzing.Tally())
    return {"ok": not tally.faults, **{each.name: getattr(tally, each.name) for each in fields(tally)}}


def atheris(options: argparse.Namespace) -> dict[str, object]:
    """Coverage-guided fuzzing of every reader and the aligner; see `guided.py`."""
    if find_spec("atheris") is None:
        message = "atheris is not installed, which only this trial needs: .venv/bin/pip install atheris"
        sys.stderr.write(f"{message}\n")
        return {"ok": options.only is None, "not tried": message}
    names = (*fuzzing.READERS, guided.ALIGNER) if options.target is None else (options.target,)
    return guided.guided(names, max(1, options.seconds // len(names)), options.seed)


TRIALS: tuple[Trial, ...] = (
    two_runs, dead_workers, cut_gzip, full_disk, clock_set_back, broken_files, kills, fuzz, atheris,
)  # fmt: skip


def torture() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--minutes", type=float, default=60.0, help="of kills, after which fewer are enough")
    parser.add_argument("--mentions", type=float, default=1e6, help="of `fuzz`, which ends when it has checked so many")
    parser.add_argument("--trial", type=int, help="of `fuzz`: do this one alone, which was a fault")
    parser.add_argument(
        "--seconds", type=int, default=60, help="of `atheris`, over all its targets, start-up not counted"
    )
    parser.add_argument("--target", choices=[*fuzzing.READERS, guided.ALIGNER], help="of `atheris`: this one alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=[trial.__name__ for trial in TRIALS])
    options = parser.parse_args()
    found: dict[str, object] = {}
    for trial in TRIALS:
        if options.only in (None, trial.__name__):
            with tempfile.TemporaryDirectory(dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None) as folder:
                os.chdir(folder)
                begun = time.monotonic()
                result = trial(options)
                os.chdir("/")
            found[trial.__name__] = {**result, "in seconds": round(time.monotonic() - begun, 1)}
            sys.stdout.write(f"{'ok ' if result['ok'] else 'NOT'} {trial.__name__}\n")
            sys.stdout.flush()
    sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n")
    sys.exit(not all(result["ok"] for result in found.values()))  # type: ignore[index]


if __name__ == "__main__":
    torture()
