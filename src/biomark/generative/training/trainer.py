"""The trainer of generative models (BioNER-LLaMA, Keloth et al. 2024, section 2.3).

`train` reads demonstrations, packs them, and tunes a causal language model with `transformers.Trainer`. After each
checkpoint the model annotates the development splits; the checkpoint with the highest mean strict F1 is kept. A run
that was stopped at any point reaches, when resumed, the same weights and scores.
"""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState  # type: ignore[import-untyped]
from torch import nn
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from biomark import corpora, demonstrations
from biomark.entity_types import distinct
from biomark.errors import UsageError
from biomark.formats import Reject
from biomark.generative.answering import answering_of
from biomark.generative.decoding.vocabulary import Vocabulary
from biomark.generative.recognizer import GenerativeRecognizer
from biomark.generative.training.checks import check
from biomark.generative.training.data import Data, is_demonstrations, read_data
from biomark.generative.training.loss import AnswerTrainer, EpochRows
from biomark.generative.training.model import plain, prepare_model, save_tokenizer, set_weights, with_weights
from biomark.generative.training.packing import collate
from biomark.runtime.bases import Notify
from biomark.runtime.machine import multiplies_bf16, versions
from biomark.runtime.quiet import quietly
from biomark.training.recipe import GenerativeRecipe
from biomark.training.runs import CHECKPOINTS, LIBRARIES, Checkpoint, TrainingFolder, check_run, save_recipe
from biomark.training.scoring import Devel, shown, strict_scores

log = logging.getLogger(__name__)

_PATIENCE = 6 * 3600  # the seconds that processes wait for the one that scores
_UNCHANGED = ("train", "devel", "processes")  # the facts that must not change between a run's start and its resumption


def train(
    recipe: GenerativeRecipe, folder: Path, *, reject: Reject, resume: bool = False, progress: Notify = log.info
) -> Path:
    """Train a generative model by a recipe; see `biomark.tagging.training.trainer.train` for arguments and result.

    Under `torchrun` every process calls this; only the first one writes files and reports progress.
    """
    check(recipe)
    _check_processes(recipe)
    recipe = with_types(recipe)
    demonstrations.check(recipe.style, recipe.types or None)
    run = TrainingFolder(folder)
    settings = arguments(recipe, folder / CHECKPOINTS)  # this connects the processes with each other
    main = settings.process_index == 0
    if not main:
        progress = reject = _silent
    check_run(folder, recipe, resume=resume, checkpoint="checkpoint", started=bool(run.checkpoints() or run.scores()))
    PartialState().wait_for_everyone()
    torch.manual_seed(recipe.seed)
    model, vocabulary = prepare_model(recipe, notify=progress)
    data = read_data(recipe, vocabulary, reject)
    progress(f"{len(data.examples)} demonstrations, {data.tokens} tokens, in {len(data.rows)} rows")
    for split in data.devel:
        if split.lost:
            progress(f"{split.name}: {split.lost} mentions cross the end of a sentence and are not scored")
    if main:
        folder.mkdir(parents=True, exist_ok=True)
        run.note(_facts(recipe, model, data, settings.world_size), same=_UNCHANGED if resume else ())
        save_recipe(folder, recipe)
        save_tokenizer(vocabulary, folder)
    scoring = Scoring(run, recipe, vocabulary, data.devel, progress)
    with quietly():
        trainer = _trainer(recipe, model, vocabulary, data, settings)
        trainer.add_callback(TrainingProgress(progress))
        trainer.add_callback(scoring)
        _go_on(trainer, model, scoring, resume=resume)
    progress(f"the model is in {folder}")
    if settings.world_size > 1:
        # A process that exits before the others have freed shared memory would leave them waiting for ever.
        del trainer, model, scoring
        gc.collect()
        PartialState().wait_for_everyone()
        PartialState().destroy_process_group()
    return folder


