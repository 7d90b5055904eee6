"""What a program runs on: cores, and versions of what its numbers depend on."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


_sharing = 1  # processes that share the cores


def cores() -> int:
    """How many cores this process may use."""
    every = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, every // _sharing)


def share_cores(processes: int) -> None:
    """Have this process use no more than its share of the cores.

    Args:
        processes: how many compute at the same time.
    """
    global _sharing  # noqa: PLW0603 - a fact of the process
    _sharing = processes


@cache
def multiplies_bf16() -> bool:
    """Whether torch multiplies matrices in bfloat16 faster than in float32 here.

    GPUs do. A processor is timed (about 20 ms), since its instructions do not tell: with AMX bfloat16 takes a fraction
    of the time, with AVX-512 alone 1.6 times as long, without either 4 times.
    """
    import torch

    if torch.cuda.is_available():
        return True
    has: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    if not any(has.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16")):
        return False
    seconds = {dtype: _seconds_of_a_product(dtype) for dtype in (torch.float32, torch.bfloat16)}
    return seconds[torch.bfloat16] < seconds[torch.float32]


def _seconds_of_a_product(dtype: torch.dtype) -> float:
    """The least time that a linear layer of a small model takes, of a few."""
    from torch import ones
    from torch.nn.functional import linear

    rows, weights = ones(1024, 384, dtype=dtype), ones(1024, 384, dtype=dtype)
    times = []
    for _ in range(8):
        begin = time.perf_counter()
        linear(rows, weights)
        times.append(time.perf_counter() - begin)
    return min(times)


def versions(*libraries: str) -> dict[str, str]:
    """Of biomark, Python and some libraries; those that are not installed are left out."""
    found = {"biomark": version("biomark"), "python": platform.python_version()}
    for library in libraries:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
