"""The most that this machine multiplies in a second: what a learning's speed is held against. Knows no net."""

from __future__ import annotations

import time
from functools import cache

import torch

_SIZES = (384, 768, 1152)
"""Squares of which some stay in a core's cache and some keep several cores busy: which is quickest depends on the machine."""
_SECONDS = 0.03
"""For each size, after the first product."""
_FORMATS = {"bf16": torch.bfloat16, "f32": torch.float32}


def peak(precision: str) -> float:
    """Return the multiply-adds x 2 a second of the quickest matrix product with this process's threads, measured once in about 0.2 s.

    precision: "bf16" or "f32". Draws nothing at random.
    """
    return _measured(precision, torch.get_num_threads())


@cache
def _measured(precision: str, threads: int) -> float:
    with torch.inference_mode():
        return max(_quickest(size, _FORMATS[precision]) for size in _SIZES)


def _quickest(size: int, dtype: torch.dtype) -> float:
    """Return the speed of the quickest of some products of two squares."""
    a, b = torch.full((size, size), 0.5, dtype=dtype), torch.full((size, size), 0.25, dtype=dtype)
    torch.mm(a, b)
    best, until = float("inf"), time.perf_counter() + _SECONDS
    while True:
        began = time.perf_counter()
        torch.mm(a, b)
        ended = time.perf_counter()
        best = min(best, ended - began)
        if ended > until:
            return 2.0 * size**3 / best
