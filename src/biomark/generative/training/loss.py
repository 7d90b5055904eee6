"""The loss on the tokens of answers, and the trainer that minimises it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer

from biomark.generative.decoding.head import before
from biomark.generative.training.blocks import AttentionInBlocks
from biomark.generative.training.model import head_of
from biomark.generative.training.packing import IGNORED, TokenisedDemonstration


class EpochRows(Dataset[list[TokenisedDemonstration]]):
    """A data set of the rows of an epoch."""

    def __init__(self, rows: Sequence[list[TokenisedDemonstration]]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> list[TokenisedDemonstration]:
        return self._rows[index]


class AnswerTrainer(Trainer):
    """A `transformers.Trainer` with the loss on answers alone, which computes the head only for their tokens.

    With a vocabulary of 30,000 to 150,000 tokens, the head takes a large part of the time and its logits most of
    the memory, and more than half of the tokens belong to prompts.

    Args:
        args, settings: of `transformers.Trainer`.
        negatives: see `GenerativeRecipe`.
    """

    def __init__(self, *args: Any, negatives: int, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.negatives = negatives
        self.model_accepts_loss_kwargs = True  # makes the trainer count `num_items_in_batch` over all devices

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Return the mean cross entropy over the answers' tokens of all rows and devices that share a step."""
        labels = inputs.pop("labels")
        if self.model is None:
            raise RuntimeError("the trainer has no model")
        head = head_of(self.model)
        with self._attention(inputs["attention_mask"]):
            if self.negatives:
                loss = self._sampled_loss(model, head, inputs, labels)
            else:
                loss = answer_loss(model, head, inputs, labels)
        count = num_items_in_batch if num_items_in_batch is not None else int((labels != IGNORED).sum())
        # Each device has only its part of the sum, and gradients are averaged over the devices.
        mean: Tensor = loss * self.accelerator.num_processes / count
        return mean

    def _attention(self, mask: Tensor) -> AbstractContextManager[object]:
        """Return a context in which a CPU computes the attention of packed rows in blocks; a GPU computes all of it."""
        if mask.device.type != "cpu" or self.args.activation_checkpointing:
            return nullcontext()
        return AttentionInBlocks(mask)

    def _sampled_loss(self, model: nn.Module, head: nn.Linear, inputs: dict[str, Tensor], labels: Tensor) -> Tensor:
        wanted = labels != IGNORED
        with before(head, lambda hidden: hidden[:, :0]) as states:
            model(**inputs, use_cache=False)
        rows, targets = self._candidates(labels[wanted], inputs["input_ids"], len(head.weight))
        bias = head.bias[rows] if head.bias is not None else None
        with self.accelerator.autocast():
            logits = nn.functional.linear(states[0][wanted], head.weight[rows], bias)  # (N, C)
        return nn.functional.cross_entropy(logits.float(), targets, reduction="sum")

    def _candidates(self, labels: Tensor, input_ids: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Return the ids of C candidate tokens, ascending, and the index of each label among them."""
        random = torch.randint(size, (self.negatives,), device=labels.device)
        rows = torch.unique(torch.cat((input_ids.flatten(), random)))
        return rows, torch.searchsorted(rows, labels)


def answer_loss(model: nn.Module, head: nn.Module, inputs: dict[str, Tensor], labels: Tensor) -> Tensor:
    """Return the sum of the cross entropy over the tokens of answers.

    Args:
        model: a causal language model, which may be wrapped, sharded, or have adapters.
        head: its output layer.
        inputs: the arrays that `biomark.generative.training.packing.collate` returns, without the labels.
        labels: (B, L) int64, the next token at each position, or `IGNORED`.
    """
    wanted = labels != IGNORED
    with before(head, lambda hidden: hidden[wanted]):
        logits = model(**inputs, use_cache=False).logits  # (N, V)
    return nn.functional.cross_entropy(logits.float(), labels[wanted], reduction="sum")
