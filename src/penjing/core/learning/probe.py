"""How fast this machine multiplies right now: what estimates of large models are made from. Numpy only."""

from __future__ import annotations

import time

import numpy as np


def probed(size: int = 1024, repeats: int = 3) -> float:
    """Return the multiply-adds x 2 a second of a float32 matrix product, right now, in numpy. Takes some hundredths of a second."""
    a = np.ones((size, size), np.float32)
    a @ a
    started = time.perf_counter()
    for _ in range(repeats):
        a @ a
    return 2 * size**3 * repeats / (time.perf_counter() - started)
