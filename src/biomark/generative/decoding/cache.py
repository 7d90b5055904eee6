"""The key-value cache of a causal language model, with a slot for each token position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import Cache

_STEP = 16  # the number of slots is a multiple of it, for which attention kernels are fast


@dataclass(frozen=True, slots=True)
class Stretch:
    """Keys and values of the first P tokens of a prompt: a pair of (P, heads, size) tensors for each layer."""

    layers: tuple[tuple[Tensor, Tensor], ...]


@dataclass(frozen=True, slots=True)
class _Pass:
    """The parts of the cache that one pass of the model reads and writes.

    Attributes:
        rows: (b,) int64, the rows of the cache that take part; None: the first b, in order.
        count: b.
        target: (b · Q,) int64, the index of each token's slot among the slots of all rows.
        width: K, the number of slots of a row that are read.
    """

    rows: Tensor | None
    count: int
    target: Tensor
    width: int


class SlotCache(Cache):
    """A cache in which a token's slot is its position.

    A token that follows a rejected draft overwrites the rejected token at its position. A query attends to the slots
    up to its own position and thus never to a rejected token, so rejected tokens need no masking, moving or
    bookkeeping. Finished rows no longer take part in passes.

    Buffers stay allocated between batches. Their old content is finite and therefore harmless where it is masked.
    """

    def __init__(self) -> None:
        super().__init__(layers=[])
        self._buffers: list[tuple[Tensor, Tensor]] = []  # each (R, S, heads, size)
        self._rows = self._slots = 0
        self._now: _Pass | None = None

    def prepare(self, rows: Sequence[int], slots: Tensor, *, highest: int) -> int:
        """Set the slots into which the next pass writes.

        Args:
            rows: b different rows of the cache.
            slots: (b, Q) int64 positions of the tokens; -1 for padding, which goes to a slot that no token attends to.
            highest: the largest of the slots.

        Returns:
            K, the number of slots that the pass reads: positions 0 to K - 1.
        """
        width = _rounded(highest + 2)  # one more, for padding
        self._grow(max(rows) + 1, width)
        chosen = torch.tensor(rows, device=slots.device)
        target = (slots.masked_fill(slots < 0, width - 1) + (chosen * self._slots)[:, None]).flatten()
        leading = list(rows) == list(range(len(rows)))
        self._now = _Pass(None if leading else chosen, len(rows), target, width)
        return width

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Store the keys and values, (b, heads, Q, size), of a pass.

        Returns:
            All keys and values of the pass's rows, (b, heads, K, size).

        Raises:
            RuntimeError: if `prepare` was not called before the pass.
        """
        if self._now is None:
            raise RuntimeError("call prepare() before the model's pass")
        if layer_idx == len(self._buffers):
            self._buffers.append((self._buffer(key_states), self._buffer(value_states)))
        keys, values = self._buffers[layer_idx]
        return _exchange(keys, key_states, self._now), _exchange(values, value_states, self._now)

    def keep(self, row: int, size: int) -> Stretch:
        """Return a copy of the keys and values of a row's first tokens."""
        return Stretch(tuple((k[row, :size].clone(), v[row, :size].clone()) for k, v in self._buffers))

    def place(self, rows: Sequence[int], stretch: Stretch) -> None:
        """Copy kept keys and values to the beginning of rows."""
        size = len(stretch.layers[0][0])
        self._grow(max(rows) + 1, _rounded(size))
        for kept, buffers in zip(stretch.layers, self._buffers, strict=True):
            for states, buffer in zip(kept, buffers, strict=True):
                buffer[rows, :size] = states

    def _grow(self, rows: int, slots: int) -> None:
        """Enlarge the buffers, with some slots to spare."""
        if rows <= self._rows and slots <= self._slots:
            return
        old_rows, old_slots = self._rows, self._slots
        self._rows = max(rows, old_rows)
        self._slots = _rounded(slots * 5 // 4) if slots > old_slots else old_slots
        for number, pair in enumerate(self._buffers):
            keys, values = (self._buffer(old.transpose(1, 2)) for old in pair)
            keys[:old_rows, :old_slots], values[:old_rows, :old_slots] = pair
            self._buffers[number] = (keys, values)

    def _buffer(self, states: Tensor) -> Tensor:
        """Return a buffer of zeros for states of the shape (…, heads, …, size)."""
        return states.new_zeros(self._rows, self._slots, states.shape[1], states.shape[3])


def _exchange(buffer: Tensor, states: Tensor, where: _Pass) -> Tensor:
    """Write the states of a pass, (b, heads, Q, size), and return all states of its rows, (b, heads, K, size)."""
    new = states.transpose(1, 2).flatten(0, 1)
    buffer.flatten(0, 1).index_copy_(0, where.target.to(buffer.device), new)
    narrow = buffer[:, : where.width]
    if where.rows is None:
        narrow = narrow[: where.count]
    else:
        narrow = narrow.index_select(0, where.rows.to(buffer.device))
    return narrow.transpose(1, 2)


def _rounded(slots: int) -> int:
    return -(-slots // _STEP) * _STEP
