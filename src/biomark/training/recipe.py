"""Recipes: all that decides a training run, read from TOML and saved beside the model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, get_type_hints

from biomark import demonstrations
from biomark.errors import ModelError, UsageError
from biomark.runtime.toml import changed, converted, read_toml
from biomark.shapes import MARK
from biomark.text.sentences import OWN

# What a run's folder calls the recipe, the scores on the development splits (a checkpoint a row), and
# what else is to be known of the run: versions, data, sizes.
RECIPE, SCORES, RUN = "recipe.json", "scores.json", "run.json"


@dataclass(frozen=True, slots=True)
class TaggingRecipe:
    """A tagging model: a network that reads a window and says the BIO tags of its words.

    It is an encoder, or a decoder-only language model whose causal mask is replaced by a full one (VANER,
    Bian et al. 2024). It has a head a type; or, with `instruction`, one head for the type that it is asked for.

    Attributes:
        name: what the model is called; also the run's folder under `runs/`.
        encoder: an encoder or a causal language model: a Hugging Face name, a folder, a GGUF file, or `package:NAME`
            for the `model` folder inside an installed Python package or for its only GGUF file.
        train: corpora with their split, such as `ncbi_disease:train`, or files of annotated documents.
        devel: the splits or files on which the best epoch is chosen.
        types: entity types to learn. Of a corpus only the types that it annotates and that are listed
            here are learnt; the other heads get no loss from it.
        epochs: passes over the training sentences.
        epoch_steps: steps an epoch, of as many passes, or such a part of one, as that takes, so that runs with and
            without lists of names take equally many; 0: an epoch is a pass.
        batch_pieces: word pieces a step, padding counted.
        batch_windows: windows a step, however long they are; 0: as many as `batch_pieces` holds.
        min_score: mentions with a lower score are left out, in use as in scoring the epochs.
        max_pieces: word pieces a window. In training each document's windows have a random share
            of it (down to single sentences), so that the model reads both abstracts and lone sentences.
        learning_rate: peak, of the encoder; linear warm-up, then linear decay to zero.
        head_learning_rate: peak, of everything that is not pretrained.
        warmup: share of the steps.
        weight_decay: of AdamW; not on biases and norms.
        dropout: before the heads.
        masked_words: share of words whose pieces are hidden from the encoder, so that it learns
            from their characters and their context; 0 where the tokenizer has no token for it.
        average: decay a step of the moving average of the weights, which is what is saved.
        character_size, character_filters: of the convolution over a word's characters; without filters the
            network sees pieces alone.
        seed: of everything random.
        task: `tagging`.
        method: what is tuned: `full`, all weights; `lora`, adapters of low rank and the heads; `qlora`, the same
            beside weights in 4 bits.
        rank, alpha, lora_dropout: of LoRA.
        lora_modules: the linear layers of the encoder that get adapters, by the ends of their names, such as `q_proj`
            and `v_proj` (VANER); empty: all.
        mask: of a language model: `full`, every word sees all others (VANER), or `causal`, it keeps its mask, so that
            the two can be compared.
        weights: `float32` or `bfloat16`, what the encoder's weights are kept in. Matrices are multiplied in
            bfloat16 either way, of `float32` only on machines with instructions for it; adapters and heads are kept in
            32 bits.
        gradient_checkpointing: compute activations twice and keep few of them.
        instruction: the network reads before the words which type to tag, and says the tags of that type alone.
            Every window is an example for each type that its corpus annotates.
        wording: of the instruction, one of `biomark.tagging.words.WORDINGS`: `biomark`, or `vaner` of its authors.
        corpus_name: share of the examples whose instruction names the corpus too, whose guideline it then follows.
            With 1 (VANER) development splits are scored under their own names; with 0 none is ever named (VANER_adapt).
            In use a corpus is named as MODEL@CORPUS.
        corpus_heads: each corpus has heads of its own, and a gate says by the window whose guideline to follow, so that
            corpora which annotate a type differently do not blur each other.
        shares: by the name of a corpus (without a split) the share of its documents that an epoch reads, others in
            each; a corpus that is not named here is read whole.
        teach_only: corpora (their names without a split) that have no say in use: with `corpus_heads` they teach the
            encoder and the common heads, but no window is answered by their guidelines.
        default_types: those of `types` that are looked for where nobody names any; empty: all.
        start: the folder of another run, whose weights training begins with as far as they fit.
        knowledge: the path of a store that `biomark knowledge build` made, for `dbr_*` and `swap`.
        dbr: how lists for dense recognition of biomedical entities (DBR, Bian et al. 2024) are made, of which each
            training sentence (and type, with `instruction`) gets one as an example more: `random`, names drawn from
            the whole store, or `near`, names near the sentence's own phrases, as VANER's authors make them (see
            `biomark.tagging.training.dense`). A name is labelled for the types that it has in the store.
        dbr_terms: of `random`, so many names of the store: half of them of one of the types, or of the type that is
            asked for, the others of any other. Of `near`, at most so many of that type.
        dbr_others: of `near`, at most so many names of other types.
        dbr_mentions: of `random`, so many mentions of the sentence's corpus are in the list, too.
        dbr_share: share of the sentences that get a list.
        swap: share of the documents of an epoch in which mentions are replaced by names of the same type from the
            store, equal mentions by the same name. Short ones in capitals stay: they may be defined elsewhere.
        negatives: share of the windows without any mention that an epoch reads, others in each.
        noise: share of the documents of an epoch that are read in lower case or with capitals at the beginnings of
            words, as titles are written.
        choose: what decides which epoch is kept: `f1`, the highest mean strict F1 over the development splits,
            or `loss`, the lowest mean loss there.
        leave_out: splits or files, typically all that the model is scored on: what they share with the training
            splits (`biomark.corpora.overlap`) is not learnt from. Test splits may stand here.
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
    """A causal language model that answers an instruction with the marked sentence (BioNER-LLaMA).

    Attributes:
        name: what the model is called; also the run's folder under `runs/`.
        model: a Hugging Face name, a folder (such as that of another run), `package:NAME` for the `model`
            folder inside an installed Python package or for its only GGUF file, `package:NAME/PATH` for another
            folder or file of it, or a GGUF file (see `biomark.runtime.bases`). An encoder such as BERT becomes a
            decoder with a causal mask.
        train: corpora with their split, such as `ncbi_disease:train`, files of annotated documents, or
            files (.json, .jsonl, also .gz) that `biomark demonstrations` wrote.
        devel: splits or files of documents, on which the best checkpoint is chosen.
        method: what is tuned: `full`, all weights; `lora`, adapters of low rank; `qlora`, the same beside
            weights in 4 bits; `llama-adapter`, prompts inside the attention of the last layers.
        types: entity types to learn; empty: all that the corpora annotate.
        prompt: the wording, one of `biomark.demonstrations.FORMS`.
        shape: how answers show mentions: `mark`, the paper's way and the one that mark decoding is for; `tanl` or
            `dice`, which the model writes freely, in use too (see `biomark.shapes`).
        guidelines: append to the instruction what to mark.
        guideline_text: append a sentence of the user's own instead, in use too: one for all types, or a table of one
            for each type.
        sentences: what splits texts that nobody has split, in use too: `biomark`, or `spacy` for spaCy's sentencizer.
        prompt_attention: `causal`, or `full`: the tokens of a prompt see all of it, as in an encoder, and
            only the answer is causal (a prefix language model; VANER takes the mask off altogether).
        marks: `text`, the paper's way, writes tags with the tokens that the model has; `tokens` adds two.
        whole_words: in use as in scoring, marks neither begin nor end inside a run of letters and digits.
        examples: how many demonstrations to take, chosen at random; 0: all.
        without_mentions: share of the demonstrations without any mention that are learnt from, chosen at random; the
            same ones in each epoch. `examples` is the number of all that are left.
        devel_sentences: how many sentences of each development split are scored; 0: all.
        epochs: passes over the demonstrations.
        row_tokens: tokens of a row. Packed, a row holds several demonstrations that do not see each other.
        rows: rows a step and device.
        accumulate: steps whose gradients are added up before the weights change.
        packing: several demonstrations a row; else one a row, padded to the longest of its batch.
        negatives: 0: a token's probability is among the whole vocabulary. Else among the tokens of its
            batch and so many random ones, which makes small models train almost twice as fast; for `full`
            and one process.
        learning_rate: peak; linear warm-up, then a cosine to zero.
        warmup: share of the steps.
        weight_decay: of AdamW; not on biases and norms.
        weights: `float32` or `bfloat16`, what weights and optimiser state are kept in. Matrices are
            multiplied in bfloat16 either way, of `float32` only on machines with instructions for it.
        gradient_checkpointing: compute activations twice and keep few of them.
        fsdp: shard weights, gradients and optimiser state over several GPUs; for `full` and `lora`.
        rank, alpha, dropout: of LoRA, on all linear layers but the head.
        adapter_tokens, adapter_layers: of LLaMA-Adapter: prompt length, and in how many of the last layers.
        save_steps: steps between checkpoints; 0: one an epoch.
        seed: of everything random.
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
    save_steps: int = 0
    seed: int = 13
    task: str = "generative"

    @property
    def style(self) -> demonstrations.Style:
        """How the model is asked, and answers."""
        return demonstrations.Style(self.prompt, self.shape, self.guidelines, self.guideline_text, self.sentences)


METHODS: Mapping[str, tuple[str, ...]] = {
    "tagging": ("full", "lora", "qlora"),
    "generative": ("full", "lora", "qlora", "llama-adapter"),
}
"""What a recipe's `method` may be, by its `task`."""

