"""Recipes: all settings of a training run, read from TOML and saved beside the model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, get_type_hints

from biomark import demonstrations
from biomark.errors import ModelError, UsageError
from biomark.runtime import bases
from biomark.runtime.toml import changed, converted, read_toml
from biomark.shapes import MARK
from biomark.text.sentences import OWN

# The files of a run's folder with the recipe, with the scores on the development splits (one row per checkpoint), and
# with other facts of the run: versions, data, sizes.
RECIPE, SCORES, RUN = "recipe.json", "scores.json", "run.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"  # the name that peft's save_pretrained writes


@dataclass(frozen=True, slots=True)
class TaggingRecipe:
    """The recipe of a tagging model: a network that reads a window and predicts the BIO tags of its words.

    The network is an encoder, or a decoder-only language model whose causal mask is replaced by a full one (VANER,
    Bian et al. 2024). It has a head for each type or, with `instruction`, one head for the type in the instruction.

    Attributes:
        name: the name of the model; also the name of the run's folder under `runs/`.
        encoder: an encoder or a causal language model: a Hugging Face name, a folder, a GGUF file, or `package:NAME`
            for the `model` folder inside an installed Python package or for its only GGUF file.
        train: corpora with their split, such as `ncbi_disease:train`, or files of annotated documents.
        devel: the splits or files on which the best epoch is chosen.
        types: the entity types to learn. A corpus contributes loss only for those of them that it annotates.
        epochs: the number of passes over the training sentences.
        epoch_steps: the number of steps in an epoch, which then consists of as many passes, or such a part of a pass,
            as that takes; so runs with and without lists of names have equally many steps. 0: an epoch is one pass.
        batch_pieces: the number of word pieces in a step, padding counted.
        batch_windows: the number of windows in a step, whatever their length; 0: as many as `batch_pieces` permits.
        min_score: the lowest score, in [0, 1], of a mention that is kept, in annotation and in scoring the epochs.
        max_pieces: the greatest number of word pieces in a window. In training, each document's windows fill a random
            share of it (down to single sentences), so that the model learns to read abstracts and single sentences.
        learning_rate: the peak learning rate of the encoder, after linear warm-up and before linear decay to zero.
        head_learning_rate: the peak learning rate of all parameters that are not pretrained; 0: `learning_rate`.
        warmup: the share of the steps that warm-up takes.
        weight_decay: the weight decay of AdamW; biases and norms have none.
        dropout: the probability of dropout before the heads.
        masked_words: the share of words whose pieces are masked, so that the model learns from their characters and
            their context; 0 for tokenizers without a mask token.
        average: the decay per step of the moving average of the weights; the average is the model.
        character_size, character_filters: the embedding size and the number of filters of the convolution over a word's
            characters; without filters the network reads pieces alone.
        seed: the seed of all random choices.
        task: `tagging`.
        method: the parameters to train: `full`, all weights; `lora`, adapters of low rank and the heads; `qlora`, the
            same beside weights in 4 bits.
        rank, alpha, lora_dropout: of LoRA.
        lora_modules: the linear layers of the encoder that get adapters, by the endings of their names, such as
            `q_proj` and `v_proj` (VANER); empty: all.
        mask: the attention mask of a language model: `full`, where every word attends to all others (VANER), or
            `causal`, its original mask, for comparison.
        weights: `float32` or `bfloat16`, the precision of the encoder's weights. Matrices are multiplied in bfloat16 in
            both cases, with `float32` only on machines that have instructions for it; adapters and heads have 32 bits.
        gradient_checkpointing: whether to recompute activations in the backward pass, which saves memory.
        instruction: whether an instruction before the words names the type to tag, and the network predicts the tags of
            that type alone. Every window is an example for each type that its corpus annotates.
        wording: the wording of the instruction, one of `biomark.tagging.words.WORDINGS`: `biomark`, or
            `vaner` as its authors word it.
        corpus_name: the share of the examples whose instruction also names the corpus, whose guideline the model then
            learns. With 1 (VANER) development splits are scored under their own names; with 0 no instruction names a
            corpus (VANER_adapt). In annotation, MODEL@CORPUS names a corpus.
        corpus_heads: whether each corpus has heads of its own, with a gate that predicts from the window whose
            guideline to follow, so that corpora with different guidelines for a type do not blur each other.
        shares: the share of a corpus' documents that an epoch reads, different ones in each epoch, by the name of the
            corpus without a split; all other corpora are read completely.
        teach_only: corpora, by their names without a split, whose guidelines are not used in annotation: with
            `corpus_heads` they train the encoder and the common heads.
        default_types: those of `types` that `annotate` looks for if its caller names none; empty: all.
        start: the folder of another run, whose weights initialise the model as far as they fit.
        knowledge: the path of a store that `biomark knowledge build` wrote, for `dbr_*` and `swap`.
        dbr: the kind of lists of names for dense recognition of biomedical entities (DBR, Bian et al. 2024). Each
            training sentence (and type, with `instruction`) gets such a list as an additional example: `random`, names
            drawn from the whole store, or `near`, names near the sentence's own phrases, as VANER's authors make them
            (see `biomark.tagging.training.dense`). A name is labelled with the types that it has in the store.
        dbr_terms: for `random`, the number of names from the store, half of them of one of the types, or of the type in
            the instruction, the others of any other. For `near`, the greatest number of names of that type.
        dbr_others: for `near`, the greatest number of names of other types.
        dbr_mentions: for `random`, the number of mentions of the sentence's corpus in the list.
        dbr_share: the share of the sentences that get a list.
        swap: the share of the documents of an epoch in which mentions are replaced by names of the same type from the
            store, equal mentions by the same name. Short mentions in capitals stay, since the text may define them.
        negatives: the share of the windows without any mention that an epoch reads, different ones in each epoch.
        noise: the share of the documents of an epoch that are read in lower case or with capitalised words, like
            titles.
        choose: the criterion for the best epoch: `f1`, the highest mean strict F1 over the development splits, or
            `loss`, the lowest mean loss on them.
        leave_out: splits or files, typically all those that the model is evaluated on: the parts of the training splits
            that they share (`biomark.corpora.overlap`) are not learnt from. Test splits are allowed here.
    """

    name: str
    encoder: str
    train: tuple[str, ...]
    devel: tuple[str, ...]
    types: tuple[str, ...]
    epochs: int = 10
    epoch_steps: int = 0
    batch_pieces: int = 1536
    batch_windows: int = 0
    max_pieces: int = 128
    min_score: float = 0.0
    learning_rate: float = 3e-4
    head_learning_rate: float = 1e-3
    warmup: float = 0.06
    weight_decay: float = 0.01
    dropout: float = 0.1
    masked_words: float = 0.05
    average: float = 0.999
    character_size: int = 32
    character_filters: int = 128
    seed: int = 13
    task: str = "tagging"
    method: str = "full"
    rank: int = 16
    alpha: int = 32
    lora_dropout: float = 0.05
    lora_modules: tuple[str, ...] = ()
    mask: str = "full"
    weights: str = "float32"
    gradient_checkpointing: bool = False
    instruction: bool = False
    wording: str = "biomark"
    corpus_name: float = 0.0
    corpus_heads: bool = False
    shares: Mapping[str, float] = field(default_factory=dict)
    teach_only: tuple[str, ...] = ()
    default_types: tuple[str, ...] = ()
    start: str = ""
    knowledge: str = ""
    dbr: str = "random"
    dbr_terms: int = 0
    dbr_others: int = 0
    dbr_mentions: int = 0
    dbr_share: float = 1.0
    swap: float = 0.0
    negatives: float = 1.0
    noise: float = 0.0
    choose: str = "f1"
    leave_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GenerativeRecipe:
    """The recipe of a causal language model that answers an instruction with the marked sentence (BioNER-LLaMA).

    Attributes:
        name: the name of the model; also the name of the run's folder under `runs/`.
        model: a Hugging Face name, a folder (such as that of another run), `package:NAME` for the `model`
            folder inside an installed Python package or for its only GGUF file, `package:NAME/PATH` for another
            folder or file of it, or a GGUF file (see `biomark.runtime.bases`). An encoder such as BERT becomes a
            decoder with a causal mask.
        train: corpora with their split, such as `ncbi_disease:train`, files of annotated documents, or
            files (.json, .jsonl, also .gz) that `biomark demonstrations` wrote.
        devel: splits or files of documents, on which the best checkpoint is chosen.
        method: the parameters to train: `full`, all weights; `lora`, adapters of low rank; `qlora`, the same beside
            weights in 4 bits; `llama-adapter`, prompts inside the attention of the last layers.
        types: the entity types to learn; empty: all that the corpora annotate.
        prompt: the wording of the prompt, one of `biomark.demonstrations.FORMS`.
        shape: the shape of the answers: `mark`, as in the paper, which mark decoding supports; `tanl` or `dice`, which
            the model writes without constraints, also in annotation (see `biomark.shapes`).
        guidelines: whether to append an annotation guideline to the instruction.
        guideline_text: a sentence to append instead, also in annotation: one for all types, or a table with one for
            each type.
        sentences: the splitter of texts that are not split yet, also in annotation: `biomark`, or `spacy` for spaCy's
            sentencizer.
        prompt_attention: `causal`, or `full`, where the tokens of a prompt attend to the whole prompt, as in an
            encoder, and only the answer is causal (a prefix language model; VANER removes the mask completely).
        marks: `text`, the paper's way, spells `<mark>` and `</mark>` with the model's own tokens; `tokens` adds a token
            for each of them.
        whole_words: whether marks may neither begin nor end inside a run of letters and digits, in annotation and in
            scoring the checkpoints.
        shares: the share of a corpus' demonstrations to learn from, in (0, 1], chosen at random, the same ones in each
            epoch, by the name of the corpus without a split; all other corpora are used completely.
        examples: the number of demonstrations to learn from, chosen at random; 0: all.
        without_mentions: the share of the demonstrations without any mention to learn from, chosen at random, the
            same ones in each epoch. `examples` counts the demonstrations that are left.
        devel_sentences: the number of sentences of each development split that are scored; 0: all.
        epochs: the number of passes over the demonstrations.
        row_tokens: the number of tokens in a row. With packing, a row holds several demonstrations that do not attend
            to each other.
        rows: the number of rows per step and device.
        accumulate: the number of steps whose gradients are added up before the weights change.
        packing: whether a row holds several demonstrations; otherwise one, padded to the longest of its batch.
        negatives: 0: the loss normalises over the whole vocabulary. Otherwise over the tokens of the batch and this
            number of random ones, which makes small models train almost twice as fast; for `full` and one process.
        learning_rate: the peak learning rate, after linear warm-up and before a cosine decay to zero.
        warmup: the share of the steps that warm-up takes.
        weight_decay: the weight decay of AdamW; biases and norms have none.
        weights: `float32` or `bfloat16`, the precision of the weights and of the optimiser's state. Matrices are
            multiplied in bfloat16 in both cases, with `float32` only on machines that have instructions for it.
        gradient_checkpointing: whether to recompute activations in the backward pass, which saves memory.
        fsdp: whether to shard weights, gradients and optimiser state over several GPUs; for `full` and `lora`.
        rank, alpha, dropout: of LoRA, on all linear layers except the head.
        adapter_tokens, adapter_layers: of LLaMA-Adapter: the prompt length, and the number of last layers that have
            prompts.
        start: the folder of another run with the same base model and LoRA settings, or `package:biomark/smol_model`,
            whose adapter initialises this one; so a tuned adapter learns more, and stays small. For weights that are
            tuned in full, `model` names the folder instead.
        save_steps: the number of steps between checkpoints; 0: one checkpoint per epoch.
        seed: the seed of all random choices.
        task: `generative`.
    """

    name: str
    model: str
    train: tuple[str, ...]
    devel: tuple[str, ...]
    method: str = "full"
    types: tuple[str, ...] = ()
    prompt: str = "alpaca"
    shape: str = MARK.name
    guidelines: bool = False
    guideline_text: demonstrations.GuidelineText = ""
    sentences: str = OWN
    prompt_attention: str = "causal"
    marks: str = "text"
    whole_words: bool = True
    shares: Mapping[str, float] = field(default_factory=dict)
    examples: int = 0
    without_mentions: float = 1.0
    devel_sentences: int = 500
    epochs: int = 3
    row_tokens: int = 2048
    rows: int = 4
    accumulate: int = 1
    packing: bool = True
    negatives: int = 0
    learning_rate: float = 2e-5
    warmup: float = 0.03
    weight_decay: float = 0.0
    weights: str = "float32"
    gradient_checkpointing: bool = False
    fsdp: bool = False
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.05
    adapter_tokens: int = 10
    adapter_layers: int = 30
    start: str = ""
    save_steps: int = 0
    seed: int = 13
    task: str = "generative"

    @property
    def style(self) -> demonstrations.Style:
        """The style of the model's prompts and answers."""
        return demonstrations.Style(self.prompt, self.shape, self.guidelines, self.guideline_text, self.sentences)