def _go_on(trainer: Trainer, model: nn.Module, scoring: Scoring, *, resume: bool) -> None:
    """Score the checkpoints without scores, and train the remaining steps."""
    if not resume:
        trainer.train()
        return
    checkpoints = scoring.run.checkpoints()
    if not checkpoints:
        raise UsageError(f"{scoring.run.folder}: the run is finished; there is no checkpoint to resume from")
    for checkpoint in scoring.run.unscored() if trainer.args.process_index == 0 else ():
        if not scoring.sharded:
            set_weights(model, checkpoint.folder)
        scoring.score(model, checkpoint)
    PartialState().wait_for_everyone()
    if not checkpoints[-1].last:
        trainer.train(resume_from_checkpoint=str(checkpoints[-1].folder))


def _silent(_: object) -> None:
    """Discard a message, since the first process reports it."""


def _processes() -> int:
    """Return the number of processes that `torchrun` started, or 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _check_processes(recipe: GenerativeRecipe) -> None:
    if recipe.negatives and _processes() > 1:
        raise UsageError(f"recipe {recipe.name}: negatives is for one process; set `negatives=0`")
    if recipe.fsdp and not (_processes() > 1 and torch.cuda.is_available()):
        raise UsageError(
            f"recipe {recipe.name}: fsdp shards over several GPUs: torchrun --nproc-per-node GPUS -m biomark train "
            "…; or set `fsdp=false`"
        )


def with_types(recipe: GenerativeRecipe) -> GenerativeRecipe:
    """Return the recipe with all types that its corpora annotate, if it names none."""
    if recipe.types:
        return recipe
    known = (
        entity_type
        for name in recipe.train
        if not is_demonstrations(name)
        for entity_type in corpora.corpus_types(name)
    )
    return replace(recipe, types=distinct(known))


# Data


def _facts(recipe: GenerativeRecipe, model: nn.Module, data: Data, processes: int) -> dict[str, object]:
    """Return the facts of a run that are saved beside its recipe."""
    inner = plain(model)
    return {
        "model": recipe.model,
        "architecture": type(inner).__name__,
        "parameters": inner.num_parameters(),
        "tuned_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "train": data.train,
        "devel": {d.name: {"documents": len(d.documents), "types": d.types, "sha256": d.digest()} for d in data.devel},
        "examples": len(data.examples),
        "tokens": data.tokens,
        "rows": len(data.rows),
        "processes": processes,
        "versions": versions(*LIBRARIES),
    }


# Training


def _trainer(
    recipe: GenerativeRecipe, model: nn.Module, vocabulary: Vocabulary, data: Data, settings: TrainingArguments
) -> Trainer:
    trainer = AnswerTrainer(
        model=model,
        args=settings,
        train_dataset=EpochRows(data.rows),
        data_collator=lambda rows: collate(
            rows,
            vocabulary.end,
            length=recipe.row_tokens if recipe.packing else None,
            full_prompts=recipe.prompt_attention == "full",
        ),
        negatives=recipe.negatives,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def arguments(recipe: GenerativeRecipe, folder: Path) -> TrainingArguments:
    """Return the arguments of `transformers.Trainer` for a recipe."""
    cuda = torch.cuda.is_available()
    settings = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.rows,
        gradient_accumulation_steps=recipe.accumulate,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=recipe.warmup,
        weight_decay=recipe.weight_decay,
        optim="adamw_torch_fused",
        bf16=multiplies_bf16() or recipe.weights == "bfloat16",
        use_cpu=not cuda,
        # With FSDP, activations are recomputed where the weights are gathered.
        activation_checkpointing=recipe.gradient_checkpointing and not recipe.fsdp,
        activation_checkpointing_kwargs={"use_reentrant": False},
        fsdp=True if recipe.fsdp else None,  # type: ignore[arg-type]
        fsdp_config={"activation_checkpointing": recipe.gradient_checkpointing} if recipe.fsdp else None,
        ddp_backend="gloo" if _processes() > 1 and not cuda else None,
        ddp_find_unused_parameters=False,
        ddp_timeout=_PATIENCE,
        save_strategy="steps" if recipe.save_steps else "epoch",
        save_steps=recipe.save_steps or 500,
        logging_steps=20,
        seed=recipe.seed,
        data_seed=recipe.seed,
        report_to="none",
        remove_unused_columns=False,
        dataloader_pin_memory=cuda,
        disable_tqdm=True,
        log_level_replica="error",
    )
    # Each process uses one GPU; otherwise transformers would split rows over threads, to which hooks do not apply.
    settings._n_gpu = min(settings.n_gpu, 1)
    return settings


class TrainingProgress(TrainerCallback):
    """A callback of the trainer that reports the loss and the learning rate."""

    def __init__(self, notify: Notify) -> None:
        self._notify = notify

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Report a log entry as a line of text."""
        if logs and "loss" in logs:
            self._notify(
                f"epoch {logs['epoch']:.2f} step {state.global_step}/{state.max_steps} loss {float(logs['loss']):.4f} "
                f"learning rate {float(logs['learning_rate']):.2e}"
            )