GRID = "grid"
"""The table of a recipe's file that lists values to try, by setting."""

Recipe = TaggingRecipe | GenerativeRecipe


def saved_recipe(folder: Path) -> Recipe:
    """The recipe that was saved beside a model.

    Raises:
        ModelError: if it cannot be read, or was saved by another version of biomark.
    """
    values = saved_values(folder / RECIPE)
    try:
        return _recipe(values, str(folder / RECIPE))
    except UsageError as error:
        raise ModelError(f"{error}; was the recipe saved by another version of biomark?") from error


def saved_values(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a model's folder.

    Raises:
        ModelError: if there is none.
    """
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read: {error}; take the folder whole, as training left it") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path}: holds no JSON object; take the folder whole, as training left it")
    return values


def task_of(values: Mapping[str, object]) -> str:
    """What a recipe's values are for, `tagging` or `generative`.

    If they do not say, their `model` or `encoder` does.
    """
    return str(values.get("task", "generative" if "model" in values else "tagging"))


def load_recipe(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """A recipe's file with `key=value` changes applied; a table of values to try is left aside.

    Raises:
        UsageError: if the file cannot be read, or a key or a value is wrong; the message names it.
    """
    values = _read(path, changes)
    values.pop(GRID, None)
    return _checked(path, values)


def load_grid(path: Path, changes: Sequence[str] = ()) -> list[tuple[Mapping[str, object], Recipe]]:
    """The settings that a recipe's table `[grid]` lists, in its order, each with its recipe.

    The table has a list of values for each setting that varies; all combinations are settings.

    Raises:
        UsageError: as for `load_recipe`, and if there is no such table.
    """
    values = _read(path, changes)
    grid = values.pop(GRID, None)
    if not isinstance(grid, dict) or not grid or not all(isinstance(v, list) and v for v in grid.values()):
        raise UsageError(f"{path}: has no table [{GRID}] with a list of values for each setting that is to vary")
    if fixed := [key for key in ("name", "task", "train", "devel", "types") if key in grid]:
        raise UsageError(f"{path}: {', '.join(fixed)} cannot vary in a grid, whose runs are compared")
    found: list[tuple[Mapping[str, object], Recipe]] = []
    for chosen in product(*grid.values()):
        setting = dict(zip(grid, chosen, strict=True))
        found.append((setting, _checked(path, {**values, **setting})))
    return found


def _read(path: Path, changes: Sequence[str]) -> dict[str, Any]:
    hints = get_type_hints(TaggingRecipe) | get_type_hints(GenerativeRecipe)
    return changed(read_toml(path), changes, hints)


def _checked(path: Path, values: dict[str, Any]) -> Recipe:
    """The recipe of a file's values."""
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
