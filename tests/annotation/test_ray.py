"""The engine of Ray: the bytes of the engine of this machine, whatever happens to its actors."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from biomark import models
from biomark.annotation import plan
from biomark.annotation.jobs import inputs_named
from biomark.annotation.runs import Plan, run_into_folder
from biomark.annotation.settings import RayOptions
from biomark.annotation.workers import ParallelRecognizer
from biomark.errors import BiomarkError, ModelError, UsageError
from biomark.formats import raise_rejected
from biomark.runtime.privacy import NO_REPORTS
from biomark.spans import Document
from conftest import ROOT, Outcome, TermRecognizer
from engines import TYPES, Load, check_same_bytes, check_server, documents, generative, mortal, prompted, truthful
from killing import Dying, content
from oracle import away

ray = pytest.importorskip("ray")
from biomark.annotation import actors  # noqa: E402 - needs ray
from biomark.annotation.actors import Actor, Actors, Setup  # noqa: E402

__all__ = ["away"]
Biomark = Callable[..., Outcome]
pytestmark = [pytest.mark.skipif(os.name != "posix", reason="the system has other signals")]
# Ray leaves sockets and files to the garbage collector.
pytestmark += [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A Ray for all tests of this module, whose workers import the modules of tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT / "src", ROOT / "tests", Path(__file__).parent))))
        patch.setenv("RAY_worker_niceness", "0")  # by default its workers give way to all else that a machine does
        before = signal.getsignal(signal.SIGTERM)
        try:
            folder = actors._connected(None, 2)
        except UsageError as error:  # Ray allows its processes half a minute to start
            _collect_garbage()
            not_started(error)
        assert folder is not None
        assert signal.getsignal(signal.SIGTERM) == before
        yield
        actors._stop(folder)
        _collect_garbage()
        assert not folder.exists()


def not_started(error: Exception) -> None:
    """Skip the tests; fail in continuous integration, where nobody would notice that they are skipped."""
    if os.environ.get("CI"):
        pytest.fail(f"Ray is installed but does not start: {error}")
    pytest.skip(f"this machine is too busy to start Ray: {error}")


def test_a_ray_that_does_not_start_fails_in_continuous_integration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="does not start: too slow"):
        not_started(UsageError("too slow"))
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="too busy"):
        not_started(UsageError("too slow"))


def _collect_garbage() -> None:
    """Collect the sockets and processes that Ray leaves open, without the warnings that would end pytest."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


def setup(load: Callable[[], object] = TermRecognizer, **facts: object) -> Setup:
    return Setup(lambda reject: load(), "given", "e3b0c44298fc1c14", **facts)  # type: ignore[arg-type, return-value]


def on_ray(load: Callable[[], object] = TermRecognizer, count: int = 1) -> ParallelRecognizer[Actor]:
    return ParallelRecognizer(Actors(setup(load), count, options=RayOptions(actor_cpus=0.5)))


def many(*odd: str) -> list[Document]:
    texts = [f"asthma and aspirin, İ α {'x ' * (n * 370 % 9_000)}" for n in range(40)]
    return [Document(str(n), text) for n, text in enumerate((*texts[:21], *odd, *texts[21:]))]


@pytest.mark.long
@pytest.mark.usefixtures("cluster")
def test_actors_find_what_this_process_finds() -> None:
    wanted = list(TermRecognizer().annotate(many("BROKEN"), ["disease"], min_score=0.1))
    with on_ray(count=2) as several:
        assert several.types == TermRecognizer.types
        for _ in range(2):
            assert list(several.annotate(many("BROKEN"), ["disease"], min_score=0.1)) == wanted
        assert list(several.annotate([])) == []


@pytest.mark.long
@pytest.mark.usefixtures("cluster")
def test_an_actor_that_is_killed_costs_no_document(tmp_path: Path) -> None:
    once = tmp_path / "once"
    with on_ray(lambda: Dying(once)) as one:
        found = list(one.annotate(many("DIE")))
        assert one.died == 1
    assert found == list(TermRecognizer().annotate(many("DIE")))


@pytest.mark.long
@pytest.mark.usefixtures("cluster")
def test_a_document_that_kills_every_actor_is_rejected_alone() -> None:
    texts = [Document("1", "asthma"), Document("2", "DIE"), Document("3", "aspirin")]
    with on_ray(Dying) as one:
        found = list(one.annotate(texts))
        assert one.died == 4  # three on the group, one on the document
    assert [len(document.document.entities) for document in found] == [1, 0, 1]
    assert [len(document.rejected) for document in found] == [0, 1, 0]
    assert "3 processes died on this document (" in found[1].rejected[0].reason


@pytest.mark.long
@pytest.mark.usefixtures("cluster")
def test_errors_of_actors_are_the_run_s() -> None:
    with on_ray(Dying) as one, pytest.raises(BiomarkError, match="an odd text"):
        list(one.annotate(many("ODD")))
    missing = setup(files=("no/such/store.sqlite",), folder="/")
    with pytest.raises(BiomarkError, match=r"/no/such/store\.sqlite: does not exist on the worker"):
        Actors(missing, 1)
    with pytest.raises(BiomarkError, match=r"biomark is .* but 0\.0 here"):
        Actors(setup(version="0.0"), 1)


@pytest.mark.long
@pytest.mark.usefixtures("cluster")
def test_documents_in_memory_do_not_grow_with_the_input() -> None:
    taken = 0

    def documents() -> Iterator[Document]:
        nonlocal taken
        for taken in range(60):
            yield Document(str(taken), "asthma " + "x" * 15_000)  # a group each

    with on_ray() as one:
        ahead = [taken - int(found.document.id) for found in one.annotate(documents())]
    assert len(ahead) == 60
    assert max(ahead) <= 4


