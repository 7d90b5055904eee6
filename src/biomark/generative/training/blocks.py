"""Attention of packed rows, computed for each demonstration alone.

The mask of a packed row forbids tokens to attend to other demonstrations. On a CPU, PyTorch nevertheless computes all
L² products of a row of L tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode


class AttentionInBlocks(TorchFunctionMode):
    """A context in which PyTorch computes attention only inside the blocks of a mask. The results are the same.

    It cannot be used with activation checkpointing, which repeats the forward pass outside of this context.

    Args:
        mask: (B, 1, L, L) bool, the keys that queries may attend to. A layer may allow fewer keys, such as a layer with
            a sliding window.
    """

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self._sizes = [block_sizes(row[0]) for row in mask]

    def __torch_function__(
        self, function: Any, types: Sequence[type], args: Sequence[Any] = (), settings: Mapping[str, Any] | None = None
    ) -> Any:
        """Compute a function of PyTorch; attention with a mask is computed block by block."""
        settings = dict(settings or {})
        mask = settings.get("attn_mask")
        if function is not scaled_dot_product_attention or mask is None or len(args) != 3:
            return function(*args, **settings)
        del settings["attn_mask"]
        query, key, value = args
        return _in_blocks(query, key, value, mask, self._sizes, settings)


def _in_blocks(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, sizes: Sequence[list[int]], settings: Mapping[str, Any]
) -> Tensor:
    """Return attention (B, heads, L, dimensions), where row b has blocks of `sizes[b]` tokens."""
    rows = []
    for b, own in enumerate(sizes):
        parts = zip(*(torch.split(states[b : b + 1], own, dim=2) for states in (query, key, value)), strict=True)
        of_row = mask[b : b + 1] if len(mask) > 1 else mask
        blocks = []
        start = 0
        for size, (q, k, v) in zip(own, parts, strict=True):
            end = start + size
            blocks.append(scaled_dot_product_attention(q, k, v, of_row[:, :, start:end, start:end], **settings))
            start = end
        rows.append(torch.cat(blocks, dim=2))
    return torch.cat(rows)


def block_sizes(mask: Tensor) -> list[int]:
    """Return the sizes of the smallest consecutive blocks of tokens that attend only to tokens of their own block.

    Args:
        mask: (L, L) bool, the keys that each query attends to; each query attends to at least one key.
    """
    length = len(mask)
    places = torch.arange(length, device=mask.device)
    first = torch.where(mask, places, length).amin(1)  # the first and the last key of each query
    last = torch.where(mask, places, -1).amax(1)
    lowest = first.flip(0).cummin(0).values.flip(0)  # of this query and all after it
    highest = torch.cat((last.new_full((1,), -1), last.cummax(0).values[:-1]))  # of all queries before this one
    starts = torch.nonzero((lowest >= places) & (highest < places))[:, 0].tolist()
    return [end - start for start, end in zip(starts, [*starts[1:], length], strict=True)]
