"""Digests of what a learning depends on: examples and weights, by their bytes."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from penjing.core.examples import Examples
from penjing.core.types import Ragged

_BLOCK = 8192


def of_examples(examples: Examples) -> str:
    """Return a digest of what can be learnt from `examples`: their inputs, targets and weights."""
    told = hashlib.sha256()
    for name, value in sorted({**examples.inputs, "target": examples.target, "weight": examples.weight}.items()):
        arrays = [value.values, value.offsets] if isinstance(value, Ragged) else [] if value is None else [value]
        for array in arrays:
            told.update(f"{name} {array.dtype} {array.shape}".encode())
            for start in range(0, len(array), _BLOCK):
                told.update(np.ascontiguousarray(array[start : start + _BLOCK]).tobytes())
    return told.hexdigest()


def of_weights(module: Any) -> str:
    """Return a digest of a torch module's weights."""
    told = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        told.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        told.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return told.hexdigest()
