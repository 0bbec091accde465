"""The weights of a torch module as numpy arrays, out and back: what a learner needs to be a `core.learning.weights.HasWeights`. Knows no learner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from penjing.core.types import NDArray


def weights_of(module: Any) -> dict[str, NDArray]:
    """Return a copy of the state of `module`, numbers of reduced precision as float32."""
    with torch.no_grad():
        return {name: _array(tensor) for name, tensor in module.state_dict().items()}


def set_weights_of(module: Any, weights: Mapping[str, NDArray]) -> None:
    """Put `weights` into `module`. Raises ValueError where names or shapes are not those of its state."""
    state = module.state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if shapes != {name: np.shape(array) for name, array in weights.items()}:
        raise ValueError("These are the weights of another model: their names or shapes differ.")
    with torch.no_grad():
        for name, tensor in state.items():
            tensor.copy_(torch.from_numpy(np.array(weights[name])))


def _array(tensor: Any) -> NDArray:
    found: NDArray = (tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor).detach().cpu().numpy().copy()
    return found