# Scoring


class Scoring(TrainerCallback):
    """A callback of the trainer that scores every checkpoint in the first process, while the others wait.

    The scores are those of the model as it will be used: with the saved weights and, on a CPU, without the autocast
    of training. A sharded model cannot be used by one process alone; for it the first process loads the checkpoint
    separately, in bfloat16.

    Args:
        run: the folder for the scores and the best model.
        recipe: the recipe of the run.
        vocabulary: the vocabulary of the model.
        devel: the development splits.
        notify: is called with a line of text for each checkpoint.
    """

    def __init__(
        self,
        run: TrainingFolder,
        recipe: GenerativeRecipe,
        vocabulary: Vocabulary,
        devel: Sequence[Devel],
        notify: Notify,
    ) -> None:
        self.run = run
        self.sharded = recipe.fsdp
        self._recipe = recipe
        self._vocabulary = vocabulary
        self._devel = devel
        self._notify = notify

    def on_save(self, args: TrainingArguments, state: Any, control: Any, **settings: Any) -> None:
        """Score the checkpoint that was just saved."""
        if args.process_index == 0:
            (checkpoint,) = (c for c in self.run.checkpoints() if c.step == state.global_step)
            self.score(settings["model"], checkpoint)
        PartialState().wait_for_everyone()

    def score(self, model: nn.Module, checkpoint: Checkpoint) -> None:
        """Score a checkpoint, and keep its model if it is the best so far.

        Args:
            model: the model with the checkpoint's weights; ignored if it is sharded.
            checkpoint: a checkpoint of `run`.
        """
        begin = time.perf_counter()
        if self.sharded:
            own = with_weights(self._recipe, checkpoint.folder, dtype=torch.bfloat16).to("cuda")  # type: ignore[arg-type]
            scores = self._scores(own)
        else:
            with _as_used(model, bf16=self._recipe.weights == "bfloat16") as own:
                scores = self._scores(own)
        best = self.run.add(checkpoint, scores, self._recipe.model)
        self._notify(
            f"epoch {checkpoint.epoch:.2f} step {checkpoint.step}: {shown(scores)}{' (best)' if best else ''}, "
            f"scored in {time.perf_counter() - begin:.0f} s"
        )

    def _scores(self, model: PreTrainedModel) -> dict[str, dict[str, float]]:
        return strict_scores(recognizer_of(model, self._vocabulary, self._recipe), self._devel)


@contextmanager
def _as_used(model: nn.Module, *, bf16: bool) -> Iterator[PreTrainedModel]:
    """Yield the model in training without accelerate's wrapper; with autocast on a GPU or for `bf16`."""
    inner = plain(model)
    wrapped = inner.__dict__.pop("forward", None)
    training = inner.training
    device = inner.device.type
    try:
        with torch.autocast(device, dtype=torch.bfloat16, enabled=bf16 or device == "cuda"):
            yield inner
    finally:
        inner.train(training)
        if wrapped is not None:
            inner.__dict__["forward"] = wrapped


def recognizer_of(
    model: PreTrainedModel, vocabulary: Vocabulary, recipe: GenerativeRecipe, *, batch: int = 16
) -> GenerativeRecognizer:
    """Return the recognizer of a model tuned by a recipe: with mark decoding, or free generation for other shapes."""
    full = recipe.prompt_attention == "full"
    answering = answering_of(model, vocabulary, recipe.style, full_prompts=full, whole_words=recipe.whole_words)
    return GenerativeRecognizer(answering, vocabulary, recipe.types or None, style=recipe.style, batch=batch)
