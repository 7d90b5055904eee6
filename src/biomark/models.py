"""A model's name or folder → its Recognizer, and what is known of it.

`default` and `nano` are the models that the package carries; `dictionary` looks for the names of a term
store. Any other name is a folder: one that `biomark export` made (of a tagging model ONNX, no torch
needed), or one of a training run (needs the extra `train`, as all generative models do). `A+B` is two
models together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from importlib.resources import files
from pathlib import Path

from biomark.errors import MissingExtraError, ModelError, UsageError
from biomark.knowledge.store import Store
from biomark.recognizers import Recognizer
from biomark.recognizers.combined import CombinedRecognizer
from biomark.recognizers.dictionary import DictionaryRecognizer
from biomark.recognizers.tagging import CARD, WEIGHTS, load_onnx
from biomark.training.recipe import RECIPE, RUN, SCORES

DEFAULT = "default"
PACKAGED = {DEFAULT: "default_model", "nano": "nano_model"}
DICTIONARY = "dictionary"
TOGETHER = "+"
RUNS = Path("runs")
_WEIGHTS = (WEIGHTS, "model*.safetensors", "adapter_model.safetensors")


@dataclass(frozen=True, slots=True)
class Asking:
    """How a generative model is asked.

    Attributes:
        decoding: `marks`: answers are faithful (see `biomark.decoding`); `generate`: the model writes
            what it likes, and what can be placed in the text is taken, as in the paper.
        drafter: a model that proposes mentions, so that answers come faster; None: none. It changes no answer.
        batch: windows asked at the same time.
    """

    decoding: str = "marks"
    drafter: str | None = None
    batch: int = 16


def load(name: str = DEFAULT, asking: Asking | None = None, store: Path | None = None) -> Recognizer:
    """The recognizer of a model.

    Args:
        name: `default`, `nano`, a folder, `dictionary`, or several of them with `+` between them.
        asking: for generative models alone; None: as `Asking` says.
        store: the term store of `dictionary`.

    Raises:
        UsageError: if there is no such model (the message lists those that there are), or `asking` or
            `store` does not suit it.
        ModelError: if its folder is incomplete.
        KnowledgeError: if the store cannot be read.
        MissingExtraError: if it needs a library that is not installed.
    """
    parts = [name] if Path(name).is_dir() else name.split(TOGETHER)
    if store is not None and DICTIONARY not in parts:
        raise UsageError(f"--store is for --model dictionary, or for instance default+dictionary; not for {name}")
    generative = [part for part in parts if part != DICTIONARY and is_generative(folder_of(part))]
    if asking not in (None, Asking()) and not generative:
        raise UsageError(f"{name} is not generative; --decoding, --drafter and --batch are for generative models")
    found = [
        _dictionary(store) if part == DICTIONARY else _load_folder(folder_of(part), asking or Asking())
        for part in parts
    ]
    return reduce(CombinedRecognizer, found)


def _dictionary(store: Path | None) -> Recognizer:
    if store is None:
        raise UsageError("dictionary needs a term store: --store STORE; biomark knowledge build makes one")
    return DictionaryRecognizer(Store(store))


def _load_folder(folder: Path, asking: Asking) -> Recognizer:
    try:
        if is_generative(folder):
            return _load_generative(folder, asking)
        if (folder / WEIGHTS).is_file():
            return load_onnx(folder)
        from biomark.training.tagging import load_trained, recognizer_of
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "train") from error
    return recognizer_of(*load_trained(folder))


def is_generative(folder: Path) -> bool:
    """Whether a folder holds a causal language model."""
    recipe = folder / RECIPE
    return recipe.is_file() and "method" in json.loads(recipe.read_text("utf-8"))


def _load_generative(folder: Path, asking: Asking) -> Recognizer:
    from biomark.decoding.engine import Decoder
    from biomark.recognizers.generative import Answering, FreeGeneration, GenerativeRecognizer, MarkDecoding
    from biomark.training.causal import load_trained

    model, vocabulary, recipe = load_trained(folder)
    full = recipe.prompt_attention == "full"
    ways: dict[str, Callable[[], Answering]] = {
        "marks": lambda: MarkDecoding(
            Decoder(model, vocabulary, full_prompts=full), vocabulary, whole_words=recipe.whole_words
        ),
        "generate": lambda: FreeGeneration(model, vocabulary, full_prompts=full),
    }
    if asking.decoding not in ways:
        raise UsageError(f"decoding is {asking.decoding!r}; there are {', '.join(ways)}")
    if asking.batch < 1:
        raise UsageError(f"a batch holds at least 1 window, not {asking.batch}")
    if asking.drafter is not None and asking.decoding != "marks":
        raise UsageError("a drafter serves mark decoding alone; leave out --drafter or --decoding generate")
    return GenerativeRecognizer(
        ways[asking.decoding](),
        vocabulary,
        recipe.types or None,
        form=recipe.prompt,
        guidelines=recipe.guidelines,
        batch=asking.batch,
        drafter=load(asking.drafter) if asking.drafter is not None else None,
    )


def folder_of(name: str) -> Path:
    """The folder of a model; see `load`."""
    if name in PACKAGED:
        return Path(str(files("biomark").joinpath(PACKAGED[name])))
    folder = next((f for f in (Path(name), RUNS / name) if name and f.is_dir()), None)
    if folder is None:
        raise UsageError(f"no model {name!r}: neither a folder nor one of {', '.join([*names(), DICTIONARY])}")
    return folder


def names() -> list[str]:
    """The models at hand: the package's own, and those under `runs/` of the working folder."""
    packaged = [name for name in PACKAGED if _is_model(folder_of(name))]
    return [*packaged, *sorted(path.name for path in RUNS.glob("*") if _is_model(path))]


def _is_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (CARD, RECIPE))


def describe(name: str) -> Mapping[str, object]:
    """What a model's folder says of it: recipe, scores, and of a generative one data, sizes and versions.

    Raises:
        UsageError: if there is no such model.
        ModelError: if its folder says nothing.
    """
    if name == DICTIONARY:
        raise UsageError("dictionary has no folder; biomark knowledge show STORE tells what a store has")
    folder = folder_of(name)
    for file in (CARD, RECIPE):
        if (folder / file).is_file():
            facts: dict[str, object] = json.loads((folder / file).read_text("utf-8"))
            break
    else:
        raise ModelError(f"{folder}: holds neither {CARD} nor {RECIPE}; is it a model's folder?")
    for key, file in (("scores", SCORES), ("run", RUN)):
        if (folder / file).is_file():
            facts[key] = json.loads((folder / file).read_text("utf-8"))
    if weights := [file for pattern in _WEIGHTS for file in folder.glob(pattern)]:
        facts["megabytes"] = round(sum(file.stat().st_size for file in weights) / 1e6, 1)
    return {**facts, "folder": str(folder)}
