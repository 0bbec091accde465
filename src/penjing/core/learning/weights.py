"""Numbers that can be taken out of a learner and put back, as averaging them needs. Knows no runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from penjing.core.types import NDArray


@runtime_checkable
class HasWeights(Protocol):
    """A learner whose weights can be read and set; asked for by type. Those of fine-tunings of one start may be averaged."""

    def weights(self) -> Mapping[str, NDArray]:
        """Return a copy of every array that was learnt or counted, by name. Raises where nothing is learnt yet."""

    def set_weights(self, weights: Mapping[str, NDArray]) -> None:
        """Take these in place of its own: the same names and shapes."""


def mean(several: Sequence[Mapping[str, NDArray]]) -> dict[str, NDArray]:
    """Return the mean of each floating-point array, summed in float64; of others the first, which counts or numbers something."""
    first = several[0]
    return {name: _mean([one[name] for one in several]) if np.issubdtype(array.dtype, np.floating) else array for name, array in first.items()}


def _mean(arrays: Sequence[NDArray]) -> NDArray:
    total = np.zeros(arrays[0].shape, np.float64)
    for array in arrays:
        total += array
    return (total / len(arrays)).astype(arrays[0].dtype)