@pytest.mark.long
@pytest.mark.usefixtures("cluster")
def test_a_run_goes_on_with_the_other_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [json.dumps({"id": one.id, "text": one.text}) for one in many("BROKEN")]
    Path("a.jsonl").write_text("\n".join((*lines[:3], '{"id": 3, "text"', *lines[3:])) + "\n")
    (job,) = plan(inputs_named(["a.jsonl"]), None, from_=None, to="jsonl", screen=False)

    def run(folder: str, recognizer: object, most: int = 1_000) -> None:
        def watch(pace: object) -> None:
            nonlocal most
            most -= 1
            if most < 0:
                raise InterruptedError

        run_into_folder(Plan(Path(folder), job, size=10), recognizer, watch=watch)  # type: ignore[arg-type]

    run("whole", TermRecognizer())
    with on_ray() as one:
        with pytest.raises(InterruptedError):
            run("begun_here", TermRecognizer(), 25)
        run("begun_here", one)
        with pytest.raises(InterruptedError):
            run("begun_on_ray", one, 25)
    run("begun_on_ray", TermRecognizer())
    assert content(Path("begun_here")) == content(Path("whole")) == content(Path("begun_on_ray"))


@pytest.mark.long
@pytest.mark.usefixtures("cluster")
def test_the_default_model_writes_the_same_bytes(
    biomark: Biomark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "Patient {} with cystic fibrosis (CF) took aspirin; BRCA1 and α-synuclein were measured. CF İ again.\n"
    Path("in.txt").write_text("".join(text.format(n) for n in range(30)), "utf-8")
    command = ("annotate", "in.txt", "--lines", "--set", "shard=20", "--run")
    assert biomark(*command, "here").status == 0
    done = biomark(*command, "there", "--engine", "ray", "--workers", "2", "--set", "actor_cpus=0.5")
    assert (done.status, done.out) == (0, ""), done.err
    assert content(Path("there")) == content(Path("here"))
    again = biomark(*command, "there", "--workers", "3")
    assert (again.status, "all 30 documents are done" in again.err) == (0, True), again.err


ENGINE = ("--engine", "ray", "--workers", "2", "--set", "actor_cpus=0.5")


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_generative_model_writes_the_same_bytes(
    biomark: Biomark, away: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    check_same_bytes(biomark, ("--model", "nano"), ENGINE)
    wanted = list(models.load("nano").annotate(documents(), TYPES))
    with workers_of(partial(mortal, generative(), away / "once")) as several:
        assert list(several.annotate(documents(), TYPES)) == wanted
        assert several.died >= 1


@pytest.mark.long
@pytest.mark.usefixtures("cluster")
def test_a_model_on_a_server_writes_the_same_bytes(biomark: Biomark, away: Path) -> None:
    check_server(biomark, ENGINE)


@pytest.mark.long
@pytest.mark.usefixtures("cluster")
def test_an_actor_that_is_killed_costs_no_answer_of_a_server(away: Path) -> None:
    with truthful() as there:
        wanted = list(prompted(there.url, away / "none.sqlite")(raise_rejected).annotate(documents(), TYPES))
        asked = len(there.asked)
        load = prompted(there.url, away / "answers.sqlite")
        with workers_of(partial(mortal, load, away / "once")) as several:
            assert list(several.annotate(documents(), TYPES)) == wanted
            assert several.died >= 1
        assert len(there.asked) == asked + asked  # what the dead actor was answered is not asked again


def workers_of(load: Load) -> ParallelRecognizer[Actor]:
    return ParallelRecognizer(Actors(Setup(load, "given", "e3b0c44298fc1c14"), 2, options=RayOptions(actor_cpus=0.5)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--address", "auto"), "add --engine ray"),
        (("--set", "actor_gpus=1"), "add --engine ray"),
        (("--engine", "spark"), "choose from local, ray"),
        (("--engine", "ray", "--dry-run"), "leave out --dry-run"),
        (("--engine", "ray", "--set", "actor_gpus=1.5"), "a whole number, got 1.5"),
        (("--engine", "ray", "--set", "actor_cpus=nan"), "a whole number, got nan"),
        (("--engine", "ray", "--address", "ray://head:10001"), "write HOST:PORT"),
        (("--engine", "ray", "--address", "127.0.0.1:1"), "--address 127.0.0.1:1: no cluster answers there"),
    ],
)
def test_options_that_do_not_fit(biomark: Biomark, options: tuple[str, ...], message: str) -> None:
    done = biomark("annotate", "-", *options, stdin=b"asthma")
    assert done.status == 2
    assert message in done.err


def test_ray_is_an_extra(biomark: Biomark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = biomark("annotate", "-", "--engine", "ray", stdin=b"asthma")
    assert done.status == 2
    assert "pip install '.[ray]'" in done.err


def test_a_worker_with_another_model_is_refused(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src" / "biomark" / "default_model", tmp_path / "model")
    other = Setup(lambda reject: TermRecognizer(), str(tmp_path / "model"), "0" * 16, folder=os.getcwd())
    with pytest.raises(ModelError, match="has other files on the worker"):
        actors._check_machine(other)


def test_ray_reports_nothing() -> None:
    assert NO_REPORTS["RAY_USAGE_STATS_ENABLED"] == "0"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
