"""A benchmark of tuning with packed rows against Stanford Alpaca's way: one demonstration per row, padded."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer, TrainerCallback
from transformers.trainer_callback import PrinterCallback

from biomark import demonstrations
from biomark.formats import Reject
from biomark.generative.decoding.vocabulary import Vocabulary
from biomark.generative.training.data import chosen, read_demonstrations
from biomark.generative.training.loss import AnswerTrainer, EpochRows
from biomark.generative.training.model import adapt
from biomark.generative.training.packing import IGNORED, TokenisedDemonstration, collate, pack, tokenise
from biomark.generative.training.trainer import arguments
from biomark.lab.bench import machine
from biomark.lab.bench.shapes import random_llama
from biomark.runtime.quiet import quietly
from biomark.spans import Rejected
from biomark.training.recipe import GenerativeRecipe

CORPORA = ("ncbi_disease_iob:train", "bc5cdr_chemical_iob:train", "bc2gm:train")  # 22,484 demonstrations
PEAK = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "RTX 4090": 165e12}
"""The nominal bfloat16 operations per second with dense matrices, by a part of the GPU's name."""
ROWS, BATCH = 4, 32  # per step, the number of packed rows, and of rows with one demonstration each
WARM_UP = 3  # the number of steps before the measurement


@dataclass(slots=True)
class Clock:
    """The measurements since the end of the warm-up.

    Attributes:
        steps: the number of steps.
        seconds: their duration.
        tokens: the number of tokens without padding.
        places: the number of tokens with padding.
        waiting: the tokens and places of batches whose step is not finished.
        since: the time at the end of the last step.
    """

    steps: int = 0
    seconds: float = 0.0
    tokens: int = 0
    places: int = 0
    waiting: list[tuple[int, int]] = field(default_factory=list)
    since: float = 0.0


