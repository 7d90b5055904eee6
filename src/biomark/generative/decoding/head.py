"""A language model's head, computed for the tokens and the candidates that matter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

_AT_ONCE = 1 << 18  # numbers that are multiplied at once, so that they stay in a core's cache


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


def head_of(model: PreTrainedModel) -> nn.Module:
    """The layer that makes logits of hidden states."""
    found: nn.Module = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    return found


class Head:
    """Logits of chosen tokens at chosen places.

    Args:
        model: with a linear head.

    Attributes:
        whole: whether all of a place's logits are computed by the model itself. Slower, and right for
            heads that are more than a matrix, such as one with an adapter.
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
        """Run the model and get the logits of M candidates.

        Args:
            run: runs the model on (B, L) tokens; gives its logits.
            places: (N,) int64, in the flattened batch.
            owners: (M,) int64, for each candidate the number of its place.
            candidates: (M,) int64, ids.

        Returns:
            (M,) of at least single precision, on the head's device.
        """
        if self.whole:
            with before(self._layer, lambda hidden: hidden.flatten(0, 1)[places.to(hidden.device)]):
                logits = run()  # (N, V)
            return _precise(logits[owners.to(logits.device), candidates.to(logits.device)])
        with before(self._layer, lambda hidden: hidden[:, :0]) as seen:
            run()
        hidden = seen[0].flatten(0, 1)[places.to(seen[0].device)]
        return self._rows(hidden, owners.to(hidden.device), candidates.to(hidden.device))

    def _rows(self, hidden: Tensor, owners: Tensor, candidates: Tensor) -> Tensor:
        weight: Tensor = self._layer.weight  # type: ignore[assignment]
        bias: Tensor | None = getattr(self._layer, "bias", None)
        step = max(1, _AT_ONCE // hidden.shape[-1]) if hidden.device.type == "cpu" else max(1, len(owners))
        pieces = []
        for at in range(0, len(owners), step):
            owner, candidate = owners[at : at + step], candidates[at : at + step]
            found = (_precise(hidden[owner]) * _precise(weight[candidate])).sum(-1)
            pieces.append(found if bias is None else found + _precise(bias[candidate]))
        logits = torch.cat(pieces) * self._scale
        return self._cap * torch.tanh(logits / self._cap) if self._cap else logits


def _precise(numbers: Tensor) -> Tensor:
    return numbers if numbers.dtype == torch.float64 else numbers.float()
