"""Models that are not copied by a fork, in the workers of both engines: `nano`, and a model on a server."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from biomark.cli.runs import _load
from biomark.formats import Reject
from biomark.generative.settings import Asking
from biomark.prompted.settings import PromptOptions, ServerOptions
from biomark.recognizers import GROUP, Annotated, Recognizer
from biomark.spans import Document
from conftest import Outcome
from killing import content
from oracle import true_answer, write_texts
from scripted import Says, Scripted, answer, scripted

Biomark = Callable[..., Outcome]
Load = Callable[[Reject], Recognizer]
TYPES = ("disease", "chemical")
_BLANK = "\n" * (GROUP // 2)  # so that two documents are a group
TEXTS = [f"Case {n} İ had asthma and took aspirin; zileuton did not help.{_BLANK}" for n in range(8)]


class Mortal:
    """A recognizer whose process is killed after its first document, once, or always at a text with DIE."""

    def __init__(self, recognizer: Recognizer, once: Path) -> None:
        self._recognizer, self._once = recognizer, once

    @property
    def types(self) -> tuple[str, ...] | None:
        return self._recognizer.types

    def annotate(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, *, min_score: float | None = None
    ) -> Iterator[Annotated]:
        documents = list(documents)
        dies = not self._once.exists()
        for annotated in self._recognizer.annotate(documents[:1] if dies else documents, types, min_score=min_score):
            if dies:
                self._once.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            yield annotated


def mortal(load: Load, once: Path, reject: Reject) -> Recognizer:
    """Load a recognizer that dies once; a partial of it can be pickled."""
    return Mortal(load(reject), once)


def generative() -> Load:
    """What loads `nano` in a worker."""
    return partial(_load, "nano", Asking(), None, PromptOptions(), ServerOptions())


def prompted(url: str, cache: Path, **prompts: Any) -> Load:
    """What loads a model on a server in a worker."""
    options = ServerOptions(base_url=url, cache=str(cache), concurrency=2)
    return partial(_load, "openai:m", Asking(), None, PromptOptions(**prompts), options)


def documents() -> list[Document]:
    return [Document(str(n), text) for n, text in enumerate(TEXTS)]


@contextmanager
def truthful() -> Iterator[Scripted]:
    """A server whose model makes no mistakes."""

    def say(request: dict[str, Any], number: int) -> Says:
        return answer(true_answer("span", [(m["role"], m["content"]) for m in request["messages"]]))

    with scripted(say) as there:
        yield there


def check_same_bytes(biomark: Biomark, model: Sequence[str], engine: Sequence[str]) -> None:
    """Run into a folder in this process and on an engine, in the working folder, and compare all bytes."""
    write_texts(Path("in.jsonl"), TEXTS)
    command = ("annotate", "in.jsonl", "--types", ",".join(TYPES), "--set", "shard=3", *model, "--run")
    here = biomark(*command, "here")
    there = biomark(*command, "there", *engine)
    assert (here.status, there.status) == (0, 0), here.err + there.err
    assert content(Path("there")) == content(Path("here"))
    assert b"asthma" in b"".join(content(Path("there")).values())


def check_server(biomark: Biomark, engine: Sequence[str]) -> None:
    """Each question is asked once, whichever process asks it; processes share the answers."""
    with truthful() as there:
        model = ("--model", "openai:m", "--base-url", there.url, "--set")
        check_same_bytes(biomark, (*model, "cache=none"), engine)
        asked = len(there.asked)
        done = biomark(
            "annotate", "in.jsonl", "--types", ",".join(TYPES), *model, "cache=a.sqlite", *engine, "-o", "a.jsonl"
        )
        assert (done.status, len(there.asked)) == (0, asked + asked // 2), done.err
        check_same_bytes(biomark, (*model, "cache=a.sqlite", "--overwrite"), engine)
        assert len(there.asked) == asked + asked // 2