class Timer(TrainerCallback):
    """A callback of the trainer that updates a clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Count a step."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        clock = self._clock
        if state.global_step > WARM_UP:
            clock.steps += 1
            clock.seconds += now - clock.since
            for tokens, places in clock.waiting:
                clock.tokens += tokens
                clock.places += places
        clock.waiting.clear()
        clock.since = now


def training(
    *,
    shape: str = "7b",
    method: str = "full",
    names: Sequence[str] = CORPORA,
    steps: int = 100,
    row_tokens: int = 2048,
    checkpointing: bool = True,
    reject: Reject,
) -> dict[str, object]:
    """Measure tokens per second, memory, and the share of the chip's peak, for one model tuned in two ways.

    *Packed*: rows of `row_tokens` tokens filled with demonstrations, with the head computed for answers alone, as in
    `biomark train`. *Alpaca*: 32 demonstrations per step, padded to the longest of them, with all logits computed.
    Both use bfloat16, AdamW, and transformers' `Trainer`.

    Args:
        shape: the shape of a Llama with random weights; see `biomark.lab.bench.shapes`.
        method: `full` or `lora`.
        names: the corpora of the demonstrations.
        steps: the number of measured steps, after the warm-up.
        row_tokens: the number of tokens in a packed row; a step has four rows.
        checkpointing: whether to recompute activations in the backward pass.
        reject: is called with what cannot be used.
    """
    recipe = GenerativeRecipe(
        name=f"bench-{shape}",
        model=shape,
        train=tuple(names),
        devel=(),
        method=method,
        rows=ROWS,
        row_tokens=row_tokens,
        weights="bfloat16" if torch.cuda.is_available() else "float32",
        gradient_checkpointing=checkpointing,
    )
    drawn = chosen((d for name in names for d in read_demonstrations(name, recipe, reject)), recipe)
    model, vocabulary = random_llama(shape, (demonstrations.prompt(d.instruction, d.input) for d in drawn))
    parameters = sum(weight.numel() for weight in model.parameters())
    tuned = adapt(model, vocabulary, recipe)
    examples = []
    for demonstration in drawn:
        example = tokenise(demonstration, vocabulary, form=recipe.prompt, longest=row_tokens)
        if isinstance(example, Rejected):
            reject(example)
        else:
            examples.append(example)
    tokens = sum(len(example.ids) for example in examples)
    results = {}
    for name, trainer in (("packed", _packed), ("alpaca", _alpaca)):
        clock = Clock()
        with tempfile.TemporaryDirectory() as folder, quietly():
            _reset_memory()
            _run(trainer(tuned, vocabulary, examples, recipe, clock, Path(folder)), steps)
        results[name] = _figures(clock, parameters, tokens, recipe)
    speed = {name: float(str(figures["tokens_per_second"])) for name, figures in results.items()}
    return {
        "bench": "training",
        "model": shape,
        "method": method,
        "parameters": parameters,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "demonstrations": len(examples),
        "tokens": tokens,
        "packed_is_faster": round(speed["packed"] / speed["alpaca"], 2),
        **results,
        **machine("torch", "transformers", "peft"),
    }


def _packed(
    model: nn.Module,
    vocabulary: Vocabulary,
    examples: Sequence[TokenisedDemonstration],
    recipe: GenerativeRecipe,
    clock: Clock,
    folder: Path,
) -> Trainer:
    def read(rows: list[list[TokenisedDemonstration]]) -> dict[str, Tensor]:
        clock.waiting.append((sum(len(e.ids) for row in rows for e in row), len(rows) * recipe.row_tokens))
        return collate(rows, vocabulary.end, length=recipe.row_tokens)

    rows = EpochRows(pack(examples, recipe.row_tokens, seed=recipe.seed))
    return AnswerTrainer(
        model=model, args=arguments(recipe, folder), train_dataset=rows, data_collator=read, negatives=0,
        callbacks=[Timer(clock)],
    )  # fmt: skip


def _alpaca(
    model: nn.Module,
    vocabulary: Vocabulary,
    examples: Sequence[TokenisedDemonstration],
    recipe: GenerativeRecipe,
    clock: Clock,
    folder: Path,
) -> Trainer:
    def read(rows: list[list[TokenisedDemonstration]]) -> dict[str, Tensor]:
        longest = max(len(e.ids) for (e,) in rows)
        clock.waiting.append((sum(len(e.ids) for (e,) in rows), len(rows) * longest))
        ids = torch.full((len(rows), longest), vocabulary.end)
        labels, mask = torch.full_like(ids, IGNORED), torch.zeros_like(ids)
        for n, (example,) in enumerate(rows):
            size = len(example.ids)
            ids[n, :size] = torch.tensor(example.ids)
            labels[n, example.answer : size] = ids[n, example.answer : size]
            mask[n, :size] = 1
        return {"input_ids": ids, "labels": labels, "attention_mask": mask}

    settings = arguments(recipe, folder)
    settings.per_device_train_batch_size = BATCH
    return Trainer(
        model=model, args=settings, train_dataset=EpochRows([[e] for e in examples]), data_collator=read,
        callbacks=[Timer(clock)],
    )  # fmt: skip


def _run(trainer: Trainer, steps: int) -> None:
    trainer.args.max_steps = steps + WARM_UP
    trainer.args.save_strategy = "no"
    trainer.args.logging_strategy = "no"
    trainer.remove_callback(PrinterCallback)
    trainer.train()


def _reset_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _figures(clock: Clock, parameters: int, tokens: int, recipe: GenerativeRecipe) -> dict[str, object]:
    if torch.cuda.is_available():
        memory = torch.cuda.max_memory_allocated() / 2**30
    else:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # of the process so far
    speed = clock.tokens / clock.seconds
    # Forward 2, gradients of activations 2, gradients of weights 2 a parameter and token; adapters spare the last.
    work = (6 if recipe.method == "full" else 4) * parameters * speed
    figures: dict[str, object] = {
        "steps": clock.steps,
        "seconds_per_step": round(clock.seconds / clock.steps, 3),
        "tokens_per_second": round(speed, 1),
        "padding": round(1 - clock.tokens / clock.places, 3),
        "memory_gib": round(memory, 2),
        "teraflops": round(work / 1e12, 3),
        "minutes_for_three_epochs": round(3 * tokens / speed / 60, 1),
    }
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    peak = next((peak for part, peak in PEAK.items() if part in name), None)
    if peak is not None:
        figures["share_of_peak"] = round(work / peak, 3)
    return figures
