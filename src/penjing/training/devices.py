"""Where nets learn: on a GPU where torch can use one (CUDA), else on the processor. What is learnt comes back to the processor's memory.

`CUDA_VISIBLE_DEVICES=` keeps to the processor. Several workers each have a GPU of their own (training/workers.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from penjing.core.types import NDArray


def device() -> Any:
    """Return the GPU of this process, or the processor."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def where(module: Any) -> Any:
    """Return the device that the weights of `module` are on."""
    return next(module.parameters()).device


def sent(array: NDArray, to: Any) -> Any:
    """Return `array` as a tensor on the device `to`; on the processor it is not copied, unless its memory is not in one piece."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(to)


@contextmanager
def placed(module: Any) -> Iterator[None]:
    """Have the weights of `module` on the device that nets learn on, inside the block."""
    module.to(device())
    try:
        yield
    finally:
        module.to("cpu")
