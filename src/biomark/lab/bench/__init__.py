"""Benchmarks that compare biomark with alternative software, in one run on one machine.

Each returns one object for `biomark bench`, whose last line is that object as JSON. Contestants
run in turn, several rounds, on the same sentences. The best round counts, since other processes
of the machine can only slow a round down.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from biomark.runtime.machine import cores, processor, versions


@dataclass(frozen=True, slots=True)
class Contestant:
    """A program to time.

    Attributes:
        name: the name in the results.
        run: does all of the work once.
    """

    name: str
    run: Callable[[], None]


def measure(contestants: Sequence[Contestant], rounds: int) -> dict[str, float]:
    """Return the shortest time of each contestant, in seconds, over several rounds in which they take turns."""
    best: dict[str, float] = {}
    for _ in range(rounds):
        for contestant in contestants:
            begin = time.perf_counter()
            contestant.run()
            seconds = time.perf_counter() - begin
            best[contestant.name] = min(seconds, best.get(contestant.name, seconds))
    return best


def machine(*libraries: str) -> Mapping[str, object]:
    """Return the processor and cores with which the figures are measured, and the versions of libraries."""
    return {"cores": cores(), "processor": processor(), **versions(*libraries)}
