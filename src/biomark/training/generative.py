"""Tunes a causal language model on demonstrations (BioNER-LLaMA, Keloth et al. 2024, section 2.3)."""

from __future__ import annotations

import hashlib
import json
import logging
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from biomark import prompts
from biomark.errors import UsageError
from biomark.formats import Reject
from biomark.prompts import Demonstration
from biomark.spans import Rejected
from biomark.training.causal import prepare_model
from biomark.training.packing import IGNORED, Example, collate, pack, tokenise
from biomark.training.recipe import RECIPE, GenerativeRecipe

log = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"


class Rows(Dataset[list[Example]]):
    """The rows of an epoch."""

    def __init__(self, rows: Sequence[list[Example]]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> list[Example]:
        return self._rows[index]


class AnswerTrainer(Trainer):
    """`transformers.Trainer` with the loss on answers, and the head computed for their tokens alone.

    With a vocabulary of 30,000 to 150,000 the head is a large part of the work and its logits most of
    the memory; prompts are more than half of the tokens.

    Args:
        negatives: see `GenerativeRecipe`.
    """

    def __init__(self, *args: Any, negatives: int, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.negatives = negatives
        self.model_accepts_loss_kwargs = True  # so that `num_items_in_batch` is counted

    def compute_loss(  # type: ignore[override]
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Cross entropy, the mean over the answers' tokens of all rows and devices that share a step."""
        labels = inputs.pop("labels")
        wanted = labels != IGNORED
        said = labels[wanted]  # (N,)
        head = self.model.get_output_embeddings()
        if self.negatives:
            with before(head, lambda hidden: hidden[:, :0]) as seen:
                model(**inputs, use_cache=False)
            rows, said = self._candidates(said, inputs["input_ids"], len(head.weight))
            bias = head.bias[rows] if head.bias is not None else None
            with self.accelerator.autocast():
                logits = nn.functional.linear(seen[0][wanted], head.weight[rows], bias)  # (N, C)
        else:
            with before(head, lambda hidden: hidden[wanted]):
                logits = model(**inputs, use_cache=False).logits  # (N, V)
        loss = nn.functional.cross_entropy(logits.float(), said, reduction="sum")
        return loss / (num_items_in_batch if num_items_in_batch is not None else len(said))

    def _candidates(self, said: Tensor, read: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """The C tokens to choose from, and at which of them stands what is to be said."""
        random = torch.randint(size, (self.negatives,), device=said.device)
        rows = torch.unique(torch.cat((read.flatten(), random)))
        return rows, torch.searchsorted(rows, said)


@contextmanager
def before(head: nn.Module, choose: Callable[[Tensor], Tensor]) -> Iterator[list[Tensor]]:
    """Let a model's head see only what `choose` makes of the hidden states (B, L, H).

    A hook changes neither the names of the weights nor what wraps the model.

    Yields:
        A list that gets the hidden states when the model has run.
    """
    seen: list[Tensor] = []

    def hook(_: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        seen.append(args[0])
        return (choose(args[0]),)

    handle = head.register_forward_pre_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()


class Progress(TrainerCallback):
    """Says how it goes."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """A line for each log."""
        if logs and "loss" in logs:
            self._say(
                f"epoch {logs['epoch']:.2f} step {state.global_step}/{state.max_steps} loss {float(logs['loss']):.4f} "
                f"learning rate {float(logs['learning_rate']):.2e}"
            )


def train(
    recipe: GenerativeRecipe,
    folder: Path,
    *,
    reject: Reject,
    resume: bool = False,
    progress: Callable[[str], None] = log.info,
) -> Path:
    """Train by a recipe; see `biomark.training.tagging.train`."""
    torch.manual_seed(recipe.seed)
    model, vocabulary = prepare_model(recipe)
    examples = []
    for demonstration in chosen(demonstrations(recipe, reject), recipe):
        example = tokenise(demonstration, vocabulary, form=recipe.prompt, longest=recipe.row_tokens)
        if isinstance(example, Rejected):
            reject(example)
        else:
            examples.append(example)
    rows = pack(examples, recipe.row_tokens, seed=recipe.seed) if recipe.packing else [[e] for e in examples]
    tokens = sum(len(example.ids) for example in examples)
    progress(f"{len(examples)} demonstrations, {tokens} tokens, in {len(rows)} rows")
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary.full.save(str(folder / "tokenizer.json"))
    (folder / RECIPE).write_text(json.dumps(asdict(recipe), indent=2), "utf-8")
    trainer = AnswerTrainer(
        model=model,
        args=arguments(recipe, folder / CHECKPOINTS),
        train_dataset=Rows(rows),
        data_collator=lambda rows: collate(
            rows,
            vocabulary.end,
            length=recipe.row_tokens if recipe.packing else None,
            full_prompts=recipe.prompt_attention == "full",
        ),
        callbacks=[Progress(progress)],
        negatives=recipe.negatives,
    )
    for callback in ("PrinterCallback", "ProgressCallback"):
        trainer.callback_handler.callbacks = [
            c for c in trainer.callback_handler.callbacks if type(c).__name__ != callback
        ]
    trainer.train(resume_from_checkpoint=resume or None)
    return folder


def arguments(recipe: GenerativeRecipe, folder: Path) -> TrainingArguments:
    """What a recipe says to `transformers.Trainer`."""
    cuda = torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.rows,
        gradient_accumulation_steps=recipe.accumulate,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=recipe.warmup,
        weight_decay=recipe.weight_decay,
        optim="adamw_torch_fused",
        bf16=True,
        use_cpu=not cuda,
        gradient_checkpointing=recipe.gradient_checkpointing,
        save_strategy="steps" if recipe.save_steps else "epoch",
        save_steps=recipe.save_steps or 500,
        logging_steps=20,
        seed=recipe.seed,
        data_seed=recipe.seed,
        report_to="none",
        remove_unused_columns=False,
        dataloader_pin_memory=cuda,
        disable_tqdm=True,
    )


def demonstrations(recipe: GenerativeRecipe, reject: Reject) -> Iterator[Demonstration]:
    """What a recipe's `train` holds, corpora and files of demonstrations."""
    for name in recipe.train:
        if name.endswith((".json", ".jsonl", ".json.gz", ".jsonl.gz")) and Path(name).is_file():
            yield from prompts.read(Path(name))
        else:
            yield from prompts.from_corpora(
                [name], recipe.types or None, guidelines=recipe.guidelines, form=recipe.prompt, reject=reject
            )


def chosen(demonstrations: Iterable[Demonstration], recipe: GenerativeRecipe) -> list[Demonstration]:
    """As many as the recipe wants, chosen at random, in random order."""
    found = list(demonstrations)
    random.Random(recipe.seed).shuffle(found)
    return found[: recipe.examples or None]
