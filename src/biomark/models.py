"""Loading of models by name or folder, and the facts about them.

`default` and `nano` are the models in the package, and so is `smol`, an adapter whose base model another package has;
`dictionary` finds the names of a term store, and `given` returns the mentions that documents already have. Any other
name is a folder: an export of `biomark export` (a tagging model is ONNX, which needs no torch), or a training run
(needs the extra `train`, as all generative models do). `openai:NAME` is a model on a server with OpenAI's interface,
and `hf:NAME` one of Hugging Face in this process; both are prompted, not tuned by biomark. `A+B` combines two models.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from biomark.errors import MissingExtraError, ModelError, UsageError
from biomark.formats import Reject, raise_rejected
from biomark.generative.decoding.choice import Sampling
from biomark.generative.settings import Asking
from biomark.knowledge.normalization import Normalizer, parse_namespaces
from biomark.knowledge.store import Store
from biomark.prompted.chat import Chat
from biomark.prompted.chat.rehearsal import Rehearsal
from biomark.prompted.settings import PromptOptions, ServerOptions
from biomark.recognizers import Recognizer
from biomark.recognizers.combined import CombinedRecognizer
from biomark.recognizers.dictionary import DictionaryRecognizer
from biomark.recognizers.existing import ExistingRecognizer
from biomark.recognizers.normalizing import NormalizingRecognizer
from biomark.recognizers.voting import SURE
from biomark.shapes import MARK
from biomark.tagging.guidelines import check_guideline
from biomark.tagging.recognizer import CARD, WEIGHTS, load_onnx
from biomark.training.recipe import ADAPTER_WEIGHTS, RECIPE, RUN, SCORES, require_base, saved_values, task_of

if TYPE_CHECKING:
    from biomark.prompted.recognizer import PromptedRecognizer

DEFAULT = "default"
PACKAGED = {DEFAULT: "default_model", "nano": "nano_model", "smol": "smol_model"}
DICTIONARY = "dictionary"
TOGETHER = re.compile(r"\+(?=[\w./~])")  # separates the names of combined models; command-r+ is one model
HUGGING_FACE = "hf:"
_SERVER = "openai:"
PROMPTED = (_SERVER, HUGGING_FACE)
GIVEN = "given"
_OTHERS = (DICTIONARY, GIVEN, "openai:NAME", "hf:NAME")
RUNS = Path("runs")
_MOST_KEPT = 3
_KEPT: dict[tuple[object, ...], Recognizer] = {}
_LOCK = Lock()
_WEIGHTS = (WEIGHTS, "model*.safetensors", ADAPTER_WEIGHTS)


@dataclass(frozen=True, slots=True)
class Prompting:
    """The settings for prompting `openai:NAME` and `hf:NAME`.

    Attributes:
        prompts: the content of prompts; `samples`, `temperature` and `seed` apply to all models that write answers.
        server: the settings of the server, for `openai:NAME` only.
        show: for a dry run: is called with each prompt, and no request is sent; None: requests are sent.
        reject: is called with each part of the demonstrations that cannot be read.
    """

    prompts: PromptOptions = field(default_factory=PromptOptions)
    server: ServerOptions = field(default_factory=ServerOptions)
    show: Callable[[str], None] | None = None
    reject: Reject = raise_rejected

    @property
    def plain(self) -> bool:
        """Return whether all settings that apply to prompted models only have their defaults."""
        prompts = replace(self.prompts, samples=1, temperature=None, seed=0)
        return (prompts, self.server, self.show) == (PromptOptions(), ServerOptions(), None)

    def sampling(self, name: str) -> Sampling | None:
        """Return how a tuned model samples several answers; None: it writes only the likeliest one.

        Args:
            name: the model's name, for the message.

        Raises:
            UsageError: if settings of sampling are set for one answer, or the temperature makes all answers equal.
        """
        prompts = self.prompts
        if prompts.samples == 1 and (prompts.temperature is not None or prompts.seed):
            raise UsageError(f"{name} writes its likeliest answer; `temperature` and `seed` need several `samples`")
        return Sampling(prompts.samples, prompts.heat, prompts.seed) if prompts.samples != 1 else None


def load(
    name: str = DEFAULT,
    asking: Asking | None = None,
    store: Path | None = None,
    prompting: Prompting | None = None,
) -> Recognizer:
    """Load a model.

    Args:
        name: `default`, `nano`, `smol`, a folder, `dictionary`, `given`, `openai:NAME`, `hf:NAME`, or several with `+`
            between them. `default@biored` follows the guideline of one of the model's training corpora,
            as far as that corpus has the types; exported folders accept such names as well. For a model whose
            instructions named corpora in training, `runs/vaner@ncbi_disease` puts a corpus into its instructions.
        asking: the settings of generative models; None: the defaults of `Asking`.
        store: the term store of `dictionary`, and of prompts with an ontology.
        prompting: the settings of `openai:NAME` and `hf:NAME`; None: the defaults of `Prompting`.

    Returns:
        The model's recognizer.

    Raises:
        UsageError: if there is no such model (the message lists all models), or `asking`, `store` or `prompting` does
            not apply to it.
        ModelError: if the model's folder is incomplete.
        KnowledgeError: if the store cannot be read.
        MissingExtraError: if the model needs a library that is not installed.
    """
    asking, prompting = asking or Asking(), prompting or Prompting()
    parts = [name] if Path(name).is_dir() else TOGETHER.split(name)
    prompted = [part for part in parts if part.startswith(PROMPTED)]
    if store is not None and DICTIONARY not in parts and not (prompted and prompting.prompts.ontology):
        raise UsageError(
            f"`store` applies to the models dictionary and default+dictionary, and to `ontology`; not to {name}"
        )
    if not prompting.plain and not prompted:
        raise UsageError(f"{name} is not prompted; settings of prompts and servers apply to openai:NAME and hf:NAME")
    local = [part for part in prompted if part.startswith(HUGGING_FACE)]
    folders = [part for part in parts if part not in (DICTIONARY, GIVEN) and part not in prompted]
    generative = any(is_generative(_folder_and_guideline(part)[0]) for part in folders)
    if asking != Asking() and not local and not generative:
        raise UsageError(f"{name} is not generative; `decoding`, `drafter` and `batch` apply to generative models")
    if prompting.prompts != PromptOptions() and not prompted and not generative:
        raise UsageError(
            f"{name} writes no answers; `samples`, `temperature` and `seed` apply to generative and prompted models"
        )
    sampling = prompting.sampling(name) if generative else None

    def load_part(part: str) -> Recognizer:
        if part in prompted:
            return _load_prompted(part, asking, store, prompting)
        if part == GIVEN:
            return ExistingRecognizer()
        return (
            _dictionary(store) if part == DICTIONARY else _load_folder(*_folder_and_guideline(part), asking, sampling)
        )

    return reduce(CombinedRecognizer, [load_part(part) for part in parts])


def kept(name: str = DEFAULT) -> Recognizer:
    """Load a model as `load` does, or return the one of an earlier call if the model's files have not changed.

    The last three models on onnxruntime are kept (`default`, exported folders), and the last one of all others, which
    may fill a GPU. Prompted models and models with a term store are not kept.

    Args:
        name: see `load`.

    Raises:
        UsageError, ModelError, MissingExtraError: see `load`.
    """
    parts = [name] if Path(name).is_dir() else TOGETHER.split(name)
    if any(part in (DICTIONARY, GIVEN) or part.startswith(PROMPTED) for part in parts):
        return load(name)
    folders = [_folder_and_guideline(part)[0].resolve() for part in parts]
    heavy = not all((folder / WEIGHTS).is_file() for folder in folders)
    key = (heavy, name, os.getpid(), *(_state(folder) for folder in folders))
    with _LOCK:
        if key not in _KEPT:
            same_kind = [other for other in _KEPT if other[0] == heavy]
            for other in same_kind[: max(0, len(same_kind) + 1 - (1 if heavy else _MOST_KEPT))]:
                del _KEPT[other]  # before the next model is loaded: memory may not hold both
            _KEPT[key] = load(name)
        _KEPT[key] = _KEPT.pop(key)  # the most recently used model comes last
        return _KEPT[key]


def _state(folder: Path) -> tuple[object, ...]:
    """Return a folder with the names, sizes and times of its files, which differ after any change."""
    files = ((file.name, file.stat()) for file in sorted(folder.iterdir()) if file.is_file())
    return folder, *((name, facts.st_size, facts.st_mtime_ns) for name, facts in files)


def asks_server(name: str) -> bool:
    """Return whether a model, or a part of a combined model, runs on a server."""
    return any(part.startswith(_SERVER) for part in TOGETHER.split(name))


def load_chat(name: str, asking: Asking, prompting: Prompting) -> Chat:
    """Load the language model `openai:NAME` or `hf:NAME`, for any kind of prompt.

    Args:
        name: the model's name.
        asking: the settings of `hf:NAME`.
        prompting: see `load`.

    Raises:
        UsageError: if the name has another form, or the settings do not apply to the model.
        MissingExtraError: if the model needs a library that is not installed.
    """
    from biomark.prompted.chat.server import Server, account_of, template_of
    from biomark.prompted.chat.templates import completion

    kind, _, model = name.partition(":")
    if not name.startswith(PROMPTED) or not model:
        example = f"{kind}:Qwen/Qwen3-4B" if name.startswith(PROMPTED) else "openai:NAME or hf:NAME"
        raise UsageError(f"{name} names no language model that can be prompted; write for instance {example}")
    server = prompting.server
    if kind == "hf" and replace(server, cache="") != ServerOptions():
        raise UsageError(f"{name} runs in this process; `cache` is the only setting of servers that applies to it")
    if prompting.show is not None:
        template = template_of(server)
        return Rehearsal(
            prompting.show, account_of(server), partial(completion, template=template) if server.completions else None
        )
    if kind == "openai":
        return Server(model, server)
    return _in_process(model, asking, prompting)


def _load_prompted(name: str, asking: Asking, store: Path | None, prompting: Prompting) -> Recognizer:
    from biomark.prompted.recognizer import PromptedRecognizer
    from biomark.prompted.retrieval import examples

    options = prompting.prompts
    return PromptedRecognizer(
        load_chat(name, asking, prompting),
        options,
        pool=examples(options.demonstrations, reject=prompting.reject) if options.demonstrations else (),
        store=Store(store) if store is not None and options.ontology else None,
        drafter=load() if options.choose == "entity-knn" else None,
    )


def _in_process(name: str, asking: Asking, prompting: Prompting) -> Chat:
    options = prompting.prompts
    if asking.drafter is not None:
        raise UsageError("`drafter` applies to tuned models, not to hf:NAME")
    marks = asking.decoding == "marks" and options.shape == "mark"
    try:
        import torch
        from transformers import AutoTokenizer

        from biomark.generative.decoding.engine import Decoder
        from biomark.generative.training.model import load_base
        from biomark.prompted.chat.in_process import InProcess
        from biomark.prompted.chat.server import cache_file
        from biomark.runtime.bases import weights_folder
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "train") from error
    on_gpu = torch.cuda.is_available()
    model, vocabulary = load_base(name, added=False, dtype=torch.bfloat16 if on_gpu else torch.float32, whole=True)
    model.to("cuda" if on_gpu else "cpu")  # type: ignore[arg-type]
    tokenizer = AutoTokenizer.from_pretrained(weights_folder(name))
    decoder = Decoder(model, vocabulary) if marks else None
    file = cache_file(prompting.server)
    return InProcess(model, vocabulary, tokenizer, batch=asking.batch, decoder=decoder, cache=file)


def prompted(recognizer: Recognizer) -> tuple[PromptedRecognizer, ...]:
    """Return the prompted recognizers among the parts of a recognizer."""
    from biomark.prompted.recognizer import PromptedRecognizer

    if isinstance(recognizer, CombinedRecognizer):
        return tuple(prompted_part for part in recognizer.both for prompted_part in prompted(part))
    return (recognizer,) if isinstance(recognizer, PromptedRecognizer) else ()


def _dictionary(store: Path | None) -> Recognizer:
    if store is None:
        raise UsageError("the model dictionary needs a term store (`store`); biomark knowledge build makes one")
    return DictionaryRecognizer(Store(store))


def _folder_and_guideline(name: str) -> tuple[Path, str]:
    """Split `default@biored` into the folder of `default` and `biored`; a folder may have an @ in its name."""
    model, _, guideline = name.rpartition("@")
    return (folder_of(model), guideline) if model and not Path(name).is_dir() else (folder_of(name), "")


def _load_folder(folder: Path, guideline: str, asking: Asking, sampling: Sampling | None) -> Recognizer:
    try:
        if is_generative(folder):
            check_guideline(folder, guideline, ())
            require_base(folder)
            return _load_generative(folder, asking, sampling)
        if (folder / WEIGHTS).is_file():
            return load_onnx(folder, guideline=guideline)
        from biomark.tagging.training.examples import named_corpora
        from biomark.tagging.training.start import recipe_of
        from biomark.tagging.training.trainer import load_trained, recognizer_of
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "train") from error
    recipe = recipe_of(folder)
    if guideline and recipe.corpus_heads:
        raise UsageError(f"{folder}: only an exported model has guidelines; run biomark export {folder} -o FOLDER")
    check_guideline(folder, guideline, named_corpora(recipe))
    return recognizer_of(*load_trained(folder), corpus=guideline)


def normalizing(
    recognizer: Recognizer, store: Path | None, namespaces: Sequence[str] = (), threshold: float | None = None
) -> NormalizingRecognizer:
    """Return a recognizer that assigns identifiers to the mentions of another recognizer.

    Args:
        recognizer: finds the mentions.
        store: the term store.
        namespaces: the namespaces of identifiers; see `biomark.knowledge.normalization.parse_namespaces`.
        threshold: the lowest score of an identifier; None: the default of `biomark.knowledge.normalization.Normalizer`.

    Raises:
        UsageError: if `store` is None, or `namespaces` have the wrong form.
        KnowledgeError: if the store cannot be read.
    """
    if store is None:
        raise UsageError(
            "`identifiers` and `min_identifier_score` need the term store from which identifiers come (`normalize`)"
        )
    terms = Store(store)
    chosen = parse_namespaces(namespaces, terms.types, held=terms.has_namespace)
    return NormalizingRecognizer(recognizer, Normalizer(terms, namespaces=chosen, threshold=threshold))


def is_generative(folder: Path) -> bool:
    """Return whether a folder holds a causal language model."""
    recipe = folder / RECIPE
    return recipe.is_file() and task_of(saved_values(recipe)) == "generative"


def _load_generative(folder: Path, asking: Asking, sampling: Sampling | None) -> Recognizer:
    from biomark.generative.answering import answering_of
    from biomark.generative.recognizer import GenerativeRecognizer
    from biomark.generative.training.model import load_trained

    if asking.drafter is not None and asking.decoding != "marks":
        raise UsageError("`drafter` applies to mark decoding only; leave out `drafter` or `decoding=generate`")
    model, vocabulary, recipe = load_trained(folder)
    if asking.drafter is not None and recipe.shape != MARK.name:
        raise UsageError(f"{folder}: the model answers in the shape {recipe.shape}, not in marks; leave out `drafter`")
    answering = answering_of(
        model,
        vocabulary,
        recipe.style,
        free=asking.decoding == "generate",
        full_prompts=recipe.prompt_attention == "full",
        whole_words=recipe.whole_words,
        sampling=sampling,
    )
    return GenerativeRecognizer(
        answering,
        vocabulary,
        recipe.types or None,
        style=recipe.style,
        batch=asking.batch,
        drafter=load(asking.drafter) if asking.drafter is not None else None,
        sure=SURE if sampling else 0.0,
    )


def folder_of(name: str) -> Path:
    """Return the folder of a model; see `load`.

    Raises:
        UsageError: if there is no such model; the message lists all models.
    """
    if name in PACKAGED:
        return Path(str(files("biomark").joinpath(PACKAGED[name])))
    folder = next((f for f in (Path(name), RUNS / name) if name and f.is_dir()), None)
    if folder is None:
        raise UsageError(f"unknown model {name!r}; name a folder or choose from {', '.join([*names(), *_OTHERS])}")
    return folder


def checksum(name: str) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a model's files, without the files' names.

    Raises:
        UsageError: if there is no such model.
    """
    digest = hashlib.sha256()
    for part in [name] if Path(name).is_dir() else TOGETHER.split(name):
        special = part in (DICTIONARY, GIVEN) or part.startswith(PROMPTED)
        folder = None if special else _folder_and_guideline(part)[0]
        for file in () if folder is None else sorted(file for file in folder.iterdir() if file.is_file()):
            with file.open("rb") as handle:
                digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()[:16]


