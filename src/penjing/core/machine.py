"""What the machine can do: cores, memory, disk, and the number formats its processor is quick at. Reads, never changes."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import resource
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """The resources a plan may count on."""

    processor: str
    cores: int
    memory_bytes: int
    """Memory that is free to use now, container limits included."""
    bf16: bool
    """Whether matrix products in bfloat16 are faster than in float32 (AVX512-BF16, AMX, or the Arm equivalent)."""

    @classmethod
    def here(cls) -> Machine:
        model, flags = _processor()
        bf16 = bool({"avx512_bf16", "amx_bf16", "bf16"} & flags)
        return cls(model, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, _memory(), bf16)


def free_disk_bytes(folder: Path) -> int:
    """Return the free space of the disk that `folder` (or its nearest existing parent) lies on."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def peak_bytes() -> int:
    """Return the most memory that this process has had in use, since it began or since `forget_peak` where the system can forget it."""
    try:
        return _status("VmHWM")
    except (OSError, ValueError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def forget_peak() -> bool:
    """Count the peak of this process from here on; return whether the system could (Linux: man 5 proc, clear_refs)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def give_back() -> None:
    """Give memory that is free inside this process back to the system, where its C library can."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024


@cache
def _processor() -> tuple[str, frozenset[str]]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine(), frozenset()
    values = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in values.items()}
    return fields.get("model name", platform.machine()), frozenset(fields.get("flags", fields.get("Features", "")).split())


def _memory() -> int:
    """Return available memory in bytes, or the control group's limit where that is smaller."""
    available = 8 << 30
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                available = int(line.split()[1]) * 1024
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        if limit != "max":
            used = int(Path("/sys/fs/cgroup/memory.current").read_text())
            available = min(available, int(limit) - used)
    except (OSError, ValueError):
        pass
    return available
