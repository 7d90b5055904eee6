"""The cells of an experiment: their list, their estimated costs, and their execution."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from biomark import corpora
from biomark.errors import CorpusError, UsageError
from biomark.lab.experiments.cells import Build, Reading, Result
from biomark.lab.experiments.data import count_sentences, missing_sources, rejects, write_json
from biomark.lab.experiments.methods import METHODS, Prompted
from biomark.lab.experiments.outcome import machine
from biomark.lab.experiments.specs import Book, Experiment, Hardware, ModelSpec, Setting
from biomark.lab.experiments.workspace import Workspace, method_of
from biomark.models import PROMPTED
from biomark.runtime.machine import versions

GIVEN = "given"  # the row of a model that the command line names
_READ_RATE = 20.0  # the assumed sentences per second of a model whose speed is not known
_UNPACKING = 30.0  # the assumed seconds for making a model without training
_LIBRARIES = ("numpy", "torch", "transformers", "tokenizers", "peft", "python-crfsuite", "onnxruntime")


@dataclass(frozen=True, slots=True)
class CellTask:
    """A cell of the experiment.

    Attributes:
        cell: a model or a test set.
        label: its description for the terminal.
        seconds: its estimated duration.
        done: whether its result exists.
    """

    cell: Build | Reading
    label: str
    seconds: float
    done: bool


class ExperimentRun:
    """An experiment at a scale, in a folder of cells.

    Args:
        book: all rows.
        experiment: the experiment to run.
        scale: one of its scales.
        workspace: the folder of the cells.
        model: the user's own model: one more row beside the experiment's or, where models are prompted, the one that
            is prompted. "": none, and rows that need one are left out.
        only: the rows to run; empty: all.

    Raises:
        UsageError: if the experiment has no such scale or row.
    """

    def __init__(
        self,
        book: Book,
        experiment: Experiment,
        scale: str,
        workspace: Workspace,
        model: str = "",
        only: Sequence[str] = (),
    ) -> None:
        if scale not in experiment.scales:
            raise UsageError(f"{experiment.name} has no scale {scale!r}; choose from {', '.join(experiment.scales)}")
        self.experiment = experiment
        self.scale = scale
        self.setting: Setting = experiment.scales[scale]
        self.hardware: Hardware = book.hardware[scale]
        self.workspace = workspace
        self._sources = book.sources
        self.models = _models([book.models[name] for name in self.setting.models], model)
        self.readings = tuple(self._readings())
        self._only = tuple(only)
        names = [row.name for row in self.models]
        if unknown := [name for name in only if name not in names]:
            raise UsageError(f"{experiment.name} has no row {', '.join(unknown)}; choose from {', '.join(names)}")

    def _readings(self) -> Iterator[Reading]:
        setting = self.setting
        for model in self.models:
            trained = model.trained
            tests = [t for t in setting.tests if not model.types or {*model.types}.issuperset(corpora.corpus_types(t))]
            for seed in setting.seeds if trained else setting.seeds[:1]:
                for fraction, repeats in setting.shares() if trained else [(1.0, 1)]:
                    for test in tests:
                        types = corpora.corpus_types(test) if model.single else ()
                        build = Build(model, types, fraction, seed, repeats)
                        yield Reading(build, test, setting.test_sentences, setting.splitter)

    def tasks(self) -> list[CellTask]:
        """Return the cells in the order of their execution: each model, then the test sets that it reads."""
        by_build: dict[Build, list[Reading]] = {}
        for reading in self.readings:
            if self._only and reading.build.model.name not in self._only:
                continue
            by_build.setdefault(reading.build, []).append(reading)
        tasks: list[CellTask] = []
        known: set[object] = set()
        for build, readings in by_build.items():
            done = [self.workspace.result(reading) is not None for reading in readings]
            folder = self.workspace.model_folder(build)
            if method_of(build).made and folder not in known:
                known.add(folder)
                made = all(done) or self.workspace.built(build)
                tasks.append(CellTask(build, f"make {build.label}", 0.0 if made else self._build_seconds(build), made))
            for reading, one in zip(readings, done, strict=True):
                label = f"{build.label} reads {reading.test}"
                tasks.append(CellTask(reading, label, 0.0 if one else self._read_seconds(reading), one))
        return tasks

    def _build_seconds(self, build: Build) -> float:
        model = build.model
        if not model.trained:
            return _UNPACKING
        sentences = 0.0
        for name in self.workspace.supplies.train_names(build):
            every = count_sentences(name)
            sentences += min(model.sentences or every, every) * build.fraction
        rate = model.train_rate or self.hardware.flops * max(model.gpus, 1) / max(
            6 * model.parameters * model.tokens, 1
        )
        return self.workspace.passes(build) * sentences / max(rate, 1e-9)

    def _read_seconds(self, reading: Reading) -> float:
        model = reading.build.model
        sentences = sum(len(document.sentences) for document in reading.documents())
        computed = self.hardware.flops / (2 * model.parameters * model.tokens) if model.parameters else _READ_RATE
        times = (
            1 + self.workspace.supplies.settings(reading.build) if model.grid else 1
        )  # all settings read the test sets
        return times * sentences / (model.read_rate or computed)

    def plan(self) -> list[str]:
        """Return lines of text about the cells, their estimated costs and the hardware that they need."""
        tasks = self.tasks()
        left = [task for task in tasks if not task.done]
        needs = f"; about {_span(sum(task.seconds for task in left))} on {self.hardware.name}" if left else ""
        head = f"{self.experiment.name} --scale {self.scale}: {len(tasks)} cells, {len(tasks) - len(left)} done{needs}"
        lines = [f"  {task.label}: {'done' if task.done else 'about ' + _span(task.seconds)}" for task in tasks]
        names = {model.name for model in self.models}
        memory = [f"  {m.title}: {_needs(m)}" for m in self.models if m.memory and m.weights not in names]
        gpu = " and GPU" if any(model.gpus for model in self.models if model.parameters) else ""
        throughput = (
            [f"  estimated as 6 (training) or 2 × parameters × tokens ÷ {self.hardware.flops:.1e} a second{gpu}"]
            if self.hardware.flops
            else []
        )
        missing = [f"  missing: {self._with_address(name)}" for name in _missing(tasks)]
        return [head, *lines, *memory, *throughput, *missing]

    def _with_address(self, file: str) -> str:
        where = self._sources.get(file)
        return f"{file}{f' ({where})' if where else ''}"

    def run(self) -> list[Result]:
        """Do all cells that are not there; after each one, what is known so far is written.

        Raises:
            CorpusError: if a knowledge source is missing.
        """
        tasks = self.tasks()
        if missing := _missing(tasks):
            folders = ", ".join(map(str, corpora.corpus_folders()))
            raise CorpusError(
                f"{', '.join(map(self._with_address, missing))}: in none of {folders}; put it into one of them"
            )
        left = [task for task in tasks if not task.done]
        say, begin, estimated = self.workspace.say, time.perf_counter(), 0.0
        for name in self._splits() if left else ():
            if rejected := rejects(name):
                say(f"left out of {name}: {len(rejected)}, such as {rejected[0]}")
        for number, task in enumerate(tasks, 1):
            if task.done:
                continue
            rest = sum(one.seconds for one in left) - estimated
            # What was estimated is corrected by what the cells so far have really taken.
            pace = (time.perf_counter() - begin) / estimated if estimated > 30 else 1.0
            say(f"cell {number} of {len(tasks)}: {task.label}; about {_span(rest * pace)} left")
            if isinstance(task.cell, Build):
                self.workspace.build(task.cell)
            else:
                outcome = self.workspace.read(task.cell)
                say(f"  strict F1 {outcome.figure('strict'):.4f}, partial F1 {outcome.figure('partial'):.4f}")
            estimated += task.seconds
            self._write()
        return self.results()

    def results(self) -> list[Result]:
        """Return the results of the test cells that are done."""
        results = [self.workspace.result(reading) for reading in self.readings]
        return [result for result in results if result is not None]

    def keys(self) -> list[str]:
        """Return the keys of all test cells."""
        return [self.workspace.reading_folder(reading).name for reading in self.readings]

    def left_out(self) -> list[str]:
        """Return the keys of the test cells of rows that this run leaves out, except those that were run before."""
        return [
            self.workspace.reading_folder(reading).name
            for reading in self.readings
            if self._only and reading.build.model.name not in self._only and self.workspace.result(reading) is None
        ]

    def facts(self) -> dict[str, object]:
        """Return the setting, and the software and data with which the figures were computed."""
        names = self._splits()
        return {
            "experiment": self.experiment.name,
            "scale": self.scale,
            "models": {model.name: _shown(model) for model in self.models},
            "tests": list(self.setting.tests),
            "test_sentences": self.setting.test_sentences,
            "splitter": self.setting.splitter,
            "fractions": list(self.setting.fractions),
            "repeats": [repeats for _, repeats in self.setting.shares()],
            "seeds": list(self.setting.seeds),
            "versions": versions(*_LIBRARIES),
            "hardware": machine(),
            "files": self.workspace.files(names),
            "rejected": {name: len(rejected) for name in names if (rejected := rejects(name))},
        }

    def _splits(self) -> list[str]:
        return sorted({name for reading in self.readings for name in self.workspace.splits(reading)})

    def seconds(self) -> Mapping[str, float]:
        """Return the total seconds of the cells, for making models and for reading."""
        builds = {self.workspace.model_folder(reading.build): reading.build for reading in self.readings}
        made = sum(self.workspace.build_facts(build).get("seconds", 0.0) for build in builds.values())
        return {"training": round(made, 1), "reading": round(sum(r.facts["seconds"] for r in self.results()), 1)}

    def _write(self) -> None:
        cells = [dict(result.facts) for result in self.results()]
        path = self.workspace.folder / f"{self.experiment.name}-{self.scale}.json"
        write_json(path, {**self.facts(), "seconds": self.seconds(), "cells": cells})


def _missing(tasks: Sequence[CellTask]) -> tuple[str, ...]:
    """Return the knowledge files that the remaining cells need and that no corpora folder has."""
    builds = [task.cell if isinstance(task.cell, Build) else task.cell.build for task in tasks if not task.done]
    return missing_sources(chain.from_iterable(build.model.knowledge for build in builds))


def _needs(model: ModelSpec) -> str:
    gpus = f"{model.gpus} GPU{'s' if model.gpus > 1 else ''} for training; " if model.gpus else ""
    return gpus + model.memory


def _models(models: Sequence[ModelSpec], name: str) -> tuple[ModelSpec, ...]:
    """Return the rows together with the user's own model."""
    chats = [model for model in models if isinstance(METHODS[model.method], Prompted)]
    waiting = [model for model in chats if not model.model]
    if name and (not waiting or name.startswith(PROMPTED)) and chats:
        filled = waiting or chats
        return tuple(
            replace(model, method="prompted", model=name, title=f"{model.title} ({name})" if waiting else model.title)
            if model in filled
            else model
            for model in models
        )
    there = tuple(model for model in models if model not in waiting)
    return (*there, ModelSpec(GIVEN, name, "ready", model=name)) if name else there


def _shown(model: ModelSpec) -> dict[str, object]:
    """Return the settings of a model's row that the page shows."""
    names = (
        "title", "method", "model", "recipe", "single", "sentences", "devel_sentences", "by_sentence", "decoding",
        "note",
    )  # fmt: skip
    return {name: getattr(model, name) for name in names} | {"change": dict(model.change), "prompt": dict(model.prompt)}


def _span(seconds: float) -> str:
    """Format a time in seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
