"""The loss on answers, and the trainer that minimises it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer

from biomark.generative.decoding.head import before
from biomark.generative.training.model import head_of
from biomark.generative.training.packing import IGNORED, TokenisedDemonstration


class Rows(Dataset[list[TokenisedDemonstration]]):
    """The rows of an epoch."""

    def __init__(self, rows: Sequence[list[TokenisedDemonstration]]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> list[TokenisedDemonstration]:
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
        self.model_accepts_loss_kwargs = True  # so that `num_items_in_batch` is counted, over all devices

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Cross entropy, the mean over the answers' tokens of all rows and devices that share a step."""
        labels = inputs.pop("labels")
        if self.model is None:
            raise RuntimeError("the trainer has no model")
        head = head_of(self.model)
        if self.negatives:
            loss = self._sampled_loss(model, head, inputs, labels)
        else:
            loss = answer_loss(model, head, inputs, labels)
        said = num_items_in_batch if num_items_in_batch is not None else int((labels != IGNORED).sum())
        # Gradients are averaged over the devices, and each has its share of the sum alone.
        mean: Tensor = loss * self.accelerator.num_processes / said
        return mean

    def _sampled_loss(self, model: nn.Module, head: nn.Linear, inputs: dict[str, Tensor], labels: Tensor) -> Tensor:
        wanted = labels != IGNORED
        with before(head, lambda hidden: hidden[:, :0]) as seen:
            model(**inputs, use_cache=False)
        rows, said = self._candidates(labels[wanted], inputs["input_ids"], len(head.weight))
        bias = head.bias[rows] if head.bias is not None else None
        with self.accelerator.autocast():
            logits = nn.functional.linear(seen[0][wanted], head.weight[rows], bias)  # (N, C)
        return nn.functional.cross_entropy(logits.float(), said, reduction="sum")

    def _candidates(self, said: Tensor, read: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """The C tokens to choose from, and at which of them stands what is to be said."""
        random = torch.randint(size, (self.negatives,), device=said.device)
        rows = torch.unique(torch.cat((read.flatten(), random)))
        return rows, torch.searchsorted(rows, said)


def answer_loss(model: nn.Module, head: nn.Module, inputs: dict[str, Tensor], labels: Tensor) -> Tensor:
    """Cross entropy, the sum over the tokens of answers.

    Args:
        model: may be wrapped, sharded, or hold adapters.
        head: its output layer.
        inputs: of the model, as `biomark.generative.training.packing.collate` makes them.
        labels: (B, L) int64, the token to say at each place, or `IGNORED`.
    """
    wanted = labels != IGNORED
    with before(head, lambda hidden: hidden[wanted]):
        logits = model(**inputs, use_cache=False).logits  # (N, V)
    return nn.functional.cross_entropy(logits.float(), labels[wanted], reduction="sum")
