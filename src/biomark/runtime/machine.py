"""Properties of the machine: its cores, its arithmetic, and the versions of libraries."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_sharing = 1  # processes that share the cores


def cores() -> int:
    """Return the number of cores that this process may use."""
    every = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, every // _sharing)


def processor() -> str:
    """Return the name of this machine's processor, as precisely as the system reports it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text("utf-8").split("\n") if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def share_cores(processes: int) -> None:
    """Limit this process to its share of the cores.

    Args:
        processes: the number of processes that compute at the same time.
    """
    global _sharing  # noqa: PLW0603 - a fact of the process
    _sharing = processes


@cache
def multiplies_bf16() -> bool:
    """Return whether torch multiplies matrices in bfloat16 faster than in float32 on this machine.

    All GPUs do. Of CPUs, those with AMX do; with AVX-512 alone bfloat16 takes 1.6 to 2 times as long, without either 4
    times. The instruction sets decide, and no measurement: on a busy machine that would come out now one way, now the
    other, and a resumed training would not reach the same weights.
    """
    import torch

    if torch.cuda.is_available():
        return True
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16"))


def versions(*libraries: str) -> dict[str, str]:
    """Return the versions of biomark, Python and some libraries, by name; missing libraries are omitted."""
    numbers = {"biomark": version("biomark"), "python": platform.python_version()}
    for library in libraries:
        try:
            numbers[library] = version(library)
        except PackageNotFoundError:
            continue
    return numbers
