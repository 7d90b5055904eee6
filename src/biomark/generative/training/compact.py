"""Weights in 8 bits, for keeping: a quarter of the size on disk, computed with in 32 bits.

Each matrix keeps one scale a row: w ≈ scale × q with q in -127 … 127 (symmetric, round to nearest).
What is not a matrix stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

COMPACT = "model.int8.safetensors"
_SCALE = ".scale"


def save_compact(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write weights; two names of one tensor are written once, under the first."""
    kept: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, weight in weights.items():
        if weight.data_ptr() in seen:
            continue
        seen.add(weight.data_ptr())
        if weight.dim() != 2 or not weight.is_floating_point():
            kept[name] = weight.contiguous()
            continue
        scale = weight.float().abs().amax(dim=1).clamp(min=1e-12) / 127
        kept[name] = (weight.float() / scale[:, None]).round().to(torch.int8)
        kept[name + _SCALE] = scale
    save_file(kept, path)


def load_compact(path: Path) -> dict[str, Tensor]:
    """The weights of a file that `save_compact` wrote, float32."""
    kept = load_file(path)
    return {
        name: weight * kept[name + _SCALE][:, None] if name + _SCALE in kept else weight
        for name, weight in kept.items()
        if not name.endswith(_SCALE) or name.removesuffix(_SCALE) not in kept
    }
