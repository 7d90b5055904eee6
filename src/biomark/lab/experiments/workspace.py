"""The workspace of experiments: model cells and test cells, each computed once and kept.

A cell is known by a checksum of all that decides its figures: recipe, data, seed. Experiments that need the same
cell share it, a cell that is there is not done again, and one that was stopped goes on where its trainer can.
"""

from __future__ import annotations

import gc
import json
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from biomark import corpora, evaluation, formats, models
from biomark.evaluation import Evaluation
from biomark.lab.experiments.cells import PREDICTED, Build, Reading, Result
from biomark.lab.experiments.data import (
    DRAW,
    BySentence,
    checksum,
    data_files,
    data_sum,
    file_sum,
    write_json,
)
from biomark.lab.experiments.methods import METHODS, Method
from biomark.lab.experiments.scoring import grid_runs, scores_of, spread
from biomark.lab.experiments.supplies import FORMAT, Say, Supplies
from biomark.prompted.settings import ServerOptions
from biomark.recognizers import Annotated, Recognizer
from biomark.spans import Document, Rejected
from biomark.text.sentences import OWN

_ANSWERS = {"new": "requests", "cached": "cached"}
DONE, SCORES = "done.json", "scores.json"
_LEFTOVERS = ("checkpoint.pt", "checkpoints")