METHODS: Mapping[str, tuple[str, ...]] = {
    "tagging": ("full", "lora", "qlora"),
    "generative": ("full", "lora", "qlora", "llama-adapter"),
}
"""The choices of a recipe's `method`, by its `task`."""

GRID = "grid"
"""The name of the table in a recipe's file that lists the values of a grid search, by setting."""

Recipe = TaggingRecipe | GenerativeRecipe


def saved_recipe(folder: Path) -> Recipe:
    """Read the recipe that was saved beside a model.

    Raises:
        ModelError: if it cannot be read, or was saved by another version of biomark.
    """
    values = saved_values(folder / RECIPE)
    try:
        return _recipe(values, str(folder / RECIPE))
    except UsageError as error:
        raise ModelError(f"{error}; was the recipe saved by another version of biomark?") from error


def saved_values(path: Path) -> dict[str, Any]:
    """Read the JSON object in a file of a model's folder.

    Raises:
        ModelError: if the file cannot be read or is not a JSON object.
    """
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read: {error}; use the complete folder that training wrote") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path}: is not a JSON object; use the complete folder that training wrote")
    return values


def require_base(folder: Path) -> None:
    """Check that the package with the base model of an adapter is installed, before heavy libraries are imported.

    Raises:
        ModelError: if it is not installed; the message says how to install it.
    """
    base = saved_values(folder / RECIPE).get("model")
    if not (folder / ADAPTER_WEIGHTS).is_file() or not isinstance(base, str) or not base.startswith(bases.PACKAGE):
        return
    try:
        bases.in_package(base.removeprefix(bases.PACKAGE))
    except ModelError as error:
        raise ModelError(f"{folder}: its adapter needs the base model {base}: {error}") from error


