"""Storage of weights in 8 bits: a quarter of the size on disk; computations use 32 bits.

Each matrix has one scale per row: w ≈ scale × q with q in -127 … 127 (symmetric, round to nearest).
Tensors that are not matrices are stored unchanged.
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
    """Write weights to a file; a tensor with several names is written once, under the first name."""
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
    """Read the weights of a file that `save_compact` wrote; matrices are float32."""
    kept = load_file(path)
    return {
        name: weight * kept[name + _SCALE][:, None] if name + _SCALE in kept else weight
        for name, weight in kept.items()
        if not name.endswith(_SCALE) or name.removesuffix(_SCALE) not in kept
    }
