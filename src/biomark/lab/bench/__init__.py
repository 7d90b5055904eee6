"""Benchmarks: ours beside what users would otherwise run, in one run on one machine.

Each returns one object for `biomark bench`, whose last line is that object as JSON. Contestants
run in turn, several rounds, on the same sentences; the best round counts, since whatever else the
machine does only ever slows a round down.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from biomark.runtime.machine import cores, versions


@dataclass(frozen=True, slots=True)
class Contestant:
    """What is timed: `run` does all of the work once."""

    name: str
    run: Callable[[], None]


def measure(contestants: Sequence[Contestant], rounds: int) -> dict[str, float]:
    """The best of several rounds, in seconds; the contestants take turns."""
    best: dict[str, float] = {}
    for _ in range(rounds):
        for contestant in contestants:
            begin = time.perf_counter()
            contestant.run()
            seconds = time.perf_counter() - begin
            best[contestant.name] = min(seconds, best.get(contestant.name, seconds))
    return best


def machine(*libraries: str) -> Mapping[str, object]:
    """What the figures were measured on, and with which versions."""
    return {"cores": cores(), "machine": platform.machine(), **versions(*libraries)}
