"""One pass of a causal language model over rows of the cache, each of which continues at its own position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from biomark.generative.decoding.cache import SlotCache
from biomark.generative.decoding.limits import is_additive


@dataclass(frozen=True, slots=True)
class Feed:
    """The part of a row that a forward pass reads.

    Attributes:
        row: the row of the cache.
        start: position of the first token.
        tokens: the tokens; at least one.
        seen_by_all: how many of the row's first tokens all of these see, even those before them.
    """

    row: int
    start: int
    tokens: Sequence[int]
    seen_by_all: int = 1


class Passes:
    """Runs a model, and keeps what it has read in the cache.

    Args:
        model: the model; its attention must be `sdpa` or `eager`.

    Attributes:
        model: the model.
        cache: keys and values of each row; they stay allocated for the largest batch so far.

    Raises:
        ModelError: if its attention is of another kind.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.cache = SlotCache()
        self._additive = is_additive(model)

    def run(self, feeds: Sequence[Feed]) -> Tensor:
        """Run one pass of the model, in which rows of the cache continue, each at its own position.

        Returns:
            The model's logits.
        """
        width = max(len(feed.tokens) for feed in feeds)
        ids = np.zeros((len(feeds), width), np.int64)
        slots = np.full((len(feeds), width), -1)
        for number, feed in enumerate(feeds):
            size = len(feed.tokens)
            ids[number, :size] = feed.tokens
            slots[number, :size] = np.arange(feed.start, feed.start + size)
        device = self.model.device
        places = torch.from_numpy(slots).to(device)
        seen = self.cache.prepare([feed.row for feed in feeds], places, highest=int(slots.max()))
        least = torch.tensor([[feed.seen_by_all - 1] for feed in feeds], device=device)
        mask = torch.arange(seen, device=device) <= places.maximum(least)[:, None, :, None]  # (b, 1, Q, K)
        logits: Tensor = self.model(
            input_ids=torch.from_numpy(ids).to(device),
            attention_mask=self._added(mask) if self._additive else mask,
            position_ids=places.clamp(min=0),
            past_key_values=self.cache,
            use_cache=True,
        ).logits
        return logits

    def _added(self, mask: Tensor) -> Tensor:
        """Convert a Boolean mask into one that is added to the attention scores."""
        dtype = self.model.dtype
        lowest = torch.tensor(torch.finfo(dtype).min, dtype=dtype, device=mask.device)
        return torch.where(mask, torch.zeros_like(lowest), lowest)
