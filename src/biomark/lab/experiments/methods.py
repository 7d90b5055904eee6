"""The methods by which models are made and loaded: one protocol and a dict of its implementations."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from biomark import corpora, models
from biomark.errors import MissingExtraError
from biomark.formats import Reject
from biomark.lab.bench import crf, spacy_ner
from biomark.lab.experiments.cells import Build
from biomark.lab.experiments.data import checksum, sums_of
from biomark.lab.experiments.launching import launch
from biomark.lab.experiments.supplies import FORMAT, Supplies
from biomark.lab.experiments.weights import gguf_sum, local_sum, packaged_sum, start_sum, unpack_gguf
from biomark.prompted.settings import PromptOptions
from biomark.recognizers import Recognizer
from biomark.training.recipe import GenerativeRecipe

Facts = dict[str, object]


class Method(Protocol):
    """The way in which the models of a method are made and used."""

    @property
    def made(self) -> bool:
        """Return whether its models are made here; others are used as they are."""
        ...

    def facts(self, build: Build, supplies: Supplies) -> Facts:
        """Return everything but method and types on which a model depends, as JSON values."""
        ...

    def shared(self, build: Build) -> str:
        """Return the folder name that rows share if only the use of the model differs; "" if there are none."""
        ...

    def splits(self, build: Build, supplies: Supplies) -> list[str]:
        """Return the splits on which a model depends."""
        ...

    def passes(self, build: Build, supplies: Supplies) -> int:
        """Return the number of passes over the training data; 1 if the method has no such number."""
        ...

    def build(self, build: Build, supplies: Supplies, folder: Path, reject: Reject) -> None:
        """Make a model in a folder, or go on with one that was stopped.

        Raises:
            UsageError, CorpusError, ModelError: if its row, its data or its base model cannot be used.
        """
        ...

    def load(self, build: Build, supplies: Supplies, folder: Path, corpus: str) -> Recognizer:
        """Return the recognizer of a model.

        Args:
            build: the model.
            supplies: the data of the model.
            folder: the folder in which it was made.
            corpus: the corpus that instructions name; "": none.
        """
        ...


class _Common:
    """The parts of the protocol that are the same for most methods, whose models are made here."""

    made = True

    def shared(self, build: Build) -> str:
        """See `Method`."""
        return ""

    def splits(self, build: Build, supplies: Supplies) -> list[str]:
        """See `Method`."""
        return supplies.train_names(build)

    def passes(self, build: Build, supplies: Supplies) -> int:
        """See `Method`."""
        return supplies.passes(build)


class Crf(_Common):
    """A conditional random field for each type."""

    def facts(self, build: Build, supplies: Supplies) -> Facts:
        """See `Method`."""
        return {"data": supplies.train_facts(build), "settings": crf.SETTINGS}

    def build(self, build: Build, supplies: Supplies, folder: Path, reject: Reject) -> None:
        """See `Method`."""
        documents = [d for name in supplies.train_files(build) for d in corpora.read_corpus(name, reject=reject)]
        crf.train(documents, supplies.types(build), folder, progress=supplies.say)

    def load(self, build: Build, supplies: Supplies, folder: Path, corpus: str) -> Recognizer:
        """See `Method`."""
        return crf.CrfRecognizer(folder)


class Spacy(_Common):
    """spaCy's NER on its tok2vec network."""

    def facts(self, build: Build, supplies: Supplies) -> Facts:
        """See `Method`."""
        return {"data": supplies.train_facts(build), "settings": spacy_ner.SETTINGS}

    def passes(self, build: Build, supplies: Supplies) -> int:
        """See `Method`."""
        return int(spacy_ner.SETTINGS["epochs"])

    def build(self, build: Build, supplies: Supplies, folder: Path, reject: Reject) -> None:
        """See `Method`."""
        names, types = supplies.train_files(build), supplies.types(build)
        spacy_ner.train(names, types, folder, reject=reject, seed=build.seed, progress=supplies.say)

    def load(self, build: Build, supplies: Supplies, folder: Path, corpus: str) -> Recognizer:
        """See `Method`."""
        return spacy_ner.SpacyRecognizer(folder)


