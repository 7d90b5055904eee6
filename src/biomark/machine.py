"""What a program runs on: cores, and versions of what its numbers depend on."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def multiplies_bf16() -> bool:
    """Whether torch multiplies matrices in bfloat16 faster than in float32 here: on a GPU, or a CPU with instructions
    for it. Without them torch goes a quarter of the speed of float32. Versions of torch that cannot tell: no."""
    import torch

    if torch.cuda.is_available():
        return True
    has: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(has.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16"))


def versions(*libraries: str) -> dict[str, str]:
    """Of biomark, Python and some libraries; those that are not installed are left out."""
    found = {"biomark": version("biomark"), "python": platform.python_version()}
    for library in libraries:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