def task_of(values: Mapping[str, object]) -> str:
    """Return the task of a recipe's values, `tagging` or `generative`.

    Without a `task` it follows from the presence of `model`.
    """
    return str(values.get("task", "generative" if "model" in values else "tagging"))


def load_recipe(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe's file and apply `key=value` changes; a `[grid]` table is ignored.

    Raises:
        UsageError: if the file cannot be read, or a key or a value is wrong; the message names it.
    """
    values = _read(path, changes)
    values.pop(GRID, None)
    return _checked(path, values)


def load_grid(path: Path, changes: Sequence[str] = ()) -> list[tuple[Mapping[str, object], Recipe]]:
    """Read the settings of a recipe's `[grid]` table, in its order, each with its recipe.

    The table has a list of values for each setting that varies; each combination of values is a setting.

    Raises:
        UsageError: as for `load_recipe`, and if there is no such table.
    """
    values = _read(path, changes)
    grid = values.pop(GRID, None)
    if not isinstance(grid, dict) or not grid or not all(isinstance(v, list) and v for v in grid.values()):
        raise UsageError(f"{path}: has no table [{GRID}] with a list of values for each setting that is to vary")
    if fixed := [key for key in ("name", "task", "train", "devel", "types") if key in grid]:
        raise UsageError(f"{path}: {', '.join(fixed)} cannot vary in a grid, whose runs are compared")
    recipes: list[tuple[Mapping[str, object], Recipe]] = []
    for chosen in product(*grid.values()):
        setting = dict(zip(grid, chosen, strict=True))
        recipes.append((setting, _checked(path, {**values, **setting})))
    return recipes


def _read(path: Path, changes: Sequence[str]) -> dict[str, Any]:
    hints = get_type_hints(TaggingRecipe) | get_type_hints(GenerativeRecipe)
    return changed(read_toml(path), changes, hints)


def _checked(path: Path, values: dict[str, Any]) -> Recipe:
    """Return the recipe of a file's values."""
    task = task_of(values)
    if task not in METHODS:
        raise UsageError(f"{path}: unknown task {task!r}; choose from {', '.join(METHODS)}")
    if values.get("method") == "tagging":  # as older recipes wrote it
        values = {**values, "method": "full"}
    if (method := values.get("method", "full")) not in METHODS[task]:
        raise UsageError(f"{path}: unknown method {method!r}; for {task} choose from {', '.join(METHODS[task])}")
    return _recipe(values, str(path))


def _recipe(values: dict[str, Any], where: str) -> Recipe:
    kind: type[TaggingRecipe] | type[GenerativeRecipe]
    kind = TaggingRecipe if task_of(values) == "tagging" else GenerativeRecipe
    return converted(values, kind, where)
