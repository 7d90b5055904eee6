"""Models that load in each process: the bytes of one process, whatever happens to the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from biomark import models
from biomark.annotation.processes import SeparateProcesses
from biomark.annotation.workers import (
    AnnotateOptions,
    DocumentGroup,
    ParallelRecognizer,
    WorkerDiedError,
    annotate_group,
)
from biomark.errors import BiomarkError, ModelError
from biomark.formats import Reject, raise_rejected
from biomark.recognizers import Annotated, Recognizer
from biomark.spans import Document, Rejected
from conftest import TermRecognizer
from engines import (
    TYPES,
    Biomark,
    check_same_bytes,
    check_server,
    documents,
    generative,
    mortal,
    prompted,
    truthful,
)
from killing import Dying
from oracle import away

__all__ = ["away"]
WORKERS = ("--workers", "2")


@pytest.mark.long
def test_a_model_on_a_server_writes_the_same_bytes(biomark: Biomark, away: Path) -> None:
    check_server(biomark, WORKERS)


@pytest.mark.long
def test_a_process_that_is_killed_costs_no_document_and_no_answer(away: Path) -> None:
    with truthful() as there:
        load = prompted(there.url, away / "answers.sqlite")
        wanted = list(prompted(there.url, away / "none.sqlite")(raise_rejected).annotate(documents(), TYPES))
        asked = len(there.asked)
        with ParallelRecognizer(SeparateProcesses(partial(mortal, load, away / "once"), 2)) as several:
            assert several.types is None
            assert list(several.annotate(documents(), TYPES)) == wanted
            assert several.died >= 1
        assert len(there.asked) == asked + asked  # what the dead process was answered is not asked again


@pytest.mark.slow
def test_a_generative_model_writes_the_same_bytes(
    biomark: Biomark, away: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    check_same_bytes(biomark, ("--model", "nano"), WORKERS)
    wanted = list(models.load("nano").annotate(documents(), TYPES))
    with ParallelRecognizer(SeparateProcesses(partial(mortal, generative(), away / "once"), 2)) as several:
        assert several.types == models.load("nano").types
        assert list(several.annotate(documents(), TYPES)) == wanted
        assert several.died >= 1


def _rejecting(reject: Reject) -> Recognizer:
    reject(Rejected("an odd line"))
    return TermRecognizer()


def _refusing(reject: Reject) -> Recognizer:
    raise ModelError("no such weights")


def _ending(reject: Reject) -> Recognizer:
    list(Dying().annotate([Document("1", "DIE")]))
    raise AssertionError


def test_rejects_and_errors_of_loading_are_reported_once() -> None:
    rejected: list[Rejected] = []
    with ParallelRecognizer(SeparateProcesses(_rejecting, 2, reject=rejected.append)) as several:
        assert several.types == TermRecognizer.types
        assert list(several.annotate(documents())) == list(TermRecognizer().annotate(documents()))
    assert [one.reason for one in rejected] == ["an odd line"]
    with pytest.raises(BiomarkError, match="no such weights"):
        SeparateProcesses(_refusing, 2)
    with pytest.raises(ModelError, match="died before it had loaded the model"):
        SeparateProcesses(_ending, 2)


@pytest.mark.parametrize("option", [("--dry-run",), ("--record", "r.json"), ("--set", "budget=100 tokens")])
def test_what_one_process_must_count_is_refused(biomark: Biomark, away: Path, option: tuple[str, ...]) -> None:
    model = ("--model", "openai:m", "--base-url", "http://127.0.0.1:9/v1", "--types", "disease")
    done = biomark("annotate", "-", *model, *WORKERS, *option, stdin=b"asthma")
    assert done.status == 2
    assert "with --workers, prompts are written and counted in several processes" in done.err


@dataclass(eq=False)
class Forgetful:
    """A worker whose results are lost if it dies before they are received, as can happen with an actor of Ray."""

    groups: deque[DocumentGroup] = field(default_factory=deque)
    ready: bool = True

    def send(self, options: AnnotateOptions, documents: list[Document]) -> None:
        self.options = options

    def receive(self) -> list[Annotated]:
        if any(document.text.startswith("DIE") for group in self.groups for document in group.documents):
            raise WorkerDiedError("signal 9")
        return annotate_group(TermRecognizer(), self.options, self.groups[0].documents)


class ForgetfulWorkers:
    """An engine of such workers."""

    types = TermRecognizer.types
    count = 1

    def start(self) -> Forgetful:
        return Forgetful()

    def wait(self, workers: Sequence[Forgetful]) -> Sequence[Forgetful]:
        return workers

    def end(self, workers: Sequence[Forgetful]) -> None:
        """There is nothing to end."""

    def close(self) -> None:
        """There is nothing to release."""


@pytest.mark.parametrize("length", [10, 15_000], ids=["one group", "a group for each document"])
def test_a_document_before_the_one_that_kills_workers_is_not_rejected(length: int) -> None:
    texts = [f"{text} {'x' * length}" for text in ("asthma", "aspirin", "DIE", "asthma", "asthma", "DIE", "aspirin")]
    with ParallelRecognizer(ForgetfulWorkers()) as one:
        found = list(one.annotate([Document(str(n), text) for n, text in enumerate(texts)]))
    assert [len(document.document.entities) for document in found] == [1, 1, 0, 1, 1, 0, 1]
    assert [len(document.rejected) for document in found] == [0, 0, 1, 0, 0, 1, 0]