class Workspace:
    """A folder of cells.

    Args:
        folder: the folder, which is created if it does not exist.
        say: is called with a line about what is done.
        server: for prompted models of a server.
        recipes: the folder with recipes; None: that of the checkout.

    Attributes:
        supplies: the data and settings of the models.
    """

    def __init__(
        self, folder: Path, *, say: Say, server: ServerOptions | None = None, recipes: Path | None = None
    ) -> None:
        self.folder = folder.resolve()
        self.say = say
        self.supplies = Supplies(self.folder, say=say, server=server, recipes=recipes)
        self._loaded: tuple[Build, str, Recognizer] | None = None

    # What decides a cell

    def facts(self, build: Build) -> dict[str, object]:
        """Return everything on which a model depends, as JSON values."""
        own = method_of(build).facts(build, self.supplies)
        return {"format": FORMAT, "method": build.model.method, "types": list(build.types), **own}

    def model_folder(self, build: Build) -> Path:
        """Return the folder of a model cell."""
        shared = method_of(build).shared(build)
        own = shared or f"{build.model.weights or build.model.name}-{checksum(self.facts(build))}"
        return self.folder / "models" / own

    def reading_folder(self, reading: Reading) -> Path:
        """Return the folder of a test cell, with its predictions and scores."""
        test = [reading.test, data_sum(reading.test), reading.sentences, DRAW]
        model = reading.build.model
        facts = {"model": self.facts(reading.build), "test": test, "by_sentence": model.by_sentence}
        facts |= {"decoding": model.decoding} if model.decoding else {}
        facts |= {"splitter": reading.splitter} if reading.splitter != OWN else {}
        facts |= {"corpus": corpus} if (corpus := self._corpus_named(reading)) else {}
        name = f"{model.name}-{reading.test.replace(':', '-')}-{checksum(facts)}"
        return self.folder / "readings" / name

    # Done or not

    def built(self, build: Build) -> bool:
        """Return whether a model is there, or need not be made."""
        return not method_of(build).made or (self.model_folder(build) / DONE).is_file()

    def result(self, reading: Reading) -> Result | None:
        """Return the result of a test cell; None if it is not done."""
        folder = self.reading_folder(reading)
        path = folder / SCORES
        return Result(reading, json.loads(path.read_text("utf-8")), folder) if path.is_file() else None

    def build_facts(self, build: Build) -> Mapping[str, Any]:
        """Return the facts that `build` has saved about a model; empty if it is not made."""
        path = self.model_folder(build) / DONE
        stored: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        return stored

    def passes(self, build: Build) -> int:
        """Return the passes over the training data, summed over the settings of a grid; 1 without epochs."""
        return method_of(build).passes(build, self.supplies)

    def splits(self, reading: Reading) -> list[str]:
        """Return the splits on which a test cell's figures depend."""
        build = reading.build
        knowledge = [source for source in build.model.knowledge if ":" in source]
        return [reading.test, *method_of(build).splits(build, self.supplies), *knowledge]

    @staticmethod
    def files(splits: Sequence[str]) -> dict[str, str]:
        """Return the SHA-256 of each file of some splits."""
        return {name: file_sum(path) for split in splits for name, path in data_files(split)}

    # Making models

    def build(self, build: Build) -> Path:
        """Make a model, or resume one whose training was interrupted.

        Raises:
            UsageError, CorpusError, ModelError: if its row, its data or its base model cannot be used.
        """
        folder = self.model_folder(build)
        begin = time.perf_counter()
        rejected: list[Rejected] = []
        method_of(build).build(build, self.supplies, folder, rejected.append)
        seconds = round(time.perf_counter() - begin, 1)
        facts = {"cell": self.facts(build), "seconds": seconds, "rejected": len(rejected)}
        write_json(folder / DONE, facts)
        # Several times the model's size, for a resumption that is not needed any more.
        for path in [path for name in _LEFTOVERS for path in folder.glob(name)]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return folder

    # Reading

    def read(self, reading: Reading) -> Result:
        """Annotate a test set with a model, and score the predictions."""
        build = reading.build
        gold = reading.documents()
        types = corpora.corpus_types(reading.test)
        begin = time.perf_counter()
        recognizer = self._recognizer(build, self._corpus_named(reading))
        asked = _answers(recognizer)
        annotations = self._annotated(build, recognizer, gold, types)
        seconds = time.perf_counter() - begin
        documents = [annotated.document for annotated in annotations]
        scored = evaluation.evaluate(gold, documents, types=types, corpus=reading.test)
        folder = self.reading_folder(reading)
        folder.mkdir(parents=True, exist_ok=True)
        formats.write(documents, folder / PREDICTED)
        rejected = [rejected for annotated in annotations for rejected in annotated.rejected]
        facts = {
            "model": build.model.name,
            "types": list(types),
            "fraction": build.fraction,
            "seed": build.seed,
            "test": reading.test,
            "documents": len(gold),
            "sentences": sum(len(document.sentences) for document in gold),
            "mentions": sum(entity.type in types for document in gold for entity in document.entities),
            **scores_of(scored),
            **({"grid": self._spread(build, gold, types)} if build.model.grid else {}),
            "rejected": len(rejected),
            "reasons": sorted({one.reason for one in rejected})[:5],
            "seconds": round(seconds, 1),
            # Answers from the cache take no time, so that the speed is computed from the new answers alone.
            **_answers(recognizer) - asked,
            "key": folder.name,
        }
        write_json(folder / SCORES, facts)
        return Result(reading, facts, folder)

    @staticmethod
    def _annotated(
        build: Build, recognizer: Recognizer, gold: Sequence[Document], types: Sequence[str]
    ) -> list[Annotated]:
        return list((BySentence(recognizer) if build.model.by_sentence else recognizer).annotate(gold, types))

    def _spread(self, build: Build, gold: Sequence[Document], types: Sequence[str]) -> Mapping[str, object]:
        """Return the scores of all settings of a grid; the model is the setting with the lowest loss."""

        def read(run: Path) -> Evaluation:
            self.say(f"  {run.name}")
            annotations = self._annotated(build, models.load(str(run)), gold, types)
            return evaluation.evaluate(gold, [one.document for one in annotations], types=types)

        return spread(grid_runs(self.model_folder(build)), read)

    def _corpus_named(self, reading: Reading) -> str:
        """Return the test set's corpus if instructions name it; "" if they name none."""
        corpus = reading.test.partition(":")[0]
        learnt = {name.partition(":")[0] for name in self.supplies.train_names(reading.build)}
        return corpus if reading.build.model.named and corpus in learnt else ""

    def _recognizer(self, build: Build, corpus: str) -> Recognizer:
        """Load the model of a cell; the last one stays in memory, because it reads several test sets."""
        if self._loaded is None or self._loaded[:2] != (build, corpus):
            self._loaded = None
            gc.collect()
            recognizer = method_of(build).load(build, self.supplies, self.model_folder(build), corpus)
            self._loaded = (build, corpus, recognizer)
        return self._loaded[2]


def _answers(recognizer: Recognizer) -> Counter[str]:
    """Return how many answers of prompted models are new, and how many are from their cache."""
    counts = [one.chat.account.counts for one in models.prompted(recognizer)]
    return Counter({f"{name}_answers": sum(one[key] for one in counts) for name, key in _ANSWERS.items()})


def method_of(build: Build) -> Method:
    """Return the method by which a model is made and loaded."""
    return METHODS[build.model.method]
