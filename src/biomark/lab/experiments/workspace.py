"""Cells: the models and test sets that experiments are made of, each done once and kept.

A cell is known by a checksum of all that decides its figures: recipe, data, seed. Experiments that need the same
cell share it, a cell that is there is not done again, and one that was stopped goes on where its trainer can.
"""

from __future__ import annotations

import gc
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from biomark import corpora, evaluation, formats, models
from biomark.errors import MissingExtraError, UsageError
from biomark.evaluation import Evaluation
from biomark.knowledge.database import FORMAT as STORE_FORMAT
from biomark.lab.bench import crf, spacy_ner
from biomark.lab.experiments.data import (
    DRAW,
    BySentence,
    checksum,
    data_files,
    data_sum,
    draw,
    draw_facts,
    file_sum,
    knowledge_store,
    recipe_folder,
    splits_of_types,
    sums_of,
    test_documents,
    types_of,
    write_json,
)
from biomark.lab.experiments.launching import launch
from biomark.lab.experiments.scoring import grid_runs, scores_of, spread
from biomark.lab.experiments.specs import TRAINED, Model
from biomark.lab.experiments.weights import unpack_gguf, weights_sum
from biomark.prompted.settings import PromptOptions, ServerOptions
from biomark.recognizers import Annotated, Recognizer
from biomark.spans import Document, Rejected
from biomark.training.recipe import GenerativeRecipe, Recipe, load_grid, load_recipe

Say = Callable[[str], None]

FORMAT = 1  # raised when cells of before mean something else
DONE, SCORES, PREDICTED = "done.json", "scores.json", "predicted.jsonl"
_LEFTOVERS = ("checkpoint.pt", "checkpoints")


@dataclass(frozen=True, slots=True)
class Build:
    """A model cell.

    Attributes:
        model: its row.
        types: to learn and find; empty: all that its data annotate.
        fraction: of the sentences to learn from.
        seed: of what is drawn and of training.
        repeats: how often a pass has each sentence.
    """

    model: Model
    types: tuple[str, ...] = ()
    fraction: float = 1.0
    seed: int = 13
    repeats: int = 1

    @property
    def label(self) -> str:
        """For people."""
        more = [*self.types]
        if self.fraction < 1:
            more.append(f"{self.fraction:.0%} of the data")
        if self.model.method in TRAINED:
            more.append(f"seed {self.seed}")
        return f"{self.model.name} ({', '.join(more)})" if more else self.model.name


