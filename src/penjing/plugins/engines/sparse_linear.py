"""A linear model on counted sparse features, in numpy and scipy. Knows nothing of what the features or the answers mean.

A row's values are (1 + log count) * idf, brought to a given length in each group of features and then to length 1 as a whole, so that the
thousands of character n-grams do not outshout the words. A feature that training did not see is passed over; a row without any gets the bias.

A row's answer does not depend on the rows beside it: every sum runs over that row's features, in their order.

Layout of a folder: `linear.safetensors` with buckets (F,) int32, idf (F,), emphasis (G,), weights (F, C), bias (C,) float32 and, as
metadata, the output's name. Weights are mapped into memory, so that processes that serve the same package share them.

Shapes: B rows, G groups, N features of all rows together, F features of the model, C numbers a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
from safetensors.numpy import save_file
from scipy.sparse import csr_array

from penjing.core.errors import RunFailed
from penjing.core.files import written
from penjing.core.graphs.tensors import mapped
from penjing.core.types import Batch, NDArray, Ragged

_FILE = "linear.safetensors"
_KINDS = {"buckets": "I32", "idf": "F32", "emphasis": "F32", "weights": "F32", "bias": "F32"}
_LOGS = np.array([0.0, *(1 + np.log(np.arange(1, 256)))], np.float32)


@dataclass(frozen=True)
class SparseLinear:
    """{"features", "counts", "ends"} → {output: (B, C) float32}."""

    buckets: NDArray
    """(F,) int32 number of each feature, the most frequent first: what is used together lies together."""
    idf: NDArray
    """(F,) float32."""
    emphasis: NDArray
    """(G,) float32 length of a row's values in each group, before the row is brought to length 1."""
    weights: NDArray
    """(F, C) float32."""
    bias: NDArray
    """(C,) float32."""
    output: str

    @classmethod
    def open(cls, folder: Path) -> SparseLinear:
        """Map the model in `folder` into memory. Raises RunFailed where it holds none."""
        arrays, metadata = mapped(folder / _FILE, _KINDS)
        try:
            model = cls(**{name: arrays[name] for name in _KINDS}, output=metadata["output"])
        except KeyError as error:
            raise RunFailed(f"{folder / _FILE} is not a sparse linear model: {error} is missing. Export the tier again.") from error
        features, width = len(model.buckets), len(model.bias)
        if {name: arrays[name].shape for name in _KINDS} != _shapes(features, width) or model.buckets.min(initial=0) < 0:
            raise RunFailed(f"{folder / _FILE} is not a sparse linear model: its arrays do not fit together. Export the tier again.")
        return model

    def save(self, folder: Path) -> None:
        """Write what `open` reads."""
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in _KINDS}
        with written(folder / _FILE) as partial:
            save_file(arrays, partial, metadata={"output": self.output})

    def run(self, batch: Batch) -> Batch:
        return {self.output: self.rows(batch) @ self.weights + self.bias}

    def layers(self, batch: Batch) -> Iterator[tuple[str, NDArray]]:
        """Yield the values of the features that the model knows (N,), their weighted sums (B, C), and these with the bias (B, C)."""
        rows = self.rows(batch)
        yield "feature values", rows.data
        yield "weighted sums", rows @ self.weights
        yield self.output, rows @ self.weights + self.bias

    def work(self, batch: Batch) -> float:
        return float(len(cast(Ragged, batch["features"]).values) * len(self.bias))

    def rows(self, batch: Batch) -> csr_array:
        """Return the rows of `batch` as the model sees them: (B, F) float32, each of length 1."""
        features, counts, ends = cast(Ragged, batch["features"]), cast(Ragged, batch["counts"]), cast(NDArray, batch["ends"])
        numbers = self._numbers[np.minimum(features.values, len(self._numbers) - 1)]
        known = numbers >= 0
        before = np.zeros(len(known) + 1, np.int32 if len(known) < 1 << 31 else np.int64)
        np.cumsum(known, out=before[1:])
        numbers = numbers[known]
        values = _LOGS[counts.values[known]] * self.idf[numbers]
        values *= _scales(values, before[features.offsets[:-1, None] + ends], self.emphasis)
        return csr_array((values, numbers, before[features.offsets]), shape=(len(features), len(self.idf)))

    @cached_property
    def _numbers(self) -> NDArray:
        """For each bucket the number of its feature, or -1; the last entry stands for all buckets beyond."""
        numbers = np.full(int(self.buckets.max(initial=-1)) + 2, -1, np.int32)
        numbers[self.buckets] = np.arange(len(self.buckets), dtype=np.int32)
        return numbers


def _scales(values: NDArray, ends_BG: NDArray, emphasis: NDArray) -> NDArray:
    """Return (N,) float32 factors that bring each group of a row to its emphasis and the row to length 1; `ends_BG`: where groups end."""
    ends = ends_BG.ravel()
    starts = np.zeros_like(ends)
    starts[1:] = ends[:-1]
    squares = np.add.reduceat(np.append(values * values, np.float32(0)), starts)
    squares[starts == ends] = 0  # reduceat gives an empty group the value that follows
    squares_BG = squares.reshape(ends_BG.shape)
    there_BG = (squares_BG > 0) * emphasis
    lengths_BG = np.sqrt(squares_BG * (there_BG * there_BG).sum(1, keepdims=True))
    return np.repeat((there_BG / np.maximum(lengths_BG, np.float32(1e-30))).ravel(), ends - starts)


def _shapes(features: int, width: int) -> dict[str, tuple[int, ...]]:
    return {"buckets": (features,), "idf": (features,), "emphasis": (2,), "weights": (features, width), "bias": (width,)}
