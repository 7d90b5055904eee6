"""The inputs of an experiment's models: splits and sentences drawn from them, term stores, recipes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from biomark import formats
from biomark.errors import UsageError
from biomark.knowledge.database import FORMAT as STORE_FORMAT
from biomark.lab.experiments.cells import Build
from biomark.lab.experiments.data import (
    DRAW,
    checksum,
    data_sum,
    draw,
    draw_facts,
    knowledge_store,
    recipe_folder,
    splits_of_types,
    sums_of,
    types_of,
)
from biomark.prompted.settings import ServerOptions
from biomark.training.recipe import Recipe, load_grid, load_recipe

Say = Callable[[str], None]

FORMAT = 1  # raised when cells of before mean something else


class Supplies:
    """The data and settings of model cells; files that are drawn or built are kept in a folder.

    Args:
        folder: the folder of the cells.
        say: is called with a line about what is done.
        server: for prompted models of a server; None: as `ServerOptions` are.
        recipes: the folder with recipes; None: that of the checkout.
    """

    def __init__(
        self, folder: Path, *, say: Say, server: ServerOptions | None = None, recipes: Path | None = None
    ) -> None:
        self.say = say
        self.server = server or ServerOptions()
        self._folder = folder
        self._recipes = recipes or recipe_folder()
        self._loaded: dict[tuple[Path, tuple[str, ...]], Recipe] = {}

    # Splits

    def train_names(self, build: Build) -> list[str]:
        """Return the splits from which a model learns or takes its demonstrations."""
        return splits_of_types(build.model.train or (self.base(build).train if build.model.recipe else ()), build.types)

    def devel_names(self, build: Build) -> list[str]:
        """Return the splits on which the best epoch of a tuned model is chosen."""
        return splits_of_types(build.model.devel or self.base(build).devel, build.types)

    def types(self, build: Build) -> tuple[str, ...]:
        """Return the types that a model learns."""
        return build.types or types_of(self.train_names(build))

    def train_facts(self, build: Build) -> list[object]:
        """Return everything that determines a model's training sentences, as JSON values."""
        drawn = draw_facts(build.model.sentences, build.fraction, build.seed, build.repeats)
        return [[name, data_sum(name), *drawn] for name in self.train_names(build)]

    def devel_facts(self, build: Build) -> list[object]:
        """Likewise of those that its best epoch is chosen on."""
        drawn = [build.model.devel_sentences, DRAW] if build.model.devel_sentences else []
        return [[name, data_sum(name), *drawn] for name in self.devel_names(build)]

    # Files

    def train_files(self, build: Build) -> list[str]:
        """Return the files or splits from which a model learns."""
        names, model = self.train_names(build), build.model
        return [self.drawn(name, model.sentences, build.fraction, build.seed, build.repeats) for name in names]

    def devel_files(self, build: Build) -> list[str]:
        """Return the files or splits on which the best epoch is chosen."""
        return [self.drawn(name, build.model.devel_sentences, 1.0, DRAW) for name in self.devel_names(build)]

    def drawn(self, name: str, sentences: int, fraction: float = 1.0, seed: int = DRAW, repeats: int = 1) -> str:
        """Return a file of sentences drawn from a split, each a document; the split itself if all are needed.

        Of two draws with one seed the smaller one is a part of the larger one.

        Args:
            name: the name of the split.
            sentences: the number of sentences; 0: all.
            fraction: the share of these sentences to draw.
            seed: the seed of the draw.
            repeats: the number of times that each sentence is in the file.
        """
        facts = draw_facts(sentences, fraction, seed, repeats)
        if not facts:
            return name
        key = checksum([FORMAT, name, data_sum(name), *facts])
        # Instructions call a corpus by its file's name. JSON would be taken for demonstrations.
        path = self._folder / "data" / key / f"{name.partition(':')[0]}.bioc.xml"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name("part.bioc.xml")
            documents = draw(name, sentences, fraction, seed)
            again = (replace(d, id=f"{d.id}~{n}") for n in range(1, repeats) for d in documents)
            formats.write(chain(documents, again), part)
            part.replace(path)
        return str(path)

    def store(self, build: Build) -> Path | None:
        """Return the knowledge store of a model; None if its row lists no sources."""
        model = build.model
        if not model.knowledge:
            return None
        own = self.train_files(build) if model.own_mentions else []
        key = checksum([FORMAT, STORE_FORMAT, *sums_of(model.knowledge), *(self.train_facts(build) if own else [])])
        return knowledge_store(self._folder / "data" / f"{key}.store", model.knowledge, own, self.say)

    # Recipes

    def recipe_path(self, build: Build) -> Path:
        """Return the path of a model's recipe."""
        return self._recipes / f"{build.model.recipe}.toml"

    def base(self, build: Build) -> Recipe:
        """Return the recipe of a model, with the data that its file names. It is loaded once.

        Raises:
            UsageError: if the file does not exist.
        """
        path, changes = self.recipe_path(build), tuple(_changes(build))
        if (path, changes) not in self._loaded:
            if not path.is_file():
                raise UsageError(
                    f"{path} does not exist; run this in a checkout of biomark, which contains the recipes"
                )
            self._loaded[path, changes] = load_recipe(path, changes)
        return self._loaded[path, changes]

    def recipe(self, build: Build) -> Recipe:
        """Return the recipe of a model, with the experiment's data under the catalogue's names."""
        base = self.base(build)
        changed: dict[str, Any] = {"name": build.model.name, "knowledge": ""} if hasattr(base, "knowledge") else {}
        changed |= {"train": tuple(self.train_names(build)), "devel": tuple(self.devel_names(build))}
        if build.types:
            changed["types"] = build.types
        return replace(base, **changed)

    def grid(self, build: Build) -> list[tuple[Mapping[str, object], Recipe]]:
        """Return the settings of the recipe's grid, each with its recipe."""
        return load_grid(self.recipe_path(build), _changes(build))

    def settings(self, build: Build) -> int:
        """Return the number of hyperparameter settings in a model's grid."""
        return len(self.grid(build)) if build.model.grid else 1

    def passes(self, build: Build) -> int:
        """Return the passes over the training data, summed over all settings of a grid; 1 without a recipe."""
        return self.base(build).epochs * self.settings(build) * build.repeats if build.model.recipe else 1


def _changes(build: Build) -> list[str]:
    change = {**build.model.change, "seed": build.seed}
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in change.items()]
