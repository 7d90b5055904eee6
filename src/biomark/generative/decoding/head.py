"""The output layer (head) of a language model, computed only for the needed positions and candidate tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

_AT_ONCE = 1 << 18  # the number of products computed at once, so that they stay in a core's cache


@contextmanager
def before(head: nn.Module, choose: Callable[[Tensor], Tensor]) -> Iterator[list[Tensor]]:
    """Replace the input of a model's head, the hidden states (B, L, H), by what `choose` returns for them.

    This uses a hook, which changes neither the names of the weights nor the wrappers of the model.

    Yields:
        A list to which each pass of the model appends its hidden states.
    """
    states: list[Tensor] = []

    def hook(_: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        states.append(args[0])
        return (choose(args[0]),)

    handle = head.register_forward_pre_hook(hook)
    try:
        yield states
    finally:
        handle.remove()


def head_of(model: PreTrainedModel) -> nn.Module:
    """Return the layer that computes logits from hidden states."""
    head: nn.Module = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    return head


class Head:
    """A head that computes the logits of chosen tokens at chosen positions.

    Args:
        model: a causal language model.

    Attributes:
        whole: whether the model itself computes all logits of a position. This is slower, but correct for heads that
            are more than a matrix, such as one with an adapter.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._layer = head_of(model)
        weight = getattr(self._layer, "weight", None)
        self.whole = weight is None or not weight.is_floating_point()
        config = model.config.get_text_config()
        self._cap = float(getattr(config, "final_logit_softcapping", None) or 0)  # Gemma
        self._scale = float(getattr(config, "logit_scale", None) or 1)  # Cohere
        self._scale /= float(getattr(config, "logits_scaling", None) or 1)  # Granite

    def read(self, run: Callable[[], Tensor], places: Tensor, owners: Tensor, candidates: Tensor) -> Tensor:
        """Run the model and return the logits of M candidates at N positions.

        Args:
            run: runs the model on (B, L) tokens and returns its logits.
            places: (N,) int64 positions in the flattened batch.
            owners: (M,) int64 index of each candidate's position in `places`.
            candidates: (M,) int64 token ids.

        Returns:
            (M,) logits of at least single precision, on the head's device.
        """
        if self.whole:
            with before(self._layer, lambda hidden: hidden.flatten(0, 1)[places.to(hidden.device)]):
                logits = run()  # (N, V)
            return _precise(logits[owners.to(logits.device), candidates.to(logits.device)])
        with before(self._layer, lambda hidden: hidden[:, :0]) as states:
            run()
        hidden = states[0].flatten(0, 1)[places.to(states[0].device)]
        return self._rows(hidden, owners.to(hidden.device), candidates.to(hidden.device))

    def _rows(self, hidden: Tensor, owners: Tensor, candidates: Tensor) -> Tensor:
        weight: Tensor = self._layer.weight  # type: ignore[assignment]
        bias: Tensor | None = getattr(self._layer, "bias", None)
        step = max(1, _AT_ONCE // hidden.shape[-1]) if hidden.device.type == "cpu" else max(1, len(owners))
        pieces = []
        for at in range(0, len(owners), step):
            owner, candidate = owners[at : at + step], candidates[at : at + step]
            products = (_precise(hidden[owner]) * _precise(weight[candidate])).sum(-1)
            pieces.append(products if bias is None else products + _precise(bias[candidate]))
        logits = torch.cat(pieces) * self._scale
        return self._cap * torch.tanh(logits / self._cap) if self._cap else logits


def _precise(numbers: Tensor) -> Tensor:
    return numbers if numbers.dtype == torch.float64 else numbers.float()