@dataclass(frozen=True, slots=True)
class Reading:
    """A test cell: a model reads a test set.

    Attributes:
        build: the model.
        test: the split.
        sentences: about how many of it; 0: all.
    """

    build: Build
    test: str
    sentences: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a test cell.

    Attributes:
        reading: the cell.
        facts: what `scores.json` says.
        folder: of the cell.
    """

    reading: Reading
    facts: Mapping[str, Any]
    folder: Path

    def figure(self, scheme: str, figure: str = "f1") -> float:
        """Precision, recall, F1, or an end of its interval (`low`, `high`), in [0, 1]."""
        return float(self.facts[scheme][figure])

    def predictions(self) -> Iterator[Document]:
        """The documents with what was found."""
        return formats.read(self.folder / PREDICTED)


class Place:
    """A folder of cells.

    Args:
        folder: is made if it is not there.
        say: is called with a line about what is done.
        server: for prompted models of a server.
        recipes: the folder with recipes; None: that of the checkout.
    """

    def __init__(
        self, folder: Path, *, say: Say, server: ServerOptions | None = None, recipes: Path | None = None
    ) -> None:
        self.folder = folder.resolve()
        self.say = say
        self.server = server or ServerOptions()
        self._recipes = recipes or recipe_folder()
        self._loaded: tuple[Build, str, Recognizer] | None = None

    # What decides a cell

    def facts(self, build: Build) -> dict[str, object]:
        """All that decides a model, as JSON can hold it."""
        model = build.model
        found: dict[str, object] = {"format": FORMAT, "method": model.method, "types": list(build.types)}
        if model.method == "crf":
            return {**found, "data": self._data(build), "settings": crf.SETTINGS}
        if model.method == "spacy":
            return {**found, "data": self._data(build), "settings": spacy_ner.SETTINGS}
        if model.method in TRAINED:
            values = asdict(self._recipe(build)) | {"name": "", "knowledge": [], "types": list(build.types)}
            values |= {"train": self._data(build), "devel": self._devel_data(build)}
            knowledge = [*sums_of(model.knowledge), *(["own mentions"] if model.own_mentions else [])]
            return {**found, "recipe": values, "knowledge": knowledge, "grid": model.grid}
        found |= {"model": model.model, "weights": weights_sum(model), "by_sentence": model.by_sentence}
        if model.knowledge:
            found["knowledge"] = sums_of(model.knowledge)
        if models.asks_server(model.model):
            found["server"] = self.server.base_url
        if model.method != "ready":
            found |= {"prompt": dict(model.prompt), "server": self.server.base_url, "data": self._data(build)}
        return found

    def model_folder(self, build: Build) -> Path:
        """Where a model is kept."""
        model = build.model
        if model.method == "gguf":  # one file, prompted in many ways
            return self.folder / "models" / f"gguf-{checksum([FORMAT, weights_sum(model)])}"
        return self.folder / "models" / f"{model.weights or model.name}-{checksum(self.facts(build))}"

    def reading_folder(self, reading: Reading) -> Path:
        """Where the answers of a test cell are kept."""
        test = [reading.test, data_sum(reading.test), reading.sentences, DRAW]
        model = reading.build.model
        facts = {"model": self.facts(reading.build), "test": test, "by_sentence": model.by_sentence}
        facts |= {"decoding": model.decoding} if model.decoding else {}
        facts |= {"corpus": corpus} if (corpus := self._corpus_named(reading)) else {}
        name = f"{model.name}-{reading.test.replace(':', '-')}-{checksum(facts)}"
        return self.folder / "readings" / name

    def _data(self, build: Build) -> list[object]:
        model = build.model
        drawn = draw_facts(model.sentences, build.fraction, build.seed, build.repeats)
        return [[name, data_sum(name), *drawn] for name in self.train_names(build)]

    def _devel_data(self, build: Build) -> list[object]:
        drawn = [build.model.devel_sentences, DRAW] if build.model.devel_sentences else []
        return [[name, data_sum(name), *drawn] for name in self._devel_names(build)]

    def train_names(self, build: Build) -> list[str]:
        """The splits that a model learns from, or takes its demonstrations from."""
        return splits_of_types(
            build.model.train or (self._base(build).train if build.model.recipe else ()), build.types
        )

    def _devel_names(self, build: Build) -> list[str]:
        return splits_of_types(build.model.devel or self._base(build).devel, build.types)

    # Done or not

    def built(self, build: Build) -> bool:
        """Whether a model is there, or need not be made."""
        return build.model.method in ("ready", "prompted") or (self.model_folder(build) / DONE).is_file()

    def result(self, reading: Reading) -> Result | None:
        """What came of a test cell, if it is done."""
        folder = self.reading_folder(reading)
        path = folder / SCORES
        return Result(reading, json.loads(path.read_text("utf-8")), folder) if path.is_file() else None

    def build_facts(self, build: Build) -> Mapping[str, Any]:
        """What is known of a model that was made here."""
        path = self.model_folder(build) / DONE
        found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        return found

    def passes(self, build: Build) -> int:
        """How often a model sees what it learns from, all settings of a grid together; 1 where that says nothing."""
        if build.model.method == "spacy":
            return int(spacy_ner.SETTINGS["epochs"])
        if not build.model.recipe:
            return 1
        return self._base(build).epochs * self.settings(build) * build.repeats

    def settings(self, build: Build) -> int:
        """How many settings a model is chosen from."""
        return len(load_grid(self._recipe_path(build), _changes(build))) if build.model.grid else 1

    def splits(self, reading: Reading) -> list[str]:
        """The splits that a test cell's figures depend on."""
        build = reading.build
        devel = self._devel_names(build) if build.model.method in ("tagging", "generative") else []
        knowledge = [source for source in build.model.knowledge if ":" in source]
        return [reading.test, *self.train_names(build), *devel, *knowledge]

    @staticmethod
    def files(splits: Sequence[str]) -> dict[str, str]:
        """The SHA-256 of each file of some splits."""
        return {name: file_sum(path) for split in splits for name, path in data_files(split)}

    # Training

    def build(self, build: Build) -> Path:
        """Make a model, or go on with one that was stopped.

        Raises:
            UsageError, CorpusError, ModelError: if its row, its data or its base model cannot be used.
        """
        folder, method = self.model_folder(build), build.model.method
        begin = time.perf_counter()
        rejected: list[Rejected] = []
        if method == "crf":
            documents = [
                d for name in self._train_files(build) for d in corpora.read_corpus(name, reject=rejected.append)
            ]
            crf.train(documents, build.types or types_of(self.train_names(build)), folder, progress=self.say)
        elif method == "spacy":
            types = build.types or types_of(self.train_names(build))
            spacy_ner.train(
                self._train_files(build), types, folder, reject=rejected.append, seed=build.seed, progress=self.say
            )
        elif method == "gguf":
            unpack_gguf(build.model.model, folder)
        else:
            self._train(build, folder, rejected.append)
        seconds = round(time.perf_counter() - begin, 1)
        facts = {"cell": self.facts(build), "seconds": seconds, "rejected": len(rejected)}
        write_json(folder / DONE, facts)
        # Several times the model's size, for a resumption that is not needed any more.
        for path in [path for name in _LEFTOVERS for path in folder.glob(name)]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return folder

    def _train(self, build: Build, folder: Path, reject: Callable[[Rejected], None]) -> None:
        try:
            from biomark.generative.training import trainer as generative
            from biomark.tagging.training import grid
            from biomark.tagging.training import trainer as tagging
            from biomark.training.runs import RunFolder
        except ImportError as error:
            raise MissingExtraError(error.name or "torch", "train") from error
        recipe = self._recipe(build)
        files: dict[str, Any] = {"train": tuple(self._train_files(build)), "devel": tuple(self._devel_files(build))}
        if store := self._store(build):
            files["knowledge"] = str(store)
        recipe = replace(recipe, **files)
        if isinstance(recipe, GenerativeRecipe):
            run = RunFolder(folder)
            resume = bool(run.checkpoints() or run.scores())
            if recipe.fsdp:
                launch(recipe, folder, build.model.gpus, resume=resume)
            else:
                generative.train(recipe, folder, reject=reject, resume=resume, progress=self.say)
        elif build.model.grid:
            given = load_grid(self._recipe_path(build), _changes(build))
            settings = [(setting, replace(one, **files, types=recipe.types)) for setting, one in given]
            grid.train_grid(settings, folder, reject=reject, resume=any(folder.glob("GRID-*")), progress=self.say)
        else:
            resume = (folder / tagging.CHECKPOINT).is_file()
            tagging.train(recipe, folder, reject=reject, resume=resume, progress=self.say)
        gc.collect()

    def _recipe_path(self, build: Build) -> Path:
        return self._recipes / f"{build.model.recipe}.toml"

    def _base(self, build: Build) -> Recipe:
        path = self._recipe_path(build)
        if not path.is_file():
            raise UsageError(f"{path} is not there; run this in a checkout of biomark, which has the recipes")
        return load_recipe(path, _changes(build))

    def _recipe(self, build: Build) -> Recipe:
        """The recipe of a model, its data under the names of the catalogue."""
        base = self._base(build)
        changed: dict[str, Any] = {"name": build.model.name, "knowledge": ""} if hasattr(base, "knowledge") else {}
        changed |= {"train": tuple(self.train_names(build)), "devel": tuple(self._devel_names(build))}
        if build.types:
            changed["types"] = build.types
        return replace(base, **changed)

    def _train_files(self, build: Build) -> list[str]:
        names, model = self.train_names(build), build.model
        return [self.drawn(name, model.sentences, build.fraction, build.seed, build.repeats) for name in names]

    def _devel_files(self, build: Build) -> list[str]:
        return [self.drawn(name, build.model.devel_sentences, 1.0, DRAW) for name in self._devel_names(build)]

    def drawn(self, name: str, sentences: int, fraction: float = 1.0, seed: int = DRAW, repeats: int = 1) -> str:
        """A file of sentences drawn from a split, each a document; the split itself if all of it is wanted.

        Of two draws with one seed the smaller one is a part of the larger one.

        Args:
            name: of the split.
            sentences: how many; 0: all.
            fraction: which share of these.
            seed: of the draw.
            repeats: how often each sentence is in the file.
        """
        facts = draw_facts(sentences, fraction, seed, repeats)
        if not facts:
            return name
        key = checksum([FORMAT, name, data_sum(name), *facts])
        # Instructions call a corpus by its file's name. JSON would be taken for demonstrations.
        path = self.folder / "data" / key / f"{name.partition(':')[0]}.bioc.xml"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name("part.bioc.xml")
            documents = draw(name, sentences, fraction, seed)
            again = (replace(d, id=f"{d.id}~{n}") for n in range(1, repeats) for d in documents)
            formats.write(chain(documents, again), part)
            part.replace(path)
        return str(path)

    def _store(self, build: Build) -> Path | None:
        """The knowledge store of a model, if it has sources of one."""
        model = build.model
        if not model.knowledge:
            return None
        own = self._train_files(build) if model.own_mentions else []
        key = checksum([FORMAT, STORE_FORMAT, *sums_of(model.knowledge), *(self._data(build) if own else [])])
        return knowledge_store(self.folder / "data" / f"{key}.store", model.knowledge, own, self.say)

    # Reading

    def read(self, reading: Reading) -> Result:
        """Let a model read a test set, and score what it finds."""
        build = reading.build
        gold = test_documents(reading.test, reading.sentences)
        types = corpora.corpus_types(reading.test)
        begin = time.perf_counter()
        found = self._found(build, self._recognizer(build, self._corpus_named(reading)), gold, types)
        seconds = time.perf_counter() - begin
        documents = [annotated.document for annotated in found]
        scored = evaluation.evaluate(gold, documents, types=types, corpus=reading.test)
        folder = self.reading_folder(reading)
        folder.mkdir(parents=True, exist_ok=True)
        formats.write(documents, folder / PREDICTED)
        rejected = [rejected for annotated in found for rejected in annotated.rejected]
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
            "key": folder.name,
        }
        write_json(folder / SCORES, facts)
        return Result(reading, facts, folder)

    @staticmethod
    def _found(build: Build, recognizer: Recognizer, gold: Sequence[Document], types: Sequence[str]) -> list[Annotated]:
        return list((BySentence(recognizer) if build.model.by_sentence else recognizer).annotate(gold, types))

    def _spread(self, build: Build, gold: Sequence[Document], types: Sequence[str]) -> Mapping[str, object]:
        """The scores of all settings of a grid, of which the best one by its loss is the model."""

        def read(run: Path) -> Evaluation:
            self.say(f"  {run.name}")
            found = self._found(build, models.load(str(run)), gold, types)
            return evaluation.evaluate(gold, [one.document for one in found], types=types)

        return spread(grid_runs(self.model_folder(build)), read)

    def _corpus_named(self, reading: Reading) -> str:
        """The test set's corpus, if instructions name it; empty: they name none."""
        corpus = reading.test.partition(":")[0]
        learnt = {name.partition(":")[0] for name in self.train_names(reading.build)}
        return corpus if reading.build.model.named and corpus in learnt else ""

    def _recognizer(self, build: Build, corpus: str) -> Recognizer:
        """The model of a cell, loaded; the last one stays, because it reads several test sets."""
        if self._loaded is None or self._loaded[:2] != (build, corpus):
            self._loaded = None
            gc.collect()
            self._loaded = (build, corpus, self._load(build, corpus))
        return self._loaded[2]

    def _load(self, build: Build, corpus: str) -> Recognizer:
        model = build.model
        if model.method == "crf":
            return crf.CrfRecognizer(self.model_folder(build))
        if model.method == "spacy":
            return spacy_ner.SpacyRecognizer(self.model_folder(build))
        if model.method in TRAINED:
            asking = models.Asking(decoding=model.decoding) if model.decoding else None
            return models.load(f"{self.model_folder(build)}{f'@{corpus}' if corpus else ''}", asking)
        store = self._store(build)
        if model.method == "ready":
            prompting = models.Prompting(server=self.server) if models.asks_server(model.model) else None
            return models.load(model.model, store=store, prompting=prompting)
        name = f"{models.HUGGING_FACE}{self.model_folder(build)}" if model.method == "gguf" else model.model
        options = PromptOptions(**{"demonstrations": tuple(self._train_files(build)), **model.prompt})
        asking = models.Asking(decoding="marks" if options.shape == "mark" else "generate", batch=4)
        local = name.startswith(models.HUGGING_FACE)
        return models.load(name, asking if local else None, store, models.Prompting(options, self.server))


def _changes(build: Build) -> list[str]:
    change = {**build.model.change, "seed": build.seed}
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in change.items()]