class Tuned(_Common):
    """A model that is tuned by a recipe of biomark, which names its task (tagging or generative)."""

    def facts(self, build: Build, supplies: Supplies) -> Facts:
        """See `Method`."""
        model = build.model
        recipe = supplies.recipe(build)
        values = asdict(recipe) | {"name": "", "knowledge": [], "types": list(build.types)}
        values |= {"train": supplies.train_facts(build), "devel": supplies.devel_facts(build)}
        knowledge = [*sums_of(model.knowledge), *(["own mentions"] if model.own_mentions else [])]
        start = {"start": start_sum(recipe.start)} if recipe.start else {}
        return {"recipe": values, "knowledge": knowledge, "grid": model.grid, **start}

    def splits(self, build: Build, supplies: Supplies) -> list[str]:
        """See `Method`."""
        return [*supplies.train_names(build), *supplies.devel_names(build)]

    def build(self, build: Build, supplies: Supplies, folder: Path, reject: Reject) -> None:
        """See `Method`."""
        try:
            from biomark.generative.training import trainer as generative
            from biomark.tagging.training import grid
            from biomark.tagging.training import trainer as tagging
            from biomark.training.runs import TrainingFolder
        except ImportError as error:
            raise MissingExtraError(error.name or "torch", "train") from error
        files = _files(build, supplies)
        recipe = replace(supplies.recipe(build), **files)
        say = supplies.say
        if isinstance(recipe, GenerativeRecipe):
            run = TrainingFolder(folder)
            resume = bool(run.checkpoints() or run.scores())
            if recipe.fsdp:
                launch(recipe, folder, build.model.gpus, resume=resume)
            else:
                generative.train(recipe, folder, reject=reject, resume=resume, progress=say)
        elif build.model.grid:
            settings = [(one, replace(own, **files, types=recipe.types)) for one, own in supplies.grid(build)]
            grid.train_grid(settings, folder, reject=reject, resume=any(folder.glob("GRID-*")), progress=say)
        else:
            resume = (folder / tagging.CHECKPOINT).is_file()
            tagging.train(recipe, folder, reject=reject, resume=resume, progress=say)
        gc.collect()

    def load(self, build: Build, supplies: Supplies, folder: Path, corpus: str) -> Recognizer:
        """See `Method`."""
        asking = models.Asking(decoding=build.model.decoding) if build.model.decoding else None
        return models.load(f"{folder}{f'@{corpus}' if corpus else ''}", asking)


class Ready(_Common):
    """A model that `biomark annotate --model` takes, without training."""

    made = False

    def facts(self, build: Build, supplies: Supplies) -> Facts:
        """See `Method`."""
        model = build.model
        facts: Facts = {"model": model.model, "weights": self.weights(build), "by_sentence": model.by_sentence}
        if model.knowledge:
            facts["knowledge"] = sums_of(model.knowledge)
        if models.asks_server(model.model):
            facts["server"] = supplies.server.base_url
        return facts

    def weights(self, build: Build) -> str:
        """Return the checksum of a model's files; "" if its name identifies them."""
        return packaged_sum(build.model.model)

    def build(self, build: Build, supplies: Supplies, folder: Path, reject: Reject) -> None:
        """See `Method`; there is nothing to make."""

    def load(self, build: Build, supplies: Supplies, folder: Path, corpus: str) -> Recognizer:
        """See `Method`."""
        name, decoding = build.model.model, build.model.decoding
        asking = models.Asking(decoding=decoding) if decoding else None
        prompting = models.Prompting(server=supplies.server) if models.asks_server(name) else None
        return models.load(name, asking, supplies.store(build), prompting)


class Prompted(Ready):
    """A language model that is prompted with the settings of its row."""

    def facts(self, build: Build, supplies: Supplies) -> Facts:
        """See `Method`."""
        prompt = {"prompt": dict(build.model.prompt), "server": supplies.server.base_url}
        return {**super().facts(build, supplies), **prompt, "data": supplies.train_facts(build)}

    def weights(self, build: Build) -> str:
        """See `Ready`."""
        return local_sum(build.model.model)

    def name(self, build: Build, folder: Path) -> str:
        """Return the model's name in the form that `biomark.models.load` accepts."""
        return build.model.model

    def load(self, build: Build, supplies: Supplies, folder: Path, corpus: str) -> Recognizer:
        """See `Method`."""
        name = self.name(build, folder)
        options = PromptOptions(**{"demonstrations": tuple(supplies.train_files(build)), **build.model.prompt})
        asking = models.Asking(decoding="marks" if options.shape == "mark" else "generate")
        local = name.startswith(models.HUGGING_FACE)
        # The runner reports what cannot be read of a split before the first cell.
        prompting = models.Prompting(options, supplies.server, reject=lambda rejected: None)
        return models.load(name, asking if local else None, supplies.store(build), prompting)


class Gguf(Prompted):
    """A prompted model in a file of llama.cpp, which is unpacked into a folder of transformers first."""

    made = True

    def weights(self, build: Build) -> str:
        """See `Ready`."""
        return gguf_sum(build.model.model)

    def shared(self, build: Build) -> str:
        """See `Method`: one file is prompted in many ways."""
        return f"gguf-{checksum([FORMAT, self.weights(build)])}"

    def name(self, build: Build, folder: Path) -> str:
        """See `Prompted`."""
        return f"{models.HUGGING_FACE}{folder}"

    def build(self, build: Build, supplies: Supplies, folder: Path, reject: Reject) -> None:
        """See `Method`."""
        unpack_gguf(build.model.model, folder)


def _files(build: Build, supplies: Supplies) -> dict[str, Any]:
    """Return the settings of a recipe that name files."""
    files: dict[str, Any] = {"train": tuple(supplies.train_files(build)), "devel": tuple(supplies.devel_files(build))}
    if store := supplies.store(build):
        files["knowledge"] = str(store)
    return files


METHODS: Mapping[str, Method] = {
    "ready": Ready(),
    "crf": Crf(),
    "spacy": Spacy(),
    "tagging": Tuned(),
    "generative": Tuned(),
    "prompted": Prompted(),
    "gguf": Gguf(),
}
"""The implementation of each method of `biomark.lab.experiments.specs.METHODS`."""