def names() -> list[str]:
    """Return the names of the models in the package and of those under `runs/` in the working folder."""
    packaged = [name for name in PACKAGED if _is_model(folder_of(name))]
    return [*packaged, *sorted(path.name for path in RUNS.glob("*") if _is_model(path))]


def _is_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (CARD, RECIPE))


def describe(name: str) -> Mapping[str, object]:
    """Return the facts in a model's folder: recipe, scores, size in megabytes, and data and versions of a run.

    Raises:
        UsageError: if there is no such model, or it has no folder.
        ModelError: if the folder has no facts.
    """
    if name == GIVEN:
        raise UsageError("the model given has no folder; it returns the mentions that documents already have")
    if name == DICTIONARY:
        raise UsageError("the model dictionary has no folder; biomark knowledge show STORE describes a term store")
    folder = folder_of(name)
    for file in (CARD, RECIPE):
        if (folder / file).is_file():
            facts: dict[str, object] = saved_values(folder / file)
            break
    else:
        raise ModelError(f"{folder}: holds neither {CARD} nor {RECIPE}; is it a model's folder?")
    for key, file in (("scores", SCORES), ("run", RUN)):
        if (folder / file).is_file():
            facts[key] = json.loads((folder / file).read_text("utf-8"))
    if weights := [file for pattern in _WEIGHTS for file in folder.glob(pattern)]:
        facts["megabytes"] = round(sum(file.stat().st_size for file in weights) / 1e6, 1)
    return {**facts, "folder": str(folder)}


__all__ = [
    "Asking",
    "Prompting",
    "asks_server",
    "checksum",
    "describe",
    "folder_of",
    "is_generative",
    "kept",
    "load",
    "load_chat",
    "names",
    "normalizing",
    "prompted",
]
